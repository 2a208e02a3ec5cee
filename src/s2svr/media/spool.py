"""Encoded packets on the disk, exactly as they left the encoder."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

HEADER = struct.Struct("<qq?I")  # pts, duration, key frame, bytes


class Spool:
    """Packets of one encoder in a file of our own: no container keeps every time stamp as it is."""

    def __init__(self, path: Path, time_base: Fraction) -> None:
        self.path, self.time_base = path, time_base
        self.file = path.open("wb")

    def append(self, packet: av.Packet) -> None:
        """Add a packet."""
        data, stamp = bytes(packet), packet.pts or 0
        self.file.write(HEADER.pack(stamp, packet.duration or 0, packet.is_keyframe, len(data)))
        self.file.write(data)

    def close(self) -> None:
        """Write out what is buffered."""
        self.file.close()

    def packets(self) -> Iterator[av.Packet]:
        """The packets in decoding order, with decoding times that grow."""
        times = decoding_times([pts for pts, _, _, _ in self.records(skip=True)])
        for (pts, duration, key, data), dts in zip(self.records(), times, strict=True):
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.is_keyframe, packet.time_base = key, self.time_base
            yield packet

    def records(self, *, skip: bool = False) -> Iterator[tuple[int, int, bool, bytes]]:
        """Time stamp, duration, key and data of each packet; no data where they are skipped."""
        with self.path.open("rb") as file:
            while head := file.read(HEADER.size):
                pts, duration, key, size = HEADER.unpack(head)
                yield pts, duration, key, b"" if skip else file.read(size)
                if skip:
                    file.seek(size, 1)


def decoding_times(stamps: list[int]) -> list[int]:
    """When to decode pictures that are shown at ``stamps``, given in decoding order.

    The stamps in their order, delayed until no picture is shown before it is decoded. (x265 gives
    random times to clips of fewer pictures than it holds back.)
    """
    ordered = sorted(stamps)
    rank = {stamp: index for index, stamp in enumerate(ordered)}
    delay = max((index - rank[stamp] for index, stamp in enumerate(stamps)), default=0)
    step = ordered[1] - ordered[0] if delay else 0
    before = [ordered[0] - step * (delay - index) for index in range(delay)]
    return (before + ordered)[: len(stamps)]
