"""Pairs that a network learns from, made of a film without its truth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Generator, Tensor

from ..damage import degradation
from ..data import Stored, as_float, kept_clip, key_of, to_bytes
from ..ops import resize_to
from .film import detail_of
from .traces import Traces

SMALLER = (0.8, 0.95)  # restored frames are reduced to so much
ROUNDS = 2  # pairs of each portion, with other reductions
SHARP = 3  # one portion in so many is the film's sharpest
# Sources, of which each is drawn as often as another.
AGAIN, FIRST = "again", "first"


def made_pairs(
    portions: list[Stored], traces: Traces, damage: str, folder: Path
) -> Iterator[Stored]:
    """Pairs of portions and their restored frames, kept in ``folder`` for a later try.

    Restored frames are reduced and damaged as the film was, ROUNDS times; those of the sharpest
    portions are damaged as in the first training (``damage``, a name of ``degradation``).
    """
    unit = max(4, traces.scale)
    for turn in range(ROUNDS):
        for index, portion in enumerate(portions):
            key = key_of(portion.key, traces.text(), turn)
            rng = np.random.default_rng((turn, index))

            def reduced(portion: Stored = portion, rng: np.random.Generator = rng) -> list:
                share = rng.uniform(*SMALLER)
                size = [int(side * share) // unit * unit for side in portion.hq.shape[-2:]]
                small = resize_to(as_float(portion.hq), (size[0], size[1])).clamp(0, 1)
                generator = Generator().manual_seed(int(rng.integers(2**62)))
                return arrays(traces.leave(small, generator), small)

            yield kept_clip(folder, key, f"{AGAIN} {turn}", reduced)
    for portion in sharpest_of(portions):

        def anew(portion: Stored = portion) -> list:
            generator = Generator().manual_seed(int(portion.key[:15], 16))
            truth = portion.hq if traces.scale > 1 else portion.lq
            return arrays(*degradation(damage)(as_float(truth), generator))

        yield kept_clip(folder, key_of(portion.key, damage), FIRST, anew)


def sharpest_of(portions: list[Stored]) -> list[Stored]:
    """One in SHARP of the portions, at least one: those of the film with the most detail."""
    order = sorted(portions, key=lambda p: -detail_of(as_float(p.lq[len(p.lq) // 2]).mean(0)))
    return order[: max(1, len(order) // SHARP)]


def arrays(lq: Tensor, hq: Tensor) -> list[np.ndarray]:
    """Both as codes."""
    return [to_bytes(lq).numpy(), to_bytes(hq).numpy()]
