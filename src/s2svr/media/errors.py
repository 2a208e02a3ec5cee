"""The error of files that cannot be read or written, and what of a video is not decoded."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import av.logging

LOG_LOCK = threading.Lock()

VOP = b"\0\0\1\xb6"  # begins a picture of MPEG-4 Part 2
BETWEEN = 2  # the kind of those between two others, in the next two bits
HEADER = 16  # bytes at most of a picture that is but a header


class MediaError(Exception):
    """A file cannot be read or written; the message is one sentence for the user."""


class Losses:
    """Packets of a video that gave no picture yet, or that are broken; times in seconds."""

    def __init__(self, base: Fraction) -> None:
        self.base = base  # unit of the packets' times
        self.waiting: dict[int, None] = {}  # time stamps of packets that gave no picture yet
        self.failed = 0  # packets without a time stamp that could not be decoded
        # Times of packets that a transport stream marks, or that others are missing before.
        self.corrupt: list[Fraction] = []

    def expect(self, packet: av.Packet, *, tracked: bool) -> None:
        """Note a packet before it is decoded; if ``tracked``, it should give a picture."""
        if packet.is_corrupt:
            self.corrupt.append((packet.pts or 0) * self.base)
        if tracked and packet.size and packet.pts is not None and not packet.is_discard:
            self.waiting[packet.pts] = None

    def met(self, stamp: int | None) -> None:
        """Note that the packet of a time stamp gave its picture, or needs none."""
        if stamp is not None:
            self.waiting.pop(stamp, None)

    def any(self) -> bool:
        """True if something is missing or broken so far."""
        return bool(self.waiting or self.failed or self.corrupt)

    def missing(self, start: Fraction | None, end: Fraction | None) -> list[Fraction]:
        """Times between ``start`` and ``end`` at which there should be pictures, sorted."""
        times = sorted(stamp * self.base for stamp in self.waiting)
        return [t for t in times if (start is None or t >= start) and (end is None or t < end)]

    def describe(self, times: list[Fraction], joined: Callable[[Fraction], bool]) -> list[str]:
        """Sentences on pictures missing at some times, and on broken packets but where ``joined``.

        Where parts of a recording join, a packet does not follow the one before.
        """
        lines = []
        if times or self.failed:
            where = ""
            if times:
                where = f", between {float(times[0]):.3f} s and {float(times[-1]):.3f} s"
            lines.append(f"frames that cannot be decoded: {len(times) + self.failed}{where}")
        if corrupt := sum(not joined(time) for time in self.corrupt):
            lines.append(f"packets that are broken or follow a missing one: {corrupt}")
        return lines


def repeats_last(packet: av.Packet) -> bool:
    """True for a picture of MPEG-4 Part 2 that gives none of its own, if it decodes without error.

    The one before stays: XviD writes no more of a picture that is equal to it. Pictures between two
    others are coded in full; without those two they are lost.
    """
    data = bytes(packet)
    place = data.find(VOP) + len(VOP)
    header = len(VOP) <= place < len(data) <= place + HEADER
    return header and data[place] >> 6 != BETWEEN


@contextmanager
def ffmpeg_speaks() -> Iterator[None]:
    """Let FFmpeg log what it says of files, for one thread at a time; elsewhere it is silent."""
    with LOG_LOCK:
        av.logging.set_level(av.logging.INFO)
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            yield
        finally:
            # Not set_level(None): messages of other threads that are underway need a level.
            av.logging.set_libav_level(av.logging.PANIC)
            av.logging.restore_default_callback()
