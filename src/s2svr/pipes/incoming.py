"""What comes through a pipe: its kind is seen, and what y4m and NUT do not say is taken."""

import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer

from ..color import WEIGHTS, ColorInfo
from ..media import MediaError, VideoReader
from .y4m import LONGEST, MAGIC, Y4mHeader, Y4mWatch, parse_y4m

NUT = b"nut/multimedia container\0"
KINDS = {"y4m": "yuv4mpegpipe", "nut": "nut"}  # and what FFmpeg calls them
RANGES = {"limited": False, "full": True}
BUFFER = 1 << 18  # bytes that are read at once
ADVICE = "write it with ffmpeg -f yuv4mpegpipe - or -f nut -, or with vspipe -c y4m"


@dataclass(frozen=True)
class PipeTags:
    """What is known of a stream beside its bytes; None: what they say, or the usual."""

    kind: str | None = None  # of KINDS
    matrix: str | None = None  # of color.WEIGHTS
    range: str | None = None  # of RANGES

    def __post_init__(self) -> None:
        for what, given, known in (
            ("kind of stream", self.kind, KINDS),
            ("colour matrix", self.matrix, WEIGHTS),
            ("range of codes", self.range, RANGES),
        ):
            if given is not None and given not in known:
                raise ValueError(f"expected the {what} {' or '.join(known)}, got {given!r}")


class PipeInput:
    """A stream of y4m or NUT that is read once, as media.Input says."""

    def __init__(self, file: BinaryIO, tags: PipeTags) -> None:
        self.file, self.tags, self.path = file, tags, Path("standard input")
        self.header: Y4mHeader | None = None
        self.head = file.read(len(MAGIC))  # what was read and not given on
        self.kind = tags.kind or self.seen()
        if self.kind == "y4m":
            self.header = parse_y4m(self.line())
            self.watch = Y4mWatch(self.header.frame_bytes)

    def seen(self) -> str:
        """The kind by the first bytes; MediaError where it is none of KINDS."""
        if not self.head:
            raise MediaError(f"nothing came through the standard input; {ADVICE}")
        if self.head == MAGIC:
            return "y4m"
        if self.head == NUT[: len(MAGIC)]:
            return "nut"
        raise MediaError(
            f"expected y4m or NUT on the standard input, it begins {self.head!r}; {ADVICE}"
        )

    def line(self) -> bytes:
        """The bytes up to the end of the first line, which are given on too."""
        while not self.head.endswith(b"\n") and len(self.head) < LONGEST:
            if not (byte := self.file.read(1)):
                break
            self.head += byte
        return self.head

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``, as soon as there are any; none at the end."""
        if self.head:
            data, self.head = self.head[:size], self.head[size:]
            return data
        data = self.file.read1(size) if hasattr(self.file, "read1") else self.file.read(size)
        if self.header:
            self.watch.see(data)
        return data

    def open(self) -> InputContainer:
        try:
            return av.open(
                self, format=KINDS[self.kind], buffer_size=BUFFER, metadata_errors="replace"
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                f"what comes through the standard input is no {self.kind} that can be read"
            ) from error

    def edits(self) -> list[str]:
        return []

    def can_be_entered(self, container: InputContainer) -> bool:
        return False

    def joined_duration(self, index: int) -> Fraction | None:
        return None

    def color(self, tagged: ColorInfo) -> ColorInfo:
        full = tagged.full_range if self.tags.range is None else RANGES[self.tags.range]
        if self.tags.matrix is None or tagged.matrix not in WEIGHTS:
            return replace(tagged, full_range=full)
        return replace(tagged, matrix=self.tags.matrix, matrix_code=None, full_range=full)

    def goes_on(self, track: int, last: int) -> bool:
        return True  # it cannot be looked at again

    def broken(self) -> str:
        if not (self.header and self.watch.broken):
            return ""
        return f"no frame begins where frame {self.watch.frames} should: reading stopped there"

    def cut_off(self) -> str:
        if not (self.header and self.watch.inside) or self.watch.broken:
            return ""
        return f"the stream is cut off in frame {self.watch.frames}"

    def guesses(self, color: ColorInfo, codec: str) -> list[str]:
        """Sentences about what the stream does not say, and what is taken."""
        if codec != "rawvideo":
            return []
        kind, lines = {"y4m": "y4m", "nut": "raw video in NUT"}[self.kind], []
        if color.matrix in WEIGHTS and self.tags.matrix is None and color.matrix_code is None:
            lines.append(
                f"{kind} does not say the colour matrix: {color.matrix} is taken, by the size; "
                "--matrix names another"
            )
        if self.tags.range is None and not (self.header and self.header.range_tagged):
            span = "full" if color.full_range else "limited"
            lines.append(
                f"the stream does not say the range of its codes: {span} is taken; "
                "--range names the other"
            )
        return lines


def open_pipe(
    file: BinaryIO | None = None,
    tags: PipeTags | None = None,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    deinterlace: str = "auto",
) -> VideoReader:
    """The reader of y4m or NUT that comes through a file object (None: the standard input).

    ``start`` and ``end`` are in seconds; deinterlace as in ``open_reader``. Raises MediaError.
    """
    file = sys.stdin.buffer if file is None else file
    if file.isatty():
        raise MediaError(f"the standard input is a terminal, and video is expected; {ADVICE}")
    source = PipeInput(file, tags or PipeTags())
    if start is not None and end is not None and end <= start:
        raise MediaError(f"expected start < end in seconds, got start {start} and end {end}")
    reader = VideoReader(source, start=start, end=end, deinterlace=deinterlace)
    for track in reader.info.tracks:
        reader.warn(f"{track} is left out: of a pipe the video alone is read")
    for line in source.guesses(reader.info.color, reader.info.codec):
        reader.warn(line)
    reader.info = replace(reader.info, kind="pipe", tracks=[])
    return reader
