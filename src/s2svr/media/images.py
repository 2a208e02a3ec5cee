"""Reading of a folder of images, or one image, as a video without time stamps."""

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import av

from ..color import ColorInfo
from .container import MAX_PIXELS, open_container, video_stream
from .display import Display, display_of
from .errors import MediaError
from .frame import Frame, FrameReader, MediaInfo
from .photos import read_photo_tags
from .planes import (
    MATRICES,
    bits_of,
    from_picture,
    has_alpha,
    is_gray,
    is_rgb,
    is_transparent,
    subsampling,
)
from .stills import (
    ALPHA,
    COMPRESSION,
    GRID,
    HEIF,
    ORIENTATION,
    SUFFIXES,
    Bytes,
    count_pictures,
    count_plays,
    header_format,
    images_in,
    no_images,
    numbering_gap,
    png_chunks,
    read_tag,
    still_form,
    tiff_at,
    tiff_pages,
    told_pictures,
    upright,
)

HEAD_LOOK = 1 << 16  # bytes in which most images say how they are coded
EXR_LIGHT = {"apply_trc": "iec61966_2_1"}  # linear light becomes what screens and networks expect


class Picture(NamedTuple):
    """A decoded picture as it is stored, and how it is to be turned."""

    picture: av.VideoFrame
    orientation: int  # EXIF's number
    form: str  # its decoder
    alpha: bool  # it has some, which is left out
    named: bool = False  # its file says primaries and transfer by their numbers
    display: Display = Display()  # the light of HDR10, where it says that


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file. Raises MediaError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"the image {path} cannot be read: {error.strerror}") from error


def animated_form(path: Path) -> str:
    """The form of an animated image: png, gif, webp or HEIF; empty for all else.

    Raises MediaError for a file that is named as an image and is none.
    """
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        return ""
    data = read_bytes(path)
    form = still_form(data, path)
    return form if form != "tiff" and count_pictures(data, form) > 1 else ""


def plays_of(path: Path) -> int:
    """How many times an input is shown: as an animated image says; 0, for ever, for all else."""
    if not animated_form(path):
        return 0
    data = read_bytes(path)
    return count_plays(data, still_form(data, path))


def decode_image(path: Path) -> Picture:
    """Decode an image file, whatever its suffix says.

    Raises MediaError, also for one that holds several pictures.
    """
    data = read_bytes(path)
    form = still_form(data, path)
    count = count_pictures(data, form)
    if count > 1:
        raise MediaError(
            f"the image {path} {told_pictures(count, form)}: give it alone as the input, or write "
            "its pictures to files of their own first"
        )
    if form == HEIF:
        return decode_heif(path, data)
    if pages := tiff_pages(data):  # a thumbnail may come before the page
        data = tiff_at(data, pages[0])
    return decode_still(path, data, form)


def decode_still(path: Path, data: bytes, form: str) -> Picture:
    """Decode the one picture in the bytes of an image file; of a TIFF, its first page."""
    codec = av.VideoCodecContext.create(form, "r")
    codec.options = {"max_pixels": str(MAX_PIXELS), **(EXR_LIGHT if form == "exr" else {})}
    try:
        pictures = codec.decode(av.Packet(data)) + codec.decode(None)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"the image {path} is broken or too large") from error
    if not pictures:
        raise MediaError(f"the image {path} holds no picture")
    if form == "tiff" and read_tag(data, COMPRESSION) in (6, 7):
        raise MediaError(f"the image {path} is a TIFF with JPEG inside, which is not supported")
    picture = pictures[0]
    # FFmpeg makes every GIF one with alpha, and a palette may hold some.
    alpha = (has_alpha(picture.format) and form != "gif") or is_transparent(picture)
    turned = read_tag(data, ORIENTATION) or 1
    return Picture(picture, turned, form, alpha, *(png_light(data) if form == "png" else ()))


