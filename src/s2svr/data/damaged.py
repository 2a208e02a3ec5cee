"""Clips whose low quality is made for an evaluation."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Generator

from ..files import file_fingerprint
from ..media import read_clip
from .clip import Degradation, to_bytes
from .store import QUALITIES, kept_arrays, key_of

LEAST = 16  # frames that are read at least: a blur needs those around


class Codes(NamedTuple):
    """Low- and high-quality frames as 8-bit codes: (T, 3, h, w) and (T, 3, sh, sw)."""

    lq: np.ndarray
    hq: np.ndarray


def damaged_clip(
    source: Path,
    degrade: Degradation,
    *,
    seed: int,
    frames: int | None = None,
    name: str = "",
    cache: Path | None = None,
) -> Codes:
    """A clip's low- and high-quality frames, at most ``frames`` of them; the same for one seed.

    ``cache`` is a folder that keeps them, by ``name``, which says all about ``degrade``.
    """

    def make() -> Codes:
        return read_damaged(source, degrade, seed, frames)

    if cache is None:
        return make()
    key = key_of(str(source.resolve()), file_fingerprint(source), name, seed, frames)
    return Codes(*kept_arrays(cache, key, QUALITIES, make))


def read_damaged(source: Path, degrade: Degradation, seed: int, frames: int | None) -> Codes:
    """``damaged_clip``, read from the source.

    Where the damage makes one frame of several, more are read until there are enough.
    """
    wanted = None if frames is None else max(frames, LEAST)
    while True:
        clip = read_clip(source, count=wanted)
        pair = degrade(clip.float() / 255, Generator().manual_seed(seed))
        if frames is None or wanted is None or len(clip) < wanted or len(pair.lq) >= frames:
            lq, hq = (to_bytes(side[:frames]).numpy() for side in pair)
            return Codes(lq, hq)
        wanted += (frames - len(pair.lq)) * -(-len(clip) // len(pair.lq))
