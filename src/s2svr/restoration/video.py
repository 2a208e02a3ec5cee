"""Restoration of a video file or a folder of images."""

import math
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from ..coarseness import with_coarseness
from ..devices import precision_named
from ..finish import Finish
from ..media import MediaInfo, Reader
from ..sizes import fit_line, result_size
from ..text import Say
from ..writing import OutputFormat, SoundChoice, WorkPolicy, Writer, open_writer
from .backend import Backend, backend_of, faster_precision, place_of, scale_of, trial_pixels
from .cuts import find_cuts
from .frames import single_shot
from .journal import Journal, begun_under, conditions_of
from .pipeline import Pipeline, Progress, Stopped, Summary, segment_frames
from .runner import Runner
from .settings import Compute, Encoding, Excerpt, Job

COMMENT = f"restored with s2svr {version('s2svr')}"  # in the output's metadata
TIMED = 0.1  # of the work may go to timing precisions, of which one may take a third of the time
OUTPUT_MEMORY = 2**30  # bytes that one window's restored frames may take


class StretchEnd(Exception):  # noqa: N818
    """A stretch is done; its work folder holds it."""


def restore_video(
    model: nn.Module | Backend,
    source: Path,
    target: Path,
    *,
    window: int = 16,
    tile: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = torch.float32,
    threads: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    bits: int | None = None,
    scale: float | Fraction | None = None,
    size: tuple[int, int] | None = None,
    height: int | None = None,
    width: int | None = None,
    fit: tuple[int, int] | None = None,
    strength: float = 1.0,
    grain: bool = False,
    bitrate: int | None = None,
    preset: str | None = None,
    audio: str | None = None,
    audio_tracks: Sequence[str | int] = (),
    fps: Fraction | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    deinterlace: str = "auto",
    scene_cuts: bool = True,
    overwrite: bool = False,
    restart: bool = False,
    segment: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
    say: Say = lambda line: None,
) -> Summary:
    """Restore a video file, an image or a folder of images into what the target's name asks for.

    window (fewer for large frames), tile, device and dtype (None: a CPU's faster one) are as in
    ``restore``; threads are torch's. The result is reduced to one of scale (times the input), size
    (width, height in pixels), or as shown height, width or fit (a box). strength is the network's
    share against the enlarged input; grain gives back the input's noise. start and end are in
    seconds, fps is the rate of an image folder, deinterlace as in ``open_reader``; codec, crf,
    bits, bitrate (bits a second), preset and overwrite are the writer's; audio is copy, aac, flac
    or none (None: copied where possible), audio_tracks numbers or languages of it. ``say`` is told
    of warnings. An error leaves nothing at ``target``: MediaError, or ValueError.

    About every ``segment`` frames what is done is made durable in a hidden folder beside
    ``target``, and Stopped is raised if ``stop`` says so. However it ends, the same call goes on
    and makes the same file; with other settings, input or weights it is refused (MediaError).
    ``restart`` begins anew.
    """
    sound = SoundChoice(audio, tuple(map(str, audio_tracks)))
    form = Encoding(codec, crf, bits, scale, size, bitrate, preset, sound, height, width, fit)
    job = Job(
        Path(source), Path(target), Excerpt(start, end, fps, deinterlace), form,
        Compute(device, dtype, threads, window, tile), scene_cuts, overwrite, restart,
        finish=Finish(strength, grain),
    )  # fmt: skip
    return restore_job(model, job, segment=segment, stop=stop, progress=progress, say=say)


def restore_job(
    model: nn.Module | Backend,
    job: Job,
    *,
    segment: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
    say: Say = lambda line: None,
) -> Summary:
    """Restore what a job says; everything else is as in ``restore_video``."""
    policy = WorkPolicy(job.overwrite, lasting=True, restart=job.restart)
    with job.excerpt.open(job.source) as reader:
        return restore_between(
            model,
            job,
            reader,
            lambda output: open_writer(
                job.target, reader=reader, output=output, policy=policy, comment=COMMENT
            ),
            segment=segment,
            stop=stop,
            progress=progress,
            say=say,
        )