def png_light(data: bytes) -> tuple[bool, Display]:
    """If a PNG says primaries and transfer by their numbers, and the light of HDR10 in it.

    They are not asked of PyAV: it frees what a profile is called twice.
    """
    chunks = dict(takewhile(lambda chunk: chunk[0] != b"IDAT", png_chunks(data)))
    mastering, light = chunks.get(b"mDCV", b""), chunks.get(b"cLLI", b"")
    found = Display()
    if len(mastering) == 24:
        *places, most, least = struct.unpack(">8H2I", mastering)
        brightness = Fraction(least, 10000), Fraction(most, 10000)
        found = replace(found, mastering=(*(Fraction(p, 50000) for p in places), *brightness))
    if len(light) == 8:
        brightest, mean = struct.unpack(">2I", light)
        found = replace(found, light=(brightest // 10000, mean // 10000))
    return len(chunks.get(b"cICP", b"")) == 4, found


def still_format(path: Path) -> av.VideoFormat | None:
    """Pixel format of the one picture of an image file, by its header; None where it tells none.

    It has the components and bits of the planes that come of it. Raises MediaError for what is no
    image.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            form = still_form(data[:HEAD_LOOK], path)
            if form != HEIF:
                return header_form(data, form)
    except (OSError, ValueError) as error:  # of an empty file
        raise MediaError(f"the image {path} cannot be read: {error}") from error
    with open_container(path) as container:
        return video_stream(container, path).codec_context.format


def header_form(data: Bytes, form: str) -> av.VideoFormat | None:
    """Pixel format of a picture by its header, which the decoder reads where we do not."""
    if name := header_format(data, form):
        return av.VideoFormat(name)
    for part in (data[:HEAD_LOOK], data[:]):
        codec = av.VideoCodecContext.create(form, "r")
        codec.options, codec.skip_frame = {"max_pixels": str(MAX_PIXELS)}, "ALL"
        with suppress(av.error.FFmpegError, ValueError):  # the part may end too early
            codec.decode(av.Packet(part))
        if codec.pix_fmt:
            return codec.format
    return None


def decode_heif(path: Path, data: bytes) -> Picture:
    """Decode an AVIF or HEIC image, whose data are those of the file. Raises MediaError."""
    if GRID.search(data):
        raise MediaError(
            f"the image {path} is put together of tiles, which is not supported; convert it to PNG"
        )
    with open_container(path) as container:
        stream = video_stream(container, path)
        try:
            picture = next(container.decode(stream), None)
        except av.error.FFmpegError as error:
            raise MediaError(f"the image {path} is broken or too large") from error
    if picture is None:
        raise MediaError(f"the image {path} holds no picture")
    shown, alpha = display_of(picture), ALPHA.search(data) is not None
    light = Display(mastering=shown.mastering, light=shown.light)
    return Picture(picture, shown.orientation, stream.codec_context.name, alpha, True, light)


def read_image(path: Path) -> Frame:
    """Read one image as a frame, upright. Raises MediaError."""
    return image_frame(decode_image(path))


def image_frame(decoded: Picture) -> Frame:
    """Make a frame of a decoded image, upright."""
    picture = decoded.picture
    planes = from_picture(picture)
    rgb = picture.format.is_rgb or picture.format.has_palette
    matrix = MATRICES.get(int(picture.colorspace), "bt601")
    color = ColorInfo(
        "gray" if len(planes) == 1 else "rgb" if rgb else matrix,
        full_range=picture.color_range != 1,
        bits=bits_of(picture.format),
        primaries=int(picture.color_primaries) if decoded.named else 2,
        transfer=int(picture.color_trc) if decoded.named else 2,
        siting="center",
    )
    planes = tuple(upright(plane, decoded.orientation) for plane in planes)
    return Frame(planes, color, None, corrupt=picture.is_corrupt)


class ImageReader(FrameReader):
    """Iterator of the frames of a folder of images of one size, or of the pages of one TIFF.

    Seconds count at ``fps``.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: Fraction | None = None,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        self.path = path
        self.damage: list[str] = []
        self.warnings: list[str] = []
        self.messages: Counter[str] = Counter()
        rate = fps or Fraction(25)
        files = images_in(path)
        if not files:
            raise MediaError(no_images(path))
        if note := numbering_gap(files):
            self.warnings.append(f"{note}; what there is counts as one frame after the other")
        self.document = b"" if path.is_dir() else read_bytes(path)  # a TIFF of several pages
        places = tiff_pages(self.document)
        if len(places) < 2:
            self.document, places = b"", [0]
        every = [(file, place) for file in files for place in places]
        times = [index / rate for index in range(len(every))]
        first, stop = start or Fraction(0), times[-1] + 1 if end is None else end
        asked = [p for p, t in zip(every, times, strict=True) if first <= t < stop]
        if not asked:
            raise MediaError(f"{path} holds no images in the time asked for")
        self.files, self.places = [file for file, _ in asked], [place for _, place in asked]
        self.start, self.end, self.shift = start, end, Fraction(0)
        decoded = self.decode(0)
        self.display = decoded.display
        frame = image_frame(decoded)
        height, width = frame.planes[0].shape
        color, chroma = self.richest(decoded)
        self.info = MediaInfo(
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            color=color,
            chroma=chroma,
            duration=len(self.files) / rate,
            kind="images",
            codec=decoded.form,
            names=tuple(file.stem for file in self.files) if not self.document else (),
        )
        self.frames = self.read(frame)

    def decode(self, index: int) -> Picture:
        """Decode an image, or a page, and say what of it is left out."""
        if not self.document:
            decoded = decode_image(self.files[index])
        else:
            decoded = decode_still(self.path, self.page(index), "tiff")
        if decoded.alpha:
            self.warn("the alpha channel is left out")
        if decoded.form == "exr":
            self.warn("linear light is read as sRGB, and what is brighter than 1 as 1")
        return decoded

    def page(self, index: int) -> bytes:
        """The document as a TIFF whose first page is another one."""
        return tiff_at(self.document, self.places[index])

    def warn(self, text: str) -> None:
        """Add a warning, unless it is there already."""
        if text not in self.warnings:
            self.warnings.append(text)

    def richest(self, first: Picture) -> tuple[ColorInfo, tuple[int, int]]:
        """The colour and chroma that hold what every image has, by their headers.

        They have colour if one has, with the most bits and the finest chroma of any.
        """
        color, forms = image_frame(first).color, [first.picture.format]
        for index in range(1, len(self.files)):
            document = self.page(index) if self.document else b""
            form = header_form(document, "tiff") if document else still_format(self.files[index])
            forms.append(form or forms[0])  # one that is broken is refused when it is its turn
        coded = [i for i, form in enumerate(forms) if not (is_rgb(form) or is_gray(form))]
        if any(map(is_rgb, forms)):
            color, coded = replace(color, matrix="rgb", full_range=True), []
        elif coded and color.matrix == "gray":
            color = image_frame(self.decode(coded[0])).color
        chromas = [subsampling(forms[index]) for index in coded] or [(1, 1)]
        finest = min(x for x, _ in chromas), min(y for _, y in chromas)
        return replace(color, bits=max(map(bits_of, forms))), finest

    def read(self, first: Frame) -> Iterator[Frame]:
        """Yield the frames, the first of which was read already."""
        size = first.planes[0].shape
        for index, file in enumerate(self.files):
            frame = image_frame(self.decode(index)) if index else first
            height, width = frame.planes[0].shape
            if (height, width) != size:
                pages = self.document != b""
                raise MediaError(
                    f"expected images of one size, {'a page' if pages else self.files[0].name} is "
                    f"{size[1]}x{size[0]} and {'another' if pages else file.name} is "
                    f"{width}x{height}"
                )
            color, whole = frame.color, self.info.color
            if (color.primaries, color.transfer) != (whole.primaries, whole.transfer) and not (
                color.like_srgb and whole.like_srgb
            ):
                self.warn(
                    "the images differ in colour primaries or transfer: the output has "
                    f"{whole.primaries} and {whole.transfer} for all, {file.name} "
                    f"{color.primaries} and {color.transfer}"
                )
            yield replace(frame, tags=read_photo_tags(read_bytes(file)))
