"""The inputs of a batch: files, folders, patterns and lists, each with the output it becomes."""

import glob
import os
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files import output_place
from ..media import SUFFIXES, VIDEO_SUFFIXES, MediaError
from ..writing import parse_output

FIELDS = ("stem", "suffix", "name", "folder")
WILD = "*?["


@dataclass(frozen=True)
class Passage:
    """An input and its output."""

    source: Path
    target: Path  # as a restoration takes it: a folder of images is ``folder/*.png``
    name: Path  # of the input, below the place that was named

    @property
    def place(self) -> Path:
        """The file or folder that appears."""
        return output_place(self.target)


@dataclass
class Found:
    """All inputs, and how many other files were passed over, by the ending of their names."""

    passages: list[Passage] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    walked: set[Path] = field(default_factory=set)  # folders, wherever links to them lie


def find_inputs(named: Iterable[str], out: Path, pattern: str, *, empty: bool = False) -> Found:
    """The inputs that are named, in order and each once, with their outputs below ``out``.

    A folder gives its videos, also from folders in it, and each folder of images in it as one
    video; hidden files and what lies in ``out`` are passed over. A name with ``*``, ``?`` or ``[``
    that is no file is a pattern, in which ``**`` stands for any folders; ``@FILE`` is a list with a
    name in each line, and relative ones begin at the list. Names below a folder, a pattern's fixed
    part or a list stay as they are; ``pattern`` says what becomes of the last part. ValueError
    where an input is not there, two become one output or one would be replaced, an output would lie
    in a folder of images that is another, and where there is none, unless that may be (``empty``).
    """
    check_pattern(pattern)
    found, seen = Found(), dict[str, None]()
    for text in named:
        for source, base in expanded(text, found, out.resolve()):
            real = os.path.realpath(source)  # also of a link that leads nowhere
            if real in seen:
                continue
            seen[real] = None
            name = source.relative_to(base)
            found.passages.append(Passage(source, target_of(source, name, out, pattern), name))
    if not found.passages and not empty:
        raise ValueError(f"expected videos or images, found none in {', '.join(named)}")
    refuse_conflicts(found.passages)
    return found


def expanded(text: str, found: Found, out: Path) -> Iterator[tuple[Path, Path]]:
    """The inputs that one argument names, each with the folder below which its name is kept."""
    path = Path(text)
    if text.startswith("@") and not path.exists():
        listing = Path(text[1:])
        if not listing.is_file():
            raise ValueError(f"expected a list of files after @, {listing} is no file")
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.strip():
                place = listing.parent / line.strip()
                inside = not Path(line.strip()).is_absolute() and ".." not in Path(line).parts
                for source, base in expanded(str(place), found, out):
                    yield source, listing.parent if inside else base
    elif path.is_dir():
        if path.name in ("", ".."):  # the folder that one stands in, or one above it
            path = Path(os.path.abspath(path))
        base = path.parent if is_clip(path) else path
        yield from ((source, base) for source in below(path, found, out))
    elif path.exists():
        yield path, path.parent
    elif any(sign in text for sign in WILD):
        base = fixed_part(path)
        for place in sorted(set(matching(base, path.parts[len(base.parts) :]))):
            if place.is_file() and out not in place.resolve().parents:
                if kind_of(place):
                    yield place, base
                else:
                    found.others[place.suffix.lower() or place.name] += 1
    else:
        raise ValueError(f"there is no file or folder {text}")


def below(folder: Path, found: Found, out: Path) -> Iterator[Path]:
    """Videos and folders of images in a folder and all folders in it, in the order of names.

    Each folder is walked once, whatever links lead to it, and none that leads out and around.
    """
    real = folder.resolve()
    if real == out or real in found.walked:
        return
    found.walked.add(real)
    items = sorted(item for item in folder.iterdir() if not item.name.startswith("."))
    if is_clip(folder):
        yield folder
    for item in items:
        if item.is_dir():
            if item.resolve() not in real.parents:
                yield from below(item, found, out)
        elif kind_of(item) == "video":
            yield item
        elif not (kind_of(item) == "image" and is_clip(folder)):
            found.others[item.suffix.lower() or item.name] += 1


