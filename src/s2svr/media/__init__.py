"""Reading and writing of videos and folders of images."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..color import to_rgb
from .frame import Frame, MediaError, MediaInfo, Reader, Track, Writer
from .images import SUFFIXES, ImageReader, write_png
from .video import VideoReader

__all__ = [
    "Frame",
    "MediaError",
    "MediaInfo",
    "Reader",
    "Track",
    "Writer",
    "open_reader",
    "read_clip",
    "write_png",
]


def open_reader(path: Path, *, fps: Fraction | None = None) -> Reader:
    """Open a video file, a folder of images or one image."""
    path = Path(path)
    if not path.exists():
        raise MediaError(f"there is no file or folder {path}")
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return ImageReader(path, fps=fps)
    return VideoReader(path)


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
