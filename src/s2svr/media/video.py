"""Video files through PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from ..color import ColorInfo, guess_matrix
from .frame import Frame, MediaError, MediaInfo
from .planes import from_picture

MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}


class VideoReader:
    """Iterator of the frames of a video file."""

    def __init__(self, path: Path) -> None:
        self.path, self.damage, self.warnings = path, [], []  # type: Path, list[str], list[str]
        try:
            self.container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(f"{path} cannot be read as a video: {error}") from error
        if not self.container.streams.video:
            raise MediaError(f"{path} has no video stream")
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = "AUTO"
        codec = self.stream.codec_context
        form = codec.format
        self.color = color_of(self.stream)
        rate = self.stream.average_rate or Fraction(25)
        chroma = (1, 1)
        if len(form.components) >= 3:
            part = form.components[1]
            chroma = -(-form.width // part.width), -(-form.height // part.height)
        duration = self.stream.duration
        self.info = MediaInfo(
            codec.width,
            codec.height,
            rate,
            self.stream.time_base,
            self.color,
            chroma,
            aspect=self.stream.sample_aspect_ratio or Fraction(1),
            duration=duration * self.stream.time_base if duration else None,
            codec=codec.name,
        )
        self.frames = self.read()

    def read(self) -> Iterator[Frame]:
        for picture in self.container.decode(self.stream):
            time = None if picture.pts is None else picture.pts * picture.time_base
            yield Frame(from_picture(picture), self.color, time, corrupt=picture.is_corrupt)

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
        self.container.close()


def color_of(stream: av.video.stream.VideoStream) -> ColorInfo:
    """What the stream's tags say its codes mean, with the usual guesses where they are silent."""
    codec = stream.codec_context
    form = codec.format
    bits = form.components[0].bits
    full = codec.color_range == 2 or form.name.startswith("yuvj")
    if form.is_rgb:
        matrix, full = "rgb", True
    elif len([c for c in form.components if not c.is_alpha]) < 3:
        matrix = "gray"
    else:
        matrix = MATRICES.get(codec.colorspace) or guess_matrix(codec.width, codec.height)
    return ColorInfo(matrix, full, bits, codec.color_primaries, codec.color_trc)
