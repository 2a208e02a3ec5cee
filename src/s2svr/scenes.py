"""Scene cuts: where the memory of the frames before is worth nothing.

Two thumbnails are compared by shape (their correlation at the best shift, so that pans count for
little and brightness for nothing) and by colour (distance of their histograms). A cut is a change
that is large, stands out against what the shot has shown so far and against the next change, and
does not come back after one frame, as a flash does.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = (18, 32)  # of a thumbnail, pixels
REACH = (4, 8)  # largest shift between two thumbnails, pixels
FLAT = 1e-4  # variance below which a thumbnail has no shape
COLOUR = 3.0  # weight of colour (mean histogram distance in [0, 1]) beside shape
MOST_COLOUR = 1.5  # colour counts at most so many times as much as shape: light may change at once
LARGE = 0.4  # change that can be a cut
CONTRAST = 2.0  # times the changes around it
FADING = 0.8  # what is left of a change in the shot's level after each frame


def find_cuts(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each frame (3, H, W) in [0, 1], and whether it begins a shot; one frame late.

    The first frame always does.
    """
    before = now = None
    level = change = 0.0
    for frame, following in pairwise(chain(frames, (None,))):
        assert frame is not None  # only the one after the last is
        now = thumbnail(frame) if now is None else now
        after = None if following is None else thumbnail(following)
        onward = 0.0 if after is None else difference(now, after)
        begins = before is None or (
            change > max(LARGE, CONTRAST * level, CONTRAST * onward)
            and (after is None or difference(before, after) > LARGE)
        )
        yield frame, begins
        level = 0.0 if begins else max(change, FADING * level)
        before, now, change = now, after, onward


def thumbnail(frame: Tensor) -> Tensor:
    """(3, H, W) -> its means over a grid of cells, on the CPU."""
    return F.adaptive_avg_pool2d(frame.float(), SIZE).to("cpu")


def difference(a: Tensor, b: Tensor) -> float:
    """How little two thumbnails have in common: 0 for equal ones, above LARGE for two scenes."""
    shape = 1 - likeness(a.mean(0), b.mean(0))
    colour = float((a.flatten(1).sort().values - b.flatten(1).sort().values).abs().mean())
    return shape + min(COLOUR * colour, MOST_COLOUR * shape)


def likeness(a: Tensor, b: Tensor) -> float:
    """Largest normalised correlation of two (h, w) over all shifts; 1 = equal up to brightness."""
    a, b = a - a.mean(), b - a.mean()
    ones = torch.ones_like(a)
    kernels = torch.stack((ones, a, a * a))[:, None]
    shifted = F.pad(
        torch.stack((ones, b, b * b))[:, None], (REACH[1], REACH[1], REACH[0], REACH[0])
    )
    sums = F.conv2d(shifted, kernels)  # over the overlap, for every shift: (of b, of a, dy, dx)
    count = sums[0, 0]
    mean_a, mean_b = sums[0, 1] / count, sums[1, 0] / count
    both = sums[1, 1] / count - mean_a * mean_b
    var_a = (sums[0, 2] / count - mean_a**2).clamp(min=0)
    var_b = (sums[2, 0] / count - mean_b**2).clamp(min=0)
    return float(((both + FLAT) / ((var_a + FLAT) * (var_b + FLAT)).sqrt()).max().clamp(max=1))
