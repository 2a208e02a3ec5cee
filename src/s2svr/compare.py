"""Two videos of one scene, frame by frame: how far apart they are."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from .color import to_rgb
from .evaluate import Flow, motion
from .media import Reader, open_reader
from .metrics import psnr_rgb, psnr_y, ssim_rgb, warping_error


class Moment(NamedTuple):
    """A frame and when it is shown."""

    time: Fraction  # seconds; the frame's number where one of the videos has no times
    rgb: Tensor  # (3, H, W) in [0, 1]


@dataclass(frozen=True)
class FrameScore:
    """One frame against its reference, by the protocols ``rgb`` and ``y``."""

    time: float  # seconds, or the frame's number
    psnr: float | None  # dB; None where the frames are equal
    psnr_y: float | None
    ssim: float
    flicker: float | None = None  # warping error from the frame before, along the reference's flow


@dataclass(frozen=True)
class Comparison:
    """Means over all frames that both videos show at one time, and the frames' own scores."""

    reference: Path
    output: Path
    frames: int
    missing: int  # frames of the reference that the output lacks
    extra: int  # frames of the output that the reference lacks
    equal: int  # frames without any difference, left out of the mean PSNR
    psnr: float | None  # dB
    psnr_y: float | None
    ssim: float
    flicker: float | None  # in [0, 1]
    flicker_reference: float | None  # the reference's own
    scores: list[FrameScore]


@torch.inference_mode()
def compare(
    reference: Path,
    output: Path,
    *,
    flow: Flow | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Compare the frames that two videos or folders show at the same time.

    ``flow`` estimates motion, for the flicker. Raises ValueError where sizes differ or no frame has
    a partner, MediaError for files that cannot be read.
    """
    scores: list[FrameScore] = []
    flickers: list[float] = []  # the reference's own
    missing = extra = 0
    last: tuple[Tensor, Tensor] | None = None
    for a, b in pairs(Path(reference), Path(output)):
        if a is None or b is None:
            missing, extra, last = missing + (b is None), extra + (a is None), None
            continue
        flicker = None
        if flow is not None and last is not None:
            along = motion(flow, last[0], a.rgb)
            if along is not None:
                flicker = warping_error(torch.stack((last[1], b.rgb)), *along)
                flickers.append(warping_error(torch.stack((last[0], a.rgb)), *along))
        last = a.rgb, b.rgb
        scores.append(
            FrameScore(
                time=float(a.time),
                psnr=finite(psnr_rgb(b.rgb, a.rgb)),
                psnr_y=finite(psnr_y(b.rgb, a.rgb)),
                ssim=ssim_rgb(b.rgb, a.rgb),
                flicker=flicker,
            )
        )
        progress(len(scores))
    if not scores:
        raise ValueError(f"expected frames at common times, {reference} and {output} have none")
    return Comparison(
        reference=Path(reference),
        output=Path(output),
        frames=len(scores),
        missing=missing,
        extra=extra,
        equal=sum(score.psnr is None for score in scores),
        psnr=mean(score.psnr for score in scores),
        psnr_y=mean(score.psnr_y for score in scores),
        ssim=fmean(score.ssim for score in scores),
        flicker=mean(score.flicker for score in scores),
        flicker_reference=mean(flickers),
        scores=scores,
    )


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is there."""
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def pairs(reference: Path, output: Path) -> Iterator[tuple[Moment | None, Moment | None]]:
    """The frames of two videos by their times; None where one of them shows nothing."""
    with open_reader(reference) as first, open_reader(output) as second:
        sizes = [(r.info.width, r.info.height) for r in (first, second)]
        if sizes[0] != sizes[1]:
            (width, height), (wide, high) = sizes
            raise ValueError(
                f"expected videos of one size, {reference} has {width}x{height} and {output} "
                f"{wide}x{high} pixels"
            )
        yield from align(*timed(first, second))


def timed(first: Reader, second: Reader) -> tuple[Iterator[Moment], Iterator[Moment], Fraction]:
    """Two readers' moments, and how far apart those of one time may be; see ``align``."""
    timeless = "images" in (first.info.kind, second.info.kind)
    tolerance = Fraction(1, 2) if timeless else 1 / (2 * max(first.info.rate, second.info.rate))
    return moments(first, timeless), moments(second, timeless), tolerance


def moments(reader: Reader, timeless: bool) -> Iterator[Moment]:
    """A reader's frames with their times, or their numbers."""
    for index, frame in enumerate(reader):
        time = Fraction(index) if timeless or frame.time is None else frame.time
        yield Moment(time, to_rgb(frame.planes, frame.color))


def align(
    first: Iterable[Moment], second: Iterable[Moment], tolerance: Fraction
) -> Iterator[tuple[Moment | None, Moment | None]]:
    """Pair each moment with the nearest one of the other side, at most ``tolerance`` away."""
    left, right = iter(first), iter(second)
    a, b = next(left, None), next(right, None)
    after_a, after_b = next(left, None), next(right, None)
    while a is not None or b is not None:
        take_a = b is None or (a is not None and a.time <= b.time)
        take_b = a is None or (b is not None and b.time <= a.time)
        if a is not None and b is not None and a.time != b.time:
            gap = abs(a.time - b.time)
            late, following = (b, after_a) if a.time < b.time else (a, after_b)
            if gap <= tolerance and (following is None or abs(following.time - late.time) >= gap):
                take_a = take_b = True
        yield a if take_a else None, b if take_b else None
        if take_a:
            a, after_a = after_a, next(left, None)
        if take_b:
            b, after_b = after_b, next(right, None)
