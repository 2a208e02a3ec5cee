"""Clips decoded and damaged once, and any arrays that are kept on disk under a key."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Generator

from ..files import file_fingerprint, write_array
from ..media import read_clip
from .clip import Clip, Degradation, to_bytes

MOVING = "moving photographs"  # source of rendered clips, drawn as often as Data.rendered says
QUALITIES = ("lq", "hq")


def key_of(*facts: object) -> str:
    """A key, 16 hexadecimal digits, for arrays whose contents follow from these facts.

    Facts are what JSON can hold: texts, numbers, None, lists and dicts of these.
    """
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def kept_arrays(
    folder: Path, key: str, names: Iterable[str], make: Callable[[], Iterable[np.ndarray]]
) -> list[np.ndarray]:
    """Arrays of these names, read from ``folder``; if one is missing, ``make`` makes all of them.

    Each lies in a file ``KEY-NAME.npy`` and is mapped into memory, not loaded.
    """
    paths = array_paths(folder, key, names)
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, array in zip(paths, make(), strict=True):
            write_array(path, array)
    return [np.load(path, mmap_mode="r") for path in paths]


def array_paths(folder: Path, key: str, names: Iterable[str]) -> list[Path]:
    """The files of ``kept_arrays``."""
    return [folder / f"{key}-{name}.npy" for name in names]


class Stored(NamedTuple):
    """A clip on disk, decoded and damaged once: uint8 frames (T, 3, h, w) and (T, 3, sh, sw)."""

    source: str
    lq: np.ndarray
    hq: np.ndarray
    key: str  # differs for other frames, and so for what is derived from them


def kept_clip(
    folder: Path, key: str, source: str, make: Callable[[], Iterable[np.ndarray]]
) -> Stored:
    """A clip from ``folder``; ``make`` makes its low and high quality if they are not there."""
    lq, hq = kept_arrays(folder, key, QUALITIES, make)
    return Stored(source, lq, hq, key)


def is_kept(folder: Path, key: str) -> bool:
    """True if ``kept_clip`` would find the clip."""
    return all(path.exists() for path in array_paths(folder, key, QUALITIES))


def store_clips(clips: list[Clip], degrade: Degradation, name: str, folder: Path) -> list[Stored]:
    """Clips decoded and damaged, kept in ``folder``; ``name`` says all about ``degrade``.

    Reading a clip from an mp4 for every training sample would cost as much as the training step.
    """
    return [store_clip(clip, degrade, name, folder) for clip in clips]


def store_clip(clip: Clip, degrade: Degradation, name: str, folder: Path) -> Stored:
    """One clip of ``store_clips``; random numbers follow from its name and the damage's alone.

    So a recipe damages a copy of the clips as it damaged them, and on any machine.
    """
    key, seed = clip_key(clip, name), int(key_of(clip.name, name)[:15], 16)

    def make() -> list[np.ndarray]:
        hq = read_clip(clip.hq)
        if clip.lq is None:
            pair = degrade(hq.float() / 255, Generator().manual_seed(seed))
            lq, hq = to_bytes(pair.lq), to_bytes(pair.hq)
        else:
            lq = read_clip(clip.lq)
        return [lq.numpy(), hq.numpy()]

    return kept_clip(folder, key, clip.source or clip.name, make)


def clip_key(clip: Clip, name: str) -> str:
    """The key of a clip with the damage of this name, for the files as they are now."""
    files = [file_fingerprint(path) for path in (clip.hq, clip.lq) if path is not None]
    return key_of(clip.name, str(clip.hq), str(clip.lq), name, *files)


def is_stored(clip: Clip, name: str, folder: Path) -> bool:
    """True if ``store_clips`` would find the clip's arrays."""
    return is_kept(folder, clip_key(clip, name))
