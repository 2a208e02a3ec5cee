"""Restored frames as y4m or NUT, written to a pipe as they come."""

import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EINVAL, EPIPE
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import av
from torch import Tensor

from ..color import ColorInfo
from ..media import CHROMA, Frame, MediaError, Reader, to_picture
from ..writing import (
    BITS,
    Coding,
    OutputFormat,
    Position,
    TimeStamps,
    output_color,
    picture_losses,
)
from .y4m import SITED, WRITTEN, Y4mSink

# FFmpeg's names of matrices, primaries and transfers, by their numbers in ITU-T H.273.
OLD = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
MATRIX_NAMES = {
    **OLD,
    4: "fcc",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
PRIMARIES = {
    **OLD,
    4: "bt470m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFERS = {
    **OLD,
    4: "bt470m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}


class FrameSink(Protocol):
    """Writes frames in one format."""

    def write(self, planes: tuple[Tensor, ...], stamp: int) -> None: ...
    def close(self) -> None: ...


class NutSink:
    """Writes frames as raw video in NUT, which keeps their time stamps."""

    def __init__(self, file: BinaryIO, coding: Coding) -> None:
        self.coding = coding
        self.container: Any = av.open(file, "w", format="nut", options={"flush_packets": "1"})
        self.stream = self.container.add_stream("rawvideo", rate=coding.rate)
        context = self.stream.codec_context
        context.width, context.height = coding.width, coding.height
        context.pix_fmt, context.time_base = coding.pixel_format, coding.time_base
        self.container.start_encoding()

    def write(self, planes: tuple[Tensor, ...], stamp: int) -> None:
        """Write a frame at a time stamp in units of the coding's time base."""
        picture = to_picture(planes, self.coding.planar_format)
        picture.pts, picture.time_base = stamp, self.coding.time_base
        self.container.mux(self.stream.encode(picture))

    def close(self) -> None:
        """Write what stands after the last frame."""
        self.container.mux(self.stream.encode(None))
        self.container.close()


PIPE_FORMATS: dict[str, Callable[[BinaryIO, Coding], FrameSink]] = {"y4m": Y4mSink, "nut": NutSink}


class PipeWriter:
    """Writes frames to a pipe, as writing.Writer says; nothing is kept to go on from.

    ``kind`` is one of PIPE_FORMATS. Raises MediaError for bits that there are not, and
    BrokenPipeError where the pipe's reader has gone away.
    """

    work = None

    def __init__(self, file: BinaryIO, kind: str, *, reader: Reader, output: OutputFormat) -> None:
        self.path, self.kind, self.reader = Path("standard output"), kind, reader
        self.coding = piped_coding(reader, output, kind)
        self.color, self.chroma = self.coding.color, self.coding.chroma
        self.stamps = TimeStamps(self.coding, reader.shift)
        self.warnings = [*picture_losses(self.coding, reader.info), *pipe_losses(self, reader)]
        self.file = file
        self.sink: FrameSink | None = None
        self.first: int | None = None  # time stamp

    def write(self, frame: Frame) -> None:
        """Write the next frame, in ``color`` and ``chroma``."""
        if self.sink is None:
            self.sink = PIPE_FORMATS[self.kind](self.file, self.coding)
        stamp = self.stamps.next(frame)
        try:
            self.sink.write(frame.planes, stamp)
        except OSError as error:
            if is_gone(error, sys.platform):
                raise BrokenPipeError(EPIPE, "the reader of the output has gone away") from error
            raise
        if self.kind == "y4m":
            self.note_time(stamp)

    def note_time(self, stamp: int) -> None:
        """Warn once where a frame's time is not that of frames at one rate."""
        if self.first is None:
            self.first = stamp
        passed = (stamp - self.first) * self.coding.time_base
        off = passed - (self.stamps.count - 1) / self.coding.rate
        line = (
            "the times of the frames vary, and y4m has one rate: sound beside it will not fit; "
            "--output-format nut keeps times"
        )
        if abs(off) > Fraction(3, 4) / self.coding.rate and line not in self.warnings:
            self.warnings.append(line)

    def end_segment(self) -> Position:
        """The frames so far are written."""
        return Position(self.stamps.count, 0, self.stamps.last, self.stamps.moved)

    def go_on(self, position: Position) -> None:
        """Nothing was kept: RuntimeError."""
        raise RuntimeError("expected a new restoration: nothing is kept of what went out")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.discard()
        elif self.sink is not None:
            self.sink.close()

    def discard(self) -> None:
        """Close the stream after what was written: only the exit code says that it is cut."""
        if self.sink is not None:
            with suppress(OSError, av.error.FFmpegError):  # also of a reader that is gone
                self.sink.close()


def is_gone(error: OSError, platform: str) -> bool:
    """True where a write failed since nobody reads any more; Windows calls that invalid."""
    return error.errno == EPIPE or (platform == "win32" and error.errno == EINVAL)


def piped_coding(reader: Reader, output: OutputFormat, kind: str) -> Coding:
    """The form of raw frames nearest to the source's that a stream of a kind has."""
    info, bits = reader.info, output.bits or reader.info.color.bits
    if output.bits not in (None, *BITS):
        raise MediaError(f"expected 8, 10, 12 or 16 bits, got {output.bits}")
    matrix, chroma = info.color.matrix, info.chroma
    name = {"rgb": "gbrp", "gray": "gray"}.get(matrix, "")
    if kind == "y4m" and matrix == "rgb":
        name = ""
    if chroma not in WRITTEN:
        chroma = 1, 1
    if name == "gray" and bits == 14:
        bits = 16
    planar = name or f"yuv{CHROMA[chroma]}p"
    color = output_color(info.color, planar, bits, output.width, output.height)
    across = Fraction(info.width * output.height, info.height * output.width)
    form = planar if bits == 8 else f"{planar}{bits}le"
    return Coding(
        codec="rawvideo",
        pixel_format=form,
        planar_format=form,
        color=color,
        chroma=chroma,
        width=output.width,
        height=output.height,
        rate=info.rate,
        time_base=info.time_base,
        aspect=(info.aspect * across).limit_denominator(10000),
        container=kind,
    )


def pipe_losses(writer: PipeWriter, reader: Reader) -> list[str]:
    """Sentences about what a pipe cannot say, and what to tell the program that reads it."""
    kind, info, display = writer.kind, reader.info, reader.display
    lines = [f"{track} is left out: a pipe carries video alone" for track in info.tracks]
    if display.matrix:
        lines.append(f"the rotation by {info.rotation} degrees is not said by {kind}")
    if display.mastering or display.light:
        lines.append(f"the HDR10 metadata are left out: {kind} has none")
    if display.spherical or display.stereo:
        lines.append(f"that the picture shows a sphere or two views is not said by {kind}")
    if kind == "y4m" and writer.chroma == (2, 2) and writer.color.siting not in SITED:
        lines.append(f"chroma that lies {writer.color.siting} is called left: y4m has no name")
    filters = set_params(writer.color, kind)
    if kind == "nut" and writer.coding.aspect != 1:  # PyAV has no way to its header's
        filters.append(f"setsar={writer.coding.aspect}")
    if filters:
        lines.append(
            f"{kind} does not say all about the picture: tell its reader -vf {','.join(filters)}"
        )
    return lines


def set_params(color: ColorInfo, kind: str) -> list[str]:
    """FFmpeg's filter that tags frames with the colours that a stream of a kind does not say."""
    parts = []
    if name := MATRIX_NAMES.get(color.code):
        parts.append(f"colorspace={name}")
    if name := PRIMARIES.get(color.primaries):
        parts.append(f"color_primaries={name}")
    if name := TRANSFERS.get(color.transfer):
        parts.append(f"color_trc={name}")
    if kind == "nut" and color.matrix != "rgb":
        parts.append(f"range={'full' if color.full_range else 'limited'}")
    return [f"setparams={':'.join(parts)}"] if parts else []
