"""Still pictures: which files are some, and what their bytes say of kind, number and tags."""

import re
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from .errors import MediaError
from .integrity import PNG, colour_table_bytes, gif_blocks

Bytes = bytes | mmap  # of an image file, as it was read or as it lies on the disk
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
VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".mts", ".avi", ".flv", ".wmv",
    ".mpg", ".mpeg", ".vob", ".3gp", ".ogv", ".mxf", ".y4m", ".yuv",
}  # fmt: skip
KINDS = "PNG, JPEG, TIFF, BMP, WebP, GIF, AVIF, HEIC, EXR, DPX, TGA, JPEG 2000, PNM or QOI"
HEAD = 64  # bytes that say what a file is
PROFILE_LOOK = 1 << 22  # bytes of a file in which its first picture begins
SUBFILE, OLD_SUBFILE = 0x00FE, 0x00FF  # tags that tell pages from thumbnails and masks
# Where the TIFF structure with the tags begins: after the marker of each format.
MARKERS = re.compile(
    rb"\xff\xe1..Exif\0\0|eXIf|EXIF.{4}(?:Exif\0\0)?|^(?=II\*\0|MM\0\*)", re.DOTALL
)
TIFF = (b"II*\0", b"MM\0*")  # its first bytes
MOST_TAGS = 1_000_000  # of a TIFF that are looked at
WIDTHS = {1: 1, 3: 2}  # bytes of an integer, by the number of its type; others have 4
ORIENTATION, COMPRESSION = 0x0112, 0x0103
SAMPLE_BITS, PHOTOMETRIC, SAMPLES = 0x0102, 0x0106, 0x0115
# Grey, by the numbers that headers have for the components of a picture, and RGB.
GRAYS = {"png": {0, 4}, "tiff": {0, 1}, "dpx": {6}}
COLORS = {"png": {2, 6}, "tiff": {2}, "dpx": {50, 51, 52}}
PALETTES = {"png": 3, "tiff": 3}
GRID = re.compile(rb"infe.{8,10}grid", re.DOTALL)  # an item that is put together of others
ALPHA = re.compile(rb"auxiliary:alpha\0|:auxid:1\0")


def images_in(path: Path) -> list[Path]:
    """Paths of a folder's images in natural order (2 before 10), or the one image that path is."""
    if not path.is_dir():
        return [path]
    found = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.is_dir()]
    files = sorted((f for f in found if not f.name.startswith(".")), key=natural_order)
    if odd := next((f for f in files if not f.is_file()), None):
        raise MediaError(f"expected an image file, {odd} is none, or a link that leads nowhere")
    return files


def no_images(path: Path) -> str:
    """Sentence for a folder without images; it says how to restore the videos that it holds."""
    films = sorted(f.name for f in path.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES)
    if not films:
        return f"the folder {path} holds no images ({', '.join(sorted(SUFFIXES))})"
    return (
        f"the folder {path} holds no images but videos ({films[0]}{', ...' * (len(films) > 1)}): "
        f"restore them one by one, as in: for f in {path}/*{Path(films[0]).suffix}; do s2svr "
        'restore "$f" "restored/$(basename "$f")"; done'
    )


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sorting key in which numbers count as numbers; no two names have the same."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name


def numbering_gap(files: list[Path]) -> str:
    """Note on the first number that the names of images leave out; empty where none is."""
    found = [re.fullmatch(r"(.*?)(\d+)", file.stem) for file in files]
    series = [(part[1], int(part[2])) for part in found if part]
    if len(series) < len(files) or len({name for name, _ in series}) > 1:
        return ""  # not one numbered series
    for place, ((_, number), (_, following)) in enumerate(pairwise(series)):
        if following > number + 1:
            return f"there is no image between {files[place].name} and {files[place + 1].name}"
    return ""


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


def header_format(data: Bytes, form: str) -> str:
    """A pixel format with the components and bits that a picture has, as its header says.

    It is empty where only the decoder knows. A palette counts as RGB of 8 bits.
    """
    kind, bits = -1, 8
    if form == "webp":
        return "yuv420p" if any(name == b"VP8 " for name, _ in riff_chunks(data)) else "rgb24"
    if form == "png" and len(data) > 25:
        kind, bits = data[25], data[24]
    elif form == "dpx" and len(data) > 803:
        kind, bits = data[800], data[803]
    elif form == "tiff" and (pages := tiff_pages(data)):
        tags = dict(tiff_directories(data))[pages[0]]
        kind, bits = tags.get(PHOTOMETRIC, -1), tags.get(SAMPLE_BITS, 1)
        if tags.get(SAMPLES, 1) > 2:  # then the number is the place of theirs
            bits = tiff_number(data, bits, 2)
    deep = (
        "" if bits <= 8 or kind == PALETTES.get(form) else f"{bits if bits in (10, 12) else 16}le"
    )
    if kind in GRAYS.get(form, ()):
        return f"gray{deep}"
    if kind in COLORS.get(form, ()) or kind == PALETTES.get(form):
        return f"gbrp{deep}"
    return ""


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


def hide_png_profile(png: bytes) -> bytes:
    """A PNG of the same length whose profile has a name that decoders pass over.

    PyAV 18 frees what a profile is called twice, with a picture of which side data were asked.
    """
    made, place = bytearray(png), len(PNG)
    for name, content in png_chunks(png):
        if name == b"IDAT":
            break
        if name == b"iCCP":
            made[place : place + 12 + len(content)] = png_chunk(b"icCP", content)
        place += 12 + len(content)
    return bytes(made)


def has_png_profile(path: Path) -> bool:
    """True for a file of PNG pictures whose first has a profile."""
    with path.open("rb") as file:
        _, _, picture = file.read(PROFILE_LOOK).partition(PNG)
    return b"iCCP" in picture.partition(b"IDAT")[0]


def riff_chunks(data: Bytes) -> Iterator[tuple[bytes, bytes]]:
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


def tiff_pages(data: Bytes) -> list[int]:
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


def tiff_order(tiff: Bytes) -> Literal["little", "big"]:
    """Order of the bytes in TIFF data."""
    return "little" if tiff[:2] == b"II" else "big"


def tiff_number(tiff: Bytes, place: int, size: int) -> int:
    """A number of ``size`` bytes in TIFF data, in their own order of bytes."""
    return int.from_bytes(tiff[place : place + size], tiff_order(tiff))


def tiff_directories(tiff: Bytes) -> Iterator[tuple[int, dict[int, int]]]:
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
