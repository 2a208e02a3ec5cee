"""Decoded and damaged clips, kept on disk for training."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Generator

from ..files import write_array
from ..media import read_clip
from .clip import Clip, Degradation, to_bytes

MOVING = "moving photographs"  # source of rendered clips, drawn as often as Data.rendered says


class Stored(NamedTuple):
    """A sequence's frames on disk, decoded and degraded once: uint8 (T, 3, H, W) arrays."""

    source: str
    lq: np.ndarray
    hq: np.ndarray
    path: Path  # of the low-quality array; what is derived from it is named after it
    flow: np.ndarray | None = None  # float16 (S, 2, T, 2, h, w), see train.restoration


def store_clips(
    sequences: list[Clip], degrade: Degradation, name: str, folder: Path
) -> list[Stored]:
    """Decode and degrade every sequence once into ``folder``, and open the arrays from there.

    A sequence whose arrays are there already is not decoded again. Reading a clip from an mp4 for
    every training sample would cost as much as the training step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [stored(sequence, degrade, name, folder) for sequence in sequences]


def stored(sequence: Clip, degrade: Degradation, name: str, folder: Path) -> Stored:
    """One sequence of ``store``."""
    key, paths = places(sequence, name, folder)
    if not all(path.exists() for path in paths):
        hq = read_clip(sequence.hq)
        if sequence.lq is None:
            seed = int(key[:15], 16)
            pair = degrade(hq.float() / 255, Generator().manual_seed(seed))
            lq, hq = to_bytes(pair.lq), to_bytes(pair.hq)
        else:
            lq = read_clip(sequence.lq)
        for path, clip in zip(paths, (lq, hq), strict=True):
            write_array(path, clip.numpy())
    lq_array, hq_array = (np.load(path, mmap_mode="r") for path in paths)
    return Stored(sequence.source or sequence.name, lq_array, hq_array, paths[0])


def places(sequence: Clip, name: str, folder: Path) -> tuple[str, list[Path]]:
    """What tells this clip with this damage from all others, and its two arrays."""
    stamp = [str(sequence.hq), str(sequence.lq), name, sequence.hq.stat().st_mtime_ns]
    key = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    return key, [folder / f"{key}-{kind}.npy" for kind in ("lq", "hq")]


def is_stored(sequence: Clip, name: str, folder: Path) -> bool:
    """Whether ``store`` would find the sequence's arrays."""
    return all(path.exists() for path in places(sequence, name, folder)[1])
