"""Raw 8-bit planar 4:2:0 video without a header, as test sequences are published."""

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from ..color import ColorInfo, guess_matrix
from .display import Display
from .errors import MediaError
from .frame import Frame, FrameReader, MediaInfo

SIZE = re.compile(r"_(\d+)x(\d+)(?=_|$)")


def plane_shapes(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes (height, width) of Y, Cb and Cr."""
    half = ((height + 1) // 2, (width + 1) // 2)
    return [(height, width), half, half]


def frame_bytes(width: int, height: int) -> int:
    """Bytes of one frame."""
    return sum(rows * columns for rows, columns in plane_shapes(width, height))


class YuvReader(FrameReader):
    """Iterator of the frames of a .yuv whose name holds its size, BQSquare_416x240_600.yuv.

    Such a file does not say what its codes mean or when a frame is shown: the usual colour for the
    size is assumed, and seconds count at ``fps`` as in a folder of images.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: Fraction | None = None,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        self.path = path
        size = SIZE.search(path.stem)
        if not size or not int(size[1]) or not int(size[2]):
            raise MediaError(
                f"expected a name like clip_416x240.yuv with the size, got {path.name}"
            )
        width, height = int(size[1]), int(size[2])
        self.shapes = plane_shapes(width, height)
        self.bytes = frame_bytes(width, height)
        self.rate = fps or Fraction(25)
        self.start, self.end, self.shift, self.display = start, end, Fraction(0), Display()
        self.damage: list[str] = []
        self.warnings: list[str] = []
        self.messages: Counter[str] = Counter()
        count, rest = divmod(path.stat().st_size, self.bytes)
        if rest:
            self.damage.append(f"frame {count} is cut off after {rest} of {self.bytes} bytes")
        first = ceil((start or 0) * self.rate)
        self.range = range(first, count if end is None else min(count, ceil(end * self.rate)))
        if not self.range:
            asked = "" if start is end is None else " in the time asked for"
            raise MediaError(f"{path} holds no whole frame of {width}x{height}{asked}")
        self.info = MediaInfo(
            width=width,
            height=height,
            rate=self.rate,
            time_base=1 / self.rate,
            color=ColorInfo(guess_matrix(width, height)),
            chroma=(2, 2),
            duration=len(self.range) / self.rate,
            kind="images",
            codec="rawvideo",
            container="yuv",
        )
        self.file: BinaryIO = path.open("rb")
        self.frames = self.read()

    def read(self) -> Iterator[Frame]:
        """Yield the frames between start and end."""
        self.file.seek(self.range[0] * self.bytes)
        for _ in self.range:
            codes = torch.frombuffer(bytearray(self.file.read(self.bytes)), dtype=torch.uint8)
            yield Frame(self.planes(codes), self.info.color, None)

    def planes(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Y, Cb, Cr of one frame's bytes."""
        parts = codes.split([rows * columns for rows, columns in self.shapes])
        return tuple(part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()
