"""Begin and end of a file, of what its edit lists show of it, and of reading in its middle."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import BinaryIO, Protocol

import av
from av.container import InputContainer

from ..color import ColorInfo
from .clock import JUMP, TS_DISCONT, demuxed
from .container import codec_name, is_cover, is_cut_off, open_container
from .integrity import CLUSTER, TIMESTAMP, first_broken_byte, read_element, times_go_back
from .stills import has_png_profile

PRIMING = Fraction(1, 10)  # seconds of hidden sound before the begin that a decoder may need
WHOLE = 1 << 26  # bytes of a file that is read as a whole to know how long it is
PLACES = 64  # that are looked at in others
EDITS = (b"moov", b"trak", b"edts", b"elst")  # boxes, each in the one before
MOST_BOXES = 1_000_000  # of an mp4, and bytes of an edit list, that are looked at
FIRST_PACKETS = 100  # among which is the first of each stream
LEAD = 2  # seconds: so much before a cut is decoded where no place in the file can be sought
# Matroska's elements with frames; each begins with its track and its time within the cluster.
BLOCKS = {0xA3, 0xA1}
BLOCK_HEAD = 4  # bytes that are looked at
TRACK_NUMBER, TRACK_TYPE, VIDEO = 0xD7, 0x83, b"\1"
ENTERED = {CLUSTER, 0xA0, 0x1654AE6B, 0xAE}  # clusters, groups of blocks, tracks and each track
MOST_HELD = 2000  # packets since a key frame


class Input(Protocol):
    """What a reader of video reads: a file, or a pipe, which can be read but once."""

    path: Path  # of the file; its name in sentences

    def open(self) -> InputContainer:
        """Open it, at its begin. Raises MediaError."""
        ...

    def edits(self) -> list[str]:
        """Sentences about edits that are not done."""
        ...

    def can_be_entered(self, container: InputContainer) -> bool:
        """True if a time tells a place in it, so that reading can begin there."""
        ...

    def joined_duration(self, index: int) -> Fraction | None:
        """Seconds of a stream whose clock may jump, about; None for other inputs."""
        ...

    def goes_on(self, track: int, last: int) -> bool:
        """True if Matroska may hold a frame of its n-th video track after a time, in its units."""
        ...

    def color(self, tagged: ColorInfo) -> ColorInfo:
        """The meaning of codes that are tagged so, or by guesses, in it."""
        ...

    def broken(self) -> str:
        """A sentence about a place that is broken; empty where none is known."""
        ...

    def cut_off(self) -> str:
        """A sentence about its end, where that comes too early; else empty."""
        ...


class FileInput:
    """A video file, which can be opened again and looked at in any place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.of_png = False

    def open(self) -> InputContainer:
        container = open_container(self.path)
        videos = [s for s in container.streams.video if not is_cover(s)]
        self.of_png = any(codec_name(stream) in ("png", "apng") for stream in videos)
        return container

    def edits(self) -> list[str]:
        profile = "the ICC profile of the pictures is left out: it cannot be written again"
        found = self.of_png and has_png_profile(self.path)  # which the decoder does not see
        return edit_warnings(self.path) + [profile] * found

    def can_be_entered(self, container: InputContainer) -> bool:
        return can_be_entered(container, self.path)

    def joined_duration(self, index: int) -> Fraction | None:
        return joined_duration(self.path, index)

    def goes_on(self, track: int, last: int) -> bool:
        with self.path.open("rb") as file:
            times = block_times(file, self.path.stat().st_size, track)
            return any(time > last for time in times)

    def color(self, tagged: ColorInfo) -> ColorInfo:
        return tagged

    def broken(self) -> str:
        place = first_broken_byte(self.path)
        if place is None:
            return ""
        return f"the file is broken at byte {place}; frames may be missing there"

    def cut_off(self) -> str:
        return "the file is cut off" if is_cut_off(self.path) else ""


def is_hidden(packet: av.Packet, began: bool) -> bool:
    """True for a packet that an edit list hides, but for those just before a stream's begin.

    These are needed to decode the first one, and lie before 0. ``began``: one was shown already.
    """
    time = (packet.pts or 0) * packet.time_base
    return packet.is_discard and (began or not -PRIMING <= time < 0)


def can_be_entered(container: InputContainer, path: Path) -> bool:
    """True if a time tells a place in a file, so that reading can begin there."""
    return not (container.format.flags & TS_DISCONT or times_go_back(path))


def begin_of(container: InputContainer, video: Fraction) -> Fraction:
    """Time in seconds that becomes 0 in an output; that of the video's first picture is given.

    It is 0 where a file's times have a meaning, and its begin where they are those of a clock, or
    below 0. Sound may begin a little below 0, as encoders need.
    """
    sound = [(s.start_time, s.time_base) for s in container.streams if s.type == "audio"]
    starts = [start * base for start, base in sound if start is not None and base is not None]
    near = [start for start in starts if abs(start - video) < JUMP]
    if container.format.flags & TS_DISCONT:
        return min([video, *near])
    return min([Fraction(0), video, *(start for start in near if start < -PRIMING)])


