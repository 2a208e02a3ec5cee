"""Images that are written: a folder of them, one of them, or one that is animated."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Self

import av
import torch
from torch import Tensor

from ..color import ColorInfo
from ..files import sync
from ..media import (
    PNG,
    Frame,
    MediaError,
    PhotoTags,
    Reader,
    convert_format,
    held_photo_tags,
    plays_of,
    png_chunk,
    to_picture,
    upright,
    with_photo_tags,
)
from .animations import Delays, join_gif, join_png, join_webp
from .omissions import image_losses
from .packets import lost_messages, lost_photo_tags
from .protocol import OutputFormat, Position
from .workfolder import FRESH, WorkFolder, WorkPolicy


class ImageKind(NamedTuple):
    """FFmpeg's encoder of a kind of images, and how it is used."""

    encoder: str
    formats: dict[int, tuple[str, str]]  # by bits: of grey (empty: as colour) and of colour
    worst: int | None = None  # crf; lower is better, and None: it takes none
    largest: int = 65535  # pixels of a side
    options: dict[str, str] = {}  # noqa: RUF012


IMAGES = {
    "png": ImageKind("png", {8: ("gray", "rgb24"), 16: ("gray16be", "rgb48be")}),
    "tiff": ImageKind(
        "tiff",
        {8: ("gray", "rgb24"), 16: ("gray16le", "rgb48le")},
        options={"compression_algo": "deflate"},
    ),
    "jpeg": ImageKind("mjpeg", {8: ("", "yuvj444p")}, 31),
    "webp": ImageKind("libwebp", {8: ("", "bgra")}, 100, 16383),
    "gif": ImageKind("gif", {8: ("", "pal8")}),
    "bmp": ImageKind("bmp", {8: ("gray", "bgr24")}),
}
IMAGE_SUFFIXES = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff",
    ".tiff": "tiff", ".bmp": "bmp", ".gif": "gif", ".apng": "png",
}  # fmt: skip
# Suffixes of images that are animated where there is more than one frame, and what joins them.
MOVING: dict[str, Callable[[Path, list[Path], Delays, int], None]] = {
    ".gif": join_gif,
    ".webp": join_webp,
    ".apng": join_png,
}
PNG_HEAD = len(PNG) + 25  # bytes up to the end of its header
JPEG_CRF = 2  # where none is given; WebP is lossless then
PALETTE = "palettegen", "stats_mode=single:reserve_transparent=0"  # 256 colours for each picture
TIMES = "times"  # a file beside the frames of an animation: seconds of each, and how long it is


def image_codec(suffix: str, codec: str | None) -> str:
    """The kind of images for a suffix (empty: none was named); MediaError where they disagree."""
    if codec is None:
        return IMAGE_SUFFIXES[suffix or ".png"]
    if codec not in IMAGES:
        raise MediaError(f"images are written with {', '.join(IMAGES)}, not with {codec}")
    if suffix and IMAGE_SUFFIXES[suffix] != codec:
        raise MediaError(f"{suffix} files cannot hold {codec}; choose another codec or name")
    return codec


def image_depth(codec: str, bits: int | None, source: int) -> int:
    """Bits of the codes that are written, 8 or 16; MediaError for others that are asked for."""
    known = list(IMAGES[codec].formats)
    if bits is None:
        return known[0] if source <= 8 else known[-1]
    if bits not in known:
        has = " or ".join(map(str, known))
        raise MediaError(f"{codec} images have {has} bits, not {bits}; choose --bits {has}")
    return bits


