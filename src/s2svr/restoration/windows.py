"""Shots cut into windows of a few frames."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

Cuts = Callable[[Iterable[Tensor]], Iterator[tuple[Tensor, bool]]]  # which frames begin a shot


class Window(NamedTuple):
    """Consecutive frames (3, H, W) of one shot."""

    frames: list[Tensor]
    ahead: int  # the last ones, which are seen and not restored
    first: bool  # begins a shot


def group_windows(
    frames: Iterable[tuple[Tensor, bool]], size: int, lookahead: int
) -> Iterator[Window]:
    """Group frames, each with whether it begins a shot; no window sees beyond its shot.

    At most ``size + lookahead`` frames are held. A shot's last window restores all that is left.
    """
    held: list[Tensor] = []
    first = False  # until a frame says so: a resumed video goes on within a shot
    for frame, begins in frames:
        if begins:
            if held:
                yield Window(held, 0, first)
            held, first = [], True
        held.append(frame)
        if len(held) == size + lookahead:
            yield Window(held, lookahead, first)
            held, first = held[size:], False
    if held:
        yield Window(held, 0, first)
