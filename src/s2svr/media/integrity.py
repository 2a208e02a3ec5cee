"""What the bytes of a file say about damage that its demuxer passes over in silence."""

import re
from pathlib import Path
from typing import BinaryIO

# Names of Matroska elements, RFC 9559: those on the first level, and those in a cluster.
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
EVERYWHERE = {0xEC, 0xBF}  # Void and CRC-32
TOP = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
TOP |= {CLUSTER, *EVERYWHERE}
INSIDE = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, *EVERYWHERE}
FLV_TAGS = {8, 9, 18}  # sound, video and data
TS_PACKET = 188  # bytes
TS_READ = TS_PACKET << 13
CHUNK = re.compile(rb"[A-Za-z0-9 ]{4}")
PACK, PS_END = b"\0\0\x01\xba", b"\0\0\x01\xb9"
PACK_LOOK = 1 << 18  # bytes; a pack holds no more than 64 KiB of each of a few streams
Y4M = re.compile(rb"YUV4MPEG2(?= )[^\n]*?\n")
Y4M_CHROMA = {"420": (2, 2), "411": (4, 1), "422": (2, 1), "444": (1, 1)}


def broken_at(path: Path) -> int | None:
    """The byte at which a file no longer consists of whole elements: Matroska, FLV, GIF, AVI, TS.

    A demuxer finds its way back some frames later and does not tell what it has left out. None
    where nothing is wrong and for other formats.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        head = file.read(13)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return broken_matroska(file, size)
        if head[:3] == b"FLV":
            return broken_flv(file, int.from_bytes(head[5:9], "big") + 4, size)
        if head[:4] == b"GIF8" and len(head) == 13:
            return broken_gif(file, 13 + colour_table_bytes(head[10]), size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return broken_avi(file, size)
        if head[:1] == b"G":
            return broken_stream(file)
    return None


def broken_matroska(file: BinaryIO, size: int) -> int | None:
    """Elements lie side by side, those of a cluster within it; one that is cut off is not told."""
    _, _, place = element(file, 0, size)
    name, place, end = element(file, place, size)
    if name != SEGMENT:
        return None
    stop = end  # of the cluster
    while place < end:
        name, body, after = element(file, place, end)
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


def broken_flv(file: BinaryIO, place: int, size: int) -> int | None:
    """Tags lie side by side; the length after each is not always what it should be."""
    while place < size:
        file.seek(place)
        head = file.read(4)
        after = place + 11 + int.from_bytes(head[1:], "big")
        if head[0] & 0x1F not in FLV_TAGS or after > size:
            return place
        place = after + 4
    return None


def broken_gif(file: BinaryIO, place: int, size: int) -> int | None:
    """Pictures and extensions lie side by side; each ends with an empty block."""
    while place < size:
        file.seek(place)
        head = file.read(10)
        after = place + 2
        if head[:1] == b";":
            return None if place == size - 1 else place
        if head[:1] == b"," and len(head) == 10:
            after = place + 11 + colour_table_bytes(head[9])
        elif head[:1] != b"!":
            return place
        while after < size:
            file.seek(after)
            length = file.read(1)[0]
            after += 1 + length
            if not length:
                break
        if after > size:
            return place
        place = after
    return None


def broken_avi(file: BinaryIO, size: int) -> int | None:
    """Chunks lie side by side, also in lists of frames; one that is cut off is not told."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(12)
        if not CHUNK.match(head):
            return place
        if head[:4] == b"RIFF" or head[8:12] in (b"movi", b"rec "):
            place += 12  # its chunks come next
        else:
            place += 8 + int.from_bytes(head[4:8], "little")
            place += place % 2
    return None


def broken_stream(file: BinaryIO) -> int | None:
    """Packets of a transport stream lie side by side, and each begins with G."""
    place = 0
    file.seek(0)
    while signs := file.read(TS_READ)[::TS_PACKET]:
        good = len(signs) - len(signs.lstrip(b"G"))
        if place == 0 and good < min(8, len(signs)):
            return None  # of another kind, or it does not begin with a whole packet
        place += good * TS_PACKET
        if good < len(signs):
            return place
    return None


def colour_table_bytes(flags: int) -> int:
    """Bytes of the colours of a GIF or one of its pictures."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def element(file: BinaryIO, place: int, end: int) -> tuple[int, int, int]:
    """Name of the element at a byte, where its content begins, and where it ends.

    Name 0 where there is none. One of unknown length ends where the whole does.
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


def ends_within(path: Path, head: bytes) -> bool:
    """Whether a transport or program stream, a GIF or YUV4MPEG2 file ends within something."""
    size = path.stat().st_size
    if head[:4] == PACK:
        return ends_within_pack(path, size)
    if head[:1] == b"G" and head[:3] != b"GIF":  # G, 0x47, begins every packet
        return size > TS_PACKET and size % TS_PACKET != 0 and starts(path, TS_PACKET) == b"G"
    if head[:3] == b"GIF":
        return starts(path, size - 1) != b";"
    header = Y4M.match(head)
    if header is None:
        return False
    frame = y4m_frame(header[0].decode("ascii", "replace"))
    return frame > 0 and (size - header.end()) % (frame + len("FRAME\n")) != 0


def ends_within_pack(path: Path, size: int) -> bool:
    """Whether the last pack of a program stream (MPEG-1 or 2) holds more than there is."""
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
        if not PACK.startswith(data[place : place + 3]):
            return False  # padding
        place += 6 + int.from_bytes(data[place + 4 : place + 6].ljust(2, b"\0"), "big")
    return place > len(data)


def starts(path: Path, place: int) -> bytes:
    """The byte at a place."""
    with path.open("rb") as file:
        file.seek(place)
        return file.read(1)


def y4m_frame(header: str) -> int:
    """Bytes of a frame; 0 where that is not known."""
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
