"""Search for damage in the bytes of a file, since demuxers pass over it in silence."""

import re
import zlib
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

# Names of Matroska elements, RFC 9559: those on the first level, and those in a cluster.
SEGMENT, CLUSTER, TIMESTAMP = 0x18538067, 0x1F43B675, 0xE7
SLACK = 100  # of times that go back: sound and pictures are not quite in one order
EVERYWHERE = {0xEC, 0xBF}  # Void and CRC-32
TOP = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
TOP |= {CLUSTER, *EVERYWHERE}
INSIDE = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, *EVERYWHERE}
FLV_TAGS = {8, 9, 18}  # sound, video and data
TS_PACKET = 188  # bytes
TS_READ = TS_PACKET << 13
CHUNK = re.compile(rb"[ -~]{4}")  # the name of one, as RIFF has it
GIF_PICTURE = b"!\xf9\x04"  # what comes before one, nearly always
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
PACK, PS_END = b"\0\0\x01\xba", b"\0\0\x01\xb9"
PES_PACKET = re.compile(rb"\0\0\x01[\xbd\xc0-\xef]..[\x80-\xbf]", re.DOTALL)
PACK_LOOK = 1 << 18  # bytes; a pack holds no more than 64 KiB of each of a few streams
Y4M = re.compile(rb"YUV4MPEG2(?= )[^\n]*?\n")
Y4M_CHROMA = {"420": (2, 2), "411": (4, 1), "422": (2, 1), "444": (1, 1)}


def first_broken_byte(path: Path) -> int | None:
    """First byte at which a file no longer consists of whole units.

    Looked at are Matroska, FLV, PNG, GIF, AVI and TS.

    A demuxer finds its way back some frames later and does not report what it has left out. None
    where nothing is wrong, and for other formats.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        head = file.read(13)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return broken_matroska_byte(file, size)
        if head[:3] == b"FLV":
            return broken_flv_byte(file, int.from_bytes(head[5:9], "big") + 4, size)
        if head.startswith(PNG):
            return broken_png_byte(file, size)
        if head[:4] == b"GIF8" and len(head) == 13:
            return broken_gif_byte(file, 13 + colour_table_bytes(head[10]), size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return broken_avi_byte(file, size)
        if head[:1] == b"G":
            return broken_ts_byte(file, size)
    return None


def times_go_back(path: Path) -> bool:
    """True for Matroska and FLV whose times go back somewhere, so that no time tells a place."""
    size, latest = path.stat().st_size, 0
    with path.open("rb", buffering=0) as file:
        head = file.read(9)
        times: Iterator[int] = iter(())
        if head[:4] == b"\x1a\x45\xdf\xa3":
            times = cluster_times(file, size)
        elif head[:3] == b"FLV":
            times = flv_times(file, int.from_bytes(head[5:9], "big") + 4, size)
        for time in times:
            if time + SLACK < latest:
                return True
            latest = max(latest, time)
    return False


def cluster_times(file: BinaryIO, size: int) -> Iterator[int]:
    """Times of the clusters of a Matroska file, in its units, which usually are milliseconds."""
    _, _, place = read_element(file, 0, size)
    _, place, end = read_element(file, place, size)
    stop = end  # of the cluster, where its length is known
    while place < min(end, size):
        name, body, after = read_element(file, place, end)
        if name == CLUSTER:
            place, stop = body, after  # its elements come next
        elif name == TIMESTAMP:
            file.seek(body)
            yield int.from_bytes(file.read(after - body), "big")
            place = stop if stop < end else after
        else:
            place = after if name else end


def flv_times(file: BinaryIO, place: int, size: int) -> Iterator[int]:
    """Times of the sound and pictures of an FLV file, in milliseconds."""
    while place + 11 <= size:
        file.seek(place)
        head = file.read(8)
        if head[0] in (8, 9):
            yield head[7] << 24 | int.from_bytes(head[4:7], "big")
        place += 15 + int.from_bytes(head[1:4], "big")


def broken_matroska_byte(file: BinaryIO, size: int) -> int | None:
    """First byte in Matroska where no known element begins.

    Elements lie side by side, those of a cluster inside it. One that the end of the file cuts off
    counts as whole.
    """
    _, _, place = read_element(file, 0, size)
    name, place, end = read_element(file, place, size)
    if name != SEGMENT:
        return None
    stop = end  # of the cluster
    while place < end:
        name, body, after = read_element(file, place, end)
        inside = name in INSIDE and place < stop
        if not inside and name not in TOP:
            return place
        if after > size:
            return None
        if inside and after > stop:
            return place
        if name == CLUSTER:  # its elements come next
            place, stop = body, after
        else:
            place, stop = after, stop if inside else 0
    return None


def broken_flv_byte(file: BinaryIO, place: int, size: int) -> int | None:
    """First byte in FLV where no tag begins.

    Tags lie side by side; the length that follows each is often wrong, and is not looked at.
    """
    while place < size:
        file.seek(place)
        head = file.read(4)
        after = place + 11 + int.from_bytes(head[1:], "big")
        known = head[0] & 0x1F in FLV_TAGS
        if after > size or not known:
            return place if known or place + 11 <= size else None  # too short for a tag
        place = after + 4
    return None


def broken_png_byte(file: BinaryIO, size: int) -> int | None:
    """First byte in PNG where no chunk begins whose checksum holds."""
    place = len(PNG)
    while place < size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or place + 12 + length > size:
            return place
        rest = file.read(length + 4)
        if zlib.crc32(head[4:] + rest[:-4]) != int.from_bytes(rest[-4:], "big"):
            return place
        if head[4:] == b"IEND":
            return None
        place += 12 + length
    return None


def broken_gif_byte(file: BinaryIO, place: int, size: int) -> int | None:
    """First byte in GIF where no picture or extension begins.

    What stands behind its end is no part of it, unless it holds pictures.
    """
    for kind, begin in gif_blocks(file, place, size):
        if kind == b";":
            file.seek(begin)
            return begin if GIF_PICTURE in file.read(size - begin) else None
        if kind not in (b",", b"!"):
            return begin
    return None


def gif_blocks(file: BinaryIO, place: int, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield kind and place of each block of a GIF, up to the end or what is broken.

    A picture is ``,``, an extension ``!`` and the end ``;``; anything else is none, and neither is
    one that the file's end cuts off, whose kind is empty. Each ends with an empty part.
    """
    while place < size:
        file.seek(place)
        head = file.read(10)
        after = place + 2
        if head[:1] == b"," and len(head) == 10:
            after = place + 11 + colour_table_bytes(head[9])
        elif head[:1] != b"!":
            yield head[:1] if head[:1] != b"," else b"", place
            return
        while after < size:
            file.seek(after)
            length = file.read(1)[0]
            after += 1 + length
            if not length:
                break
        if after > size:
            yield b"", place
            return
        yield head[:1], place
        place = after


