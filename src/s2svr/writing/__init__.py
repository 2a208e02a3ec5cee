"""Writing of videos and folders of images, with the sound, tracks and tags of their source."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ..media import SUFFIXES, URL, MediaError, Reader
from .codecs import BITS, CODECS, CONTAINERS, Coding, lossless_codec, output_color, picture_losses
from .encoder import TimeStamps
from .images import IMAGE_SUFFIXES, MOVING, ImageWriter, numbered_name, write_png
from .inspect import Companion, Inspection, Packets, inspect_file
from .protocol import OutputFormat, Position, SoundChoice, Writer
from .workfolder import FRESH, WorkFolder, WorkPolicy
from .writer import VideoWriter

__all__ = [
    "BITS",
    "CODECS",
    "CONTAINERS",
    "Coding",
    "Companion",
    "Inspection",
    "OutputFormat",
    "OutputName",
    "Packets",
    "Position",
    "SoundChoice",
    "TimeStamps",
    "WorkFolder",
    "WorkPolicy",
    "VideoWriter",
    "Writer",
    "check_output",
    "inspect_file",
    "likely_name",
    "lossless_codec",
    "open_writer",
    "output_color",
    "parse_output",
    "picture_losses",
    "write_png",
]

# Suffixes of videos that are read and not written.
READ_ONLY = {".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".y4m", ".yuv", ".ogv", ".mxf", ".mts"}
NUMBERED = re.compile(r"%0?\d*d")
KINDS = (
    f"a video ({', '.join(CONTAINERS)}), an image ({', '.join(IMAGE_SUFFIXES)}), or a folder of "
    "images (out/ or out/%06d.jpg)"
)


class OutputName(NamedTuple):
    """What the name of an output asks for."""

    place: Path  # of the file or folder that appears
    kind: str  # video, image or images, which is a folder
    suffix: str  # of the file, or of the images; empty where the codec decides
    pattern: str = ""  # of the names in a folder, as %06d; empty: the source's own

    def at(self, place: Path) -> Path:
        """The name of an output of this kind at another place, which is without a suffix."""
        if self.kind != "images":
            return place.with_name(place.name + self.suffix)
        return place / f"{self.pattern or '*'}{self.suffix}" if self.suffix else place


def parse_output(path: Path) -> OutputName:
    """Say what an output's name asks for; MediaError for one that asks for nothing known."""
    suffix = path.suffix.lower()
    if str(path) == "-":
        raise MediaError(f"the output - stands for a pipe, which is not written; name {KINDS}")
    if URL.match(str(path)) and not path.parent.exists():
        url = str(path).replace(":/", "://", 1)
        raise MediaError(f"{url} is a URL, and only files are written; name {KINDS}")
    several = path.stem == "*" or (suffix in IMAGE_SUFFIXES and NUMBERED.search(path.stem))
    if several and (suffix in IMAGE_SUFFIXES or path.name == "*"):
        pattern = path.stem.removeprefix("*")
        if pattern:
            numbered_name(pattern, 0)
        return OutputName(path.parent, "images", suffix, pattern)
    if suffix in CONTAINERS:
        return OutputName(path, "video", suffix)
    if suffix in IMAGE_SUFFIXES:
        return OutputName(path, "image", suffix)
    if os.path.isdir(path) or (
        not suffix and path.name.lower() not in {*CONTAINERS, *IMAGE_SUFFIXES}
    ):
        return OutputName(path, "images", "")
    read = suffix in READ_ONLY | SUFFIXES
    reason = f"{suffix} is read, not written" if read else f"got {path}"
    if not read and suffix:
        reason += f"; a folder of that name is {path}/"
    raise MediaError(f"expected an output that is {KINDS}; {reason}")


def check_output(name: OutputName, reader: Reader, overwrite: bool) -> None:
    """MediaError where an output of that name cannot come of what a reader yields."""
    place, source = name.place, reader.path
    if place.resolve() == source.resolve():
        raise MediaError(f"the output {place} is the input; name another output")
    if name.kind == "images" and source.resolve().is_relative_to(place.resolve()):
        raise MediaError(
            f"the output is the folder {place}, as a whole, and the input {source} lies in it; "
            "name another folder"
        )
    if name.kind == "images" and os.path.isdir(place) and not holds_images(place):
        empty = not any(place.iterdir())
        if not (overwrite and empty):
            more = ", or add --overwrite" if empty else ""
            raise MediaError(
                f"the folder {place} is there and holds no images; name what is to be in it, as "
                f"{place / likely_name(reader)}, or another folder{more}"
            )
    unknown = reader.info.kind == "pipe" and reader.info.frames is None  # the writer will see
    if name.kind == "image" and not (is_single(reader) or moves(name, reader) or unknown):
        moving = "" if name.suffix in MOVING else f", an animated image ({', '.join(MOVING)})"
        folder = place.with_suffix("")
        raise MediaError(
            f"{place} is one picture, and {source} holds more; name a folder of images ({folder}/ "
            f"or {folder}/%06d{name.suffix}){moving} or a video ({folder}.mp4)"
        )


def is_single(reader: Reader) -> bool:
    """True for a source of one picture."""
    return reader.info.frames == 1


def moves(name: OutputName, reader: Reader) -> bool:
    """True where an image is to be animated: by its name, or because the source image is."""
    if name.kind != "image" or is_single(reader):
        return False
    animated = reader.path.suffix.lower() in SUFFIXES and reader.info.codec != "tiff"
    return name.suffix in MOVING or (name.suffix == ".png" and animated)


def holds_images(folder: Path) -> bool:
    """True for a folder with an image in it."""
    return any(file.suffix.lower() in SUFFIXES for file in folder.iterdir())


def likely_name(reader: Reader) -> str:
    """Name that an output of a source has in a folder that was named alone."""
    source, suffix = reader.path, reader.path.suffix.lower()
    if source.is_dir() or suffix in {*CONTAINERS, *IMAGE_SUFFIXES}:
        return source.name
    return f"{source.stem}{'.png' if is_single(reader) else '.mp4'}"


def open_writer(
    path: Path,
    *,
    reader: Reader,
    output: OutputFormat,
    policy: WorkPolicy = FRESH,
    comment: str = "",
) -> Writer:
    """Open what a name asks for, see ``parse_output``: a video, an image or a folder of images.

    The writer takes frames of the size of ``output``, in its own ``color`` and ``chroma``; sound,
    subtitles and tags come from ``reader``, and ``comment`` is added to a video's metadata. Raises
    MediaError.
    """
    path = Path(path)
    name = parse_output(path)
    check_output(name, reader, policy.overwrite)
    if name.kind == "video":
        return VideoWriter(path, reader=reader, output=output, policy=policy, comment=comment)
    return ImageWriter(
        name.place, reader=reader, output=output, policy=policy, suffix=name.suffix,
        pattern=name.pattern, folder=name.kind == "images", moving=moves(name, reader),
    )  # fmt: skip
