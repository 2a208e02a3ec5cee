"""The decision whether what was learned pays, by a part of the film that was held out."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Generator, Tensor, nn

from ..data import Stored, as_float
from ..metrics import psnr
from ..models import S2SVR
from ..ops import quantised
from ..restoration import restore
from .traces import Traces

WINDOW = 8  # frames that are restored at once
FEW = 5  # portions, below which each is judged in quarters
MOST = 54.0  # dB: half a code of 255
DRIFT = 0.5  # dB by which a restored film may be farther from its source: as s2svr fidelity has it


@dataclass(frozen=True)
class Score:
    """What a network makes of a held-out part; all are PSNR in dB, without any truth."""

    near: float  # to the restored part: of it damaged and restored again, or of the film restored
    fidelity: float  # of the film restored and damaged again, against the film
    bound: float  # the same of the restored part: what a better network comes to


@dataclass(frozen=True)
class Verdict:
    """The gains of a network over the first one, part by part, and what they mean."""

    near: list[float]  # dB
    fidelity: list[float]  # dB
    kept: bool
    why: str


@torch.inference_mode()
def restored_clip(model: nn.Module, clip: Tensor) -> Tensor:
    """A clip of one shot (T, 3, h, w), restored and rounded: (T, 3, sh, sw) on the CPU."""
    frames = restore(model, clip, window=WINDOW, cuts=None)
    return torch.stack([quantised(frame).cpu() for frame in frames])


def scores_of(
    model: S2SVR,
    held: list[Stored],
    traces: Traces,
    *,
    better: bool,
    tell: Callable[[], None],
) -> list[Score]:
    """Scores on portions of a film, whose high quality are the restored frames.

    With ``better`` a better network has restored them, and it is seen how near this one comes to
    that. Else this one restores what is damaged of them.
    """
    scores = []
    for portion in held:
        tell()
        film, wanted = as_float(portion.lq), as_float(portion.hq)
        made = restored_clip(model, film)
        tell()
        near = made
        if not better:
            near = restored_clip(model, traces.leave(wanted, Generator().manual_seed(1)))
        back, bound = (traces.leave(y, Generator(), noise=False) for y in (made, wanted))
        size = (made.shape[-2], made.shape[-1])
        for rows, columns in shares_of(size, len(held) < FEW):
            large = (..., rows, columns)
            small = (..., smaller(rows, traces.scale), smaller(columns, traces.scale))
            scores.append(
                Score(
                    psnr_of(near[large], wanted[large]),
                    psnr_of(back[small], film[small]),
                    psnr_of(bound[small], film[small]),
                )
            )
    return scores


def smaller(part: slice, scale: int) -> slice:
    """The part of a frame that is so many times smaller."""
    return slice(part.start // scale, part.stop // scale)


def psnr_of(a: Tensor, b: Tensor) -> float:
    """PSNR (dB) of two clips in [0, 1]; of equal ones MOST, since they are rounded."""
    return min(MOST, psnr(a, b, peak=1.0))


def shares_of(size: tuple[int, int], quarters: bool) -> list[tuple[slice, slice]]:
    """Rows and columns of whole frames of a size (height, width), or of their quarters."""
    if not quarters:
        return [(slice(0, size[0]), slice(0, size[1]))]
    halves = [(slice(0, side // 8 * 4), slice(side // 8 * 4, side)) for side in size]
    return [(rows, columns) for rows in halves[0] for columns in halves[1]]


def judged_by(before: list[Score], after: list[Score], *, better: bool) -> Verdict:
    """The verdict: kept where it comes nearer by more than the spread over the parts, and fits.

    It has to come nearer to the film when it is damaged again; or, where a ``better`` network was
    learned from, which may take more noise and blocks away, at most DRIFT less near than that one.
    """
    gains = [b.near - a.near for a, b in zip(before, after, strict=True)]
    fidelity = [b.fidelity - a.fidelity for a, b in zip(before, after, strict=True)]
    gain, spread, fits = fmean(gains), stdev(gains), fmean(fidelity)
    if better:
        room = fmean(b.fidelity - b.bound for b in after) + DRIFT
        first = "it comes nearer to what the best network makes of them"
    else:
        room = fits
        first = "restored again they come nearer to themselves"
    why = (
        f"{first} by {gain:.2f} dB with a spread of {spread:.2f} dB; damaged again they are "
        f"{fits:+.2f} dB nearer to the film"
    )
    return Verdict(gains, fidelity, gain > spread and (room > 0 or fits > 0), why)