def broken_avi_byte(file: BinaryIO, size: int) -> int | None:
    """First byte in AVI where no chunk begins, also in lists of frames.

    A chunk that is cut off counts as whole.
    """
    place, end = 0, 0  # of the RIFF that place lies in
    while place + 8 <= size:
        file.seek(place)
        head = file.read(12)
        if head[:4] == b"RIFF":
            end = place + 8 + int.from_bytes(head[4:8], "little")
        elif place == end:
            return None  # behind the last
        if not CHUNK.match(head):
            return place
        if head[:4] == b"RIFF" or head[8:12] in (b"movi", b"rec "):
            place += 12  # its chunks come next
        else:
            place += 8 + int.from_bytes(head[4:8], "little")
            place += place % 2
    return None


def broken_ts_byte(file: BinaryIO, size: int) -> int | None:
    """First byte of a transport stream where a packet should begin, with G, and does not.

    What is behind the last packet and too short for one is none.
    """
    place = 0
    file.seek(0)
    while starts := file.read(TS_READ)[::TS_PACKET]:
        good = len(starts) - len(starts.lstrip(b"G"))
        if place == 0 and good < min(8, len(starts)):
            return None  # of another kind, or it does not begin with a whole packet
        place += good * TS_PACKET
        if good < len(starts):
            return place if place + TS_PACKET <= size else None
    return None


