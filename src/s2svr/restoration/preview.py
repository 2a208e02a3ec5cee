"""A short piece of a video, restored, beside what it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..coarseness import with_coarseness
from ..color import from_rgb, to_rgb
from ..finish import finished, moment_of
from ..media import Frame, MediaError, Reader, carried
from ..ops import resize_to
from ..text import Say
from ..writing import WorkPolicy, open_writer
from .backend import Backend, backend_of
from .cuts import find_cuts
from .frames import restore
from .plan import WHERE, fit_memory
from .settings import Excerpt, Job
from .video import output_size, precision_of


@dataclass(frozen=True)
class Preview:
    """A piece that was restored."""

    target: Path
    frames: int
    damage: list[str]  # met in this piece


def preview_video(
    model: nn.Module | Backend,
    job: Job,
    seconds: Fraction,
    *,
    say: Say = lambda line: None,
) -> Preview:
    """Restore ``seconds`` from the job's start (None: in the middle), not beyond its end.

    As shown, the left half is the input, enlarged bicubically, and the right half the result. Not
    planned before, windows and tiles are made to fit. The errors are those of ``restore_video``.
    """
    compute = job.compute
    if seconds <= 0:
        raise ValueError(f"expected a preview of more than 0 seconds, got {float(seconds):g}")
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    with piece_of(job, seconds).open(job.source) as reader:
        width, height = output_size(model, reader.info, job.encoding)
        counted = backend_of(model, compute.device)
        window, tile, *_ = fit_memory(counted, compute, reader.info, (2 * width, height))
        dtype = precision_of(model, job)
        backend = backend_of(with_coarseness(model, job.source), compute.device, dtype, say)
        cuts = find_cuts if job.scene_cuts else None

        def restored(frames: Iterator[Tensor]) -> Iterator[Tensor]:
            return restore(backend, frames, window=window, tile=tile, cuts=cuts, say=say)

        pictures = carried(as_rgb(reader, backend.device), restored)
        count, corrupt = write_preview(job, reader, pictures, (width, height), say)
    spoilt = [f"{corrupt} frames were decoded with errors"] if corrupt else []
    return Preview(job.target, count, spoilt + reader.damage)


def piece_of(job: Job, seconds: Fraction) -> Excerpt:
    """So many seconds of a job's excerpt: its first, or those of its middle if it has no start."""
    start, end = job.excerpt.start, job.excerpt.end
    if start is None:
        start = middle(job, seconds)
    stop = start + seconds if end is None else min(end, start + seconds)
    return replace(job.excerpt, start=start, end=stop)


def middle(job: Job, seconds: Fraction) -> Fraction:
    """The time, in seconds, at which ``seconds`` of the middle of a job's excerpt begin."""
    with job.excerpt.open(job.source) as reader:
        duration = reader.info.duration or Fraction(0)
    return max(Fraction(0), min(WHERE * duration, duration - seconds))


class Shown(NamedTuple):
    """A frame without its planes, as RGB (3, H, W) in [0, 1], and its time in seconds."""

    frame: Frame
    rgb: Tensor
    moment: Fraction


def as_rgb(reader: Reader, device: torch.device) -> Iterator[tuple[Shown, Tensor]]:
    """The frames as the network takes them, each with what stands beside its result."""
    for index, frame in enumerate(reader):
        rgb = to_rgb(tuple(plane.to(device) for plane in frame.planes), frame.color)
        yield Shown(replace(frame, planes=()), rgb, moment_of(frame, index, reader)), rgb


def write_preview(
    job: Job,
    reader: Reader,
    pictures: Iterator[tuple[Shown, Tensor]],
    size: tuple[int, int],
    say: Say,
) -> tuple[int, int]:
    """Write results of a size (width, height) beside their inputs; how many, how many corrupt."""
    rotation, (width, height), count, corrupt = reader.info.rotation, size, 0, 0
    turned = rotation % 180 != 0  # a player turns the picture
    # The writer keeps the shape of the source, which is that of one half.
    aspect = reader.info.aspect * (Fraction(1, 2) if turned else 2)
    reader.info = replace(reader.info, aspect=aspect)
    sides = (width, 2 * height) if turned else (2 * width, height)
    with open_writer(
        job.target,
        reader=reader,
        output=job.encoding.output(sides),
        policy=WorkPolicy(job.overwrite),
        comment="left: input, right: restored with s2svr",
    ) as writer:
        for (frame, before, moment), result in pictures:
            result = finished(result, before, job.finish, moment)
            both = halves(before, result, (height, width), rotation)
            planes = tuple(p.to("cpu") for p in from_rgb(both, writer.color, writer.chroma))
            writer.write(replace(frame, planes=planes, color=writer.color))
            count += 1
            corrupt += frame.corrupt
        if not count:
            raise MediaError(f"{reader.path} has no frame in the time asked for")
    for line in [*reader.warnings, *writer.warnings]:
        say(line)
    return count, corrupt


def halves(left: Tensor, right: Tensor, size: tuple[int, int], rotation: int) -> Tensor:
    """Two pictures (3, h, w), each resized to ``size``, left and right as a player turns them."""
    both = [resize_to(x, size).clamp(0, 1) for x in (left, right)]
    if rotation % 360 in (180, 270):  # what is coded last is shown left
        both.reverse()
    return torch.cat(both, 1 if rotation % 180 else 2)
