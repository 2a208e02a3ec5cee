"""Display size in a Matroska or WebM file, which PyAV's muxer has no option for.

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
HEAD = 2**20  # bytes at the begin of a file that hold its header


class Element(NamedTuple):
    """An element between ``start`` and ``stop``; its content begins at ``body``."""

    name: int
    start: int
    body: int
    stop: int


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height at which pictures of a pixel aspect are shown; neither becomes smaller."""
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def set_display_size(path: Path, width: int, height: int) -> bool:
    """Write the display size into the first video track; False where the file has no room."""
    with path.open("r+b") as file:
        data = file.read(HEAD)
        segment = next((e for e in elements(data, 0, len(data)) if e.name == SEGMENT), None)
        inside = list(elements(data, segment.body, len(data))) if segment else []
        named = {element.name: element for element in reversed(inside)}
        if not {SEEK_HEAD, VOID, TRACKS} <= named.keys() or named[TRACKS].stop > len(data):
            return False
        void, tracks = named[VOID], named[TRACKS]
        sizes = {DISPLAY_WIDTH: width, DISPLAY_HEIGHT: height}
        made = sized_tracks(data[tracks.body : tracks.stop], sizes)
        longer = element_bytes(TRACKS, made)
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
        file.write(void_bytes(room) + data[void.stop : tracks.start] + longer)
    return True


def elements(data: bytes, start: int, stop: int) -> Iterator[Element]:
    """Yield the elements of one level; the last may end behind ``stop``."""
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


def element_bytes(name: int, body: bytes) -> bytes:
    """Bytes of an element with that content."""
    length = next(n for n in range(1, 9) if len(body) < (1 << 7 * n) - 1)
    size = (1 << 7 * length) | len(body)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size.to_bytes(length, "big") + body


def void_bytes(room: int) -> bytes:
    """Bytes of an empty element, ``room`` of them, at least 2."""
    return b"\xec" + (
        bytes([0x80 | room - 2]) + bytes(room - 2)
        if room < 100
        else ((1 << 56) | room - 9).to_bytes(8, "big") + bytes(room - 9)
    )


def sized_tracks(tracks: bytes, sizes: dict[int, int]) -> bytes:
    """Content of Tracks, with ``sizes`` in the first video track."""
    parts, done = [], False
    for entry in elements(tracks, 0, len(tracks)):
        body = tracks[entry.body : entry.stop]
        inside = {e.name: body[e.body : e.stop] for e in elements(body, 0, len(body))}
        if entry.name != TRACK_ENTRY or done or inside.get(TRACK_TYPE) != b"\1":
            parts.append(tracks[entry.start : entry.stop])
            continue
        done = True
        parts.append(element_bytes(TRACK_ENTRY, with_checksum(sized_entry(body, VIDEO, sizes))))
    return with_checksum(b"".join(parts))


def sized_entry(entry: bytes, name: int, sizes: dict[int, int]) -> bytes:
    """Content of a TrackEntry, with ``sizes`` in its element ``name``."""
    parts = []
    for element in elements(entry, 0, len(entry)):
        part = entry[element.start : element.stop]
        if element.name == name:
            body = entry[element.body : element.stop]
            old = {*sizes, DISPLAY_UNIT}  # which is pixels where it is not said
            others = [
                body[e.start : e.stop] for e in elements(body, 0, len(body)) if e.name not in old
            ]
            new = [
                element_bytes(key, size.to_bytes((size.bit_length() + 7) // 8, "big"))
                for key, size in sizes.items()
            ]
            part = element_bytes(name, with_checksum(b"".join(others + new)))
        parts.append(part)
    return b"".join(parts)


def moved_seek(seek: bytes, span: range, more: int) -> bytes:
    """Content of a SeekHead, when what lies in ``span`` has moved ``more`` bytes to the begin."""
    made = bytearray(seek)
    for entry in elements(seek, 0, len(seek)):
        if entry.name != SEEK:
            continue
        for part in elements(seek, entry.body, entry.stop):
            place = int.from_bytes(seek[part.body : part.stop], "big")
            if part.name == SEEK_POSITION and place in span:
                length = part.stop - part.body
                made[part.body : part.stop] = (place - more).to_bytes(length, "big")
    return with_checksum(bytes(made))


def with_checksum(body: bytes) -> bytes:
    """Content with its checksum, if it begins with one, computed anew."""
    if body[:2] != bytes([CRC, 0x84]):
        return body
    return body[:2] + zlib.crc32(body[6:]).to_bytes(4, "little") + body[6:]
