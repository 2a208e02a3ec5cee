"""Scores gathered over a clip's frames, and the rows made of them."""

import math
from dataclasses import dataclass, field
from statistics import fmean, pstdev

import torch
from torch import Tensor

from ..metrics import mean_finite, warping_error
from .protocols import PROTOCOLS, View

# Flow (1, 2, H, W) from one frame to the next, and the mask (1, 1, H, W) of what stays visible.
Motion = tuple[Tensor, Tensor]
OURS, TRUTH = "ours", "truth"


@dataclass(frozen=True)
class ScoreRow:
    """One clip (or the mean of the clips) restored by one method, scored by one protocol."""

    clip: str
    protocol: str
    method: str
    frames: int  # that were scored
    equal: int  # of them, those with infinite PSNR, which its mean leaves out
    psnr: float  # dB
    ssim: float
    gain: float  # dB over the base, which is the first method; NaN where there is none
    ssim_gain: float
    spread: float  # standard deviation of PSNR over the clip's frames, dB
    flicker: float | None = None  # warping error along the truth's flow, in [0, 1]
    flicker_truth: float | None = None  # the truth's own


@dataclass
class Tally:
    """Scores of one method, gathered over a clip's frames."""

    psnr: dict[str, list[float]] = field(default_factory=dict)  # by protocol, a value a frame
    ssim: dict[str, list[float]] = field(default_factory=dict)
    flicker: list[float] = field(default_factory=list)
    last: Tensor | None = None

    def add(self, picture: View, truth: View, protocols: list[str], motion: Motion | None) -> None:
        """Score the next frame; ``motion`` is the truth's from the frame before."""
        for name in protocols:
            self.psnr.setdefault(name, []).append(PROTOCOLS[name].psnr(picture, truth))
            self.ssim.setdefault(name, []).append(PROTOCOLS[name].ssim(picture, truth))
        if motion is not None and self.last is not None:
            self.flicker.append(warping_error(torch.stack((self.last, picture.rgb)), *motion))
        self.last = picture.rgb

    def keep_centre(self, protocol: str) -> None:
        """Leave only the middle frame's scores."""
        for values in (self.psnr[protocol], self.ssim[protocol]):
            values[:] = [values[len(values) // 2]]


def score_rows(clip: str, tallies: dict[str, Tally]) -> list[ScoreRow]:
    """Rows of a clip, by protocol and method; the first method is the base of the gains."""
    truth = tallies.get(TRUTH)
    methods = {method: tally for method, tally in tallies.items() if tally is not truth}
    base = next(iter(methods.values()))
    rows: list[ScoreRow] = []
    for name in base.psnr:
        for method, tally in methods.items():
            values, (mean, equal) = tally.psnr[name], mean_finite(tally.psnr[name])
            finite = [value for value in values if math.isfinite(value)]
            rows.append(
                ScoreRow(
                    clip=clip,
                    protocol=name,
                    method=method,
                    frames=len(values),
                    equal=equal,
                    psnr=mean,
                    ssim=fmean(tally.ssim[name]),
                    gain=mean_gain(values, base.psnr[name]),
                    ssim_gain=mean_gain(tally.ssim[name], base.ssim[name]),
                    spread=pstdev(finite) if finite else 0.0,
                    flicker=fmean(tally.flicker) if tally.flicker else None,
                    flicker_truth=fmean(truth.flicker) if truth else None,
                )
            )
    return rows


def mean_gain(values: list[float], base: list[float]) -> float:
    """Mean gain of frames over the base's; NaN where all of either equal the truth."""
    both = [
        a - b for a, b in zip(values, base, strict=True) if math.isfinite(a) and math.isfinite(b)
    ]
    return fmean(both) if both else math.nan
