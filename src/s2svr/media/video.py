"""Reading of a video file's frames, through PyAV."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av

from ..color import ColorInfo
from .begin import FileInput, Input, begin_of, packets_before
from .clock import SteadyClock, demuxed
from .combing import Watch
from .container import (
    header_end,
    other_tracks,
    read_facts,
    tagged_end,
    video_stream,
    why_unreadable,
)
from .deinterlace import CHANGES, DEINTERLACE, deinterlaced, film_rate, frame_times
from .display import Display, Observer, choose_crop, display_of
from .errors import Losses, MediaError, repeats_last
from .frame import Frame, FrameReader, MediaInfo, lasting
from .planes import color_of, from_picture, is_transparent, subsampling
from .sidedata import Message, message_name, messages_of, messages_once, side_data_of
from .timecode import PictureCodes, at_rate, find_timecode, later_timecode

TRANSPARENT = "the alpha channel is left out"
NO_CAPTIONS = "closed captions and user data are left out: ivtc drops frames with some"
LONGEST = Fraction(1, 10)  # seconds that a cut may begin without a picture


class VideoReader(FrameReader):
    """Iterator of the frames of a video between ``start`` and ``end``, in seconds from its begin.

    Times are those of the file, also where it is cut, and go on where its clock jumps; ``shift`` is
    the time that becomes 0 in the output. A cut begins with the picture that is shown there.
    ``deinterlace``, of DEINTERLACE, is what happens to interlaced video. Raises MediaError where
    nothing can be decoded.
    """

    def __init__(
        self,
        source: Path | Input,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        deinterlace: str = "auto",
    ) -> None:
        if deinterlace not in DEINTERLACE:
            raise MediaError(f"expected one of {', '.join(DEINTERLACE)}, got {deinterlace}")
        self.input = FileInput(source) if isinstance(source, Path) else source
        self.path, self.deinterlace, self.interlaced = self.input.path, deinterlace, False
        self.damage: list[str] = []
        self.warnings: list[str] = []
        self.messages: Counter[str] = Counter()
        self.display = Display()  # of the pictures since a key frame: some say it there alone
        self.final = 0  # duration of the last packet, in decoding order, in the file's units
        self.after: Fraction | None = None  # time of the picture after the last one, if there is
        self.open()
        self.losses = Losses(self.base)
        self.warnings += self.input.edits()
        rates = (self.stream.average_rate, self.stream.guessed_rate)
        self.claimed = [rate for rate in rates if rate and rate <= 1000] or [Fraction(25)]
        self.combing = Watch(wanted=deinterlace == "auto", film=film_rate(self.claimed) is not None)
        self.origin = (self.stream.start_time or 0) * self.base
        self.start = None if start is None else self.origin + start
        self.end = None if end is None else self.origin + end
        begin = begin_of(self.container, self.origin)
        self.shift = begin if self.start is None else self.start
        facts = read_facts(self.container).of(self.stream.index)
        self.siting = facts.siting or None
        self.codes = PictureCodes(find_timecode(self.container), self.origin)
        try:
            # Of the frames that are given: their rate, and the unit of their times.
            self.rate, self.unit = frame_times(deinterlace, self.claimed, self.base)
            # Time codes count the frames of the file.
            self.counted = self.rate / (CHANGES[deinterlace][1] if deinterlace in CHANGES else 1)
            self.pictures = self.pictures_in_range()
            first = next(self.pictures, None)
        except MediaError:
            self.container.close()
            raise
        if first is None:
            self.container.close()
            cut = "" if start is None and end is None else " in the time asked for"
            raise MediaError(
                f"{self.path} has no picture that can be decoded{cut or why_unreadable(self.path)}"
            )
        self.crop = choose_crop(facts.crop, first[1], self.warn)
        self.info = self.describe_file(*first)
        self.display = display_of(first[1]).filled(self.display)
        self.observer = Observer(self.display)
        self.frames = self.read(first)

    def open(self) -> None:
        """Open the input, or open it again, at its begin."""
        self.container = self.input.open()
        self.stream = video_stream(self.container, self.path)
        # Threads with a frame each may hand a picture on before they know that it is broken.
        self.stream.thread_type = "SLICE"
        self.base = self.stream.time_base or Fraction(1, 90000)  # seconds

    def packet_per_picture(self) -> bool:
        """True if each packet is one picture: VP8 has hidden ones. Fields are noticed later."""
        return self.stream.codec_context.name != "vp8"

    def describe_file(self, time: Fraction, picture: av.VideoFrame) -> MediaInfo:
        """Facts of the headers and of the first picture, which is shown at ``time``."""
        container, stream = self.container, self.stream
        length = None
        joined = self.input.joined_duration(stream.index)
        stop = self.header_end() if joined is None else self.origin + joined
        if stop is not None:
            stop = stop if self.end is None else min(self.end, stop)
            length = max(Fraction(0), stop - (self.start or self.origin))
        if stream.metadata.get("alpha_mode") == "1":  # VP8, VP9
            self.warn(TRANSPARENT)
        width, height = self.crop.size(picture)
        return MediaInfo(
            width=width,
            height=height,
            rate=self.rate,
            time_base=self.unit,
            color=self.color(picture),
            chroma=subsampling(picture.format),
            rotation=picture.rotation,
            aspect=stream.sample_aspect_ratio or Fraction(1),
            duration=length,
            tracks=other_tracks(container, stream),
            codec=stream.codec_context.name,
            container=container.format.name,
            interlaced=self.interlaced,
            timecode=later_timecode(
                at_rate(self.codes.begin, self.counted, self.rate), time - self.origin, self.rate
            ),
        )

    def header_end(self) -> Fraction | None:
        """End of the video in seconds, as the headers say, which know of no jumps."""
        return None if self.clock.jumps else header_end(self.container, self.stream, self.origin)

    def color(self, picture: av.VideoFrame) -> ColorInfo:
        """Meaning of a picture's codes, by its tags, or by usual guesses where it has none."""
        name = self.stream.codec_context.name
        return self.input.color(color_of(picture, name, self.siting, self.warn))

    def on_interlaced(self) -> bool:
        """Warn of interlaced video; return True to deinterlace it. MediaError if it is refused."""
        self.interlaced = True
        if self.deinterlace == "refuse":
            raise MediaError(f"{self.path} is interlaced; deinterlace it first, or let it be done")
        done = self.deinterlace == "auto"
        how = "each frame is deinterlaced with bwdif" if done else "both fields are restored as one"
        self.warn(f"the video is interlaced; {how}")
        return done

    def whole_pictures(self) -> Iterator[av.VideoFrame]:
        """Pictures from a key frame on, deinterlaced as was asked for."""
        if self.deinterlace not in CHANGES:
            return deinterlaced(self.from_keyframe(), self.on_interlaced)
        words, _, make = CHANGES[self.deinterlace]
        self.warn(f"the video is deinterlaced: {words}, {float(self.rate):.6g} frames a second")
        return make(self.from_keyframe(), self.base, self.rate, self.unit)

    def warn(self, text: str) -> None:
        """Add a warning, unless it is there already."""
        if text not in self.warnings:
            self.warnings.append(text)

    def packets(self) -> Iterator[av.Packet]:
        """Yield the video's packets from here on, at last an empty one, which flushes."""
        self.clock = SteadyClock(self.container)
        return demuxed(self.container, self.stream, clock=self.clock)

    def decode(self, packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame]:
        """Yield every picture that decodes of some packets; ``losses`` keeps the others."""
        tracked = self.packet_per_picture()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.damage.append(f"reading stopped: {error.strerror}")
                yield from self.stream.decode(None)
                return
            if packet is None:
                return
            self.final = packet.duration or self.final
            self.losses.expect(packet, tracked=tracked)
            try:
                pictures = self.stream.decode(packet)
            except (av.error.FFmpegError, OSError):
                self.losses.failed += packet.pts is None or not tracked
                continue
            if not pictures and self.stream.codec_context.name == "mpeg4" and repeats_last(packet):
                self.losses.met(packet.pts)
            for picture in pictures:
                tracked = tracked and not picture.interlaced_frame
                self.losses.met(picture.pts)
                yield picture

    def from_keyframe(self) -> Iterator[av.VideoFrame]:
        """Pictures from a key frame at or before ``start`` on."""
        if self.start is None:
            return self.decode(self.packets())
        if not self.input.can_be_entered(self.container):
            return self.decode(packets_before(self.packets(), self.base, self.start))
        for margin in (0, 2, 10, 60):  # seconds
            place = self.start - margin
            if place <= self.origin:
                break
            try:
                self.container.seek(int(place / self.base), stream=self.stream)
            except (av.error.FFmpegError, OSError):
                break
            pictures = self.decode(self.packets())
            first = next(pictures, None)
            if first is None or first.pts is None:
                break
            if first.pts * self.base <= self.start:
                return chain([first], pictures)
        self.losses.waiting.clear()
        self.container.close()
        self.open()
        return self.decode(self.packets())

    def pictures_in_range(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Yield the pictures between ``start`` and ``end``, with their times in seconds.

        The first is the one that is shown at ``start``, if the next comes much later.
        """
        time, before = self.origin - 1 / self.rate, None
        longest, stop = min(LONGEST, Fraction(3, 2) / self.rate), None
        for picture in self.whole_pictures():
            time = time + 1 / self.rate if picture.pts is None else picture.pts * self.unit
            if self.end is not None and time >= self.end:
                stop, self.after = self.end, time
                break
            if line := self.codes.look(side_data_of(picture), time, self.counted):
                self.warn(line)
            if self.start is not None and time < self.start:
                before = picture
                self.display = display_of(picture).filled(self.display)
                continue
            if before is not None and time > self.shift + longest:
                yield self.shift, lasting(before, time - self.shift, self.unit)
            before = None
            yield time, picture
        if before is not None:
            stop = stop or self.shown_until(time, before)
            if stop > self.shift:
                yield self.shift, lasting(before, stop - self.shift, self.unit)

    def shown_until(self, time: Fraction, last: av.VideoFrame) -> Fraction:
        """Time in seconds at which the last picture, shown at ``time``, ends."""
        end = time + (last.duration or 0) * self.unit
        end = max(end, self.header_end() or end)
        return end if self.end is None else min(end, self.end)

    def length(self, time: Fraction, picture: av.VideoFrame, after: Fraction | None) -> Fraction:
        """Seconds that a picture is shown, until the next, ``after``, at most; cut at ``end``.

        mp4 tells how long each is decoded, not shown; and Matroska may tell the last one's end in a
        tag alone, which counts where nothing is lost.
        """
        length = (picture.duration or 0) * self.unit or 1 / self.rate
        decoded = "mp4" in self.container.format.name
        if after is not None and after > time:
            length = after - time if decoded else min(length, after - time)
        elif after is None and (decoded or tagged_end(self.stream)):
            whole = Fraction(self.container.duration or 0, 1_000_000)  # a tag may be an old one
            longest = max(length, self.final * self.base) if decoded else whole - time
            left = min(longest, (self.header_end() or time) - time)
            shown = left > 0 if decoded else left > length
            if shown and left != length and not self.is_damaged(time, tagged=not decoded):
                length = left
        return length if self.end is None else min(length, self.end - time)

    def is_damaged(self, last: Fraction, *, tagged: bool) -> bool:
        """True if anything is missing or broken: before the picture at ``last``, or after it."""
        if self.damage or self.losses.any() or self.input.broken() or self.input.cut_off():
            return True
        track = [s.index for s in self.container.streams.video].index(self.stream.index)
        return tagged and self.input.goes_on(track, round(last / self.base))

    def read(self, first: tuple[Fraction, av.VideoFrame]) -> Iterator[Frame]:
        """Yield the frames, the first of which was decoded already."""
        last: tuple[Message, ...] = ()
        size = (first[1].width, first[1].height)
        reached = first[0]
        context = self.stream.codec_context  # told before the next picture is decoded
        found = ((*shown, context.sample_aspect_ratio) for shown in chain([first], self.pictures))
        for now, following in pairwise(chain(found, [None])):
            assert now is not None
            time, picture, aspect = now
            if (picture.width, picture.height) != size:
                self.damage.append(
                    f"the picture changes from {size[0]}x{size[1]} to {picture.width}x"
                    f"{picture.height} at {float(time):.3f} s; what follows is left out"
                )
                return
            duration = self.length(time, picture, following[0] if following else self.after)
            reached = time + duration
            sides = side_data_of(picture)
            messages = messages_of(sides)
            if messages and self.deinterlace == "ivtc":
                self.warn(NO_CAPTIONS)
                messages = ()
            if self.deinterlace == "bob":
                messages, last = messages_once(messages, last), messages
            self.messages.update(map(message_name, messages))
            for line in self.observer.look(picture, sides, aspect, time - self.shift):
                self.warn(line)
            if TRANSPARENT not in self.warnings and is_transparent(picture):
                self.warn(TRANSPARENT)
            frame = Frame(
                self.crop.cut(from_picture(picture)), self.color(picture), time, duration,
                picture.is_corrupt, messages,
            )  # fmt: skip
            if not self.interlaced and (advice := self.combing.look(frame)):
                self.warn(advice)
            yield frame
        self.note_damage(reached)

    def note_damage(self, reached: Fraction) -> None:
        """Add to ``damage`` what is missing; the last frame ends at ``reached`` (seconds)."""
        if line := self.clock.describe(self.start, self.end, self.shift):
            self.warn(line)
        times = self.losses.missing(self.start, self.end)
        self.damage += self.losses.describe(times, self.clock.joins_near)
        reached = max([reached, *(time + 1 / self.rate for time in times)])
        if self.end is None and (line := self.input.broken()):
            self.damage.append(line)
        tagged = tagged_end(self.stream)
        stop = self.header_end() or Fraction(0)
        cut = self.input.cut_off() if self.end is None or reached < self.end else ""
        known = cut or self.damage or tagged
        if known and stop > reached + 1 / self.rate and self.end is None:
            self.damage.append(f"missing from {float(reached):.3f} s until {float(stop):.3f} s")
        if cut:
            self.damage.append(cut)

    def close(self) -> None:
        """Let go of the file."""
        self.container.close()
