"""Tags of photographs, as files hold them: colour profile, EXIF (time, place, camera) and XMP."""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from .stills import (
    ORIENTATION,
    PNG,
    TIFF,
    png_chunk,
    png_chunks,
    riff_chunks,
    tiff_number,
    tiff_order,
)

JPEG_START = b"\xff\xd8"
EXIF_HEAD, XMP_HEAD = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEAD, XMP_KEY = b"ICC_PROFILE\0", b"XML:com.adobe.xmp"
ICC_PART = 65519  # bytes of a profile that a segment of JPEG holds
MOST_IN_SEGMENT = 65533
# Parts of each format that hold the picture itself or how it is coded, and those of JPEG's.
PICTURE_PARTS = {
    *("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "sRGB", "sBIT", "bKGD", "hIST", "pHYs", "tIME"),
    *("cICP", "mDCV", "mDCv", "cLLI", "cLLi"),  # which decoders read
    *("acTL", "fcTL", "fdAT", "VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"),
}
JPEG_PARTS = (b"JFIF\0", b"JFXX\0", b"Adobe")
# Parts of PNG that only say again what nearly every picture has.
USUAL = {
    "gAMA": (45455).to_bytes(4, "big"),
    "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
EXIF_DIRECTORY, WIDTH, HEIGHT = 0x8769, 0xA002, 0xA003
TIFF_TAGS = {700: "XMP", 34675: "ICC profile", 34665: "EXIF", 34853: "place", 306: "time"}
# What HEIC and AVIF say they hold: kinds of items, a kind of content, and a profile.
HEIF_TAGS = {b"Exif\0": "EXIF", b"application/rdf+xml\0": "XMP", b"colrprof": "ICC profile"}
HEIF_HEAD = 2**16  # bytes that hold the list of items
HOLDERS = ("png", "jpeg", "webp")  # kinds of images whose files get tags


@dataclass(frozen=True)
class PhotoTags:
    """Tags of one image; what it lacks is empty."""

    icc: bytes = b""
    exif: bytes = b""  # in the form of a TIFF file
    xmp: bytes = b""
    others: tuple[str, ...] = ()  # names of what is not kept anywhere

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all the tags there are."""
        found = {"ICC profile": self.icc, "EXIF": self.exif, "XMP": self.xmp}
        return (*(name for name, value in found.items() if value), *self.others)


NO_TAGS = PhotoTags()


class PhotoPart(NamedTuple):
    """A chunk of PNG or WebP, or a segment of JPEG."""

    name: str
    content: bytes


def read_photo_tags(data: bytes) -> PhotoTags:
    """Tags of an image file; of TIFF, HEIC and AVIF their names alone, which are not taken over."""
    tags = NO_TAGS
    for name, content in parts_of(data):
        if name == "iCCP":
            _, _, packed = content.partition(b"\0")
            tags = replace(tags, icc=tags.icc or inflated(packed[1:]))
        elif name == "ICCP":
            tags = replace(tags, icc=content)
        elif name == "APP2" and content.startswith(ICC_HEAD):
            tags = replace(tags, icc=tags.icc + content[len(ICC_HEAD) + 2 :])
        elif name in ("eXIf", "EXIF") or (name == "APP1" and content.startswith(EXIF_HEAD)):
            tags = replace(tags, exif=content.removeprefix(EXIF_HEAD))
        elif name == "XMP " or (name == "APP1" and content.startswith(XMP_HEAD)):
            tags = replace(tags, xmp=content.removeprefix(XMP_HEAD))
        elif name == "iTXt" and content.startswith(XMP_KEY + b"\0\0"):
            tags = replace(tags, xmp=content.split(b"\0", 5)[-1])
        elif other := other_name(name, content):
            tags = replace(tags, others=tuple(dict.fromkeys([*tags.others, other])))
    return tags


def other_name(name: str, content: bytes) -> str:
    """Name for a part that is neither kept nor a part of the picture; empty for the latter."""
    if name in PICTURE_PARTS or content == USUAL.get(name):
        return ""
    if name in ("tEXt", "zTXt", "iTXt"):
        return f"text {content.partition(bytes(1))[0].decode('latin-1')}"
    if name.startswith("APP"):
        if content.startswith(JPEG_PARTS):
            return ""
        head = re.match(rb"[\w .:/-]+", content)
        return "IPTC" if content.startswith(b"Photoshop") else f"{name} {as_text(head)}".strip()
    return {"COM": "comment"}.get(name, name)


def as_text(found: re.Match[bytes] | None) -> str:
    """The text that was found; empty where none was."""
    return found[0].decode("ascii") if found else ""


def parts_of(data: bytes) -> Iterator[PhotoPart]:
    """Yield the parts of an image file, those of JPEG up to its picture."""
    if data.startswith(PNG):
        yield from named(png_chunks(data))
    elif data.startswith(JPEG_START):
        place = 2
        while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
            kind, size = struct.unpack_from(">BH", data, place + 1)
            name = f"APP{kind - 0xE0}" if 0xE0 <= kind <= 0xEF else "COM" if kind == 0xFE else ""
            if name:
                yield PhotoPart(name, data[place + 4 : place + 2 + size])
            place += 2 + size
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from named(riff_chunks(data))
    elif data[4:8] == b"ftyp":
        for mark, name in HEIF_TAGS.items():
            if mark in data[:HEIF_HEAD]:
                yield PhotoPart(f"{name} of HEIF", b"")
    elif data[:4] in TIFF:
        for tag, *_ in directory(data, tiff_number(data, 4, 4)):
            if tag in TIFF_TAGS:
                yield PhotoPart(f"{TIFF_TAGS[tag]} of TIFF", b"")


def named(chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[PhotoPart]:
    """Chunks as parts, their names as text."""
    return (PhotoPart(name.decode("latin-1"), content) for name, content in chunks)


def inflated(packed: bytes) -> bytes:
    """Data that were packed by zlib; none where they are broken."""
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return b""


def directory(tiff: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Yield tag, type and place of the value of each entry of a directory in TIFF data."""
    for entry in range(place + 2, place + 2 + 12 * tiff_number(tiff, place, 2), 12):
        if entry + 12 <= len(tiff):
            yield tiff_number(tiff, entry, 2), tiff_number(tiff, entry + 2, 2), entry + 8


def upright_exif(exif: bytes, width: int, height: int) -> bytes:
    """EXIF of a picture that has become upright and of this size, without its old thumbnail."""
    made = bytearray(exif)

    def put(place: int, kind: int, value: int) -> None:
        size = 2 if kind == 3 else 4
        if value < 1 << 8 * size:
            made[place : place + size] = value.to_bytes(size, tiff_order(exif))

    first = tiff_number(exif, 4, 4)
    entries = list(directory(exif, first))
    for tag, kind, place in entries:
        if tag == ORIENTATION:
            put(place, kind, 1)
        if tag == EXIF_DIRECTORY:
            for inner, inner_kind, spot in directory(exif, tiff_number(exif, place, 4)):
                if inner in (WIDTH, HEIGHT):
                    put(spot, inner_kind, width if inner == WIDTH else height)
    following = first + 2 + 12 * len(entries)
    made[following : following + 4] = bytes(4)
    return bytes(made)


def held_photo_tags(tags: PhotoTags, kind: str, *, gray: bool, size: tuple[int, int]) -> PhotoTags:
    """The tags that an image of a kind can have; ``size`` is (width, height) in pixels.

    A profile has to be for the components of the image: that of a CMYK picture is not.
    """
    if kind not in HOLDERS:
        return NO_TAGS
    wanted = b"GRAY" if gray else b"RGB "
    icc = tags.icc if tags.icc[16:20] == wanted else b""
    exif = tags.exif if tags.exif[:4] in TIFF else b""
    exif = upright_exif(exif, *size) if exif else b""
    fits = kind != "jpeg" or max(len(exif), len(tags.xmp)) < MOST_IN_SEGMENT - len(XMP_HEAD)
    return PhotoTags(icc, exif if fits else b"", tags.xmp if fits else b"")


def with_photo_tags(data: bytes, tags: PhotoTags) -> bytes:
    """An image file, PNG, JPEG or WebP without tags, with these in it."""
    if not tags.names:
        return data
    if data.startswith(PNG):
        place = len(PNG) + 25  # after IHDR
        return data[:place] + b"".join(png_parts(tags)) + data[place:]
    if data.startswith(JPEG_START):
        place = 2
        if data[2:4] == b"\xff\xe0":
            place += 2 + int.from_bytes(data[4:6], "big")
        return data[:place] + b"".join(jpeg_parts(tags)) + data[place:]
    return webp_with(data, tags)


def png_parts(tags: PhotoTags) -> Iterator[bytes]:
    """Yield the tags as chunks of PNG."""
    contents = {
        b"iCCP": b"ICC profile\0\0" + zlib.compress(tags.icc) if tags.icc else b"",
        b"eXIf": tags.exif,
        b"iTXt": XMP_KEY + bytes(5) + tags.xmp if tags.xmp else b"",
    }
    for name, content in contents.items():
        if content:
            yield png_chunk(name, content)


def jpeg_parts(tags: PhotoTags) -> Iterator[bytes]:
    """Yield the tags as segments of JPEG."""
    pieces = [tags.icc[i : i + ICC_PART] for i in range(0, len(tags.icc), ICC_PART)]
    segments = [(0xE1, EXIF_HEAD + tags.exif)] if tags.exif else []
    segments += [(0xE1, XMP_HEAD + tags.xmp)] if tags.xmp else []
    for number, piece in enumerate(pieces):
        segments.append((0xE2, ICC_HEAD + bytes([number + 1, len(pieces)]) + piece))
    for kind, content in segments:
        yield struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content


def webp_with(data: bytes, tags: PhotoTags) -> bytes:
    """A WebP of one picture, with tags; its extended header says what there is."""
    inside = [part for part in parts_of(data) if part.name != "VP8X"]
    width, height, alpha = webp_picture_size(inside)
    flags = 0x20 * bool(tags.icc) | 0x10 * alpha | 0x08 * bool(tags.exif) | 0x04 * bool(tags.xmp)
    head = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little")
    head += (height - 1).to_bytes(3, "little")
    made = [PhotoPart("VP8X", head), *([PhotoPart("ICCP", tags.icc)] if tags.icc else []), *inside]
    made += [PhotoPart("EXIF", tags.exif)] if tags.exif else []
    made += [PhotoPart("XMP ", tags.xmp)] if tags.xmp else []
    body = b"WEBP" + b"".join(
        part.name.encode() + struct.pack("<I", len(part.content)) + part.content
        + bytes(len(part.content) % 2)
        for part in made
    )  # fmt: skip
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_picture_size(parts: list[PhotoPart]) -> tuple[int, int, bool]:
    """Width and height of a WebP's picture in pixels, and whether it says that it has alpha."""
    for name, content in parts:
        if name == "VP8L":
            bits = int.from_bytes(content[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
        if name == "VP8 ":
            width, height = struct.unpack_from("<2H", content, 6)
            return width & 0x3FFF, height & 0x3FFF, any(part.name == "ALPH" for part in parts)
    raise ValueError("expected a WebP with a picture, got one without")
