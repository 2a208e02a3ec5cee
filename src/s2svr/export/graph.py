"""A network's call with frames and memory as plain tensors, as graphs have them."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from ..models import S2SVR, State


class WindowGraph(nn.Module):
    """Frames (1, T + lookahead, 3, H, W) and a memory's maps -> frames (T, 3, sH, sW), new maps.

    ``like`` is a memory of the same form, or None where a shot begins.
    """

    def __init__(self, model: S2SVR, like: State | None) -> None:
        super().__init__()
        self.model, self.like = model, like

    def forward(self, frames: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        state = None if self.like is None else memory_of(iter(maps), self.like)
        restored, after = self.model(frames, state, self.model.lookahead)
        return restored[0], *(tensor for _, tensor in named_maps(after))


def named_maps(memory: State) -> list[tuple[str, Tensor]]:
    """The maps of a memory in their order, by names such as ``x0``, ``z0`` and ``y``."""
    found = []
    for name, part in memory._asdict().items():
        if isinstance(part, list):
            found += [(f"{name}{index}", tensor) for index, tensor in enumerate(part)]
        elif part is not None:
            found.append((name, part))
    return found


def memory_of(maps: Iterator[Tensor], like: State) -> State:
    """The memory of these maps, in the form of another one."""
    parts: list[Any] = [
        [next(maps) for _ in part]
        if isinstance(part, list)
        else part
        if part is None
        else next(maps)
        for part in like
    ]
    return State(*parts)
