"""Packets with times that go on where a file's clock jumps.

Transport streams are cut, joined and received with gaps: their clock starts over, or is hours
ahead. Everything that reads packets takes them from ``demuxed``, so that pictures, sound and
subtitles have one time.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from fractions import Fraction
from itertools import islice

import av
from av.container import InputContainer
from av.stream import Stream

from .container import codec_name, is_cover
from .stills import hide_png_profile

JUMP = 10  # seconds ahead of what is due, or more: FFmpeg's -dts_delta_threshold
ABSURD = 30 * 3600  # the same where a file has one clock: FFmpeg's -dts_error_threshold
TS_DISCONT = av.format.Flags.ts_discont.value  # formats whose clock may start over
BACK = 0.1  # seconds before the last packet of the same stream, or more
FITS = 0.5  # seconds around what is due: a part that was there before goes on
SEAM = 0.2  # seconds around the begin of a part that its numbers of packets tell nothing of
AHEAD = 2  # seconds that are looked at after a jump, to see which streams jump
MOST_AHEAD = 5000  # packets of them


class Lane:
    """Progress of one stream of pictures or sound, in units of its time base."""

    def __init__(self, stream: Stream, *, decoding: bool) -> None:
        self.decoding = decoding  # the file has decoding times; others are made up of those shown
        self.base = stream.time_base or Fraction(1, 90000)
        self.tick = float(self.base)
        self.pictures = stream.type == "video"
        self.offset = Fraction(0)  # seconds that are added to what its packets say
        self.last: int | None = None  # time of the last packet, with the offset
        self.due: int | None = None  # that of the next one
        self.end: int | None = None  # the latest time at which a packet's content ends

    def time(self, packet: av.Packet) -> int | None:
        """Time of a packet that grows from each to the next: when it is decoded or shown."""
        return stamp(packet) if self.decoding or packet.pts is None else packet.pts

    def may_jump(self, packet: av.Packet) -> bool:
        """True for a packet at which a part may begin; one that an edit list hides lies elsewhere.

        Of the times at which pictures are shown, those of key frames grow.
        """
        return (self.decoding or packet.is_keyframe) and not packet.is_discard

    def distance(self, offset: Fraction | float, time: int, due: float) -> float:
        """Seconds between a packet's time with an offset and the time that it should have."""
        return abs(time * self.tick + float(offset) - due)

    def note(self, packet: av.Packet, ticks: int) -> None:
        """Note a packet to whose times ``ticks`` are added."""
        time = self.time(packet)
        if packet.is_discard:
            self.last = self.due = None
        elif time is not None:
            time += ticks
            step = packet.duration or (0 if self.last is None else max(0, time - self.last))
            if self.last is None or self.decoding or time > self.last:
                self.last, self.due = time, time + step
            shown = time if packet.pts is None else packet.pts + ticks
            self.end = shown + step if self.end is None else max(shown + step, self.end)
        elif self.due is not None:
            self.due += packet.duration or 0

    def need(self, first: int) -> Fraction | None:
        """Offset at which a part whose first content is at ``first`` follows what came before.

        Sound may lap over by less than a packet; pictures follow exactly.
        """
        if self.end is None or self.last is None:
            return None
        return ((self.end if self.pictures else self.last + 1) - first) * self.base