def joined_duration(path: Path, index: int) -> Fraction | None:
    """Seconds of a stream whose clock may jump, about; None for other files.

    Headers tell the first and the last time alone. A small file is read, of a large one a few
    places, which tell how much time lies between them unless the clock jumps there.
    """
    container = open_container(path)
    try:
        if not container.format.flags & TS_DISCONT:
            return None
        stream, size = container.streams[index], path.stat().st_size
        base = stream.time_base or Fraction(0)
        if size <= WHOLE:
            spans = [
                (packet.pts, packet.pts + (packet.duration or 0))
                for packet in demuxed(container, stream)
                if packet.pts is not None
            ]
            first, last = min(a for a, _ in spans), max(b for _, b in spans)
            return (last - first) * base
        found: list[Fraction] = []
        for place in range(0, size, size // PLACES):
            container.seek(place, unsupported_byte_offset=True)
            times = (p.dts * base for p in container.demux(stream) if p.dts is not None)
            found += islice(times, 1)
    except (av.error.FFmpegError, OSError, ValueError):  # of no times at all
        return None
    finally:
        container.close()
    steps = [b - a for a, b in pairwise(found)]
    usual = median([step for step in steps if step > 0] or [Fraction(0)])
    return usual + sum(step if 0 <= step < 4 * usual + JUMP else usual for step in steps)


def block_times(file: BinaryIO, size: int, track: int) -> Iterator[int]:
    """Times of all frames of Matroska's n-th video track, with those that the demuxer leaves out.

    Tracks are counted from 0, times in the file's units.
    """
    _, _, place = read_element(file, 0, size)
    _, place, end = read_element(file, place, size)
    cluster, number, videos = 0, 0, list[int]()  # the numbers of video tracks
    while place < min(end, size):
        name, body, after = read_element(file, place, end)
        file.seek(body)
        if name == TIMESTAMP:
            cluster = int.from_bytes(file.read(after - body), "big")
        elif name == TRACK_NUMBER:
            number = int.from_bytes(file.read(after - body), "big")
        elif name == TRACK_TYPE and file.read(after - body) == VIDEO:
            videos.append(number)
        elif name in BLOCKS and len(head := file.read(BLOCK_HEAD)) == BLOCK_HEAD:
            width = 9 - head[0].bit_length()
            value = int.from_bytes(head[:width], "big") & (1 << 7 * width) - 1
            if videos[track : track + 1] == [value]:
                yield cluster + int.from_bytes(head[width : width + 2], "big", signed=True)
        place = body if name in ENTERED else after if name else end


def earliest_packet(path: Path, indices: list[int]) -> Fraction:
    """Time in seconds of the first packet of some streams that is not hidden by PRIMING."""
    container = open_container(path)
    try:
        packets = islice(
            demuxed(container, *(container.streams[i] for i in indices)), FIRST_PACKETS
        )
        times = [p.pts * p.time_base for p in packets if p.pts is not None]
    finally:
        container.close()
    return min((time for time in times if time >= -PRIMING), default=Fraction(0))


def packets_before(
    packets: Iterator[av.Packet], base: Fraction, start: Fraction
) -> Iterator[av.Packet]:
    """Packets of a video from a key frame before ``start`` on; ``base`` is the unit of their times.

    The file is read from its begin: where its clock may jump, no time tells a place.
    """
    held = list[av.Packet]()
    for packet in packets:
        begins = packet.pts is not None and packet.pts * base <= start - LEAD
        if packet.is_keyframe and begins:
            held.clear()
        held.append(packet)
        if len(held) > MOST_HELD or (packet.dts or 0) * base > start:
            break
    yield from held
    yield from packets


def edit_warnings(path: Path) -> list[str]:
    """Sentences about edits that play a part faster or slower, which is not done."""
    with path.open("rb", buffering=0) as file:
        if file.read(8)[4:] not in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return []
        speeds = edit_speeds(file, 0, path.stat().st_size, EDITS)
        found = sorted({speed for speed in speeds if speed != 1})
    if not found:
        return []
    words = " and ".join(f"{float(speed):g}" for speed in found)
    return [f"the edit list asks for speed {words} in a part: it is restored at its own speed"]


def edit_speeds(
    file: BinaryIO, begin: int, end: int, names: tuple[bytes, ...]
) -> Iterator[Fraction]:
    """Speeds of all edits between two bytes of an mp4, where boxes of the first name are next."""
    for _ in range(MOST_BOXES):
        if begin + 8 > end:
            return
        file.seek(begin)
        head = file.read(16)
        size, body = int.from_bytes(head[:4], "big"), begin + 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), begin + 16
        after = min(end, begin + size) if size else end
        if head[4:8] == names[0]:
            if len(names) > 1:
                yield from edit_speeds(file, body, after, names[1:])
            else:
                file.seek(body)
                yield from listed_speeds(file.read(min(after - body, MOST_BOXES)))
        begin = max(after, body)


def listed_speeds(body: bytes) -> Iterator[Fraction]:
    """Speeds of the entries of an edit list; an empty edit has none."""
    wide = body[:1] == b"\1"
    size, place = (20, 8) if wide else (12, 4)
    for begin in range(8, len(body) - size + 1, size):
        entry = body[begin : begin + size]
        empty = entry[place : size - 4] == b"\xff" * (size - 4 - place)
        if not empty:
            yield Fraction(int.from_bytes(entry[-4:], "big", signed=True), 65536)
