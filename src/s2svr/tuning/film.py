"""A look at a film: what is seen in a few moments of it, without restoring anything."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..coarseness import coding_step
from ..color import to_rgb
from ..finish import noise_level
from ..media import Frame, MediaError, Reader
from ..metrics import mean_finite, psnr_rgb
from ..models import MIDDLE, statistics
from ..ops import resize_to
from ..restoration import Job, find_cuts

PLACES = 8  # of the film that are looked at, spread over it
SPAN = 13  # frames of each: a network sees six on each side of the one in the middle
BUSY = 2  # moments of the most motion, beside the one of the least
LOOKED = (540, 960)  # pixels of a frame, of its middle, in which blur and coding are measured
DARK, BRIGHT = 0.03, 0.97  # mean of a picture beyond which little is to be seen


class Moment(NamedTuple):
    """A few frames from ``start`` (seconds) on."""

    start: Fraction
    motion: float  # mean change of luma from frame to frame, in 255 codes
    cuts: int
    light: float  # mean of luma, in [0, 1]
    combed: bool  # lines show two moments, and the file does not say so


@dataclass(frozen=True)
class FilmFacts:
    """Facts about a film; sizes are those that are shown, in pixels."""

    width: int
    height: int
    rate: float  # frames a second
    frames: int | None
    codec: str
    lossy: bool
    interlaced: str  # no, marked, or seen: in the lines, and the file does not say so
    cuts: int  # in the frames that were looked at
    looked: int  # frames
    noise: float  # standard deviation in 255 codes
    halved: float | None  # PSNR (dB) of a frame of half the size: high where it is soft
    coded: float  # PSNR (dB) that coding and noise have left, estimated
    step: float | None  # of the coding's quantiser, in 255 codes; None where it is not known
    blur: float  # how much light of other moments the frames hold: 0 where they are sharp
    steadiest: Fraction  # seconds
    busiest: list[Fraction]  # none where there is one moment


def look_at(job: Job) -> tuple[FilmFacts, Job]:
    """The film of a job, and the job, deinterlaced where its lines show two moments.

    Blur and coding are not measured yet. Raises MediaError where there is no frame.
    """
    moments = list(moments_of(job))
    seen = job.excerpt.deinterlace == "auto" and any(moment.combed for moment in moments)
    if seen:
        job = replace(job, excerpt=replace(job.excerpt, deinterlace="bob"))
        moments = list(moments_of(job))
    if not moments:
        raise MediaError(f"{job.source} has no frame in the time asked for")
    fair = [m for m in moments if not m.cuts and DARK < m.light < BRIGHT] or moments
    fair.sort(key=lambda moment: moment.motion)
    with job.excerpt.open(job.source) as reader:
        info = reader.info
    size = (info.height, info.width) if info.rotation % 180 else (info.width, info.height)
    steadiest, busiest = fair[0].start, [moment.start for moment in fair[1:][-BUSY:][::-1]]
    told = info.kind == "video" and info.lossy
    film = FilmFacts(
        width=size[0], height=size[1], rate=float(info.rate), frames=info.frames,
        codec=info.codec or info.kind, lossy=info.lossy,
        interlaced="seen" if seen else "marked" if info.interlaced else "no",
        cuts=sum(moment.cuts for moment in moments), looked=SPAN * len(moments),
        noise=0.0, halved=None, coded=0.0, blur=0.0,
        step=coding_step(job.source, [*busiest, steadiest], SPAN) if told else None,
        steadiest=steadiest, busiest=busiest,
    )  # fmt: skip
    return film, job


def moments_of(job: Job) -> Iterator[Moment]:
    """A few frames at places spread over the film; fewer places where it is short."""
    with job.excerpt.open(job.source) as reader:
        length, rate = reader.info.duration or Fraction(0), reader.info.rate
    begin = job.excerpt.start or Fraction(0)
    room = max(Fraction(0), length - SPAN / rate)
    count = max(1, min(PLACES, int(length * rate) // SPAN))
    for place in range(count):
        start = begin + room * place / max(1, count - 1)
        if found := moment_at(job, start):
            yield found


def reader_at(job: Job, start: Fraction) -> Reader:
    """A reader of the frames of the moment that begins at a time."""
    with job.excerpt.open(job.source) as reader:
        end = start + SPAN / reader.info.rate
    return replace(job.excerpt, start=start, end=end).open(job.source)


def moment_at(job: Job, start: Fraction) -> Moment | None:
    """The measures of the frames from a time on; None where there are none."""
    with reader_at(job, start) as reader:
        small = [luma_of(frame) for frame in islice(reader, SPAN)]
        combed = any("two moments" in line for line in reader.warnings)
    if not small:
        return None
    changes = [float((a - b).abs().mean()) for a, b in zip(small, small[1:], strict=False)]
    cuts = sum(begins for _, begins in find_cuts(s.expand(3, -1, -1) for s in small)) - 1
    motion = 255 * sum(changes) / max(1, len(changes))
    light = sum(float(s.mean()) for s in small) / len(small)
    return Moment(start, motion, cuts, light, combed)


def luma_of(frame: Frame) -> Tensor:
    """The brightness of a frame, reduced to at most 320 columns: (1, h, w) in [0, 1]."""
    codes = frame.planes[0].float()[None]
    step = max(1, codes.shape[-1] // 320)
    return F.avg_pool2d(codes, step) / (2**frame.color.bits - 1)


def frames_at(job: Job, start: Fraction) -> list[Tensor]:
    """The frames (3, H, W) in [0, 1] of the moment that begins at a time."""
    with reader_at(job, start) as reader:
        return [to_rgb(frame.planes, frame.color) for frame in islice(reader, SPAN)]


def middle_part(frame: Tensor) -> Tensor:
    """The middle of a frame (3, H, W), LOOKED at most; cut at whole blocks of 16."""
    top, left = (
        max(0, side - most) // 32 * 16 for side, most in zip(frame.shape[-2:], LOOKED, strict=True)
    )
    return frame[:, top : top + LOOKED[0], left : left + LOOKED[1]]


@torch.inference_mode()
def with_damage(
    film: FilmFacts, moments: list[list[Tensor]], deblur: Any, compression: Any
) -> FilmFacts:
    """The film with what its moments show: noise, softness, blur and coding.

    The networks of two tasks carry parts that were trained to tell the last two: how long the
    shutter was open (0 where it was not open beyond its frame), and the PSNR of a coded frame.
    """
    middles = [middle_part(frames[len(frames) // 2]) for frames in moments]
    noise = sorted(255 * noise_level(frame) for frame in middles)[len(middles) // 2]
    halves = [psnr_rgb(halved_and_back(frame), frame) for frame in middles]
    told = [compression.mixer.quality.told(statistics(f.mean(0)[None])) for f in middles]
    coded = MIDDLE + 10 * sum(float(value) for value in told) / len(told)
    blur = max(blur_of([middle_part(f).mean(0)[None] for f in fs], deblur.mixer) for fs in moments)
    halved, _ = mean_finite(halves)
    return replace(
        film, noise=noise, coded=coded, blur=blur, halved=halved if math.isfinite(halved) else None
    )


def blur_of(grey: list[Tensor], mixer: Any) -> float:
    """Sum of the shares of other moments in the middle one of grey frames (1, H, W)."""
    at = len(grey) // 2
    if min(at, len(grey) - 1 - at) < mixer.neighbours:
        return 0.0
    return float(mixer.exposure(grey, range(at, at + 1))[0].abs().sum())


def halved_and_back(frame: Tensor) -> Tensor:
    """A frame (3, H, W), reduced to half and enlarged again."""
    height, width = frame.shape[-2], frame.shape[-1]
    small = resize_to(frame, (max(1, height // 2), max(1, width // 2)))
    return resize_to(small, (height, width)).clamp(0, 1)
