"""A folder of PNG images, written frame by frame."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import torch
from torch import Tensor

from ..color import ColorInfo
from ..files import sync
from ..media import Frame, Reader, convert_format, to_picture, upright
from .packets import lost_messages
from .protocol import Position
from .workfolder import FRESH, WorkFolder, WorkPolicy


class ImageWriter:
    """Writes frames as PNGs into a folder that appears if ``with`` ends without exception.

    The names are those of the source images, or 000000.png, 000001.png ... for a video. Frames that
    a player turns or mirrors are written as it shows them: not every viewer heeds an image's tag.
    """

    def __init__(
        self,
        path: Path,
        *,
        reader: Reader,
        bits: int | None = None,
        policy: WorkPolicy = FRESH,
    ) -> None:
        self.path, self.reader = path, reader
        self.warnings: list[str] = []
        source = reader.info.color
        bits = bits or source.bits
        matrix = "gray" if source.matrix == "gray" else "rgb"
        self.color = ColorInfo(matrix, True, 8 if bits <= 8 else 16)
        self.chroma = (1, 1)
        names = reader.info.names
        self.names = names if len(set(names)) == len(names) else ()
        if any(track.kind in ("audio", "subtitle") for track in reader.info.tracks):
            self.warnings.append("sound and subtitles are left out: a folder of images holds none")
        if reader.info.aspect != 1:
            self.warnings.append(f"the pixel aspect {reader.info.aspect} is not written in images")
        self.orientation = reader.display.orientation
        self.work = WorkFolder(path, policy, images=True)
        self.count = self.synced = 0  # images, and those that are surely on the disk

    def write(self, frame: Frame) -> None:
        """Take the next frame, in ``color``."""
        with self.work.errors():
            planes = tuple(upright(plane, self.orientation) for plane in frame.planes)
            write_picture(self.image_path(self.count), planes)
        self.count += 1

    def image_path(self, index: int) -> Path:
        """Path at which an image is written."""
        name = self.names[index] if self.names else f"{index:06d}"
        return self.work.product / f"{name}.png"

    def end_segment(self) -> Position:
        """Wait until all frames so far are on the disk; return how far that is."""
        with self.work.errors():
            sync([self.image_path(index) for index in range(self.synced, self.count)])
        self.synced = self.count
        return Position(self.count, 0, None, 0)

    def go_on(self, position: Position) -> None:
        """Continue after images that the work folder holds; before the first ``write``."""
        self.count = self.synced = position.frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.warnings += lost_messages(self.reader, "a folder of images")
                self.work.publish()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is not finished."""
        self.work.discard()


def write_picture(path: Path, planes: tuple[Tensor, ...]) -> None:
    """Write R, G, B or grey planes of 8 or 16 bits as a PNG."""
    gray, deep = len(planes) == 1, planes[0].dtype == torch.uint16
    picture = to_picture(planes, ("gray" if gray else "gbrp") + ("16le" if deep else ""))
    form = ("gray16be" if deep else "gray") if gray else ("rgb48be" if deep else "rgb24")
    codec = av.VideoCodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = picture.width, picture.height, form
    codec.time_base = Fraction(1, 25)
    codec.color_range = 2
    packets = codec.encode(convert_format(picture, form)) + codec.encode(None)
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


def write_png(path: Path, rgb: Tensor) -> None:
    """Write RGB (3, H, W) in [0, 1] as an 8-bit PNG."""
    write_picture(Path(path), tuple((rgb.clamp(0, 1) * 255).round().to(torch.uint8)))
