"""Scene cuts: where the memory of the frames before is worth nothing.

Two thumbnails are compared by shape (their correlation at the best shift, so that pans count for
little and brightness for nothing) and by colour (distance of their histograms). A cut is a change
that is large, stands out against what the shot has shown so far and against the next change (or
the one after that, for there may be one odd frame between two shots), and after which the old
picture does not come back in a few frames, as it does after a flash.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

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
FLASH = 5  # frames after a change in which the old picture may come back
FADING = 0.8  # what is left of a change in the shot's level after each frame


def find_cuts(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each frame (3, H, W) in [0, 1], and whether it begins a shot; the first always does.

    One frame late, and FLASH frames where something may be a cut or a flash.
    """
    coming = Coming(frames)
    before: Tensor | None = None
    level = change = 0.0
    flash = 0  # frames until the old picture is back
    while (now := coming.take()) is not None:
        frame, small = now
        after = coming.see(1)
        onward = difference(small, after[0]) if after else 0.0
        begins, flashing, flash = before is None, flash > 0, max(0, flash - 1)
        if before is not None and not flashing and change > max(LARGE, CONTRAST * level):
            flash = comes_back(before, coming.see(FLASH))
            begins = flash == 0 and change > CONTRAST * min(onward, calm(coming.see(2)))
        yield frame, begins
        if begins:
            level = 0.0
        elif not flashing and flash == 0:
            level = max(change, FADING * level)
        before, change = small, onward


def comes_back(picture: Tensor, after: list[Tensor]) -> int:
    """In how many frames something like the picture is shown; 0 if it is not."""
    for count, small in enumerate(after, 1):
        if difference(picture, small) <= LARGE:
            return count
    return 0


def calm(after: list[Tensor]) -> float:
    """The change between the next two frames: there may be one odd frame between two shots."""
    return difference(after[0], after[1]) if len(after) == 2 else 0.0


class Coming:
    """Frames with their thumbnails, some of which are seen before they are taken."""

    def __init__(self, frames: Iterable[Tensor]) -> None:
        self.frames = iter(frames)
        self.seen: deque[tuple[Tensor, Tensor]] = deque()

    def see(self, count: int) -> list[Tensor]:
        """Thumbnails of the next frames, fewer at the end."""
        self.seen.extend(
            (f, thumbnail(f)) for f in islice(self.frames, max(0, count - len(self.seen)))
        )
        return [small for _, small in islice(self.seen, count)]

    def take(self) -> tuple[Tensor, Tensor] | None:
        """The next frame, or None at the end."""
        self.see(1)
        return self.seen.popleft() if self.seen else None


def thumbnail(frame: Tensor) -> Tensor:
    """(3, H, W) -> its means over a grid of cells, on the CPU."""
    return F.adaptive_avg_pool2d(frame.float(), SIZE).to("cpu")


def difference(a: Tensor, b: Tensor) -> float:
    """A distance of two thumbnails: 0 for equal ones, above LARGE for two scenes."""
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
