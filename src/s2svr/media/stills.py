"""Kinds of still pictures: what a file's bytes say it is, how many it holds, and its tags."""

import re
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from .errors import MediaError
from .integrity import PNG, colour_table_bytes, gif_blocks

HEIF = "heif"  # AVIF and HEIC: a picture of AV1 or HEVC in a container of its own
# The first bytes of a file, and FFmpeg's name of the decoder.
SIGNATURES = {
    rb"\x89PNG\r\n\x1a\n": "png",
    rb"\xff\xd8\xff": "mjpeg",
    rb"II\*\0|MM\0\*": "tiff",
    rb"BM": "bmp",
    rb"RIFF....WEBP": "webp",
    rb"GIF8[79]a": "gif",
    rb"v/1\x01": "exr",
    rb"SDPX|XPDS": "dpx",
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51": "jpeg2000",
    rb"P[14][\s#]": "pbm",
    rb"P[25][\s#]": "pgm",
    rb"P[36][\s#]": "ppm",
    rb"P7\n": "pam",
    rb"qoif": "qoi",
    rb"....ftyp(?:....)*?(?:avif|avis|heic|heix|hevc|hevx|mif1|msf1)": HEIF,
}
SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".gif",
    ".avif", ".heic", ".heif", ".exr", ".dpx", ".tga", ".jp2", ".j2k", ".j2c", ".jpc",
    ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".qoi",
}  # fmt: skip
KINDS = "PNG, JPEG, TIFF, BMP, WebP, GIF, AVIF, HEIC, EXR, DPX, TGA, JPEG 2000, PNM or QOI"
HEAD = 64  # bytes that say what a file is
SUBFILE, OLD_SUBFILE = 0x00FE, 0x00FF  # tags that tell pages from thumbnails and masks
# Where the TIFF structure with the tags begins: after the marker of each format.
MARKERS = re.compile(
    rb"\xff\xe1..Exif\0\0|eXIf|EXIF.{4}(?:Exif\0\0)?|^(?=II\*\0|MM\0\*)", re.DOTALL
)
TIFF = (b"II*\0", b"MM\0*")  # its first bytes
MOST_TAGS = 1_000_000  # of a TIFF that are looked at
WIDTHS = {1: 1, 3: 2}  # bytes of an integer, by the number of its type; others have 4
ORIENTATION, COMPRESSION = 0x0112, 0x0103
GRID = re.compile(rb"infe.{8,10}grid", re.DOTALL)  # an item that is put together of others
ALPHA = re.compile(rb"auxiliary:alpha\0|:auxid:1\0")


def still_form(head: bytes, path: Path) -> str:
    """Decoder of a still picture with these first bytes, or HEIF; MediaError where it is none.

    TGA has no signature, and is known by its name.
    """
    names = [n for pattern, n in SIGNATURES.items() if re.match(pattern, head[:HEAD], re.DOTALL)]
    if names:
        return names[0]
    if path.suffix.lower() == ".tga":
        return "targa"
    raise MediaError(f"expected a {KINDS} image, {path} is none")


def count_pictures(data: bytes, form: str) -> int:
    """Count the frames or pages of a picture; broken files count as far as they can be read."""
    if form == "png":
        return animated_png_frames(data)
    if form == "webp":
        return max(1, sum(name == b"ANMF" for name, _ in riff_chunks(data)))
    if form == "gif":
        return gif_frames(data)
    if form == "tiff":
        return max(1, len(tiff_pages(data)))
    if form == HEIF:  # how many is not looked for
        return 2 if b"avis" in data[8:12] or b"moov" in data else 1
    return 1


def count_plays(data: bytes, form: str) -> int:
    """How many times an animated image is shown, as its file says; 0: for ever."""
    if form == "png":
        found = (c for name, c in png_chunks(data) if name == b"acTL" and len(c) == 8)
        return int.from_bytes(next(found, bytes(8))[4:], "big")
    if form == "webp":
        found = (c for name, c in riff_chunks(data) if name == b"ANIM" and len(c) == 6)
        return int.from_bytes(next(found, bytes(6))[4:], "little")
    if form != "gif":
        return 0
    repeats = re.search(rb"!\xff\x0b(?:NETSCAPE2|ANIMEXTS1)\.0\x03\x01(..)", data, re.DOTALL)
    count = int.from_bytes(repeats[1], "little") if repeats else 0
    return count + 1 if count or not repeats else 0


