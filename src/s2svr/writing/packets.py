"""Encoded packets on the disk, exactly as they left the encoder."""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

HEADER = struct.Struct("<qq?I")  # pts, duration, key frame, bytes


class PacketFile:
    """A file of one encoder's packets, in a format of our own: containers change time stamps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None  # opened late: an encoder is tried before it is needed

    def append(self, packet: av.Packet) -> None:
        """Add a packet at the end."""
        data, pts = bytes(packet), packet.pts or 0
        self.file = self.file or self.path.open("wb")
        self.file.write(HEADER.pack(pts, packet.duration or 0, packet.is_keyframe, len(data)))
        self.file.write(data)

    def close(self) -> None:
        """Close the file and wait until all of it is on the disk."""
        self.file = self.file or self.path.open("wb")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def abandon(self) -> None:
        """Close the file as it is; its packets are not needed."""
        if self.file is not None:
            with suppress(OSError):  # of a full disk, which has been said already
                self.file.close()


def read_packet_files(paths: Iterable[Path], time_base: Fraction) -> Iterator[av.Packet]:
    """Yield the packets of some files, one after the other, with decoding times that grow."""
    paths = list(paths)
    times = decoding_times(
        [pts for path in paths for pts, _, _, _ in packet_records(path, skip=True)]
    )
    everything = (record for path in paths for record in packet_records(path))
    for (pts, duration, key, data), dts in zip(everything, times, strict=True):
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.is_keyframe, packet.time_base = key, time_base
        yield packet


def packet_records(path: Path, *, skip: bool = False) -> Iterator[tuple[int, int, bool, bytes]]:
    """Yield time stamp, duration, key and data of each packet; ``skip`` leaves the data unread."""
    with path.open("rb") as file:
        while head := file.read(HEADER.size):
            pts, duration, key, size = HEADER.unpack(head)
            yield pts, duration, key, b"" if skip else file.read(size)
            if skip:
                file.seek(size, 1)


def decoding_times(shown: list[int]) -> list[int]:
    """Decoding times of pictures, from the times they are shown at, given in decoding order.

    They are those times, sorted, and delayed until no picture is shown before it is decoded.
    (x265 gives random times to clips of fewer pictures than it holds back.)
    """
    ordered = sorted(shown)
    rank = {time: index for index, time in enumerate(ordered)}
    delay = max((index - rank[time] for index, time in enumerate(shown)), default=0)
    step = ordered[1] - ordered[0] if delay else 0
    before = [ordered[0] - step * (delay - index) for index in range(delay)]
    return (before + ordered)[: len(shown)]
