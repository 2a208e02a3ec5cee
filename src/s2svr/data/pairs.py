"""Two folders or two videos of anyone's: the truth, and what is to be restored."""

from pathlib import Path

from ..media import MediaError, open_reader
from .clip import Clip, source_of
from .folder import VIDEOS, folder_clips
from .tree import DatasetError


def pairs(root: Path, split: str = "") -> list[Clip]:
    """The clips in ``root``'s folders ``hq`` and ``lq``, paired by their names; see ``paired``."""
    return paired(root / "hq", root / "lq")


def paired(hq: Path, lq: Path) -> list[Clip]:
    """The clips of two videos, two image folders, or two folders of such with the same names.

    A name is that of a folder, or of a video without its suffix. Raises DatasetError, which names
    what has no partner, and images that differ in number or whose sizes do not fit.
    """
    if hq.is_file() or lq.is_file():
        found = {hq.name: (hq, lq)}
        faults = [f"there is no file or folder {path}" for path in (hq, lq) if not path.exists()]
    else:
        large, small = clips_by_name(hq), clips_by_name(lq)
        faults = [f"{hq} lacks {name}" for name in sorted(small.keys() - large.keys())]
        faults += [f"{lq} lacks {name}" for name in sorted(large.keys() - small.keys())]
        found = {name: (large[name], small[name]) for name in sorted(large.keys() & small.keys())}
    for truth, low in found.values() if not faults else ():
        faults += faults_of(truth, low)
    if faults:
        raise DatasetError(f"the pair of {hq} and {lq}", faults)
    return [Clip(name, truth, low, source_of(truth.stem)) for name, (truth, low) in found.items()]


def clips_by_name(root: Path) -> dict[str, Path]:
    """A folder's clips by their names."""
    clips = {}
    for sequence in folder_clips(root):
        path = sequence.hq
        name = path.relative_to(root)
        clips[str(name.with_suffix("") if path.suffix.lower() in VIDEOS else name)] = path
    return clips


def faults_of(truth: Path, low: Path) -> list[str]:
    """Reasons why two clips cannot be compared, as far as their first frames show them."""
    try:
        with open_reader(truth) as first, open_reader(low) as second:
            large, small = first.info, second.info
    except MediaError as error:
        return [str(error)]
    faults = []
    scale = large.width // small.width
    if (large.width, large.height) != (scale * small.width, scale * small.height):
        faults.append(
            f"expected {truth} to be a whole number of times as large as {low}, got "
            f"{large.width}x{large.height} and {small.width}x{small.height} pixels"
        )
    if large.kind == small.kind == "images" and large.frames != small.frames:
        faults.append(f"expected {large.frames} frames in {low} as in {truth}, got {small.frames}")
    return faults
