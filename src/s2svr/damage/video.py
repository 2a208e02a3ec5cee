"""Damaged test videos made from any video."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ..color import from_rgb, to_rgb
from ..media import Frame, open_reader
from ..writing import open_writer
from .table import shrinks, stream


def degrade_video(
    source: Path,
    target: Path,
    damage: str,
    *,
    fps: Fraction | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Make a damaged test video from any video; returns the number of frames.

    ``damage`` is a name of ``stream``. The damaged frames are stored without further loss, 8 bits
    deep: FFV1 in .mkv, lossless H.264 elsewhere, or a folder of PNGs; sound, times and tags are
    kept. fps, start, end (seconds) and overwrite are those of the reader and writer. Raises
    MediaError for files that cannot be read or written, ValueError for impossible damage.
    """
    damaged, shrink = stream(damage), shrinks(damage)
    waiting: deque[Frame] = deque()  # without their planes
    with open_reader(Path(source), fps=fps, start=start, end=end) as reader:

        def rgb() -> Iterator[Tensor]:
            for frame in reader:
                waiting.append(replace(frame, planes=()))
                yield to_rgb(frame.planes, frame.color)

        count = 0
        matroska = Path(target).suffix.lower() == ".mkv"
        width, height = reader.info.width // shrink, reader.info.height // shrink
        if min(width, height) < 1:
            raise ValueError(f"expected frames of at least 4x4 pixels, {source} has smaller ones")
        with open_writer(
            Path(target), reader=reader, width=width, height=height, bits=8, overwrite=overwrite,
            codec="ffv1" if matroska else "h264", crf=None if matroska else 0,
        ) as writer:  # fmt: skip
            for picture in damaged(rgb()):
                planes = from_rgb(picture, writer.color, writer.chroma)
                writer.write(replace(waiting.popleft(), planes=planes, color=writer.color))
                count += 1
    for line in [*reader.warnings, *reader.damage, *writer.warnings]:
        say(line)
    return count
