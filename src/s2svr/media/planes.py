"""Conversion between PyAV pictures and planes of codes."""

import re
from collections.abc import Callable

import av
import torch
from torch import Tensor

from ..color import ColorInfo, guess_matrix
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
# Matrices by their numbers in ITU-T H.273.
MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
# Those that are not known here. Codes go to RGB and back by one matrix, whichever it is, so that a
# video keeps its colours by its tag.
FOREIGN_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "Y'D'zD'x",
    12: "derived from the primaries",
    13: "derived from the primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
}
LIMITED_GRAY = {"h264", "hevc"}  # codecs whose untagged grey has the limited range


def from_picture(picture: av.VideoFrame) -> tuple[Tensor, ...]:
    """Planes (h, w) of a decoded picture: Y, Cb, Cr or R, G, B or grey; alpha is left out.

    Planar pictures are not copied: the tensors hold the decoder's memory. Others are converted to
    a planar format, which changes no code.
    """
    if not PLANAR.fullmatch(picture.format.name):
        picture = convert_format(picture, planar_name(picture.format))
    planes = [torch.from_dlpack(plane) for plane in picture.planes]
    if picture.format.name.startswith("gbr"):
        planes = [planes[2], planes[0], planes[1]]
    return tuple(planes[: 1 if is_gray(picture.format) else 3])


def to_picture(planes: tuple[Tensor, ...], name: str) -> av.VideoFrame:
    """Picture of the planar format ``name`` with planes as from ``from_picture``."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, name)
    order = [1, 2, 0] if name.startswith("gbr") else range(len(planes))
    for target, index in zip(picture.planes, order, strict=True):
        torch.from_dlpack(target).copy_(planes[index])
    return picture


def convert_format(picture: av.VideoFrame, name: str) -> av.VideoFrame:
    """Convert a picture to another pixel format of the same codes, by one thread.

    With several, FFmpeg 8 gets a row of chroma wrong in a few of a thousand pictures of y210le.
    """
    return picture.reformat(format=name, threads=1)


def planar_name(pixel_format: av.VideoFormat) -> str:
    """Name of the planar format that holds every code of a format; MediaError for odd ones."""
    if pixel_format.name.startswith(("xyz", "bayer")):
        raise MediaError(f"pictures in the format {pixel_format.name} are not supported")
    bits = bits_of(pixel_format)
    return planar_kind(pixel_format) + ("" if bits == 8 else f"{bits}le")


def planar_kind(pixel_format: av.VideoFormat) -> str:
    """Name of the 8-bit planar format with the same components and subsampling."""
    if is_rgb(pixel_format) or is_gray(pixel_format):
        return "gbrp" if is_rgb(pixel_format) else "gray"
    return f"yuv{CHROMA[subsampling(pixel_format)]}p"


def bits_of(pixel_format: av.VideoFormat) -> int:
    """Bits of a code in the planes of a picture; palettes and 5-bit colours become 8."""
    bits = max([8, *(part.bits for part in pixel_format.components if not part.is_alpha)])
    return bits if bits in (8, 9, 10, 12, 14) else 16


def subsampling(pixel_format: av.VideoFormat) -> tuple[int, int]:
    """Subsampling of chroma, horizontal and vertical."""
    if is_rgb(pixel_format) or is_gray(pixel_format):
        return 1, 1
    # Of a large picture, since the sizes of a tiny one are rounded up.
    chroma = av.VideoFormat(pixel_format.name, 64, 64).components[1]
    return 64 // chroma.width, 64 // chroma.height


def has_alpha(pixel_format: av.VideoFormat) -> bool:
    return any(part.is_alpha for part in pixel_format.components)


def is_transparent(picture: av.VideoFrame) -> bool:
    """True if a picture has a pixel that is not wholly opaque."""
    names = [part.is_alpha for part in picture.format.components]
    if not any(names) and not picture.format.has_palette:
        return False
    bits = min(16, bits_of(picture.format))
    deep = bits > 8
    plain = picture.reformat(format="rgba64le" if deep else "rgba", threads=1)
    opaque = (1 << 16) - (1 << 16 - bits) if deep else 255  # of 12 bits, the last 4 may be 0
    return bool((plain.to_ndarray()[..., 3] < opaque).any())


def is_rgb(pixel_format: av.VideoFormat) -> bool:
    return pixel_format.is_rgb or pixel_format.has_palette


def is_gray(pixel_format: av.VideoFormat) -> bool:
    return not is_rgb(pixel_format) and len(pixel_format.components) - has_alpha(pixel_format) < 3


def color_of(
    picture: av.VideoFrame, codec: str, siting: str | None, warn: Callable[[str], None]
) -> ColorInfo:
    """Meaning of a picture's codes, by its tags, or by usual guesses where it has none."""
    code, tagged = int(picture.colorspace), int(picture.color_range)
    pixel_format, foreign = picture.format, False
    full = tagged == 2 or pixel_format.name.startswith("yuvj")
    if is_rgb(pixel_format):
        matrix, full = "rgb", tagged != 1
    elif is_gray(pixel_format):
        matrix, full = "gray", full or (tagged == 0 and codec not in LIMITED_GRAY)
    else:
        matrix = MATRICES.get(code) or guess_matrix(picture.width, picture.height)
        if foreign := code in FOREIGN_MATRICES:
            warn(
                f"the colour matrix {code} ({FOREIGN_MATRICES[code]}) is not known and read as "
                f"{matrix}: of a video it stays so tagged, in images colours are others"
            )
        elif code not in MATRICES and code != 2:
            warn(f"the colour matrix {code} is not known, and is read and written as {matrix}")
    return ColorInfo(
        matrix=matrix,
        full_range=full,
        bits=bits_of(pixel_format),
        primaries=int(picture.color_primaries),
        transfer=int(picture.color_trc),
        siting=siting or "left",
        matrix_code=code if code in MATRICES or foreign else None,
    )
