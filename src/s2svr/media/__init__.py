"""Reading and writing of videos and folders of images."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..color import to_rgb
from .coding import CODECS, CONTAINERS
from .frame import Frame, MediaError, MediaInfo, Position, Reader, Track, Writer
from .images import SUFFIXES, ImageReader, ImageWriter, write_png
from .video import VideoReader
from .writer import VideoWriter
from .yuv import YuvReader

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Frame",
    "MediaError",
    "MediaInfo",
    "Position",
    "Reader",
    "Track",
    "Writer",
    "open_reader",
    "open_writer",
    "read_clip",
    "write_png",
]

# Suffixes of videos that are read and not written; any other name is that of a folder.
READ_ONLY = {".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".y4m", ".yuv", ".gif", ".ogv", ".mxf"}


def open_reader(
    path: Path,
    *,
    fps: Fraction | float | None = None,
    start: Fraction | float | None = None,
    end: Fraction | float | None = None,
    deinterlace: str = "auto",
) -> Reader:
    """Open a video file, a folder of images or one image, from ``start`` to ``end`` in seconds.

    ``fps`` is the frame rate of images and raw video; other videos have their own times.
    ``deinterlace`` interlaced video by itself ("auto"), leave it ("off") or "refuse" it. Raises
    MediaError.
    """
    path = Path(path)
    if not path.exists():
        raise MediaError(f"there is no file or folder {path}")
    if not (path.is_file() or path.is_dir()):
        raise MediaError(f"expected a video file, {path} is none and no folder of images either")
    first, stop = exact(start), exact(end)
    if (first is not None and first < 0) or (stop is not None and stop <= (first or 0)):
        raise MediaError(f"expected 0 <= start < end in seconds, got start {start} and end {end}")
    images, raw = path.is_dir() or path.suffix.lower() in SUFFIXES, path.suffix.lower() == ".yuv"
    if images or raw:
        if fps is not None and fps <= 0:
            raise MediaError(f"expected a frame rate above 0, got {fps}")
        reader = ImageReader if images else YuvReader
        return reader(path, fps=exact(fps), start=first, end=stop)
    if fps is not None:
        raise MediaError(f"a frame rate is for images; the video {path} has its own times")
    return VideoReader(path, start=first, end=stop, deinterlace=deinterlace)


def exact(value: Fraction | float | None) -> Fraction | None:
    """A number as typed: 0.1 is a tenth."""
    return None if value is None else Fraction(str(value))


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


def read_clip(path: Path, *, start: int = 0, count: int | None = None) -> Tensor:
    """Frames ``start`` to ``start + count`` of a video or image folder: (T, 3, H, W) uint8 RGB."""
    stop = None if count is None else start + count
    with open_reader(path) as reader:
        frames = [
            (to_rgb(frame.planes, frame.color) * 255).round().to(torch.uint8)
            for frame in islice(reader, start, stop)
        ]
    if not frames:
        raise MediaError(f"{path} has no frame {start}")
    return torch.stack(frames)
