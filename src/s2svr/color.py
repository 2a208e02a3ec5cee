"""Conversion of decoded planes to RGB and back, and of RGB to luma.

Codes are integers as a decoder yields them (Y, Cb, Cr with subsampled chroma, or R, G, B, or grey);
RGB is float32 in [0, 1]. Formulas: ITU-T H.273, equations 11-20 and 32-37.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Weights of red and blue in luma.
WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
}

# Primaries and transfers of which a picture without any looks alike: of BT.709 and sRGB, and curves
# that are nearly theirs.
SRGB_PRIMARIES, SRGB_TRANSFERS = {1, 2}, {1, 2, 4, 6, 13, 14, 15}

CODES = {"rgb": 0, "gray": 2, "bt601": 6, "bt709": 1, "bt2020": 9, "smpte240m": 7}

# Filters that halve a plane, and the offset of their first tap from luma 2i, by where chroma
# sample i lies (in luma pixels from 2i). Each undoes `upsample` exactly, so that a picture that is
# read and written again keeps its chroma; the first is the low pass of the LeGall 5/3 wavelet.
HALVE = {
    0.0: ((-1 / 8, 1 / 4, 3 / 4, 1 / 4, -1 / 8), -2),
    0.5: ((-1 / 4, 3 / 4, 3 / 4, -1 / 4), -1),
    1.0: ((-1 / 8, 1 / 4, 3 / 4, 1 / 4, -1 / 8), -1),
}


@dataclass(frozen=True)
class ColorInfo:
    """Meaning of a frame's codes. Numbers are those of ITU-T H.273; 2 = not specified."""

    matrix: str  # a key of WEIGHTS, "rgb" or "gray"
    full_range: bool = False
    bits: int = 8
    primaries: int = 2
    transfer: int = 2
    siting: str = "left"  # of chroma: left, center, topleft, top, bottomleft, bottom
    matrix_code: int | None = None  # as tagged in the source, where several mean one matrix

    def __post_init__(self) -> None:
        if self.matrix not in (*WEIGHTS, "rgb", "gray"):
            raise ValueError(f"expected one of {', '.join(WEIGHTS)}, rgb, gray; got {self.matrix}")

    @property
    def code(self) -> int:
        """The matrix as a number of ITU-T H.273."""
        if self.matrix_code is not None:
            return self.matrix_code
        return CODES[self.matrix]

    @property
    def like_srgb(self) -> bool:
        """True if it looks right where nothing says what it is: it is read as sRGB then."""
        return self.primaries in SRGB_PRIMARIES and self.transfer in SRGB_TRANSFERS

    @property
    def offset(self) -> tuple[float, float]:
        """Codes of black and of no colour."""
        return 0.0 if self.full_range else 16.0 * 2 ** (self.bits - 8), 2.0 ** (self.bits - 1)

    @property
    def span(self) -> tuple[float, float]:
        """Codes from black to white, and from one end of a chroma axis to the other."""
        if self.full_range:
            return 2.0**self.bits - 1, 2.0**self.bits - 1
        return 219.0 * 2 ** (self.bits - 8), 224.0 * 2 ** (self.bits - 8)

    @property
    def shifts(self) -> tuple[float, float]:
        """Position of chroma within its 2 luma pixels: (right, down), each 0, 0.5 or 1."""
        down = 0.0 if "top" in self.siting else 1.0 if "bottom" in self.siting else 0.5
        return 0.0 if "left" in self.siting else 0.5, down


def to_rgb(planes: tuple[Tensor, ...], color: ColorInfo) -> Tensor:
    """Convert planes (h, w) of codes to RGB (3, H, W) float32 in [0, 1], on the planes' device.

    Chroma is interpolated linearly from where it is sited; its subsampling is read from the sizes.
    """
    return to_open_rgb(planes, color).clamp_(0, 1)


def to_open_rgb(planes: tuple[Tensor, ...], color: ColorInfo) -> Tensor:
    """Convert as ``to_rgb``, without clamping to [0, 1]: ``from_rgb`` gives back every code.

    Codes of video reach further than its RGB: whites above 235, blacks below 16, and colours that
    no display shows, which interpolated chroma and coarse coding make at edges. Clamping them
    changes luma too: no clip of 4:2:0 would keep more than 48 dB of it.
    """
    black, neutral = color.offset
    span, chroma_span = color.span
    first = (planes[0].float() - black) / span
    if color.matrix == "gray":
        return first.repeat(3, 1, 1)
    if color.matrix == "rgb":
        rest = [(plane.float() - black) / span for plane in planes[1:3]]
        return torch.stack([first, *rest])
    height, width = first.shape
    cb, cr = (
        upsample((plane.float() - neutral) / chroma_span, (height, width), color.shifts)
        for plane in planes[1:3]
    )
    kr, kb = WEIGHTS[color.matrix]
    red = first.add(cr, alpha=2 * (1 - kr))
    blue = first.add(cb, alpha=2 * (1 - kb))
    green = first.sub_(red, alpha=kr).sub_(blue, alpha=kb).div_(1 - kr - kb)
    return torch.stack([red, green, blue])