class SteadyClock:
    """The time of a file whose own may jump; it has to see all packets from the file's begin on.

    ``jumps`` are the times, in seconds, at which the parts met so far begin.
    """

    def __init__(self, container: InputContainer) -> None:
        self.resettable = bool(container.format.flags & TS_DISCONT)  # as transport streams are
        self.jumps: list[Fraction] = []
        self.offsets = [Fraction(0)]  # seconds of each part
        self.others: dict[int, Fraction] = {}  # offsets of subtitles and data
        self.latest: float | None = None  # seconds: the furthest decoding time
        self.lanes = {
            stream.index: Lane(stream, decoding=self.resettable)
            for stream in container.streams
            if stream.type in ("audio", "video") and not is_cover(stream)
        }

    def describe(self, start: Fraction | None, end: Fraction | None, shift: Fraction) -> str:
        """A sentence on the jumps between two times, as in ``told``; empty if there are none."""
        jumps = self.told(start, end, shift)
        return f"the clock of the file {jumps}: there the next part follows" if jumps else ""

    def told(self, start: Fraction | None, end: Fraction | None, shift: Fraction) -> str:
        """How often the clock jumps between two times, and where first; empty if it does not.

        Times are in seconds; it names them by those of an output, in which ``shift`` becomes 0.
        """
        times = [time for time in self.jumps if start is None or time > start]
        times = [time for time in times if end is None or time < end]
        if not times:
            return ""
        count = "once" if len(times) == 1 else f"{len(times)} times, first"
        return f"jumps {count} at {float(times[0] - shift):.3f} s"

    def joins_near(self, time: Fraction) -> bool:
        """True if a part begins about that time, in seconds: packets are not numbered on there."""
        return any(abs(time - jump) < SEAM for jump in self.jumps)

    def steady(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Yield the packets with times that go on. Errors come after what was read before them."""
        ahead: deque[av.Packet] = deque()
        failure: Exception | None = None
        while True:
            if not ahead and failure is not None:
                raise failure
            packet = ahead.popleft() if ahead else next(packets, None)
            if packet is None:
                return
            lane = self.lanes.get(packet.stream_index)
            if lane is not None and not self.goes_on(lane, packet):
                try:
                    more = packets if failure is None else iter(())
                    self.read_ahead(lane, packet, ahead, more)
                except (av.error.FFmpegError, OSError) as error:
                    failure = error
                self.join(lane, [packet, *ahead])
            self.move(packet, lane)
            yield packet

    def reference(self, lane: Lane) -> float | None:
        """Time in seconds that a stream's next packet should have; None if nothing came yet."""
        due = None if lane.due is None else lane.due * lane.tick
        if due is None or self.latest is None:
            return self.latest
        return due if due > self.latest - AHEAD else self.latest

    def goes_on(self, lane: Lane, packet: av.Packet) -> bool:
        """True if a packet goes on in a part that is known.

        A stream follows the others into the newest part where it fits better there.
        """
        time, due, newest = lane.time(packet), self.reference(lane), self.offsets[-1]
        if time is None or due is None or not lane.may_jump(packet):
            return True
        if newest != lane.offset and lane.distance(newest, time, due) < lane.distance(
            lane.offset, time, due
        ):
            lane.offset = newest
        if not self.is_jump(lane, time):
            return True
        best = min(self.offsets[-4:], key=lambda offset: lane.distance(offset, time, due))
        if best == lane.offset or lane.distance(best, time, due) > FITS:
            return False
        self.begin_part(lane, packet, best)
        return not self.is_jump(lane, time)

    def is_jump(self, lane: Lane, time: int) -> bool:
        """True if a packet of that time does not follow the packets before it."""
        now = time * lane.tick + float(lane.offset)
        if lane.last is not None and now + BACK < lane.last * lane.tick:
            return True
        most = JUMP if self.resettable else ABSURD
        if self.latest is None or abs(now - self.latest) <= most:
            return False
        return self.resettable if lane.due is None else abs(now - lane.due * lane.tick) > most

    def read_ahead(
        self,
        lane: Lane,
        packet: av.Packet,
        ahead: deque[av.Packet],
        packets: Iterator[av.Packet],
    ) -> None:
        """Read until the packet's stream is AHEAD seconds further, or jumps again."""
        begin, index = lane.time(packet), packet.stream_index
        assert begin is not None

        def is_enough(other: av.Packet) -> bool:
            counts = other.stream_index == index and lane.may_jump(other)
            time = lane.time(other) if counts else None
            return time is not None and not -BACK <= (time - begin) * other.time_base < AHEAD

        if any(map(is_enough, ahead)):
            return
        for other in islice(packets, MOST_AHEAD):
            ahead.append(other)
            if is_enough(other):
                return

    def join(self, lane: Lane, packets: list[av.Packet]) -> None:
        """Begin a part with the first of some packets, where the part before ends.

        Streams that go on as before keep their time; but if the jump is a small one, all take part
        in it, so that they stay together.
        """
        time, due = lane.time(packets[0]), self.reference(lane)
        assert time is not None
        assert due is not None
        offset, staying = self.split(packets, due - time * lane.tick)
        small = abs(time * lane.tick + float(lane.offset) - due) <= JUMP
        self.begin_part(lane, packets[0], offset)
        for other in staying if small else []:
            other.offset = offset

    def begin_part(self, lane: Lane, packet: av.Packet, offset: Fraction) -> None:
        """Let a stream begin a part with a packet, and an offset that others may follow."""
        shown = packet.dts if packet.pts is None else packet.pts
        self.jumps.append((shown or 0) * lane.base + offset)
        lane.offset = offset
        self.offsets.append(offset)

    def split(self, packets: list[av.Packet], guess: float) -> tuple[Fraction, list[Lane]]:
        """Offset of a new part, which is about ``guess``, and the streams that do not jump."""
        lanes = {index: copy(lane) for index, lane in self.lanes.items()}
        first: dict[int, int] = {}  # time of the first content of each stream in the part
        lead: dict[int, int] = {}  # pictures of times before that may be shown before it
        staying: set[int] = set()
        for packet in packets:
            index = packet.stream_index
            if index not in lanes or (time := lanes[index].time(packet)) is None:
                continue
            lane, shown = lanes[index], time if packet.pts is None else packet.pts
            if index in first:
                if lane.pictures and 0 <= (lead[index] - time) * lane.tick < AHEAD:
                    first[index] = min(first[index], shown)
                continue
            due = self.reference(lane)
            nearer = due is None or lane.distance(guess, time, due) < lane.distance(
                lane.offset, time, due
            )
            if nearer and lane.may_jump(packet):
                first[index] = lead[index] = shown
                staying.discard(index)
            else:
                lane.note(packet, round(lane.offset / lane.base))
                staying.add(index)
        needs = [lanes[index].need(begin) for index, begin in first.items()]
        offset = max((need for need in needs if need is not None), default=Fraction(guess))
        return offset, [self.lanes[index] for index in staying]

    def move(self, packet: av.Packet, lane: Lane | None) -> None:
        """Add the offset to a packet's times, and note where its stream is."""
        offset = self.nearest(packet) if lane is None else lane.offset
        ticks = round(offset / packet.time_base) if offset else 0
        if lane is not None:
            lane.note(packet, ticks)
            if lane.last is not None:
                self.latest = max(lane.last * lane.tick, self.latest or -math.inf)
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks

    def nearest(self, packet: av.Packet) -> Fraction:
        """Offset of a packet of subtitles or data: of the part that it is nearest to."""
        index, time, latest = packet.stream_index, stamp(packet), self.latest
        before, newest = self.others.get(index, self.offsets[0]), self.offsets[-1]
        if time is None or latest is None or before == newest:
            return before
        raw = float(time * packet.time_base)
        near = min((before, newest), key=lambda offset: abs(raw + float(offset) - latest))
        self.others[index] = near
        return near


def stamp(packet: av.Packet) -> int | None:
    """Decoding time of a packet, or where it has none the time at which it is shown."""
    return packet.pts if packet.dts is None else packet.dts


def demuxed(
    container: InputContainer, *streams: Stream, clock: SteadyClock | None = None
) -> Iterator[av.Packet]:
    """Yield the packets of some streams, at last an empty one of each, which flushes decoders.

    Their times go on where the file's clock jumps; ``clock`` notes those places.
    """
    clock = clock or SteadyClock(container)
    wanted = {stream.index for stream in streams}
    looked_at = [s for s in container.streams if s.index in wanted or s.index in clock.lanes]
    for packet in clock.steady(plain_packets(container, looked_at)):
        if packet.stream.index in wanted:  # that of an empty packet is not in its data
            yield packet


def plain_packets(container: InputContainer, streams: Iterable[Stream]) -> Iterator[av.Packet]:
    """Yield the packets of some streams as the file has them, at last an empty one of each.

    PyAV ends with an IndexError at a packet of a stream that the header does not name; here
    reading goes on after it.
    """
    packet = None
    pngs = {s.index for s in streams if codec_name(s) == "png" and not is_cover(s)}
    while True:
        try:
            for packet in container.demux(*streams):
                if packet.stream.index in pngs and packet.size:
                    packet.update(hide_png_profile(bytes(packet)))
                yield packet
            return
        except IndexError:
            if packet is not None and not packet.size:
                return  # it was at the end
