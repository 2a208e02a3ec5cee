"""Encoded packets on the disk, exactly as they left the encoder."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

HEADER = struct.Struct("<qqq?I")  # pts, dts, duration, key frame, bytes


class Spool:
    """Packets of one encoder in a file of our own: no container keeps every time stamp as it is."""

    def __init__(self, path: Path, time_base: Fraction) -> None:
        self.path, self.time_base = path, time_base
        self.file = path.open("wb")

    def append(self, packet: av.Packet) -> None:
        """Add a packet."""
        data = bytes(packet)
        stamps = (packet.pts or 0, packet.dts or 0, packet.duration or 0)
        self.file.write(HEADER.pack(*stamps, packet.is_keyframe, len(data)))
        self.file.write(data)

    def close(self) -> None:
        """Write out what is buffered."""
        self.file.close()

    def packets(self) -> Iterator[av.Packet]:
        """The packets in the order of their decoding."""
        with self.path.open("rb") as file:
            while head := file.read(HEADER.size):
                pts, dts, duration, key, size = HEADER.unpack(head)
                packet = av.Packet(file.read(size))
                packet.pts, packet.dts, packet.duration = pts, dts, duration
                packet.is_keyframe, packet.time_base = key, self.time_base
                yield packet