def restore_between(
    model: nn.Module | Backend,
    job: Job,
    reader: Reader,
    opened: Callable[[OutputFormat], Writer],
    *,
    segment: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
    say: Say = lambda line: None,
) -> Summary:
    """Restore what a reader yields into the writer that ``opened`` gives, as a job says.

    It can be gone on with where the writer has a work folder that lasts.
    """
    began, said = time.perf_counter(), []

    def tell(line: str) -> None:
        if line not in said:
            said.append(line)
            say(line)

    encoding, compute = job.encoding, job.compute
    journal: Journal | None = None
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    size = output_size(model, reader.info, encoding)
    model = with_coarseness(model, job.source)
    backend = backend_of(model, compute.device, settled_precision(model, job, reader.info), tell)
    window = fitting_window(compute.window, backend.scale, reader.info)
    runner = Runner(backend, window=window, tile=compute.tile, say=tell)
    segment = segment or segment_frames(size)
    try:
        with opened(encoding.output(size)) as writer:
            fitted = fit_line(reader.info, backend.scale, encoding.sizing)
            for line in [*reader.warnings, *writer.warnings, *filter(None, [fitted])]:
                tell(line)
            if writer.work and writer.work.lasting:
                conditions = conditions_of(job, reader, runner, size, segment)
                journal = Journal(writer.work, conditions, backend.memory_types)
                journal.adopt(job.parts, writer, conditions)
            pipeline = Pipeline(
                reader, runner, writer, journal, size, job.finish, progress, job.stretch
            )
            if pipeline.done != pipeline.end:
                pipeline.run(find_cuts if job.scene_cuts else single_shot, segment, stop)
            if job.stretch is not None:
                raise StretchEnd  # nothing appears under the target's name
    except StretchEnd:
        pass
    except Stopped:
        raise
    except BaseException as error:
        if journal and journal.checkpoint:
            kept = journal.position.frames
            error.add_note(f"{kept} frames are kept: the same command goes on from there")
        raise
    for line in [*reader.warnings, *writer.warnings]:
        tell(line)
    return pipeline.summary(job, began, said)


def output_size(model: nn.Module | Backend, info: MediaInfo, encoding: Encoding) -> tuple[int, int]:
    """Width and height, as coded, that the result is written in; ValueError for what cannot be."""
    return result_size(info, scale_of(model), encoding.sizing)


def fitting_window(window: int, scale: int, info: MediaInfo) -> int:
    """The window, or as many frames as OUTPUT_MEMORY holds when they are enlarged by ``scale``."""
    frame = 12 * info.width * info.height * scale**2
    return max(1, min(window, OUTPUT_MEMORY // frame))


def settled_precision(model: nn.Module | Backend, job: Job, info: MediaInfo) -> torch.dtype:
    """The precision of a job's restoration; a frame is timed where the job leaves the choice.

    What an earlier try was begun in stays. It is float32 where timing would take more than TIMED of
    the whole work, on GPUs, and for stretches, which may be restored on several machines. Timing
    sets the job's threads.
    """
    compute = job.compute
    if compute.dtype is not None:
        return compute.dtype
    if not isinstance(model, nn.Module) or job.stretch is not None or job.parts:
        return torch.float32
    begun = None if job.restart else begun_under(job.place)
    if begun is not None:
        return precision_named(str(begun.get("precision"))) or torch.float32
    if place_of(model, compute.device).type != "cpu":
        return torch.float32
    size = info.width, info.height
    pixels = math.inf if info.frames is None else info.frames * size[0] * size[1]
    if trial_pixels(backend_of(model, "cpu"), size) > TIMED * pixels:
        return torch.float32
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    return faster_precision(model, size)


def precision_of(model: nn.Module | Backend, job: Job) -> torch.dtype:
    """``settled_precision`` for the job's source."""
    if job.compute.dtype is not None:
        return job.compute.dtype
    with job.excerpt.open(job.source) as reader:
        return settled_precision(model, job, reader.info)
