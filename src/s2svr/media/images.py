"""A folder of images, or one image, as a video without time stamps; and the writer of one."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import torch
from torch import Tensor

from ..color import ColorInfo
from .frame import Frame, MediaError, MediaInfo
from .planes import from_picture, packed_rgb

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
SIGNATURES = [
    (rb"\x89PNG\r\n\x1a\n", "png"),
    (rb"\xff\xd8\xff", "mjpeg"),
    (rb"(II\*\0|MM\0\*)", "tiff"),
    (rb"BM", "bmp"),
    (rb"RIFF....WEBP", "webp"),
]
MAX_PIXELS = 2**27


def images_in(path: Path) -> list[Path]:
    """The images of a folder in natural order (2 before 10), or the one image that path is."""
    if not path.is_dir():
        return [path]
    files = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()]
    return sorted(files, key=natural)


def natural(path: Path) -> list[tuple[int, str]]:
    """Sorting key in which numbers count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def read_image(path: Path) -> Frame:
    """Decode one image; its EXIF rotation is applied."""
    data = path.read_bytes()
    name = next((n for s, n in SIGNATURES if re.match(s, data, re.DOTALL)), None)
    if name is None:
        raise MediaError(f"expected a PNG, JPEG, TIFF, BMP or WebP image, {path} is none")
    codec = av.CodecContext.create(name, "r")
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        pictures = codec.decode(av.Packet(data)) + codec.decode(None)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"the image {path} cannot be decoded: {error}") from error
    if not pictures:
        raise MediaError(f"the image {path} cannot be decoded: it holds no picture")
    picture = pictures[0]
    planes = from_picture(picture)
    bits = 8 if planes[0].dtype == torch.uint8 else 16
    matrix = "gray" if len(planes) == 1 else "rgb" if picture.format.is_rgb else "bt601"
    return Frame(planes, ColorInfo(matrix, True, bits, siting="center"), None)


class ImageReader:
    """Iterator of the frames of a folder of images of one size."""

    def __init__(self, path: Path, *, fps: Fraction | None = None) -> None:
        self.path, self.damage, self.warnings = path, [], []  # type: Path, list[str], list[str]
        self.files = images_in(path)
        if not self.files:
            kinds = ", ".join(sorted(SUFFIXES))
            raise MediaError(f"the folder {path} holds no images ({kinds})")
        first = read_image(self.files[0])
        height, width = first.planes[0].shape
        rate = Fraction(fps or 25)
        self.info = MediaInfo(
            width, height, rate, 1 / rate, first.color, (1, 1), duration=len(self.files) / rate,
            kind="images",
        )  # fmt: skip
        self.frames = self.read()

    def read(self) -> Iterator[Frame]:
        for file in self.files:
            yield read_image(file)

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


def write_png(path: Path, rgb: Tensor) -> None:
    """Write RGB (3, H, W) in [0, 1] as an 8-bit PNG."""
    codes = (rgb.clamp(0, 1) * 255).round().to(torch.uint8)
    picture = av.VideoFrame.from_ndarray(packed_rgb(tuple(codes)), format="rgb24")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = picture.width, picture.height, "rgb24"
    codec.time_base = Fraction(1, 25)
    Path(path).write_bytes(b"".join(bytes(p) for p in codec.encode(picture) + codec.encode(None)))
