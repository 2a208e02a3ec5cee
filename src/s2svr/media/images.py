"""Reading of a folder of images, or one image, as a video without time stamps."""

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from ..color import ColorInfo
from .container import MAX_PIXELS
from .display import Display
from .errors import MediaError
from .exif import COMPRESSION, ORIENTATION, read_tag, upright
from .frame import Frame, MediaInfo
from .planes import bits_of, from_picture, subsampling

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
PNG = b"\x89PNG\r\n\x1a\n"
SIGNATURES = {
    rb"\x89PNG\r\n\x1a\n": "png",
    rb"\xff\xd8\xff": "mjpeg",
    rb"II\*\0|MM\0\*": "tiff",
    rb"BM": "bmp",
    rb"RIFF....WEBP": "webp",
}


def images_in(path: Path) -> list[Path]:
    """Paths of a folder's images in natural order (2 before 10), or the one image that path is."""
    if not path.is_dir():
        return [path]
    found = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.is_dir()]
    files = sorted((f for f in found if not f.name.startswith(".")), key=natural_order)
    if odd := next((f for f in files if not f.is_file()), None):
        raise MediaError(f"expected an image file, {odd} is none, or a link that leads nowhere")
    return files


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


def decode_image(path: Path) -> tuple[av.VideoFrame, int]:
    """Decode an image file, whatever its suffix says; return it with its EXIF orientation."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(f"the image {path} cannot be read: {error.strerror}") from error
    names = [n for pattern, n in SIGNATURES.items() if re.match(pattern, data, re.DOTALL)]
    if not names:
        raise MediaError(f"expected a PNG, JPEG, TIFF, BMP or WebP image, {path} is none")
    codec = av.VideoCodecContext.create(names[0], "r")
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        pictures = codec.decode(av.Packet(data)) + codec.decode(None)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"the image {path} is broken or too large") from error
    if not pictures:
        raise MediaError(f"the image {path} holds no picture")
    if names[0] == "tiff" and read_tag(data, COMPRESSION) in (6, 7):
        raise MediaError(f"the image {path} is a TIFF with JPEG inside, which is not supported")
    return pictures[0], read_tag(data, ORIENTATION) or 1


def read_image(path: Path) -> Frame:
    """Read one image as a frame, upright. Raises MediaError."""
    return image_frame(*decode_image(path))


def image_frame(picture: av.VideoFrame, orientation: int) -> Frame:
    """Make a frame of a decoded image, upright."""
    planes = from_picture(picture)
    rgb = picture.format.is_rgb or picture.format.has_palette
    color = ColorInfo(
        "gray" if len(planes) == 1 else "rgb" if rgb else "bt601",
        full_range=picture.color_range != 1,
        bits=bits_of(picture.format),
        siting="center",
    )
    planes = tuple(upright(plane, orientation) for plane in planes)
    return Frame(planes, color, None, corrupt=picture.is_corrupt)


class ImageReader:
    """Iterator of the frames of a folder of images of one size; seconds count at ``fps``."""

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
        self.files = images_in(path)
        if not self.files:
            kinds = ", ".join(sorted(SUFFIXES))
            raise MediaError(f"the folder {path} holds no images ({kinds})")
        if note := numbering_gap(self.files):
            self.warnings.append(f"{note}; what there is counts as one frame after the other")
        times = [index / rate for index in range(len(self.files))]
        first, stop = start or Fraction(0), times[-1] + 1 if end is None else end
        self.files = [f for f, t in zip(self.files, times, strict=True) if first <= t < stop]
        if not self.files:
            raise MediaError(f"the folder {path} holds no images in the time asked for")
        self.start, self.end, self.shift, self.display = start, end, Fraction(0), Display()
        picture, orientation = decode_image(self.files[0])
        frame = image_frame(picture, orientation)
        height, width = frame.planes[0].shape
        if any(part.is_alpha for part in picture.format.components):
            self.warnings.append("the alpha channel is left out")
        self.info = MediaInfo(
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            color=frame.color,
            chroma=subsampling(picture.format),
            duration=len(self.files) / rate,
            kind="images",
            codec=self.files[0].suffix[1:].lower(),
            names=tuple(file.stem for file in self.files),
        )
        self.frames = self.read(frame)

    def read(self, first: Frame) -> Iterator[Frame]:
        """Yield the frames, the first of which was read already."""
        size = first.planes[0].shape
        for file, frame in zip(
            self.files, chain([first], map(read_image, self.files[1:])), strict=True
        ):
            height, width = frame.planes[0].shape
            if (height, width) != size:
                raise MediaError(
                    f"expected images of one size, {self.files[0].name} is {size[1]}x{size[0]} "
                    f"and {file.name} is {width}x{height}"
                )
            yield frame

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.frames = iter(())