def colour_table_bytes(flags: int) -> int:
    """Bytes of the colour table of a GIF or of one of its pictures."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def read_element(file: BinaryIO, place: int, end: int) -> tuple[int, int, int]:
    """Read the header of a Matroska element: its name, begin and end of its content in bytes.

    The name is 0 where there is no element. One of unknown length ends at ``end``.
    """
    file.seek(place)
    head = file.read(12)
    width = 9 - head[0].bit_length() if head else 9
    if width > 4 or len(head) <= width or not head[width]:
        return 0, place, end
    length = 9 - head[width].bit_length()
    body = place + width + length
    bits = 7 * length
    value = int.from_bytes(head[width : width + length], "big") & (1 << bits) - 1
    name = int.from_bytes(head[:width], "big")
    return name, body, end if value == (1 << bits) - 1 else body + value


def ends_inside_unit(path: Path, head: bytes) -> bool:
    """True if a transport or program stream, a PNG, GIF or YUV4MPEG2 file ends inside a unit.

    Bytes behind the last that begin none are no part of it, but in YUV4MPEG2.
    """
    size = path.stat().st_size
    if head.startswith(PNG):
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return data.rfind(PNG_END) < 0
    if head[:4] == PACK:
        return ends_inside_pack(path, size)
    if head[:1] == b"G" and head[:3] != b"GIF":  # G, 0x47, begins every packet
        rest = size % TS_PACKET
        begins = rest > 0 and byte_at(path, size - rest) == b"G"
        return size > TS_PACKET and begins and byte_at(path, TS_PACKET) == b"G"
    if head[:3] == b"GIF":
        with path.open("rb") as file:
            blocks = gif_blocks(file, 13 + colour_table_bytes(head[10]), size)
            return not any(kind == b";" for kind, _ in blocks) and byte_at(path, size - 1) != b";"
    header = Y4M.match(head)
    if header is None:
        return False
    frame = y4m_frame_bytes(header[0].decode("ascii", "replace"))
    return frame > 0 and (size - header.end()) % (frame + len("FRAME\n")) != 0


def ends_inside_pack(path: Path, size: int) -> bool:
    """True if the last pack of a program stream (MPEG-1 or 2) is longer than the file."""
    with path.open("rb") as file:
        file.seek(max(0, size - PACK_LOOK))
        data = file.read()
    place = data.rfind(PACK)
    if place < 0:
        return False
    new = data[place + 4 : place + 5] >= b"\x40"  # of MPEG-2, with a number of stuffing bytes
    place += 12 if not new else 14 + (data[place + 13] & 7 if place + 13 < len(data) else 0)
    while place < len(data):
        if data[place : place + 4] == PS_END:
            return False
        begin = data[place : place + 3]
        if not PACK.startswith(begin) or not any(begin):
            return False  # padding
        place += 6 + int.from_bytes(data[place + 4 : place + 6].ljust(2, b"\0"), "big")
    return place > len(data)


def byte_at(path: Path, place: int) -> bytes:
    """Read the byte at a place."""
    with path.open("rb") as file:
        file.seek(place)
        return file.read(1)


def y4m_frame_bytes(header: str) -> int:
    """Bytes of a frame of YUV4MPEG2, by the file's header; 0 where that is not known."""
    words = {word[0]: word[1:] for word in header.split()[1:]}
    form = re.fullmatch(r"(mono|4\d\d)(?:jpeg|mpeg2|paldv)?(?:p?(\d+))?", words.get("C", "420"))
    if form is None or not (words.get("W", "").isdecimal() and words.get("H", "").isdecimal()):
        return 0
    width, height = int(words["W"]), int(words["H"])
    codes = width * height
    if form[1] != "mono":
        x, y = Y4M_CHROMA.get(form[1], (0, 0))
        if not x:
            return 0
        codes += 2 * -(-width // x) * -(-height // y)
    return codes * (2 if form[2] else 1)


def scrambled(path: Path) -> bool:
    """True if most packets of a transport stream, or packs of a program stream, are scrambled."""
    with path.open("rb") as file:
        data = file.read(TS_READ)
    packet, first = (192, 4) if data[4:5] == b"G" == data[196:197] else (TS_PACKET, 0)
    if data[first : first + 1] == b"G":
        marks = [flags & 0xC0 for flags in data[first + 3 :: packet]]
    else:  # video and sound of a DVD
        marks = [found[0][6] & 0x30 for found in PES_PACKET.finditer(data)]
    return sum(mark > 0 for mark in marks) > len(marks) / 2
