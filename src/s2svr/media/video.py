"""Frames of a video file, through PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from ..color import ColorInfo, guess_matrix
from .container import chroma_siting, is_cut_off, open_container, tracks, video_stream
from .display import Display, display_of
from .frame import Frame, MediaError, MediaInfo
from .planes import bits_of, from_picture, subsampling

MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}


class VideoReader:
    """Iterator of the frames of a video file between ``start`` and ``end``, seconds from its begin.

    Times are those of the file, also where it is cut; ``shift`` is the time that the output of a
    cut begins with.
    """

    def __init__(
        self, path: Path, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        self.path = path
        self.damage: list[str] = []
        self.warnings: list[str] = []
        self.lost: list[Fraction | None] = []  # times of what could not be decoded
        self.open()
        base = self.stream.time_base
        origin = (self.stream.start_time or 0) * base
        self.origin = origin
        self.start = None if start is None else origin + start
        self.end = None if end is None else origin + end
        self.shift = self.start or Fraction(0)
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.siting = chroma_siting(self.container, self.stream)
        self.pictures = self.wanted()
        first = next(self.pictures, None)
        if first is None:
            self.container.close()
            cut = "" if start is None and end is None else f" between {start or 0} s and {end} s"
            raise MediaError(f"{path} has no picture that can be decoded{cut}")
        self.info = self.describe(first[1])
        self.display: Display = display_of(first[1])
        self.frames = self.read(first)

    def open(self) -> None:
        """Open the file at its begin."""
        self.container = open_container(self.path)
        self.stream = video_stream(self.container, self.path)
        self.stream.thread_type = "AUTO"

    def describe(self, picture: av.VideoFrame) -> MediaInfo:
        """What the headers and the first picture say."""
        container, stream = self.container, self.stream
        length = None
        if stream.duration:
            length = stream.duration * stream.time_base
        elif container.duration:
            length = Fraction(container.duration, 1_000_000)
        if length is not None:
            stop = self.origin + length if self.end is None else min(self.end, self.origin + length)
            length = max(Fraction(0), stop - (self.start or self.origin))
        if any(part.is_alpha for part in picture.format.components):
            self.warnings.append("the alpha channel is left out")
        if picture.interlaced_frame:
            self.warnings.append("the video is interlaced; its fields are restored as one picture")
        return MediaInfo(
            width=picture.width,
            height=picture.height,
            rate=self.rate,
            time_base=stream.time_base,
            color=self.color(picture),
            chroma=subsampling(picture.format),
            rotation=picture.rotation,
            aspect=stream.sample_aspect_ratio or Fraction(1),
            duration=length,
            tracks=tracks(container, stream),
            codec=stream.codec_context.name,
            container=container.format.name,
            interlaced=picture.interlaced_frame,
        )

    def color(self, picture: av.VideoFrame) -> ColorInfo:
        """What a picture's tags say its codes mean; the usual guesses where they are silent."""
        form, code = picture.format, int(picture.colorspace)
        full = picture.color_range == 2 or form.name.startswith("yuvj")
        siting = self.siting or "left"
        if form.is_rgb or form.has_palette:
            matrix, full = "rgb", picture.color_range != 1
        elif len([part for part in form.components if not part.is_alpha]) < 3:
            matrix = "gray"
            full = full or (picture.color_range == 0 and self.stream.codec.name not in VIDEO_GRAY)
        else:
            matrix = MATRICES.get(code) or guess_matrix(picture.width, picture.height)
            if code not in MATRICES and code != 2:
                self.warn(f"the colour matrix {code} is read as {matrix}")
        return ColorInfo(
            matrix=matrix,
            full_range=full,
            bits=bits_of(form),
            primaries=int(picture.color_primaries),
            transfer=int(picture.color_trc),
            siting=siting,
            matrix_code=code if code in MATRICES else None,
        )

    def warn(self, text: str) -> None:
        """Note a warning once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def decode(self) -> Iterator[av.VideoFrame]:
        """Every picture that decodes from here on; the times of what does not are noted."""
        packets = self.container.demux(self.stream)  # its last packet is empty and flushes
        packet: av.Packet | None = None
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.damage.append(f"reading stopped: {error}")
                yield from self.stream.decode(None)
                return
            try:
                yield from packet.decode()
            except (av.error.FFmpegError, OSError):
                stamp = None if packet.pts is None else packet.pts * self.stream.time_base
                self.lost.append(stamp)

    def from_keyframe(self) -> Iterator[av.VideoFrame]:
        """Pictures from one at or before ``start`` on."""
        if self.start is None:
            return self.decode()
        for margin in (0, 2, 10, 60):
            place = self.start - margin
            if place <= self.origin:
                break
            try:
                self.container.seek(int(place / self.stream.time_base), stream=self.stream)
            except (av.error.FFmpegError, OSError):
                break
            pictures = self.decode()
            first = next(pictures, None)
            stamp = None if first is None else first.pts
            if stamp is not None and stamp * self.stream.time_base <= self.start:
                return chain([first], pictures)
            self.lost.clear()
        self.container.close()
        self.open()
        return self.decode()

    def wanted(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Pictures between ``start`` and ``end`` with their times, which grow."""
        time: Fraction | None = None
        for picture in self.from_keyframe():
            if picture.pts is not None:
                time = picture.pts * self.stream.time_base
            else:
                time = self.origin if time is None else time + 1 / self.rate
            if self.end is not None and time >= self.end:
                return
            if self.start is None or time >= self.start:
                yield time, picture

    def read(self, first: tuple[Fraction, av.VideoFrame]) -> Iterator[Frame]:
        """The frames, the first of which was decoded already."""
        size = (self.info.width, self.info.height)
        time = duration = Fraction(0)
        for time, picture in chain([first], self.pictures):
            if (picture.width, picture.height) != size:
                self.damage.append(
                    f"the picture changes from {size[0]}x{size[1]} to {picture.width}x"
                    f"{picture.height} at {float(time):.3f} s; what follows is left out"
                )
                return
            duration = (picture.duration or 0) * self.stream.time_base or 1 / self.rate
            yield Frame(
                from_picture(picture), self.color(picture), time, duration, picture.is_corrupt
            )
        self.note_damage(time + duration)

    def note_damage(self, reached: Fraction) -> None:
        """Say what is missing; ``reached`` is where the last frame ends, in seconds."""
        if self.lost:
            times = [time for time in self.lost if time is not None]
            where = (
                f" between {float(min(times)):.3f} s and {float(max(times)):.3f} s" if times else ""
            )
            self.damage.append(f"{len(self.lost)} pictures could not be decoded{where}")
        if (self.end is None or reached < self.end) and is_cut_off(self.path):
            stop = Fraction(
                (self.container.start_time or 0) + (self.container.duration or 0), 10**6
            )
            until = f" until {float(stop):.3f} s" if stop > reached else ""
            self.damage.append(f"the file is cut off: missing from {float(reached):.3f} s{until}")

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.frames = iter(())
        self.container.close()


VIDEO_GRAY = {"h264", "hevc"}  # codes whose untagged grey has the limited range
