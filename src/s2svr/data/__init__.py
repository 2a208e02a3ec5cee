"""Data sets, each one function (root, split) -> list of clips, and crops of stored clips."""

from collections.abc import Callable
from pathlib import Path

from .clip import Clip, Degradation, Pair, as_float, to_bytes
from .clips import ClipPairs, Data, Draw
from .damaged import damaged_clip
from .flyingchairs import FlowPair, flyingchairs, read_ppm
from .folder import IMAGES, VIDEOS, folder_clips
from .gopro import gopro
from .mfqev2 import mfqev2
from .pairs import paired, pairs
from .reds import reds
from .store import MOVING, Stored, is_kept, is_stored, kept_arrays, kept_clip, key_of, store_clips
from .tree import DatasetError
from .vid4 import vid4
from .vimeo90k import vimeo90k

__all__ = [
    "BENCHMARKS",
    "Clip",
    "ClipPairs",
    "DATASETS",
    "Data",
    "Degradation",
    "Draw",
    "FLOW_DATASETS",
    "FlowPair",
    "IMAGES",
    "LOW_QUALITY",
    "MOVING",
    "Pair",
    "SPLITS",
    "Stored",
    "VIDEOS",
    "about",
    "as_float",
    "check_dataset",
    "damaged_clip",
    "folder_clips",
    "is_kept",
    "is_stored",
    "kept_arrays",
    "kept_clip",
    "key_of",
    "named_dataset",
    "paired",
    "read_ppm",
    "store_clips",
    "to_bytes",
]

DATASETS: dict[str, Callable[[Path, str], list[Clip]]] = {
    "folder": folder_clips,
    "pairs": pairs,
    "reds": reds,
    "vimeo90k": vimeo90k,
    "gopro": gopro,
    "mfqev2": mfqev2,
    "vid4": vid4,
}
# Pairs of frames with their true flow, for supervised trainings.
FLOW_DATASETS: dict[str, Callable[[Path, str], list[FlowPair]]] = {"flyingchairs": flyingchairs}
SPLITS: dict[str, tuple[str, ...]] = {
    "folder": ("",),
    "pairs": ("",),
    "reds": ("train", "test"),
    "vimeo90k": ("train", "test"),
    "gopro": ("train", "test"),
    "mfqev2": ("train", "test"),
    "vid4": ("test", "bd"),
    "flyingchairs": ("train", "val"),
}

# What stands in the published low-quality halves, by data set or by data set and split.
LOW_QUALITY = {
    "pairs": "as it was given",
    "reds": "REDS's own bicubic x4",
    "vid4 test": "BIx4, bicubic",
    "vid4 bd": "BDx4, Gaussian blur of sigma 1.6, then every fourth pixel",
    "gopro": "blur, not blur_gamma",
    "mfqev2": "HM 16.5, low delay P, QP 37",
}


# Benchmarks that go by a name of their own: data set and split.
BENCHMARKS = {"reds4": ("reds", "test"), "vimeo90k-t": ("vimeo90k", "test")}


def named_dataset(name: str, split: str = "") -> tuple[str, str]:
    """The data set of a name, its own or a benchmark's, and the split, ``test`` if none is given.

    Raises ValueError for other names; a wrong split is the data set's to refuse.
    """
    if name in BENCHMARKS:
        name, own = BENCHMARKS[name]
        if split not in ("", own):
            raise ValueError(f"expected the split {own} of a benchmark, got {split!r}")
        return name, own
    if name not in DATASETS:
        known = ", ".join((*DATASETS, *BENCHMARKS))
        raise ValueError(f"expected a data set ({known}), got {name!r}")
    return name, split or ("test" if "test" in SPLITS[name] else "")


def about(name: str, split: str, made: str) -> str:
    """A sentence that names data and damage (``made``: its low quality, if it was made here)."""
    which = f"{name} {split}".strip()
    low = LOW_QUALITY.get(which) or LOW_QUALITY.get(name, made)
    note = "; every listed septuplet, black ones too" if name == "vimeo90k" else ""
    return f"{which}; low quality: {low}{note}"


def check_dataset(name: str, root: Path) -> list[str]:
    """One sentence for each fault of a data set below ``root``; an empty list if it is whole.

    The last sentence says where the data set is published.
    """
    sets = {**DATASETS, **FLOW_DATASETS}
    dataset, split = (name, "") if name in FLOW_DATASETS else named_dataset(name)
    faults, published = [], ""
    for part in (split,) if name in BENCHMARKS else SPLITS[dataset]:
        try:
            sets[dataset](Path(root), part)
        except DatasetError as error:
            faults += [f"{part}: {fault}" if part else fault for fault in error.faults]
            published = error.published
        except ValueError as error:  # of a plain folder
            faults.append(str(error))
    return [*faults, f"it is published at {published}"] if published else faults
