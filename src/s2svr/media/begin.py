"""Begins: of a file, of what is shown of it, and of reading in its middle."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

from .clock import JUMP, TS_DISCONT, demuxed
from .container import open_container
from .integrity import times_go_back

PRIMING = Fraction(1, 10)  # seconds of hidden sound before the begin that a decoder may need
FIRST_PACKETS = 100  # among which is the first of each stream
LEAD = 2  # seconds: so much before a cut is decoded where no place in the file can be sought
MOST_HELD = 2000  # packets since a key frame


def is_hidden(packet: av.Packet, began: bool) -> bool:
    """True for a packet that an edit list hides after its stream ``began`` to be shown.

    Those before it are needed to decode the first one.
    """
    return packet.is_discard and began


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
