"""Comparison of two videos of one scene, frame by frame."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from ..color import to_rgb
from ..flow import Flow
from ..media import Reader, open_reader, upright
from ..metrics import finite_or_none, psnr_rgb, psnr_y, ssim_rgb, warping_error
from .run import visible_motion


class TimedFrame(NamedTuple):
    """A frame and the time at which it is shown."""

    time: Fraction  # seconds; the frame's number where one of the videos has no times
    rgb: Tensor  # (3, H, W) in [0, 1], turned as a player shows it
    corrupt: bool = False  # the decoder met damage in this frame


Pairing = tuple[TimedFrame | None, TimedFrame | None]  # None where one video shows nothing


@dataclass(frozen=True)
class Span:
    """Part of two videos that is compared, in seconds of the reference."""

    start: Fraction | None = None
    end: Fraction | None = None
    cut: bool = False  # the output was made of this part alone, and begins at zero


WHOLE = Span()


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
    part: Span
    frames: int
    missing: list[float]  # times of the reference's frames that the output lacks
    extra: list[float]  # times of the output's frames that the reference lacks
    equal: int  # frames without any difference, left out of the mean PSNR
    psnr: float | None  # dB
    psnr_y: float | None
    ssim: float
    flicker: float | None  # in [0, 1]
    flicker_reference: float | None  # the reference's own
    damage: list[str]  # what did not decode
    scores: list[FrameScore]


@torch.inference_mode()
def compare_videos(
    reference: Path,
    output: Path,
    *,
    part: Span = WHOLE,
    flow: Flow | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Compare the frames that two videos or folders show at the same time.

    ``flow`` estimates motion, for the flicker; ``progress`` is called with the number of frames
    compared so far. Raises ValueError where sizes differ or no frame has a partner, MediaError for
    files that cannot be read.
    """
    scores: list[FrameScore] = []
    flickers: list[float] = []  # the reference's own
    unpaired: tuple[list[float], list[float]] = ([], [])
    corrupt = [0, 0]
    last: tuple[Tensor, Tensor] | None = None
    with opened_videos(Path(reference), Path(output), part) as (readers, pairs):
        for a, b in pairs:
            for side, frame in enumerate((a, b)):
                corrupt[side] += frame is not None and frame.corrupt
            if a is None or b is None:
                last, single = None, a or b
                assert single is not None
                unpaired[a is None].append(float(single.time))
                continue
            own, flicker = None, None
            if flow is not None and last is not None:
                own, flicker = measure_flicker(flow, last, (a.rgb, b.rgb))
            flickers += [own] if own is not None else []
            last = a.rgb, b.rgb
            scores.append(score_frame(a, b, flicker))
            progress(len(scores))
        damage = [
            line for pair in zip(readers, corrupt, strict=True) for line in damage_lines(*pair)
        ]
    if not scores:
        raise ValueError(f"expected frames at common times, {reference} and {output} have none")
    return Comparison(
        reference=Path(reference),
        output=Path(output),
        part=part,
        frames=len(scores),
        missing=unpaired[0],
        extra=unpaired[1],
        equal=sum(score.psnr is None for score in scores),
        psnr=mean_known(score.psnr for score in scores),
        psnr_y=mean_known(score.psnr_y for score in scores),
        ssim=fmean(score.ssim for score in scores),
        flicker=mean_known(score.flicker for score in scores),
        flicker_reference=mean_known(flickers),
        damage=damage,
        scores=scores,
    )


def score_frame(a: TimedFrame, b: TimedFrame, flicker: float | None) -> FrameScore:
    """Score one frame b against its reference a."""
    return FrameScore(
        time=float(a.time),
        psnr=finite_or_none(psnr_rgb(b.rgb, a.rgb)),
        psnr_y=finite_or_none(psnr_y(b.rgb, a.rgb)),
        ssim=ssim_rgb(b.rgb, a.rgb),
        flicker=flicker,
    )


