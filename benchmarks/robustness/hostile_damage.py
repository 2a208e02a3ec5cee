"""Makers of hostile files: damage to the bytes of a clip, and things that are no video."""

import os
import random
import re
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from made_clips import MP4, clip, film


def changed(make: Callable[[Path], Path], change: Callable[[bytearray], object]) -> Callable:
    """A maker of a file whose bytes are changed; what ``change`` returns replaces them."""

    def made(folder: Path) -> Path:
        path = make(folder)
        data = bytearray(path.read_bytes())
        result = change(data)
        path.write_bytes(result if isinstance(result, bytes | bytearray) else data)
        return path

    return made


def cut(share: float) -> Callable[[bytearray], bytearray]:
    return lambda data: data[: int(len(data) * share)]


def cut_packets(data: bytearray) -> bytearray:
    """The first two thirds of a transport stream's packets."""
    return data[: len(data) * 2 // 3 // 188 * 188]


def flip(seed: int, count: int, since: float = 0.1, until: float = 1.0) -> Callable:
    """Turn over ``count`` bits of a part of the file."""

    def change(data: bytearray) -> None:
        chance = random.Random(seed)
        for _ in range(count):
            place = chance.randrange(int(since * len(data)), int(until * len(data)))
            data[place] ^= 1 << chance.randrange(8)

    return change


def zero(since: float, until: float) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        start, stop = int(since * len(data)), int(until * len(data))
        data[start:stop] = bytes(stop - start)

    return change


def without(since: float, until: float, unit: int = 1) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        start, stop = (int(share * len(data)) // unit * unit for share in (since, until))
        del data[start:stop]

    return change


def put(box: bytes, offset: int, value: bytes) -> Callable[[bytearray], None]:
    """Overwrite bytes after the name of every box of an mp4."""

    def change(data: bytearray) -> None:
        for match in re.finditer(re.escape(box), bytes(data)):
            data[match.end() + offset : match.end() + offset + len(value)] = value

    return change


def stamped(stamp: Callable[[int, int], int | None]) -> Callable[[bytearray], None]:
    """Give the video of a transport stream other time stamps, made of number and old one; or none.

    Decoding time stamps go.
    """

    def change(data: bytearray) -> None:
        places = [m.start() for m in re.finditer(rb"\0\0\x01\xe0", bytes(data))]
        for number, place in enumerate(places):
            head = data[place + 9 : place + 14]
            old = (head[0] >> 1 & 7) << 30 | head[1] << 22 | (head[2] >> 1) << 15
            new = stamp(number, old | head[3] << 7 | head[4] >> 1)
            data[place + 7] &= 0x3F
            if new is None:
                data[place + 9 : place + 14] = b"\xff" * 5
                continue
            data[place + 7] |= 0x80
            new %= 2**33
            data[place + 9 : place + 14] = bytes(
                (0x21 | new >> 29 & 0xE, new >> 22 & 255, new >> 14 & 254 | 1)
            ) + bytes((new >> 7 & 255, new << 1 & 254 | 1))
            if data[place + 8] >= 10:
                data[place + 14 : place + 19] = b"\xff" * 5

    return change


NOBFRAMES = {"bf": "0"}
TIMES = clip("a.ts", options=NOBFRAMES)


def joined(*makes: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The bytes of several files one after the other."""

    def made(folder: Path) -> Path:
        parts = []
        for make in makes:
            path = make(folder)
            parts.append(path.read_bytes())
        path.write_bytes(b"".join(parts))
        return path

    return made


def holding(name: str, data: bytes) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return made


def renamed(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    return lambda folder: make(folder).rename(folder / name)


def link(name: str, target: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return made


def fifo(name: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return made


def sock(folder: Path) -> Path:
    with closing(socket.socket(socket.AF_UNIX)) as plug:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        try:
            plug.bind("a.mp4")
        finally:
            os.chdir(here)
    return folder / "a.mp4"


def locked(folder: Path) -> Path | None:
    """A file that nobody may read; root may, so there is none for root."""
    if os.geteuid() == 0:
        return None
    path = MP4(folder)
    path.chmod(0)
    return path


def empty_folder(folder: Path) -> Path:
    (folder / "a.mp4").mkdir()
    return folder / "a.mp4"


def no_pictures(folder: Path) -> Path:
    """A video track without a packet."""
    return changed(MP4, put(b"stsz", 8, bytes(4)))(folder)


def playlist(name: str, text: str) -> Callable[[Path], Path]:
    """A text that names {secret}, a video of its own; nobody asked for that one."""

    def made(folder: Path) -> Path:
        secret = film(folder / "secret.ts", size=(80, 64), count=5)
        (folder / name).write_text(text.format(secret=secret, uri=secret.as_uri()))
        return folder / name

    return made


M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{secret}'\nduration 0.2\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp2t">'
    '<Representation id="1" bandwidth="1" width="80" height="64"><BaseURL>{uri}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)
ELSEWHERE = "http://127.0.0.1:9/secret.ts"


def png_head(width: int, height: int) -> bytes:
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + head


def bad_sum(data: bytearray) -> None:
    data[data.index(b"IDAT") + 20] ^= 0xFF


def gaps(folder: Path) -> None:
    for old, new in ((1, 4), (2, 7)):
        (folder / f"f{old}.png").rename(folder / f"f{new}.png")