def bounded(rgb: Tensor, source: Tensor) -> Tensor:
    """Clamp RGB to [0, 1], or to the wider range of ``source``, the picture it is made of."""
    low, high = source.aminmax()
    return rgb.clamp(low.clamp(max=0).to(rgb), high.clamp(min=1).to(rgb))


def from_rgb(rgb: Tensor, color: ColorInfo, chroma: tuple[int, int]) -> tuple[Tensor, ...]:
    """Convert RGB (3, H, W) to rounded planes: uint8, or uint16 above 8 bits.

    Black is 0 and white 1; values beyond are kept where codes exist for them. ``chroma`` is the
    subsampling (horizontal, vertical), 1 or 2 each; odd sizes round up.
    """
    black, neutral = color.offset
    span, chroma_span = color.span
    red, green, blue = rgb.float()
    if color.matrix == "rgb":
        return tuple(to_codes(plane * span + black, color.bits) for plane in (red, green, blue))
    gray = color.matrix == "gray"
    kr, kb = WEIGHTS["bt709" if gray else color.matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    codes = to_codes(luma * span + black, color.bits)
    if gray:
        return (codes,)
    cb = downsample((blue - luma) / (2 * (1 - kb)), chroma, color.shifts)
    cr = downsample((red - luma) / (2 * (1 - kr)), chroma, color.shifts)
    return codes, *(to_codes(plane * chroma_span + neutral, color.bits) for plane in (cb, cr))


def to_codes(values: Tensor, bits: int) -> Tensor:
    """Round to integer codes of ``bits`` bits."""
    return values.round().clamp(0, 2**bits - 1).to(torch.uint8 if bits <= 8 else torch.uint16)


def upsample(plane: Tensor, size: tuple[int, int], shifts: tuple[float, float]) -> Tensor:
    """Enlarge a chroma plane (h, w) to (H, W), linearly; edges are repeated."""
    for dim, shift in ((0, shifts[1]), (1, shifts[0])):
        small, large = plane.shape[dim], size[dim]
        factor = 1 << (-(-large // small) - 1).bit_length()
        if factor > 1:
            place = (torch.arange(large, device=plane.device) - shift * (factor - 1)) / factor
            left = place.floor()
            weight = (place - left).to(plane)
            weight = weight[:, None] if dim == 0 else weight
            index = left.long()
            before = plane.index_select(dim, index.clamp(0, small - 1))
            after = plane.index_select(dim, (index + 1).clamp(0, small - 1))
            plane = torch.lerp(before, after, weight.expand_as(before))
    return plane


def downsample(plane: Tensor, chroma: tuple[int, int], shifts: tuple[float, float]) -> Tensor:
    """Reduce a full-size plane (H, W) to a subsampled chroma plane; edges are repeated."""
    for dim, factor, shift in ((1, chroma[0], shifts[0]), (0, chroma[1], shifts[1])):
        if factor == 2:
            taps, first = HALVE[shift]
            last = plane.shape[dim] - 1
            places = torch.arange(0, last + 1, 2, device=plane.device) + first
            half = torch.zeros_like(plane.index_select(dim, places.clamp(0, last)))
            for k, tap in enumerate(taps):
                half.add_(plane.index_select(dim, (places + k).clamp(0, last)), alpha=tap)
            plane = half
        elif factor != 1:
            raise ValueError(f"expected chroma subsampled by 1 or 2, got {chroma}")
    return plane


def rgb_to_y(rgb: Tensor) -> Tensor:
    """BT.601 studio luma (..., 1, H, W), 16/255 to 235/255, of RGB (..., 3, H, W) in [0, 1]."""
    red, green, blue = rgb.unbind(-3)
    return ((65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255).unsqueeze(-3)


def guess_matrix(width: int, height: int) -> str:
    """Guess the matrix of an untagged video: the one that broadcasts of that size (pixels) use."""
    return "bt709" if height >= 720 or width >= 1280 else "bt601"
