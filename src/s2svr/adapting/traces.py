"""The damage of a film, told by comparison: which one makes of its restored frames what it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from torch import Generator, Tensor

from ..damage import BLOCK, gaussian_blur, h264, hevc, noisy
from ..media import ASKED, open_container, quantisers_of, video_stream
from ..models import Quality, statistics
from ..ops import quantised, resize_bicubic

FRAMES = 8  # of a passage that damages are compared on
LOOKED = 100  # frames whose quantisers are read
UNTOLD = 26  # the quantiser that encoders begin with where it says nothing
NEAR = -6, 12  # the mean of all may be so far from the first
LIKE_HEVC = ("hevc", "vp9", "av1", "libdav1d", "vvc")
QUALITIES = (None, 18, 23, 28, 33)  # of a codec, tried first
FINE = (-3, 3, -1, 1)  # then these steps from the best
NOISES = (0.0, 1.5, 3.0, 5.0)  # of 255 levels
BLURS = (0.0, 0.8, 1.4, 2.0)  # deviation in pixels before the reduction


@dataclass(frozen=True)
class Traces:
    """What was done to a film: blur, reduction, noise and coding, in this order."""

    scale: int  # the reduction
    codec: str  # h264 or hevc
    quality: int | None = None  # rate factor or QP; None: no coding is told
    noise: float = 0.0  # deviation in 255 levels
    blur: float = 0.0  # deviation in pixels, before the reduction

    def leave(self, clip: Tensor, generator: Generator, *, noise: bool = True) -> Tensor:
        """Damaged frames of a clip (T, 3, H, W) whose sides divide by the scale, rounded."""
        if self.blur and self.scale > 1:
            clip = gaussian_blur(clip, self.blur, self.blur, 0.0)
        if self.scale > 1:
            clip = resize_bicubic(clip, 1 / self.scale)
        if self.noise and noise:
            clip = noisy(clip, self.noise, 3, generator)
        if self.quality is not None:
            codec = hevc if self.codec == "hevc" and min(clip.shape[-2:]) > BLOCK else h264
            clip = torch.stack(list(codec(clip.clamp(0, 1), self.quality)))
        return quantised(clip)

    def text(self) -> str:
        """The damage in words."""
        parts = [f"blur of {self.blur:g} pixels"] if self.blur else []
        parts += [f"reduced by {self.scale}"] if self.scale > 1 else []
        parts += [f"noise of {self.noise:g} of 255"] if self.noise else []
        if self.quality is not None:
            parts.append(f"{self.codec} at {self.quality}")
        return ", ".join(parts) or "none that is told"


def tell_traces(
    pairs: list[tuple[Tensor, Tensor]],
    scale: int,
    codec: str,
    known: int | None,
    quality: Quality,
    going: Callable[[], bool] = lambda: True,
) -> Traces:
    """The damage that makes films' frames (T, 3, h, w) of their restored ones (T, 3, H, W).

    Frames are alike by the statistics that tell how well they are coded; ``quality`` knows how much
    those differ between frames. ``known`` is the quality of the coding, where the file says it. Few
    damages are tried where ``going`` says no.
    """
    spread = quality.spread.cpu()
    seen = [statistics(x.mean(1)) for x, _ in pairs]
    known_distances: dict[Traces, float] = {}

    def distance(traces: Traces) -> float:
        if traces not in known_distances:
            total = 0.0
            for found, (_, y) in zip(seen, pairs, strict=True):
                again = statistics(traces.leave(y, Generator().manual_seed(0)).mean(1))
                total += float(((again - found).mean(0) / spread).square().mean())
            known_distances[traces] = total
        return known_distances[traces]

    traces = Traces(scale, "hevc" if codec in LIKE_HEVC else "h264", known)
    for tried in trials(traces, known is None):
        if going():
            traces = min([traces, *tried(traces)], key=distance)
    return traces


def trials(traces: Traces, coding: bool) -> list[Callable[[Traces], list[Traces]]]:
    """Functions that say which damages to try beside the best so far, in turn."""

    def codings(best: Traces) -> list[Traces]:
        return [replace(best, quality=value) for value in QUALITIES]

    def finer(best: Traces) -> list[Traces]:
        if best.quality is None:
            return codings(best)
        return [replace(best, quality=best.quality + step) for step in FINE]

    def noises(best: Traces) -> list[Traces]:
        return [replace(best, noise=value) for value in NOISES]

    def blurs(best: Traces) -> list[Traces]:
        return [replace(best, blur=value) for value in BLURS]

    others = [noises, *([blurs] if traces.scale > 1 else [])]
    return [codings, *others, finer, *others, finer] if coding else [*others, *others]


def known_quality(path: Path, codec: str) -> int | None:
    """The rate factor that a file of H.264 was coded with; None where it cannot be told.

    x264 begins its quantisers at its rate factor. Where it keeps to a bit rate, and in most other
    encoders, they begin at 26, which says nothing.
    """
    if codec != "h264" or not path.is_file():
        return None
    found = list(quantisers(path))
    firsts = {first for first, _ in found}
    if len(firsts) != 1 or UNTOLD in firsts:
        return None
    first, mean = firsts.pop(), float(np.mean([mean for _, mean in found]))
    return first if first + NEAR[0] <= mean <= first + NEAR[1] else None


def quantisers(path: Path) -> Iterator[tuple[int, float]]:
    """The quantiser that each of the first pictures begins with, and the mean of its blocks.

    They end at a broken packet.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.options |= ASKED
        try:
            for picture in islice(container.decode(stream), LOOKED):
                if (told := quantisers_of(picture)) is not None:
                    yield told.first, float(told.blocks.mean())
        except av.error.FFmpegError:
            return  # what came before it tells enough
