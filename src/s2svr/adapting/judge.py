"""The decision whether what was learned pays, by a part of the film that was held out."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Generator, Tensor, nn

from ..metrics import psnr
from ..models import S2SVR
from ..ops import quantised
from ..restoration import restore
from .traces import Traces

WINDOW = 8  # frames that are restored at once
FEW = 5  # portions, below which each is judged in quarters


@dataclass(frozen=True)
class Score:
    """What a network makes of a held-out part; both are PSNR in dB, without any truth."""

    again: float  # of the restored part, damaged and restored again, against itself
    fidelity: float  # of the restored part, damaged again, against the film


@dataclass(frozen=True)
class Verdict:
    """The gains of a network over the first one, part by part, and what they mean."""

    again: list[float]  # dB
    fidelity: list[float]  # dB
    kept: bool
    why: str


@torch.inference_mode()
def restored(model: nn.Module, clip: Tensor) -> Tensor:
    """A clip of one shot (T, 3, h, w), restored and rounded: (T, 3, sh, sw) on the CPU."""
    frames = restore(model, clip, window=WINDOW, cuts=None)
    return torch.stack([quantised(frame).cpu() for frame in frames])


def scores_of(
    model: S2SVR, held: list[tuple[Tensor, Tensor]], traces: Traces, tell: Callable[[], None]
) -> list[Score]:
    """Scores on portions of a film: frames (T, 3, h, w), and the first network's restored ones."""
    scores = []
    for film, first in held:
        tell()
        damaged = traces.leave(first, Generator().manual_seed(1))
        again = restored(model, damaged)
        tell()
        back = traces.leave(restored(model, film), Generator().manual_seed(1), noise=False)
        size = (again.shape[-2], again.shape[-1])
        for part in parts_of(size, len(held) < FEW):
            small = tuple(slice(p.start // traces.scale, p.stop // traces.scale) for p in part)
            scores.append(
                Score(psnr_of(again, first, part), psnr_of(back, film, small))  # type: ignore
            )
    return scores


def psnr_of(a: Tensor, b: Tensor, part: tuple[slice, slice]) -> float:
    """PSNR (dB) of a part of two clips in [0, 1]; of equal ones that of half a code."""
    cut = (..., *part)
    return min(psnr(a[cut], b[cut], peak=1.0), psnr(torch.zeros(1), torch.ones(1) / 510, peak=1.0))


def parts_of(size: tuple[int, int], quarters: bool) -> list[tuple[slice, slice]]:
    """Rows and columns of whole frames of a size (height, width), or of their quarters."""
    if not quarters:
        return [(slice(0, size[0]), slice(0, size[1]))]
    halves = [(slice(0, side // 8 * 4), slice(side // 8 * 4, side)) for side in size]
    return [(rows, columns) for rows in halves[0] for columns in halves[1]]


def judged_by(before: list[Score], after: list[Score]) -> Verdict:
    """The verdict: kept where both gain, the first by more than its spread over the parts."""
    again = [b.again - a.again for a, b in zip(before, after, strict=True)]
    fidelity = [b.fidelity - a.fidelity for a, b in zip(before, after, strict=True)]
    gain, spread, near = fmean(again), stdev(again), fmean(fidelity)
    said = f"restored again it gains {gain:+.3f} dB with a spread of {spread:.3f} dB"
    also = f"and damaged again it is {near:+.3f} dB nearer to the film"
    return Verdict(again, fidelity, gain > spread and near > 0, f"{said}, {also}")
