"""PyAV pictures <-> planes of codes."""

import re

import av
import numpy as np
import torch
from torch import Tensor

PLANAR = re.compile(r"(yuv|yuvj|yuva|gbr|gbra)\d*p(9|10|12|14|16)?(le)?|gray(9|1[0246])?(le)?")


def from_picture(picture: av.VideoFrame) -> tuple[Tensor, ...]:
    """A decoded picture -> its planes Y, Cb, Cr or R, G, B or grey; alpha is left out.

    Planar pictures are not copied: the tensors hold the decoder's memory.
    """
    form = picture.format
    if not PLANAR.fullmatch(form.name):
        picture = picture.reformat(format=planar_name(form))
    planes = [torch.from_dlpack(plane) for plane in picture.planes]
    if picture.format.name.startswith("gbr"):
        planes = [planes[2], planes[0], planes[1]]
    return tuple(planes[:3]) if len(planes) >= 3 else tuple(planes[:1])


def planar_name(form: av.VideoFormat) -> str:
    """The planar format that holds every code of ``form``."""
    components = [c for c in form.components if not c.is_alpha]
    bits = max(8, *(c.bits for c in components)) if components else 8
    depth = "" if bits == 8 else f"{bits if bits in (9, 10, 12, 14) else 16}le"
    if form.is_rgb or form.has_palette:
        return f"gbrp{depth}"
    if len(components) < 3:
        return f"gray{depth}"
    chroma = components[1]
    kind = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
    across, down = -(-form.width // chroma.width), -(-form.height // chroma.height)
    return f"yuv{kind[across, down]}p{depth}"


def to_picture(planes: tuple[Tensor, ...], name: str) -> av.VideoFrame:
    """Planes as from ``from_picture`` -> a picture of the planar format ``name``."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, name)
    order = [1, 2, 0] if name.startswith("gbr") else range(len(planes))
    for target, index in zip(picture.planes, order, strict=True):
        torch.from_dlpack(target).copy_(planes[index])
    return picture


def packed_rgb(planes: tuple[Tensor, ...]) -> np.ndarray:
    """R, G, B or grey planes -> (H, W, 3) or (H, W) in memory order."""
    return (planes[0] if len(planes) == 1 else torch.stack(planes, -1)).cpu().numpy()