def measure_flicker(
    flow: Flow, last: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]
) -> tuple[float | None, float | None]:
    """Warping errors of reference and output along the reference's flow; None at its cuts."""
    motion = visible_motion(flow, last[0], now[0])
    if motion is None:
        return None, None
    own, other = (warping_error(torch.stack(pair), *motion) for pair in zip(last, now, strict=True))
    return own, other


def damage_lines(reader: Reader, corrupt: int) -> list[str]:
    """Sentences about what did not decode of a video that was read to its end."""
    lines = [f"{corrupt} frames were decoded with errors"] if corrupt else []
    return [f"{reader.path}: {line}" for line in [*lines, *reader.damage]]


def mean_known(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


@contextmanager
def opened_videos(
    reference: Path, output: Path, part: Span
) -> Iterator[tuple[tuple[Reader, Reader], Iterator[Pairing]]]:
    """Open two videos and pair their frames by time; ValueError if their sizes, upright, differ."""
    start, end = (None, None) if part.cut else (part.start, part.end)
    with (
        open_reader(reference, start=part.start, end=part.end) as first,
        open_reader(output, start=start, end=end) as second,
    ):
        sizes = [upright_size(reader) for reader in (first, second)]
        if sizes[0] != sizes[1]:
            (width, height), (wide, high) = sizes
            raise ValueError(
                f"expected videos of one size, {reference} has {width}x{height} and {output} "
                f"{wide}x{high} pixels"
            )
        yield (
            (first, second),
            paired_frames(first, second, delay=(part.cut and part.start) or Fraction(0)),
        )


def paired_frames(
    first: Reader, second: Reader, *, delay: Fraction = Fraction(0)
) -> Iterator[Pairing]:
    """Pair the frames of two videos by time; the second began ``delay`` seconds after zero."""
    timeless = "images" in (first.info.kind, second.info.kind)
    if timeless:
        delay, tolerance = Fraction(0), Fraction(1, 2)
    else:
        tolerance = 1 / (2 * max(first.info.rate, second.info.rate))
    shifted = (frame._replace(time=frame.time + delay) for frame in timed_frames(second, timeless))
    return pair_by_time(timed_frames(first, timeless), shifted, tolerance)


def timed_frames(reader: Reader, timeless: bool) -> Iterator[TimedFrame]:
    """Yield a reader's frames, upright, with their times, or their numbers if ``timeless``."""
    for index, frame in enumerate(reader):
        time = Fraction(index) if timeless or frame.time is None else frame.time
        rgb = upright(to_rgb(frame.planes, frame.color), reader.display.orientation)
        yield TimedFrame(time, rgb, frame.corrupt)


def upright_size(reader: Reader) -> tuple[int, int]:
    """Width and height of a reader's frames as a player turns them."""
    width, height = reader.info.width, reader.info.height
    return (height, width) if reader.display.orientation >= 5 else (width, height)


def pair_by_time(
    first: Iterable[TimedFrame], second: Iterable[TimedFrame], tolerance: Fraction
) -> Iterator[Pairing]:
    """Pair each frame with the nearest one of the other side, at most ``tolerance`` away."""
    left, right = iter(first), iter(second)
    a, b = next(left, None), next(right, None)
    after_a, after_b = next(left, None), next(right, None)
    while a is not None or b is not None:
        take_a = b is None or (a is not None and a.time <= b.time)
        take_b = a is None or (b is not None and b.time <= a.time)
        if a is not None and b is not None and a.time != b.time:
            gap = abs(a.time - b.time)
            later, following = (b, after_a) if a.time < b.time else (a, after_b)
            if gap <= tolerance and (following is None or abs(following.time - later.time) >= gap):
                take_a = take_b = True
        yield a if take_a else None, b if take_b else None
        if take_a:
            a, after_a = after_a, next(left, None)
        if take_b:
            b, after_b = after_b, next(right, None)
