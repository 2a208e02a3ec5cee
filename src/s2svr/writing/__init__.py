"""Writing of videos and folders of images, with the sound, tracks and tags of their source."""

from pathlib import Path

from ..media import SUFFIXES, MediaError, Reader
from .codecs import CODECS, CONTAINERS, lossless_codec
from .images import ImageWriter, write_png
from .inspect import Companion, Inspection, Packets, inspect_file
from .protocol import OutputFormat, Position, SoundChoice, Writer
from .workfolder import FRESH, WorkFolder, WorkPolicy
from .writer import VideoWriter

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Companion",
    "Inspection",
    "OutputFormat",
    "Packets",
    "Position",
    "SoundChoice",
    "WorkFolder",
    "WorkPolicy",
    "Writer",
    "inspect_file",
    "lossless_codec",
    "open_writer",
    "write_png",
]

# Suffixes of videos that are read and not written; any other name is that of a folder.
READ_ONLY = {".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".y4m", ".yuv", ".gif", ".ogv", ".mxf"}


def open_writer(
    path: Path,
    *,
    reader: Reader,
    output: OutputFormat,
    policy: WorkPolicy = FRESH,
    comment: str = "",
) -> Writer:
    """Open a video file for writing, or a folder of PNGs where the name has no video suffix.

    The writer takes frames of the size of ``output``, in its own ``color`` and ``chroma``; sound,
    subtitles and tags come from ``reader``, and ``comment`` is added to a video's metadata. Raises
    MediaError.
    """
    path = Path(path)
    if path.resolve() == reader.path.resolve():
        raise MediaError(f"the output {path} is the input; name another output")
    if path.suffix.lower() in CONTAINERS:
        return VideoWriter(path, reader=reader, output=output, policy=policy, comment=comment)
    if path.suffix.lower() in SUFFIXES | READ_ONLY:
        kinds = ", ".join(CONTAINERS)
        raise MediaError(f"expected an output named {kinds}, or a folder of images, got {path}")
    return ImageWriter(path, reader=reader, bits=output.bits, policy=policy)