def told_pictures(count: int, form: str) -> str:
    """How many pictures a file holds, in words."""
    if form == "tiff":
        return f"has {count} pages"
    return "is animated" if form == HEIF else f"is animated ({count} frames)"


def animated_png_frames(data: bytes) -> int:
    """Number of frames that a PNG says it has; 1 where it is not animated."""
    for name, content in png_chunks(data):
        if name == b"acTL" and len(content) == 8:
            return max(1, int.from_bytes(content[:4], "big"))
        if name == b"IDAT":
            break
    return 1


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each whole chunk of a PNG."""
    place = len(PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG: its length, name, content and checksum."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk of a RIFF file, the last one as far as it is there."""
    place = 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def gif_frames(data: bytes) -> int:
    """Number of pictures in a GIF; 2 for one that is broken behind the first."""
    file, begin = BytesIO(data), 13 + colour_table_bytes(data[10])
    count, whole = 0, False
    for kind, _ in gif_blocks(file, begin, len(data)):
        count += kind == b","
        whole = kind == b";"
    return count if whole else max(2, count)


def tiff_pages(data: bytes) -> list[int]:
    """Places of the directories of a TIFF's pages; thumbnails and masks are none."""
    return [
        place
        for place, tags in tiff_directories(data)
        if not tags.get(SUBFILE, 0) & 5 and tags.get(OLD_SUBFILE) != 2
    ]


def tiff_at(data: bytes, place: int) -> bytes:
    """A TIFF whose first directory is another one of it."""
    return data[:4] + place.to_bytes(4, tiff_order(data)) + data[8:]


def read_tag(data: bytes, tag: int) -> int | None:
    """Integer of a tag in the first directory of an image file; None where it has none."""
    found = MARKERS.search(data)
    _, tags = next(tiff_directories(data[found.end() :] if found else b""), (0, {}))
    return tags.get(tag)


def tiff_order(tiff: bytes) -> Literal["little", "big"]:
    """Order of the bytes in TIFF data."""
    return "little" if tiff[:2] == b"II" else "big"


def tiff_number(tiff: bytes, place: int, size: int) -> int:
    """A number of ``size`` bytes in TIFF data, in their own order of bytes."""
    return int.from_bytes(tiff[place : place + size], tiff_order(tiff))


def tiff_directories(tiff: bytes) -> Iterator[tuple[int, dict[int, int]]]:
    """Yield the place of each directory in TIFF data, and its tags that are one integer."""
    if tiff[:4] not in TIFF:
        return
    number = partial(tiff_number, tiff)
    seen, place, left = {0}, number(4, 4), MOST_TAGS
    while place not in seen and place + 2 <= len(tiff):
        seen.add(place)
        count = number(place, 2)
        left -= count + 1
        if left < 0:
            return
        entries = range(place + 2, place + 2 + 12 * count, 12)
        yield place, {number(e, 2): number(e + 8, WIDTHS.get(number(e + 2, 2), 4)) for e in entries}
        place = number(place + 2 + 12 * count, 4)


def upright(plane: Tensor, orientation: int) -> Tensor:
    """Rotate and mirror stored planes (..., H, W) as EXIF's orientation, 1 to 8, says."""
    if orientation in (5, 6, 7, 8):
        plane = plane.transpose(-2, -1)
    dims = {2: [-1], 3: [-2, -1], 4: [-2], 6: [-1], 7: [-2, -1], 8: [-2]}.get(orientation, [])
    if plane.dtype == torch.uint16:  # torch flips signed codes only
        return plane.view(torch.int16).flip(dims).view(torch.uint16)
    return plane.flip(dims)
