"""Reading of a folder of images, or one image, as a video without time stamps."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av

from ..color import ColorInfo
from .container import MAX_PIXELS, open_container, video_stream
from .display import Display, display_of
from .errors import MediaError
from .frame import Frame, FrameReader, MediaInfo
from .photos import read_photo_tags
from .planes import MATRICES, bits_of, from_picture, has_alpha, is_transparent, subsampling
from .stills import (
    ALPHA,
    COMPRESSION,
    GRID,
    HEIF,
    ORIENTATION,
    SUFFIXES,
    count_pictures,
    count_plays,
    read_tag,
    still_form,
    tiff_at,
    tiff_pages,
    told_pictures,
    upright,
)

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".mts", ".avi", ".flv", ".wmv",
    ".mpg", ".mpeg", ".vob", ".3gp", ".ogv", ".mxf", ".y4m", ".yuv",
}  # fmt: skip
EXR_LIGHT = {"apply_trc": "iec61966_2_1"}  # linear light becomes what screens and networks expect


class Picture(NamedTuple):
    """A decoded picture as it is stored, and how it is to be turned."""

    picture: av.VideoFrame
    orientation: int  # EXIF's number
    form: str  # its decoder
    alpha: bool  # it has some, which is left out


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


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Sorting key in which numbers count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


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
    return Picture(picture, read_tag(data, ORIENTATION) or 1, form, alpha)


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
    turned, alpha = display_of(picture).orientation, ALPHA.search(data) is not None
    return Picture(picture, turned, stream.codec_context.name, alpha)


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
        self.start, self.end, self.shift, self.display = start, end, Fraction(0), Display()
        decoded = self.decode(0)
        frame = image_frame(decoded)
        height, width = frame.planes[0].shape
        if decoded.alpha:
            self.warnings.append("the alpha channel is left out")
        if decoded.form == "exr":
            self.warnings.append("linear light is read as sRGB, and what is brighter than 1 as 1")
        self.info = MediaInfo(
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            color=frame.color,
            chroma=subsampling(decoded.picture.format),
            duration=len(self.files) / rate,
            kind="images",
            codec=decoded.form,
            names=tuple(file.stem for file in self.files) if not self.document else (),
        )
        self.frames = self.read(frame)

    def decode(self, index: int) -> Picture:
        """Decode an image, or a page."""
        if not self.document:
            return decode_image(self.files[index])
        return decode_still(self.path, tiff_at(self.document, self.places[index]), "tiff")

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
            yield replace(frame, tags=read_photo_tags(read_bytes(file)))