class ImageWriter:
    """Writes frames as images; what they make appears if ``with`` ends without exception.

    In a folder the names are those of the source images, or numbers by ``pattern``. Without a
    folder it is one image, or, ``moving``, an animated one that all of them are joined to. Frames
    that a player turns or mirrors are written as it shows them: not every viewer heeds an image's
    tag.
    """

    def __init__(
        self,
        path: Path,
        *,
        reader: Reader,
        output: OutputFormat,
        policy: WorkPolicy = FRESH,
        suffix: str = "",
        pattern: str = "",
        folder: bool = True,
        moving: bool = False,
    ) -> None:
        self.path, self.folder, self.reader = path, folder, reader
        self.codec, self.crf = image_codec(suffix, output.codec), output.crf
        self.suffix = suffix or next(s for s, c in IMAGE_SUFFIXES.items() if c == self.codec)
        check_image_crf(self.codec, self.crf)
        if output.bitrate is not None or output.preset is not None:
            raise MediaError(f"{self.codec} images take no bit rate and no preset")
        if (side := max(output.width, output.height)) > (most := IMAGES[self.codec].largest):
            raise MediaError(f"{self.codec} images have at most {most} pixels a side, not {side}")
        source, info = reader.info.color, reader.info
        bits = image_depth(self.codec, output.bits, source.bits)
        self.color = replace(
            image_color(self.codec, source.matrix, bits),
            primaries=source.primaries,
            transfer=source.transfer,
        )
        self.chunks = color_chunks(reader) if self.codec == "png" else b""
        self.chroma = (1, 1)
        self.warnings = image_losses(reader, self.color, self.codec)
        names = info.names
        self.names = names if len(set(names)) == len(names) and not pattern else ()
        self.pattern = pattern or "%06d"
        self.orientation = reader.display.orientation
        self.rate, self.shift = info.rate, reader.shift
        self.moving = MOVING[".apng" if suffix == ".png" else suffix] if moving else None
        self.times: list[tuple[Fraction, Fraction]] = []  # seconds: begin and duration
        self.work = WorkFolder(path, policy, images=folder)
        self.lost_tags: dict[str, None] = {}
        self.count = self.synced = 0  # images, and those that are surely on the disk

    def write(self, frame: Frame) -> None:
        """Take the next frame, in ``color``."""
        if self.count and not self.folder and not self.moving:
            raise MediaError(
                f"{self.path} is one picture, and there is more than one; name a folder"
            )
        with self.work.errors():
            planes = tuple(upright(plane, self.orientation) for plane in frame.planes)
            write_picture(self.image_path(self.count), planes, self.codec, self.crf, self.chunks)
            self.write_tags(self.image_path(self.count), frame.tags, planes)
        time = self.count / self.rate if frame.time is None else frame.time - self.shift
        self.times.append((time, frame.duration or 1 / self.rate))
        self.count += 1

    def write_tags(self, path: Path, tags: PhotoTags, planes: tuple[Tensor, ...]) -> None:
        """Put the tags of a source image into the written one, as far as it can have them."""
        if not tags.names:
            return
        height, width = planes[0].shape
        kind = "" if self.moving else self.codec
        held = held_photo_tags(tags, kind, gray=len(planes) == 1, size=(width, height))
        self.lost_tags |= dict.fromkeys(set(tags.names) - set(held.names))
        if held.names:
            path.write_bytes(with_photo_tags(path.read_bytes(), held))

    def image_path(self, index: int) -> Path:
        """Path at which an image is written."""
        if self.moving:
            return self.work.folder / f"{index:06d}{self.suffix}"
        if not self.folder:
            return self.work.product
        name = self.names[index] if self.names else numbered_name(self.pattern, index)
        return self.work.product / f"{name}{self.suffix}"

    def end_segment(self) -> Position:
        """Wait until all frames so far are on the disk; return how far that is."""
        with self.work.errors():
            files = [self.image_path(index) for index in range(self.synced, self.count)]
            if self.moving:
                lines = (f"{time} {duration}\n" for time, duration in self.times)
                (self.work.folder / TIMES).write_text("".join(lines), encoding="ascii")
                files.append(self.work.folder / TIMES)
            sync(files)
        self.synced = self.count
        return Position(self.count, 0, None, 0, tuple(self.lost_tags))

    def go_on(self, position: Position) -> None:
        """Continue after images that the work folder holds; before the first ``write``."""
        self.count = self.synced = position.frames
        self.lost_tags = dict.fromkeys(position.lost)
        if self.moving:
            with self.work.errors():
                lines = (self.work.folder / TIMES).read_text(encoding="ascii").splitlines()
            pairs = [line.split() for line in lines[: self.count]]
            self.times = [(Fraction(time), Fraction(length)) for time, length in pairs]

    def finish(self) -> None:
        """Join an animation, and move what was made to its name."""
        if self.moving:
            frames = [self.image_path(index) for index in range(self.count)]
            delays = Delays(self.times)
            with self.work.errors():
                self.moving(self.work.product, frames, delays, plays_of(self.reader.path))
            self.warnings += delays.warnings
        self.work.publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.warnings += lost_messages(self.reader, "an image")
                self.warnings += lost_photo_tags(self.lost_tags, f"such a {self.suffix} file")
                self.finish()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is not finished."""
        self.work.discard()


def numbered_name(pattern: str, index: int) -> str:
    """The name of an image by a pattern; MediaError where that is none of one number."""
    try:
        return pattern % index
    except (TypeError, ValueError) as error:
        raise MediaError(
            f"expected names of images with one number, such as %06d, got {pattern}; a sign % in "
            "them is written %%"
        ) from error


def check_image_crf(codec: str, crf: int | None) -> None:
    """MediaError for a quality that a kind of images does not take."""
    worst = IMAGES[codec].worst
    if crf is not None and worst is None:
        raise MediaError(f"{codec} takes no quality (crf)")
    if crf is not None and worst is not None and not 0 <= crf <= worst:
        raise MediaError(f"expected a crf between 0 and {worst}, got {crf}")


def image_color(codec: str, matrix: str, bits: int) -> ColorInfo:
    """Colour of the codes that images hold."""
    if codec == "jpeg":
        return ColorInfo("bt601", full_range=True, siting="center")
    gray = matrix == "gray" and IMAGES[codec].formats[bits][0]
    return ColorInfo("gray" if gray else "rgb", full_range=True, bits=bits)


def color_chunks(reader: Reader) -> bytes:
    """Chunks of PNG that say primaries, transfer and the light of HDR10; none where all is usual.

    What a source image says itself is said again, as usual as it may be.
    """
    color, display, chunks = reader.info.color, reader.display, b""
    named = reader.info.kind == "images" and 2 not in (color.primaries, color.transfer)
    if named or not color.like_srgb:  # 0: RGB, 1: of the full range
        chunks += png_chunk(b"cICP", bytes([color.primaries, color.transfer, 0, 1]))
    if display.mastering:
        *places, least, most = display.mastering
        units = [within(place * 50000, 16) for place in places]
        light = within(most * 10000, 32), within(least * 10000, 32)
        chunks += png_chunk(b"mDCV", struct.pack(">8H2I", *units, *light))
    if display.light:
        brightest = [within(Fraction(part * 10000), 32) for part in display.light]
        chunks += png_chunk(b"cLLI", struct.pack(">2I", *brightest))
    return chunks


def within(value: Fraction, bits: int) -> int:
    """The whole number without a sign, of so many bits, that is nearest to a value."""
    return min(max(round(value), 0), 2**bits - 1)


def write_picture(
    path: Path,
    planes: tuple[Tensor, ...],
    codec: str = "png",
    crf: int | None = None,
    chunks: bytes = b"",
) -> None:
    """Write R, G, B or grey planes of 8 or 16 bits, or a JPEG's Y, Cb, Cr, as an image.

    ``chunks`` of a PNG come before its picture.
    """
    kind, gray, deep = IMAGES[codec], len(planes) == 1, planes[0].dtype == torch.uint16
    form = kind.formats[16 if deep else 8][0 if gray else 1]
    if codec == "jpeg":
        picture = to_picture(planes, form)
    else:
        planar = to_picture(planes, ("gray" if gray else "gbrp") + ("16le" if deep else ""))
        picture = with_palette(planar) if form == "pal8" else convert_format(planar, form)
    encoder = av.VideoCodecContext.create(kind.encoder, "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, form
    encoder.time_base = Fraction(1, 25)
    encoder.color_range = 2
    options = dict(kind.options)
    if codec == "jpeg":
        scale = str(max(1, JPEG_CRF if crf is None else crf))
        options |= {"qmin": scale, "qmax": scale}
    elif codec == "webp":
        options |= {"lossless": "1"} if crf is None else {"quality": str(100 - crf)}
    encoder.options = options
    packets = encoder.encode(picture) + encoder.encode(None)
    end = b";" if codec == "gif" else b""  # which FFmpeg's muxer adds
    data = b"".join(bytes(packet) for packet in packets) + end
    path.write_bytes(data[:PNG_HEAD] + chunks + data[PNG_HEAD:] if chunks else data)


def with_palette(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture in the 256 colours that suit it best."""
    graph = av.filter.Graph()
    rgb = convert_format(picture, "rgb24")
    rgb.pts, rgb.time_base = 0, Fraction(1, 25)
    source = graph.add_buffer(
        width=rgb.width, height=rgb.height, format=rgb.format, time_base=rgb.time_base
    )
    split, palette, use = graph.add("split"), graph.add(*PALETTE), graph.add("paletteuse", "new=1")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    graph.push(rgb)
    graph.push(None)
    return graph.pull()


def write_png(path: Path, rgb: Tensor) -> None:
    """Write RGB (3, H, W) in [0, 1] as an 8-bit PNG."""
    write_picture(Path(path), tuple((rgb.clamp(0, 1) * 255).round().to(torch.uint8)))
