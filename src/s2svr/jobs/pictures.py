"""Pictures for a browser: what a network was given above what it made of it, in one picture.

Both halves are in one file, so that they cannot get out of step.
"""

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor

from ..color import ColorInfo, from_rgb
from ..files import write_whole
from ..media import to_picture, upright
from ..ops import resize_to
from ..restoration import Backend

LONGEST = 1920  # side of one half, pixels: what every browser plays
OFTEN = 1.0  # seconds between two pictures of a restoration
CLOCK = 90000  # ticks of a second
CODES = ColorInfo("bt709", primaries=1, transfer=1, siting="left")
FULL = ColorInfo("bt601", full_range=True, siting="center")  # of a JPEG

Show = Callable[[Tensor, Tensor], None]  # what was given (3, h, w) and what was made (3, H, W)


def shown_size(width: int, height: int) -> tuple[int, int]:
    """The size of one half for pictures of a size: not longer than LONGEST, even, at least 16."""
    shrink = min(1.0, LONGEST / max(width, height))
    across, down = (max(16, 2 * round(side * shrink / 2)) for side in (width, height))
    return across, down


def stacked(before: Tensor, after: Tensor, orientation: int = 1) -> Tensor:
    """Two pictures (3, h, w) as people see them, one above the other, at the second one's size."""
    turned = [
        torch.stack([upright(plane, orientation) for plane in picture])
        for picture in (before, after)
    ]
    width, height = shown_size(turned[1].shape[2], turned[1].shape[1])
    return torch.cat([resize_to(picture, (height, width)).clamp(0, 1) for picture in turned], 1)


def as_picture(both: Tensor, color: ColorInfo, form: str) -> av.VideoFrame:
    """A picture (3, H, W) in 4:2:0 of 8 bits."""
    return to_picture(tuple(plane.to("cpu") for plane in from_rgb(both, color, (2, 2))), form)


def write_still(path: Path, both: Tensor) -> None:
    """Write a picture (3, H, W) in [0, 1] as a JPEG."""
    codec: Any = av.VideoCodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = both.shape[2], both.shape[1], "yuvj420p"
    codec.time_base, codec.color_range = Fraction(1, 25), 2
    codec.qmin = codec.qmax = 3
    picture = as_picture(both, FULL, "yuvj420p")
    packets = codec.encode(picture) + codec.encode(None)
    write_whole(path, b"".join(bytes(packet) for packet in packets))


class Proxy:
    """A video for browsers: H.264, 4:2:0, its index first. ``path`` is there when it is whole."""

    def __init__(self, path: Path, rate: Fraction, aspect: Fraction) -> None:
        self.path, self.rate, self.aspect = path, rate, aspect
        self.beside = path.with_name(f".{path.name}")
        self.output: Any = None
        self.stream: Any = None
        self.count = 0

    def begin(self, both: Tensor) -> None:
        """Open the file for pictures like the first."""
        self.output = av.open(str(self.beside), "w", "mp4", options={"movflags": "faststart"})
        self.stream = self.output.add_stream("libx264", rate=self.rate)
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = both.shape[2], both.shape[1], "yuv420p"
        context.time_base = Fraction(1, CLOCK)
        context.color_range, context.colorspace = 1, 1
        context.color_primaries, context.color_trc = 1, 1
        context.sample_aspect_ratio = self.aspect
        self.stream.options = {"preset": "veryfast", "crf": "14", "g": "12"}

    def write(self, both: Tensor, seconds: Fraction) -> None:
        """Add a picture (3, H, W), shown from a time on."""
        if self.output is None:
            self.begin(both)
        picture = as_picture(both, CODES, "yuv420p")
        picture.pts, picture.time_base = round(seconds * CLOCK), Fraction(1, CLOCK)
        self.output.mux(self.stream.encode(picture))
        self.count += 1

    def finish(self) -> None:
        """Give the file its name."""
        self.output.mux(self.stream.encode(None))
        self.output.close()
        self.beside.replace(self.path)

    def discard(self) -> None:
        """Close and remove what is not finished."""
        if self.output is not None:
            self.output.close()
        self.beside.unlink(missing_ok=True)


class Watched:
    """A backend that shows the last frame of a window, OFTEN at most; results are the same."""

    def __init__(self, backend: Backend, show: Show) -> None:
        self.backend, self.show = backend, show
        self.scale, self.lookahead = backend.scale, backend.lookahead
        self.device, self.precision = backend.device, backend.precision
        self.memory_types: Sequence[type] = backend.memory_types
        self.shown = 0.0

    @property
    def identity(self) -> str:
        return self.backend.identity

    def run(self, frames: Tensor, memory: Any, ahead: int, flows: Any = None) -> tuple[Tensor, Any]:
        """Restore a window, as Backend says."""
        restored, memory = self.backend.run(frames, memory, ahead, flows)
        if time.monotonic() - self.shown >= OFTEN:
            self.show(frames[0, len(restored) - 1], restored[-1])
            self.shown = time.monotonic()
        return restored, memory

    def flows(self, frames: Tensor, memory: Any, ahead: int) -> Any:
        """Optical flow of whole frames, as Backend says."""
        return self.backend.flows(frames, memory, ahead)