def matching(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """All below a folder that the parts of a pattern name; ``**`` stands for any folders."""
    if not parts:
        yield folder
    elif parts[0] == "**":
        for place in folders_below(folder, set()):
            yield from matching(place, parts[1:] or ("*",))
    else:
        for name in glob.glob(parts[0], root_dir=folder):
            yield from matching(folder / name, parts[1:])


def folders_below(folder: Path, walked: set[Path]) -> Iterator[Path]:
    """A folder and all in it but hidden ones, walked as ``below`` does."""
    real = folder.resolve()
    if real in walked:
        return
    walked.add(real)
    yield folder
    for name in sorted(glob.glob("*/", root_dir=folder)):
        if (folder / name).resolve() not in real.parents:
            yield from folders_below(folder / name, walked)


def is_clip(folder: Path) -> bool:
    """True for a folder of images without videos: the frames of one video."""
    kinds = {kind_of(item) for item in folder.iterdir() if item.is_file()}
    return "image" in kinds and "video" not in kinds


def kind_of(path: Path) -> str:
    """Either video or image, by the ending of a file's name, or nothing."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return ""
    return "video" if suffix in VIDEO_SUFFIXES else "image" if suffix in SUFFIXES else ""


def fixed_part(path: Path) -> Path:
    """The folders of a pattern before the first that has a sign in it."""
    parts = []
    for part in path.parent.parts:
        if any(sign in part for sign in WILD):
            break
        parts.append(part)
    return Path(*parts)


def target_of(source: Path, name: Path, out: Path, pattern: str) -> Path:
    """The output of an input of that name below the place that was given."""
    clip = source.is_dir()
    suffix = "" if clip else name.suffix
    folder = source.absolute().parent.name
    stem = name.name if clip else name.stem
    made = pattern.format(stem=stem, suffix=suffix, name=name.name, folder=folder)
    place = out / name.parent / made
    if not clip:
        return place
    endings = [file.suffix for file in sorted(source.iterdir()) if kind_of(file) == "image"]
    try:
        parse_output(Path("*" + endings[0]))
    except MediaError:  # images that are read and not written
        return place / "*"
    return place / f"*{endings[0]}"


def refusal(passage: Passage) -> str:
    """Why an output of that name cannot be written, and what to do; empty if it can."""
    try:
        parse_output(passage.target)
    except MediaError as error:
        other = ".png" if kind_of(passage.source) == "image" else ".mkv"
        return f"{error}; give other names, as by --name '{{stem}}{other}'"
    return ""


def check_pattern(pattern: str) -> None:
    """ValueError for a pattern of names that holds something unknown, or leads elsewhere."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise ValueError(f"expected a pattern such as {{stem}}_x4{{suffix}}: {error}") from error
    unknown = [name for name in fields if name not in FIELDS]
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    if unknown or not fields:
        raise ValueError(f"expected a pattern of names with {known}, got {pattern!r}")
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise ValueError(f"expected a pattern of names within the output folder, got {pattern!r}")


def refuse_conflicts(passages: list[Passage]) -> None:
    """ValueError where outputs are one, or within another, or an output is an input."""
    places: dict[str, Passage] = {}
    for passage in passages:
        place = os.path.abspath(passage.place)
        if place in places:
            raise ValueError(
                f"{places[place].source} and {passage.source} would both become {passage.place}: "
                "give them one by one, or other names, as by --name '{folder}_{stem}{suffix}'"
            )
        places[place] = passage
    for place, passage in places.items():
        outer = next((places[str(p)] for p in Path(place).parents if str(p) in places), None)
        if outer is not None:
            raise ValueError(
                f"{passage.source} would become {passage.place}, within the images of "
                f"{outer.source}: give other names, as by --name '{{stem}}_x4{{suffix}}'"
            )
    for passage in passages:
        other = places.get(os.path.realpath(passage.source))
        if other is not None:
            raise ValueError(
                f"{other.place} is an input and would be replaced: name another folder as output"
            )
