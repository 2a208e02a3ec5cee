"""Optical flow between the frames of a clip, and what is brought from one frame to another."""

from typing import NamedTuple, TypeVar

from torch import Tensor

from ..ops import divided_up, enlarge_flow, warp
from .config import S2SVRConfig

Item = TypeVar("Item")


class Flows(NamedTuple):
    """What whole frames tell: optical flow on the grid of the states, and shares of neighbours."""

    # Entry [d - 1][t]: o = F_o(x_t, x_{t-d}), and F_o(x_t, x_{t+d}); None where there is no frame.
    before: list[list[Tensor | None]]
    after: list[list[Tensor | None]]
    # What ``Mixer.told`` says of each frame, (B, ., H / 16, W / 16), the same everywhere.
    told: list[Tensor] | None = None


def cut_flows(flows: Flows, first: int, end: int | None) -> Flows:
    """What is told of some of the frames."""
    before, after = ([line[first:end] for line in lines] for lines in flows[:2])
    return Flows(before, after, flows.told and flows.told[first:end])


def flow_on_grid(flow: Tensor, frame: Tensor, config: S2SVRConfig) -> Tensor:
    """The flow of a frame reduced by ``flow_down`` on the grid of its states."""
    height, width = (divided_up(side, config.down) for side in frame.shape[-2:])
    return enlarge_flow(flow, config.flow_down // config.down, (height, width))


def chain_flows(flows: Flows, reach: int) -> Flows:
    """Flows to frames up to ``reach`` away: the missing ones from frame to frame, added up."""
    before, after = list(flows.before), list(flows.after)
    while len(before) < reach:
        before.append(
            [link_flows(o, on) for o, on in zip(before[0], [None, *before[-1][:-1]], strict=True)]
        )
        after.append(
            [link_flows(o, on) for o, on in zip(after[0], [*after[-1][1:], None], strict=True)]
        )
    return Flows(before, after, flows.told)


def link_flows(o: Tensor | None, on: Tensor | None) -> Tensor | None:
    """Flow to a frame, and that frame's flow on to another one -> flow to the other."""
    return None if o is None or on is None else o + warp(on, o)


def align(state: Tensor, o: Tensor | None) -> Tensor:
    """F_w of Eq. 8; without flow (first frame, or a network without one) the state as it is."""
    return state if o is None else warp(state, o)


def frames_around(items: list[Item], place: int, reach: int) -> list[Item]:
    """One before, one after, two before, and so on; the item itself where there is none."""
    places = (place + sign * d for d in range(1, reach + 1) for sign in (-1, 1))
    return [items[i] if 0 <= i < len(items) else items[place] for i in places]


def neighbours(
    t: int, frames: list[Tensor], past: list[Tensor], flows: Flows, config: S2SVRConfig
) -> list[Tensor]:
    """The neighbours of frame t (B, 3, H, W), in the order of ``around``, aligned if asked for.

    Blur of a long exposure shows in them as they lie, since it adds up what moves; errors of coding
    show where the flow aligns them.
    """
    others = frames_around([*past, *frames], len(past) + t, config.neighbours)
    if not config.aligned or not others:
        return others
    size = (frames[t].shape[-2], frames[t].shape[-1])
    towards = [line[d][t] for d in range(config.neighbours) for line in (flows.before, flows.after)]
    return [
        other if o is None else warp(other, enlarge_flow(o, config.down, size))
        for other, o in zip(others, towards, strict=True)
    ]
