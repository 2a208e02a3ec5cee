"""PyAV pictures <-> planes of codes."""

import re

import av
import torch
from torch import Tensor

from .errors import MediaError

# Formats whose planes are taken as they are; Y, Cb, Cr or G, B, R come before alpha.
PLANAR = re.compile(r"(yuv|yuvj|yuva|gbr|gbra)\d*p(9|10|12|14|16)?(le)?|gray(9|1[0246])?(le)?")
CHROMA = {
    (1, 1): "444",
    (2, 1): "422",
    (2, 2): "420",
    (1, 2): "440",
    (4, 1): "411",
    (4, 4): "410",
}


def from_picture(picture: av.VideoFrame) -> tuple[Tensor, ...]:
    """A decoded picture -> its planes Y, Cb, Cr or R, G, B or grey; alpha is left out.

    Planar pictures are not copied: the tensors hold the decoder's memory. All others are only
    reordered on the way, no code changes.
    """
    if not PLANAR.fullmatch(picture.format.name):
        picture = reordered(picture, planar_name(picture.format))
    planes = [torch.from_dlpack(plane) for plane in picture.planes]
    if picture.format.name.startswith("gbr"):
        planes = [planes[2], planes[0], planes[1]]
    return tuple(planes[: 1 if is_gray(picture.format) else 3])


def to_picture(planes: tuple[Tensor, ...], name: str) -> av.VideoFrame:
    """Planes as from ``from_picture`` -> a picture of the planar format ``name``."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, name)
    order = [1, 2, 0] if name.startswith("gbr") else range(len(planes))
    for target, index in zip(picture.planes, order, strict=True):
        torch.from_dlpack(target).copy_(planes[index])
    return picture


def reordered(picture: av.VideoFrame, form: str) -> av.VideoFrame:
    """The same codes in another format, by one thread.

    With several, FFmpeg 8 gets a row of chroma wrong in a few of a thousand pictures of y210le.
    """
    return picture.reformat(format=form, threads=1)


def planar_name(form: av.VideoFormat) -> str:
    """The planar format that holds every code of ``form``."""
    if form.name.startswith(("xyz", "bayer")):
        raise MediaError(f"pictures in the format {form.name} are not supported")
    bits = bits_of(form)
    return planar_kind(form) + ("" if bits == 8 else f"{bits}le")


def planar_kind(form: av.VideoFormat) -> str:
    """The 8-bit planar format with the same components and subsampling as ``form``."""
    if is_rgb(form) or is_gray(form):
        return "gbrp" if is_rgb(form) else "gray"
    return f"yuv{CHROMA[subsampling(form)]}p"


def bits_of(form: av.VideoFormat) -> int:
    """Bits of a code in the planes of a picture; palettes and 5-bit colours become 8."""
    bits = max([8, *(part.bits for part in form.components if not part.is_alpha)])
    return bits if bits in (8, 9, 10, 12, 14) else 16


def subsampling(form: av.VideoFormat) -> tuple[int, int]:
    """Horizontal and vertical subsampling of chroma."""
    if is_rgb(form) or is_gray(form):
        return 1, 1
    # Of a large picture, since the sizes of a tiny one are rounded up.
    chroma = av.VideoFormat(form.name, 64, 64).components[1]
    return 64 // chroma.width, 64 // chroma.height


def has_alpha(form: av.VideoFormat) -> bool:
    return any(part.is_alpha for part in form.components)


def is_rgb(form: av.VideoFormat) -> bool:
    return form.is_rgb or form.has_palette


def is_gray(form: av.VideoFormat) -> bool:
    return not is_rgb(form) and len(form.components) - has_alpha(form) < 3
