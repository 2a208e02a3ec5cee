"""Writing of videos and folders of images, with all that belongs to their source."""

from pathlib import Path

from ..media import SUFFIXES, MediaError, Reader
from .codecs import CODECS, CONTAINERS, lossless_codec
from .images import ImageWriter, write_png
from .inspect import Companion, Inspection, Packets, inspect_file
from .protocol import Position, Writer
from .workfolder import WorkFolder, lasting_folder
from .writer import VideoWriter

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Companion",
    "Inspection",
    "Packets",
    "Position",
    "WorkFolder",
    "Writer",
    "inspect_file",
    "lasting_folder",
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
    width: int,
    height: int,
    bits: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    lasting: bool = False,
    restart: bool = False,
    comment: str | None = None,
) -> Writer:
    """Open a video file for writing, or a folder of PNGs where the name has no video suffix.

    Frames are width x height, in the writer's ``color`` and ``chroma``. ``bits``, ``codec`` (of
    CODECS) and ``crf`` are the source's or our choice where they are None. Where ``lasting``, the
    work folder beside ``path`` can be kept for a later try, unless that is to ``restart``. Raises
    MediaError.
    """
    path = Path(path)
    if path.resolve() == reader.path.resolve():
        raise MediaError(f"the output {path} is the input; name another output")
    if path.suffix.lower() in CONTAINERS:
        return VideoWriter(
            path, reader=reader, width=width, height=height, bits=bits, codec=codec, crf=crf,
            overwrite=overwrite, lasting=lasting, restart=restart, comment=comment,
        )  # fmt: skip
    if path.suffix.lower() in SUFFIXES | READ_ONLY:
        kinds = ", ".join(CONTAINERS)
        raise MediaError(f"expected an output named {kinds}, or a folder of images, got {path}")
    return ImageWriter(
        path, reader=reader, bits=bits, overwrite=overwrite, lasting=lasting, restart=restart
    )
