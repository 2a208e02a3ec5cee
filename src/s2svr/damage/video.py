"""Damaged test videos made from any video."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ..color import from_rgb, to_rgb
from ..media import carried, open_reader
from ..writing import OutputFormat, WorkPolicy, open_writer, parse_output
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
    with open_reader(Path(source), fps=fps, start=start, end=end) as reader:
        decoded = (
            (replace(frame, planes=()), to_rgb(frame.planes, frame.color)) for frame in reader
        )
        count = 0
        name = parse_output(Path(target))
        width, height = reader.info.width // shrink, reader.info.height // shrink
        if min(width, height) < 1:
            raise ValueError(f"expected frames of at least 4x4 pixels, {source} has smaller ones")
        output = OutputFormat(width, height, bits=8)
        if name.kind == "video":
            codec, crf = ("ffv1", None) if name.suffix == ".mkv" else ("h264", 0)
            output = OutputFormat(width, height, 8, codec, crf)
        policy = WorkPolicy(overwrite)
        with open_writer(Path(target), reader=reader, output=output, policy=policy) as writer:
            for frame, picture in carried(decoded, damaged):
                planes = from_rgb(picture, writer.color, writer.chroma)
                writer.write(replace(frame, planes=planes, color=writer.color))
                count += 1
    for line in [*reader.warnings, *reader.damage, *writer.warnings]:
        say(line)
    return count
