"""Names and paths that come from people: none is trusted."""

import re
import unicodedata
from collections.abc import Collection
from itertools import chain, count
from pathlib import Path

LONGEST = 100  # characters of a name
LONGEST_SUFFIX = 10
VIDEOS = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".flv", ".wmv", ".asf", ".ogv", ".ogg", ".mxf", ".dv", ".y4m", ".yuv", ".gif", ".nut", ".vob",
    ".h264", ".hevc", ".264", ".265", ".obu", ".ivf", ".3gp",
}  # fmt: skip
WRITTEN = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts")  # others become the fourth


class OutsideError(Exception):
    """A path that leaves the root; the message is one sentence for the user."""


def shown_name(name: str) -> str:
    """A name for people: its last part, without what is not printed."""
    last = re.split(r"[/\\]", name)[-1]
    text = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip()
    return text[-LONGEST:] or "video"


def stored_name(name: str) -> str:
    """A name for a file: letters, digits, points and dashes, and none that is hidden.

    The suffix, which says what the file is, stays where nothing is left of the stem.
    """
    path = Path(shown_name(name))
    suffix = ascii_part(path.suffix)[:LONGEST_SUFFIX].rstrip(".")
    stem = ascii_part(path.stem).lstrip("._-")[len(suffix) - LONGEST :].lstrip("._-")
    return f"{stem or 'video'}{suffix}"


def stored_names(names: list[str]) -> list[str]:
    """Names for the files of one folder: by their numbers where they would not differ else."""
    stored = [stored_name(name) for name in names]
    if len(set(stored)) == len(stored):
        return stored
    return [f"{number:06}{Path(name).suffix}" for number, name in enumerate(stored)]


def ascii_part(text: str) -> str:
    """The ASCII letters, digits, points and dashes of a text, and underscores for the rest."""
    found = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", found)


def output_name(source: str) -> str:
    """The name of what is made of a source."""
    path = Path(source)
    suffix = path.suffix.lower() if path.suffix.lower() in WRITTEN else WRITTEN[3]
    return f"{path.stem}-restored{suffix}"


def free_place(place: Path, taken: Collection[Path]) -> Path:
    """The place, or one with a number if it is taken: ``a-restored-2.mp4``."""
    names = (place.with_stem(f"{place.stem}-{number}") for number in count(2))
    return next(found for found in chain((place,), names) if found not in taken)


def inside(root: Path, path: str) -> Path:
    """The place of a path that is relative to the root. Raises OutsideError where it is not in it.

    Links are followed first. A name that is no text (UTF-8) cannot be told to a browser, and is
    not in it. Raises OSError for what can be no path.
    """
    if "\0" in path or Path(path).is_absolute() or not is_text(path):
        raise OutsideError(f"expected a path inside the server's folder, got {path!r}")
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        raise OutsideError(f"expected a path inside the server's folder, {path!r} leaves it")
    if any(part.startswith(".") for part in place.relative_to(root.resolve()).parts):
        raise OutsideError(f"hidden files are not shown, such as {path!r}")
    return place


def is_text(path: str) -> bool:
    """False for a name whose bytes are not UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def listing(root: Path, path: str) -> list[dict[str, object]]:
    """Folders and videos at a path inside the root, folders first; links that leave it are not.

    Raises OSError where the folder cannot be read.
    """
    found: list[dict[str, object]] = []
    for item in sorted(inside(root, path).iterdir(), key=lambda item: item.name.lower()):
        relative = str(item.relative_to(root.resolve()))
        try:
            place = inside(root, relative)
            folder = place.is_dir()
            shown = folder or (place.is_file() and item.suffix.lower() in VIDEOS)
            size = None if folder else place.stat().st_size
        except (OutsideError, OSError, RuntimeError):  # RuntimeError: links in a circle
            continue
        if shown:
            found.append({"name": item.name, "path": relative, "folder": folder, "bytes": size})
    return sorted(found, key=lambda item: not item["folder"])
