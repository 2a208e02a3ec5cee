"""Scores of a frame as in published benchmarks; every number carries its protocol's name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..color import WEIGHTS, ColorInfo, to_open_rgb
from ..media import open_reader, upright
from ..metrics import (
    psnr_chroma,
    psnr_float,
    psnr_rgb,
    psnr_y,
    ssim_chroma,
    ssim_rgb,
    ssim_uniform,
    ssim_volume,
    ssim_y,
)

BT601 = ColorInfo("bt601")


class View(NamedTuple):
    """A frame as it is scored."""

    rgb: Tensor  # (3, H, W) in [0, 1]; coded video reaches beyond
    y: Tensor  # (1, H, W): luma as coded, divided by the largest code; not rounded
    color: ColorInfo  # of the codes of ``y``


@dataclass(frozen=True)
class Protocol:
    """PSNR in dB and SSIM of one frame against its truth, and which frames count."""

    text: str
    psnr: Callable[[View, View], float]
    ssim: Callable[[View, View], float]
    centre: bool = False  # only the middle frame of each clip is scored
    mirrored: bool = False  # ours is also run on the clip followed by its mirror image in time


def y_of_mmedit(text: str, *, centre: bool = False) -> Protocol:
    """Protocol of Y as in papers of super-resolution."""
    return Protocol(
        text,
        psnr=lambda a, b: psnr_y(a.rgb, b.rgb),
        ssim=lambda a, b: ssim_y(a.rgb, b.rgb),
        centre=centre,
        mirrored=centre,
    )


GAUSSIAN = "SSIM 11x11 Gaussian"
PROTOCOLS = {
    "rgb": Protocol(
        f"rounded 8-bit RGB jointly, no crop, {GAUSSIAN} (mmedit; REDS4, GoPro)",
        psnr=lambda a, b: psnr_rgb(a.rgb, b.rgb),
        ssim=lambda a, b: ssim_rgb(a.rgb, b.rgb),
    ),
    "y": y_of_mmedit(f"BT.601 Y of rounded 8-bit RGB, no crop, {GAUSSIAN} (mmedit; Vid4)"),
    "vimeo90k": y_of_mmedit(
        f"BT.601 Y of rounded 8-bit RGB, middle frame only, no crop, {GAUSSIAN} (mmedit)",
        centre=True,
    ),
    "mfqev2": Protocol(
        "coded Y as float, neither clamped nor rounded, SSIM 7x7 uniform (MFQEv2)",
        psnr=lambda a, b: psnr_float(a.y, b.y),
        ssim=lambda a, b: ssim_uniform(a.y, b.y),
    ),
    "chroma": Protocol(
        f"BT.601 Cb and Cr of rounded 8-bit RGB jointly, no crop, {GAUSSIAN} (ours)",
        psnr=lambda a, b: psnr_chroma(a.rgb, b.rgb),
        ssim=lambda a, b: ssim_chroma(a.rgb, b.rgb),
    ),
    "volume": Protocol(
        "rounded 8-bit RGB jointly, no crop, SSIM 11x11x11 Gaussian across the colours",
        psnr=lambda a, b: psnr_rgb(a.rgb, b.rgb),
        ssim=lambda a, b: ssim_volume(a.rgb, b.rgb),
    ),
}
# The usual protocols of each data set, by its name in data.DATASETS.
DATASET_PROTOCOLS = {
    "folder": ("rgb", "y"),
    "pairs": ("rgb", "y"),
    "reds": ("rgb",),
    "vimeo90k": ("vimeo90k",),
    "vid4": ("y",),
    "gopro": ("rgb",),
    "mfqev2": ("mfqev2",),
}


def view(rgb: Tensor, color: ColorInfo = BT601) -> View:
    """Make a view of RGB (3, H, W), with the luma that ``color`` gives it."""
    if color.matrix not in WEIGHTS:
        color = BT601
    kr, kb = WEIGHTS[color.matrix]
    luma = kr * rgb[:1] + (1 - kr - kb) * rgb[1:2] + kb * rgb[2:]
    return View(rgb, (luma * color.span[0] + color.offset[0]) / (2**color.bits - 1), color)


def read_views(path: Path, count: int | None = None) -> Iterator[View]:
    """Yield the first ``count`` frames of a video or folder, upright; luma as coded, if it is."""
    with open_reader(path) as reader:
        turn = reader.display.orientation
        for frame in islice(reader, count):
            color = frame.color
            rgb = upright(to_open_rgb(frame.planes, color), turn)
            if color.matrix in WEIGHTS:
                luma = upright(frame.planes[0][None].float(), turn)
                yield View(rgb, luma / (2**color.bits - 1), color)
            else:
                yield view(rgb)
