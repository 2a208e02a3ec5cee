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


class Spool:
    """Packets of one encoder in a file of our own: no container keeps every time stamp as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None  # opened late: an encoder is tried before it is needed

    def append(self, packet: av.Packet) -> None:
        """Add a packet."""
        data, stamp = bytes(packet), packet.pts or 0
        self.file = self.file or self.path.open("wb")
        self.file.write(HEADER.pack(stamp, packet.duration or 0, packet.is_keyframe, len(data)))
        self.file.write(data)

    def close(self) -> None:
        """Wait until all is on the disk."""
        self.file = self.file or self.path.open("wb")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def drop(self) -> None:
        """Leave the file as it is."""
        if self.file is not None:
            with suppress(OSError):  # of a full disk, which has been said already
                self.file.close()


def spooled(paths: Iterable[Path], time_base: Fraction) -> Iterator[av.Packet]:
    """The packets of spools, one after the other, with decoding times that grow."""
    paths = list(paths)
    times = decoding_times([pts for path in paths for pts, _, _, _ in records(path, skip=True)])
    everything = (record for path in paths for record in records(path))
    for (pts, duration, key, data), dts in zip(everything, times, strict=True):
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.is_keyframe, packet.time_base = key, time_base
        yield packet


def records(path: Path, *, skip: bool = False) -> Iterator[tuple[int, int, bool, bytes]]:
    """Time stamp, duration, key and data of each packet; no data where they are skipped."""
    with path.open("rb") as file:
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
