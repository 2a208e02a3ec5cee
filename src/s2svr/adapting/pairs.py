"""Pairs that a network learns from, made of a film without its truth."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torch import Generator, Tensor

from ..damage import BLOCK, degradation
from ..data import Stored, as_float, kept_clip, key_of, to_bytes
from ..ops import resize_to
from .film import detail_of
from .traces import Traces

SMALLER = (0.8, 0.95)  # restored frames are reduced to so much
SHARP = 3  # one portion in so many is the film's sharpest
# Sources, of which each is drawn as often as another.
FILM, AGAIN, FIRST = ("film", "film too"), "again", "first"


def made_pairs(
    portions: list[Stored],
    traces: Traces,
    damage: str,
    folder: Path,
    *,
    better: bool,
    wanted: Callable[[str], bool] = lambda key: True,
) -> Iterator[Stored]:
    """Pairs of portions and their restored frames, kept in ``folder`` for a later try.

    Restored frames are reduced and damaged as the film was; those of the sharpest portions are
    damaged as in the first training (``damage``, a name of ``degradation``). With ``better``, a
    better network than the one that learns has restored them: then half of what is drawn are the
    film's own frames with them, which cost nothing. The others are made where ``wanted``, told
    their key, says so.
    """
    for portion in portions if better else []:
        yield from (portion._replace(source=source) for source in FILM)
    # The first trainings' codecs take no frames that are smaller.
    sharp = [p for p in sharpest_of(portions) if min(p.lq.shape[-2:]) // 4 * 4 > BLOCK]
    for index, portion in enumerate(portions):
        key = key_of(portion.key, traces.text(), index)
        if wanted(key):
            yield damaged_alike(portion, traces, folder, key, index)
    for portion in sharp:
        key = key_of(portion.key, damage)
        if wanted(key):
            yield damaged_anew(portion, traces, damage, folder, key)


def damaged_alike(portion: Stored, traces: Traces, folder: Path, key: str, seed: int) -> Stored:
    """A portion's restored frames, reduced a little, and damaged as the film was."""
    unit = max(4, traces.scale)

    def make() -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        share = rng.uniform(*SMALLER)
        size = [int(side * share) // unit * unit for side in portion.hq.shape[-2:]]
        small = resize_to(as_float(portion.hq), (size[0], size[1])).clamp(0, 1)
        generator = Generator().manual_seed(int(rng.integers(2**62)))
        return arrays(traces.leave(small, generator), small)

    return kept_clip(folder, key, AGAIN, make)


def damaged_anew(portion: Stored, traces: Traces, damage: str, folder: Path, key: str) -> Stored:
    """A portion with the damage of the first training: of its restored frames, or of its own."""

    def make() -> list[np.ndarray]:
        generator = Generator().manual_seed(int(portion.key[:15], 16))
        truth = portion.hq if traces.scale > 1 else portion.lq
        return arrays(*degradation(damage)(as_float(truth), generator))

    return kept_clip(folder, key, FIRST, make)


def sharpest_of(portions: list[Stored]) -> list[Stored]:
    """One in SHARP of the portions, at least one: those of the film with the most detail."""
    order = sorted(portions, key=lambda p: -detail_of(as_float(p.lq[len(p.lq) // 2]).mean(0)))
    return order[: max(1, len(order) // SHARP)]


def arrays(lq: Tensor, hq: Tensor) -> list[np.ndarray]:
    """Both as codes."""
    return [to_bytes(lq).numpy(), to_bytes(hq).numpy()]
