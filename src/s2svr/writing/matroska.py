"""The size at which a Matroska or WebM file is shown, which PyAV's muxer cannot be told.

Element names are those of RFC 9559. The muxer leaves an empty element after its list of places;
what is added to the track takes its room from there, so that nothing behind the tracks moves.
"""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

SEGMENT, SEEK_HEAD, SEEK, SEEK_POSITION = 0x18538067, 0x114D9B74, 0x4DBB, 0x53AC
TRACKS, TRACK_ENTRY, TRACK_TYPE, VIDEO = 0x1654AE6B, 0xAE, 0x83, 0xE0
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
VOID, CRC = 0xEC, 0xBF
HEAD = 2**20  # bytes at the begin of a file that hold all of it


class Element(NamedTuple):
    """An element between ``start`` and ``stop``; its content begins at ``body``."""

    name: int
    start: int
    body: int
    stop: int


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Pixels at which pictures of such pixels are shown; none becomes smaller."""
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def set_display_size(path: Path, width: int, height: int) -> bool:
    """Write the size into the first video track; False where the file has no room for it."""
    with path.open("r+b") as file:
        data = file.read(HEAD)
        segment = next((e for e in elements(data, 0, len(data)) if e.name == SEGMENT), None)
        inside = list(elements(data, segment.body, len(data))) if segment else []
        named = {element.name: element for element in reversed(inside)}
        if not {SEEK_HEAD, VOID, TRACKS} <= named.keys() or named[TRACKS].stop > len(data):
            return False
        void, tracks = named[VOID], named[TRACKS]
        sizes = {DISPLAY_WIDTH: width, DISPLAY_HEIGHT: height}
        made = with_sizes(data[tracks.body : tracks.stop], sizes)
        longer = wrapped(TRACKS, made)
        more = len(longer) - (tracks.stop - tracks.start)
        room = void.stop - void.start - more
        if not void.start < tracks.start or room < 2:
            return False
        assert segment is not None
        span = range(void.stop - segment.body, tracks.start - segment.body + 1)
        seek = moved_seek(data[named[SEEK_HEAD].body : named[SEEK_HEAD].stop], span, more)
        file.seek(named[SEEK_HEAD].body)
        file.write(seek)
        file.seek(void.start)
        file.write(filler(room) + data[void.stop : tracks.start] + longer)
    return True


def elements(data: bytes, start: int, stop: int) -> Iterator[Element]:
    """The elements of one level; the last may end behind ``stop``."""
    while start + 2 <= stop:
        width = 9 - data[start].bit_length()
        if width > 4 or start + width >= len(data):
            return
        name = int.from_bytes(data[start : start + width], "big")
        first = data[start + width]
        length = 9 - first.bit_length()
        size = int.from_bytes(data[start + width : start + width + length], "big")
        size &= (1 << 7 * length) - 1
        body = start + width + length
        yield Element(name, start, body, body + size)
        start = body + size


def wrapped(name: int, body: bytes) -> bytes:
    """An element with that content."""
    length = next(n for n in range(1, 9) if len(body) < (1 << 7 * n) - 1)
    size = (1 << 7 * length) | len(body)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size.to_bytes(length, "big") + body


def filler(room: int) -> bytes:
    """An empty element of that many bytes, at least 2."""
    return b"\xec" + (
        bytes([0x80 | room - 2]) + bytes(room - 2)
        if room < 100
        else ((1 << 56) | room - 9).to_bytes(8, "big") + bytes(room - 9)
    )


def with_sizes(tracks: bytes, sizes: dict[int, int]) -> bytes:
    """The content of Tracks with the sizes in the first track that is a video."""
    parts, done = [], False
    for entry in elements(tracks, 0, len(tracks)):
        body = tracks[entry.body : entry.stop]
        inside = {e.name: body[e.body : e.stop] for e in elements(body, 0, len(body))}
        if entry.name != TRACK_ENTRY or done or inside.get(TRACK_TYPE) != b"\1":
            parts.append(tracks[entry.start : entry.stop])
            continue
        done = True
        parts.append(wrapped(TRACK_ENTRY, sealed(replaced(body, VIDEO, sizes))))
    return sealed(b"".join(parts))


def replaced(entry: bytes, name: int, sizes: dict[int, int]) -> bytes:
    """The content of a TrackEntry whose element ``name`` says ``sizes``."""
    parts = []
    for element in elements(entry, 0, len(entry)):
        part = entry[element.start : element.stop]
        if element.name == name:
            body = entry[element.body : element.stop]
            old = {*sizes, DISPLAY_UNIT}  # which is pixels where it is not said
            kept = [
                body[e.start : e.stop] for e in elements(body, 0, len(body)) if e.name not in old
            ]
            new = [
                wrapped(key, size.to_bytes((size.bit_length() + 7) // 8, "big"))
                for key, size in sizes.items()
            ]
            part = wrapped(name, sealed(b"".join(kept + new)))
        parts.append(part)
    return b"".join(parts)


def moved_seek(seek: bytes, span: range, more: int) -> bytes:
    """The content of a SeekHead where what lies in ``span`` begins ``more`` bytes earlier."""
    made = bytearray(seek)
    for entry in elements(seek, 0, len(seek)):
        if entry.name != SEEK:
            continue
        for part in elements(seek, entry.body, entry.stop):
            place = int.from_bytes(seek[part.body : part.stop], "big")
            if part.name == SEEK_POSITION and place in span:
                length = part.stop - part.body
                made[part.body : part.stop] = (place - more).to_bytes(length, "big")
    return sealed(bytes(made))


def sealed(body: bytes) -> bytes:
    """Content whose checksum, where it begins with one, is right."""
    if body[:2] != bytes([CRC, 0x84]):
        return body
    return body[:2] + zlib.crc32(body[6:]).to_bytes(4, "little") + body[6:]
