"""Encoded packets on the disk, and messages of pictures, such as closed captions, in them.

PyAV hands no side data to encoders, so what they would write of it is written here: SEI, as ITU-T
H.264 and H.265 define it, before the first slice of the picture.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from operator import sub
from pathlib import Path
from typing import BinaryIO

import av

from ..media import Message, Reader

HEADER = struct.Struct("<qq?I")  # pts, duration, key frame, bytes
# Containers whose film lasts until the packet that is decoded last ends.
DECODED_LENGTH = {"mp4", "mov"}
START = re.compile(b"\0\0\1")
SEI_264, SEI_265 = b"\x06", b"\x4e\x01"  # headers of units; of H.265 those before the slices


class PacketFile:
    """A file of one encoder's packets, in a format of our own: containers change time stamps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None  # opened late: an encoder is tried before it is needed

    def append(self, packet: av.Packet, data: bytes) -> None:
        """Add a packet at the end, with ``data`` as its content."""
        pts = packet.pts or 0
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


def read_packet_files(
    paths: Iterable[Path], time_base: Fraction, container: str
) -> Iterator[av.Packet]:
    """Yield the packets of some files, one after the other, with decoding times that grow."""
    paths = list(paths)
    found = [record[:2] for path in paths for record in packet_records(path, skip=True)]
    times = decoding_times([pts for pts, _ in found])
    lengths = [duration for _, duration in found]
    if found and container in DECODED_LENGTH:
        delay = min(pts for pts, _ in found) - times[0]
        film = max(pts + duration for pts, duration in found)
        lengths[-1] = max(1, film - delay - times[-1])
    everything = (record for path in paths for record in packet_records(path))
    for (pts, _, key, data), dts, length in zip(everything, times, lengths, strict=True):
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.duration = pts, dts, length
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
    step = min(map(sub, ordered[1:], ordered)) if delay else 0  # no delay is longer than needed
    before = [ordered[0] - step * (delay - index) for index in range(delay)]
    return (before + ordered)[: len(shown)]


# Messages


def holds_messages(codec: str) -> bool:
    """True if a codec, a key of CODECS, carries messages."""
    return codec.startswith(("h264", "hevc"))


def with_messages(data: bytes, codec: str, messages: Iterable[Message]) -> bytes:
    """A picture's packet, in units after start codes, with messages before its first slice."""
    unit = sei_unit(codec, messages)
    if not unit:
        return data
    for found in START.finditer(data):
        place = found.end()
        if place < len(data) and is_slice(codec, data[place]):
            begin = found.start() - (data[found.start() - 1 : found.start()] == b"\0")
            return data[:begin] + b"\0\0\0\1" + unit + data[begin:]
    raise ValueError("expected a packet with a slice after a start code, got one without")


def lost_messages(reader: Reader, holder: str) -> list[str]:
    """Sentences about the messages of a source that was read, for an output that holds none."""
    return [
        f"left out: the {name} of {count} pictures; {holder} cannot hold this, h264 and hevc can"
        for name, count in reader.messages.items()
    ]


def lost_photo_tags(names: Iterable[str], holder: str) -> list[str]:
    """A sentence about tags of a source's images that the output does not hold, if there are."""
    words = ", ".join(sorted(names))
    return [f"left out: the {words} of the images; {holder} cannot hold this"] if words else []


def is_slice(codec: str, first: int) -> bool:
    """True if a unit that begins with this byte holds a part of a picture."""
    return (first & 0x1F) in (1, 5) if codec.startswith("h264") else (first >> 1 & 0x3F) < 32


def sei_unit(codec: str, messages: Iterable[Message]) -> bytes:
    """One unit with all messages, without its start code; empty where there is none."""
    body = b"".join(
        size_bytes(kind) + size_bytes(len(payload)) + payload for kind, payload in messages
    )
    if not body:
        return b""
    header = SEI_264 if codec.startswith("h264") else SEI_265
    return header + escaped(body + b"\x80")


def size_bytes(number: int) -> bytes:
    """A number as SEI has it: 255 for each whole 255, and the rest."""
    return b"\xff" * (number // 255) + bytes([number % 255])


def escaped(body: bytes) -> bytes:
    """Bytes of a unit with a 3 wherever they would look like a start code."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", body)
