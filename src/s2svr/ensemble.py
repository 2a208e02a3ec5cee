"""The mean of what a network makes of frames and of their mirror images."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .maps import each
from .models import S2SVR, Flows, State

AXES = ((), (-1,), (-2,), (-2, -1))  # along which frames are mirrored
# A mean of changes is smaller than each and surer: so much larger a share of it is best, where one
# is made (lab/2026-11-30-mirror-images.md).
SURER = 1.15


class States(NamedTuple):
    """The network's memory of frames as they are and of each of their mirror images.

    All lie as the frames do: what a mirrored picture has left is mirrored back.
    """

    ways: tuple[State, ...]

    @property
    def x(self) -> list[Tensor]:
        """The last input frames."""
        return self.ways[0].x


def of_network(name: str) -> property:
    """An attribute that is the network's own, also where it is set."""
    return property(
        lambda self: getattr(self.network, name),
        lambda self, value: setattr(self.network, name, value),
    )


class SelfEnsemble(nn.Module):
    """A restoration network that also restores frames mirrored, in three ways; the mean counts.

    It answers a little differently to a mirrored picture, and much of that is error, which the mean
    is rid of (geometric self-ensemble, https://arxiv.org/abs/1707.02921, there with turned pictures
    too). It takes four times the time. The calls are those of ``S2SVR``. Where a side does
    not divide by 4, mirrored tiles have their cells elsewhere than whole frames, and what comes of
    them differs by a fraction of a level.
    """

    memory_types = (States, *S2SVR.memory_types)
    pairs, few, experts = of_network("pairs"), of_network("few"), of_network("experts")

    def __init__(self, network: S2SVR) -> None:
        super().__init__()
        self.network = network
        self.scale, self.lookahead, self.config = network.scale, network.lookahead, network.config

    def forward(
        self, x: Tensor, memory: States | None = None, lookahead: int = 0
    ) -> tuple[Tensor, States]:
        """Restore a clip or one window of it."""
        return averaged(
            self.network(flipped_maps(x, axes), flipped_maps(state, axes), lookahead)
            for axes, state in zip(AXES, states_of(memory), strict=True)
        )

    def flows(self, frames: list[Tensor], count: int, lookahead: int = 0) -> tuple[Flows, ...]:
        """What whole frames tell of a window, of each way; only maps for ``restore``.

        They lie as the frames do, but vectors in them point as in the mirrored picture.
        """
        return tuple(
            flipped_maps(self.network.flows(flipped_maps(frames, axes), count, lookahead), axes)
            for axes in AXES
        )

    def restore(
        self, x: Tensor, flows: tuple[Flows, ...], memory: States | None, lookahead: int
    ) -> tuple[Tensor, States]:
        """Restore with what ``flows`` told."""
        return averaged(
            self.network.restore(
                flipped_maps(x, axes),
                flipped_maps(told, axes),
                flipped_maps(state, axes),
                lookahead,
            )
            for axes, state, told in zip(AXES, states_of(memory), flows, strict=True)
        )


def network_of(model: Any) -> Any:
    """The network that a self-ensemble asks several times; of others, themselves."""
    return model.network if isinstance(model, SelfEnsemble) else model


def states_of(memory: States | None) -> tuple[State | None, ...]:
    """The memory of each way; None where a shot begins."""
    return (None,) * len(AXES) if memory is None else memory.ways


def averaged(results: Any) -> tuple[Tensor, States]:
    """Results and memories of all ways, in turn -> their mean, and the memories, mirrored back."""
    total = torch.zeros(())
    states: list[State] = []
    for axes, (y, state) in zip(AXES, results, strict=True):
        total = flipped_maps(y, axes) if not states else total + flipped_maps(y, axes)
        states.append(flipped_maps(state, axes))
    return total / len(AXES), States(tuple(states))


def flipped_maps(maps: Any, axes: tuple[int, ...]) -> Any:
    """Maps (..., h, w), or a tree of them, mirrored along the axes."""
    return each(maps, lambda tensor: tensor.flip(axes)) if axes else maps
