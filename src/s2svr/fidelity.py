"""How far a restored video, damaged again, is from the video that it was made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import tee
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from .compare import align, moments
from .degrade import quantised, stream
from .media import open_reader
from .metrics import psnr_rgb
from .ops import resize_bicubic

BIN = 30  # frames
DRIFT = 0.5  # dB
MOST = 100.0  # dB, of equal frames, which count here too


@dataclass(frozen=True)
class Fidelity:
    """PSNR (dB, rounded RGB) of the restored video, damaged again, against its source."""

    frames: int
    psnr: float
    base: float  # the same of the source itself, resized: what the damage alone does to it
    bins: list[float]  # psnr - base, mean over every BIN frames
    warning: str | None  # where it drifts


@torch.inference_mode()
def fidelity(source: Path, restored: Path, damage: str = "bicubic") -> Fidelity:
    """Damage ``restored`` again and compare with ``source``, frame by frame.

    ``damage`` is a name of ``degrade.stream``: what ``source`` suffered. Each frame is held against
    what the plainly resized source would give, so that a harder scene does not look like drift.
    Raises ValueError where the sizes do not fit.
    """
    reduces = damage in ("bicubic", "gaussian")
    both, base = [], []
    for frame, again, plain in damaged_again(Path(source), Path(restored), damage, reduces):
        if frame.shape != again.shape:
            raise ValueError(
                f"expected {restored} to be {4 if reduces else 1} times as large as {source}, got "
                f"frames of {again.shape[-1]}x{again.shape[-2]} for {frame.shape[-1]}x"
                f"{frame.shape[-2]} pixels"
            )
        both.append(min(psnr_rgb(again, frame), MOST))
        base.append(min(psnr_rgb(plain, frame), MOST))
    if not both:
        raise ValueError(f"expected frames at common times, {source} and {restored} have none")
    whole = range(0, max(len(both) - BIN + 1, 1), BIN)
    bins = [fmean(both[at : at + BIN]) - fmean(base[at : at + BIN]) for at in whole]
    lowest = min(bins)
    warning = None
    if bins[0] - lowest > DRIFT:
        begin = bins.index(lowest) * BIN
        warning = (
            f"drifts from its source: {bins[0] - lowest:.2f} dB further away in the frames "
            f"{begin} to {begin + BIN - 1} than at the begin"
        )
    return Fidelity(len(both), fmean(both), fmean(base), bins, warning)


def damaged_again(
    source: Path, restored: Path, damage: str, reduces: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The source's frames, with the restored ones damaged and the resized ones damaged."""
    with open_reader(source) as first, open_reader(restored) as second:
        timeless = "images" in (first.info.kind, second.info.kind)
        tolerance = Fraction(1, 2) if timeless else 1 / (2 * max(first.info.rate, second.info.rate))
        met = align(moments(first, timeless), moments(second, timeless), tolerance)
        matched = ((a.rgb, b.rgb) for a, b in met if a is not None and b is not None)
        frames, outputs, plain = tee(matched, 3)
        again = stream(damage)(b for _, b in outputs)
        resized = (resize_bicubic(a, 4).clamp(0, 1) if reduces else a for a, _ in plain)
        for (a, _), x, y in zip(frames, again, stream(damage)(resized), strict=True):
            yield quantised(a), x, y
