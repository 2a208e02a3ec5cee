"""Checks of a published data set's tree, with one sentence for each fault."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

Clips = TypeVar("Clips")
SHOWN = 3  # faults in an error's message; the error holds them all
PNG_BEGIN, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class DatasetError(ValueError):
    """A tree that is not as published; ``faults`` holds one sentence for each difference.

    ``published`` is the address of the whole one, empty if there is none.
    """

    def __init__(self, what: str, faults: list[str], published: str = "") -> None:
        self.faults, self.published = faults, published
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        shown = "; ".join(faults[:SHOWN])
        where = f". It is published at {published}" if published else ""
        super().__init__(f"{what} is incomplete: {shown}{more}{where}")


def refuse_faults(what: str, faults: Iterable[str], published: str) -> None:
    """Raise DatasetError if there are faults; a fault that several clips share is named once."""
    once = list(dict.fromkeys(faults))
    if once:
        raise DatasetError(what, once, published)


def clips_of_split(what: str, split: str, splits: Mapping[str, Clips]) -> Clips:
    """The clips of a split. Raises ValueError for a split that ``what`` does not have."""
    if split not in splits:
        raise ValueError(f"expected a split of {what} ({', '.join(splits)}), got {split!r}")
    return splits[split]


def first_of(root: Path, *names: str) -> Path:
    """The first of the places below ``root`` that is there, else the first."""
    places = [root / name for name in names]
    return next((place for place in places if place.exists()), places[0])


def absent(place: Path) -> str:
    """A sentence that names the highest missing folder above ``place``, or ``place`` itself."""
    while not place.parent.exists() and place != place.parent:
        place = place.parent
    kind = "file" if place.suffix in (".txt", ".yuv", ".ppm", ".flo") else "folder"
    return f"there is no {kind} {place}"


def clip_faults(folder: Path, frames: list[str] | int, size: tuple[int, int]) -> list[str]:
    """The faults of a folder that should hold ``frames`` PNGs (names or a count) of one size.

    ``size`` is (width, height) in pixels.
    """
    if not folder.is_dir():
        return [absent(folder)]
    found = names_in(folder)
    wanted = frames if isinstance(frames, int) else len(frames)
    lost = [] if isinstance(frames, int) else sorted(set(frames) - set(found))
    faults = []
    if lost or len(found) != wanted:
        named = f"; {', '.join(lost[:SHOWN])} missing" if lost else ""
        faults.append(f"expected {wanted} frames in {folder}, got {len(found)}{named}")
    return faults + [fault for name in found if (fault := image_fault(folder / name, size))]


def names_in(folder: Path) -> list[str]:
    """The names of a folder's PNGs."""
    names = (path.name for path in folder.iterdir() if path.suffix.lower() == ".png")
    return sorted(name for name in names if not name.startswith("."))


def image_fault(path: Path, size: tuple[int, int]) -> str | None:
    """The fault of a PNG, judged by its first and last bytes, or None."""
    with path.open("rb") as file:
        head = file.read(24)
        if len(head) < 24 or head[:8] != PNG_BEGIN:
            return f"expected a PNG image, {path} is none"
        file.seek(-len(PNG_END), 2)
        if file.read() != PNG_END:
            return f"the image {path} is cut off"
    width, height = struct.unpack(">II", head[16:])
    if (width, height) != size:
        return f"expected {size[0]}x{size[1]} pixels in {path}, got {width}x{height}"
    return None
