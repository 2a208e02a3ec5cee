"""Reading of animated WebP, which FFmpeg does not: frames are put together here."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import torch
from torch import Tensor

from ..color import ColorInfo, to_rgb
from .container import MAX_PIXELS
from .display import Display
from .errors import MediaError
from .frame import Frame, FrameReader, MediaInfo
from .images import Picture, image_frame
from .planes import convert_format, has_alpha, is_rgb
from .stills import riff_chunks
from .video import LONGEST

RGB = ColorInfo("rgb", full_range=True)
UNTIMED = 100  # milliseconds of a frame that has none, as browsers show it


class Part(NamedTuple):
    """One frame of an animation: a picture for a part of the canvas."""

    left: int
    top: int
    milliseconds: int
    clears: bool  # the part is made transparent after it was shown
    blends: bool  # over what is there
    data: bytes  # of a WebP file with this picture alone


def webp_parts(data: bytes) -> Iterator[Part]:
    """Yield the frames of an animated WebP file."""
    for name, content in riff_chunks(data):
        if name != b"ANMF" or len(content) < 16:
            continue

        def number(place: int, size: int = 3, content: bytes = content) -> int:
            return int.from_bytes(content[place : place + size], "little")

        flags, picture = content[15], content[16:]
        if picture[:4] == b"ALPH":  # a file with alpha needs a header of its own
            header = b"\x10\0\0\0" + content[6:12]
            picture = b"VP8X" + len(header).to_bytes(4, "little") + header + picture
        head = b"RIFF" + (len(picture) + 4).to_bytes(4, "little") + b"WEBP"
        yield Part(
            left=2 * number(0),
            top=2 * number(3),
            milliseconds=number(12) or UNTIMED,
            clears=bool(flags & 1),
            blends=not flags & 2,
            data=head + picture,
        )


def decode_part(part: Part) -> tuple[Tensor, Tensor]:
    """Decode a frame's own picture: RGB (3, h, w) and opacity (h, w), both in [0, 1]."""
    codec = av.VideoCodecContext.create("webp", "r")
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    pictures = codec.decode(av.Packet(part.data)) + codec.decode(None)
    if not pictures:
        raise ValueError("no picture")
    picture = pictures[0]
    opacity = torch.ones(picture.height, picture.width)
    if has_alpha(picture.format):
        form = "gbrap" if is_rgb(picture.format) else "yuva420p"
        planes = convert_format(picture, form).planes
        opacity = torch.from_dlpack(planes[3]).float() / 255
    frame = image_frame(Picture(picture, 1, "webp", alpha=True))
    return to_rgb(frame.planes, frame.color), opacity


class Canvas:
    """The picture that the frames of an animation are put on."""

    def __init__(self, width: int, height: int) -> None:
        self.rgb, self.opacity = torch.zeros(3, height, width), torch.zeros(height, width)
        self.see_through = False  # a part of a frame so far

    def show(self, part: Part) -> Tensor:
        """The canvas (3, H, W) with a frame on it. ValueError for one that reaches out of it."""
        rgb, opacity = decode_part(part)
        rows = slice(part.top, part.top + rgb.shape[1])
        columns = slice(part.left, part.left + rgb.shape[2])
        if self.opacity[rows, columns].shape != opacity.shape:
            raise ValueError("a frame outside the canvas")
        if part.blends:
            below = self.opacity[rows, columns] * (1 - opacity)
            whole = opacity + below
            rgb = (rgb * opacity + self.rgb[:, rows, columns] * below) / whole.clamp(min=1e-6)
            opacity = whole
        self.rgb[:, rows, columns], self.opacity[rows, columns] = rgb, opacity
        self.see_through |= bool(self.opacity.min() < 1)
        shown = self.rgb.clone()
        if part.clears:
            self.rgb[:, rows, columns], self.opacity[rows, columns] = 0, 0
        return shown


class WebPReader(FrameReader):
    """Iterator of the frames of an animated WebP, each at its time, between start and end."""

    def __init__(
        self, path: Path, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        self.path = path
        self.damage: list[str] = []
        self.warnings: list[str] = []
        self.messages: Counter[str] = Counter()
        self.start, self.end, self.shift, self.display = start, end, start or Fraction(0), Display()
        data = path.read_bytes()
        header = next((c for name, c in riff_chunks(data) if name == b"VP8X"), b"")
        width, height = (int.from_bytes(header[i : i + 3], "little") + 1 for i in (4, 7))
        self.parts = list(webp_parts(data))
        if len(header) < 10 or not self.parts or width * height > MAX_PIXELS:
            raise MediaError(f"the animated image {path} is broken or too large")
        if int.from_bytes(data[4:8], "little") + 8 > len(data):
            self.damage.append("the file is cut off")
        times = [Fraction(0)]
        for part in self.parts:
            times.append(times[-1] + Fraction(part.milliseconds, 1000))
        stop = times[-1] if end is None else min(end, times[-1])
        self.shown = [i for i, t in enumerate(times[1:]) if t > self.shift and times[i] < stop]
        if not self.shown or stop <= self.shift:
            raise MediaError(f"{path} has no picture in the time asked for")
        following = times[self.shown[0] + 1]
        if times[self.shown[0]] < self.shift and following < min(stop, self.shift + LONGEST):
            del self.shown[0]  # as in other videos
        self.times = [min(max(time, self.shift), stop) for time in times]
        duration = stop - self.times[self.shown[0]]
        self.info = MediaInfo(
            width=width,
            height=height,
            rate=len(self.shown) / duration,
            time_base=Fraction(1, 1000),
            color=RGB,
            chroma=(1, 1),
            duration=duration,
            kind="images",
            codec="webp",
        )
        self.frames = self.read(Canvas(width, height))

    def read(self, canvas: Canvas) -> Iterator[Frame]:
        """Yield the frames that are asked for; one that does not decode is left out, and said."""
        failed = 0
        for index in range(self.shown[-1] + 1):
            try:
                rgb = canvas.show(self.parts[index])
            except (av.error.FFmpegError, ValueError):
                failed += index >= self.shown[0]
                continue
            if index >= self.shown[0]:
                if not self.warnings and canvas.see_through:
                    self.warnings.append("the alpha channel is left out")
                planes = tuple((rgb * 255).round().to(torch.uint8))
                time = self.times[index]
                yield Frame(planes, RGB, time, self.times[index + 1] - time)
        if failed:
            self.damage.append(f"frames that cannot be decoded: {failed}")
