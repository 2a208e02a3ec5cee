"""Clips whose low quality an evaluation makes itself."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Generator

from ..files import write_array
from ..media import read_clip
from .clip import Degradation
from .clip import to_bytes as codes

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
    """The first ``frames`` that are left when the damage is done, or all; the same for one seed.

    ``cache`` is a folder that keeps them, by ``name``, which says all about ``degrade``.
    """
    if cache is None:
        return made(source, degrade, seed, frames)
    stamp = [str(source.resolve()), source.stat().st_mtime_ns, name, seed, frames]
    key = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    paths = [cache / f"{key}-{kind}.npy" for kind in Codes._fields]
    if not all(path.exists() for path in paths):
        cache.mkdir(parents=True, exist_ok=True)
        for path, array in zip(paths, made(source, degrade, seed, frames), strict=True):
            write_array(path, array)
    return Codes(*(np.load(path, mmap_mode="r") for path in paths))


def made(source: Path, degrade: Degradation, seed: int, frames: int | None) -> Codes:
    """``damaged`` from the source itself.

    Where damage takes several frames for one, more are read until there are enough.
    """
    wanted = None if frames is None else max(frames, LEAST)
    while True:
        clip = read_clip(source, count=wanted)
        pair = degrade(clip.float() / 255, Generator().manual_seed(seed))
        if frames is None or wanted is None or len(clip) < wanted or len(pair.lq) >= frames:
            lq, hq = (codes(side[:frames]).numpy() for side in pair)
            return Codes(lq, hq)
        wanted += (frames - len(pair.lq)) * -(-len(clip) // len(pair.lq))
