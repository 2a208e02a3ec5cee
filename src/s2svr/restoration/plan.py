"""A plan: the time, memory and disk that a restoration will take, found out before it starts.

Memory is counted on small frames (``memory``). Time and the size of the output come from
restoring a few frames of the middle of the video, all the way to a file.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import nn

from ..devices import precision_named, precision_text, total_memory
from ..files import free_bytes
from ..media import MediaError, MediaInfo
from ..text import amount, no_room
from ..writing import WorkPolicy, open_writer, parse_output
from .backend import Backend, backend_of
from .journal import can_go_on
from .memory import Footprint, count_footprint
from .pipeline import Summary, segment_frames
from .settings import Compute, Job
from .tiles import SMALLEST
from .video import fitting_window, output_size, restore_job, settled_precision

Run = Callable[[Job], Summary]  # restores

FEW = 100  # a shorter video is restored without measuring: one frame is more than SHARE
PATIENCE = 3.0  # seconds that measuring may take, or
SHARE = 0.02  # of the whole time, if that is more
MOST = 32  # frames to measure at once
WHERE = Fraction(2, 5)  # of the video, since many begin and end in black
FEWEST = 4  # frames that a window is made smaller to
FILL = 0.7  # of a device's memory that is planned with
SIDES = (2048, 1536, 1024, 768, 512, 384, 256, SMALLEST)  # of tiles, pixels


class Measured(NamedTuple):
    """Time and bytes that a few frames took."""

    frame_seconds: float  # for one more frame
    first_seconds: float  # for the first, with all that happens once
    frame_bytes: float
    first_bytes: int

    def total_seconds(self, frames: int) -> float:
        return self.first_seconds + self.frame_seconds * (frames - 1)


@dataclass(frozen=True)
class Plan:
    """Settings that fit, and what they need; sizes are (width, height) in pixels, as coded."""

    target: Path
    frames: int | None  # about; None: unknown
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    device: str
    window: int  # frames
    tile: int | None  # pixels
    memory: int  # bytes of the device
    memory_there: int | None
    disk: int | None  # bytes, with what is needed for a while; None: not measured
    disk_free: int
    frames_per_second: float | None = None
    seconds: float | None = None  # None: not measured, or the number of frames is unknown
    network: str = ""  # its name, and why it was taken
    why: str = ""
    precision: str = "float32"

    def check(self) -> None:
        """MediaError when the memory or the disk has no room for the restoration."""
        if self.memory_there is not None and self.memory > self.memory_there:
            (width, height), (wide, high) = self.size_in, self.size_out
            raise MediaError(
                f"{width}x{height} -> {wide}x{high} needs about {amount(self.memory)} of memory, "
                f"and {self.device} has {amount(self.memory_there)}: take a device with more, "
                "another network or a smaller picture, or go on all the same with --no-plan"
            )
        if self.disk is not None and self.disk > self.disk_free:
            raise MediaError(no_room(self.target, self.disk, self.disk_free))


def make_plan(
    model: nn.Module | Backend,
    job: Job,
    run: Run | None,
    *,
    brief: bool = True,
    share: float = SHARE,
    patience: float = PATIENCE,
) -> Plan:
    """Plan a restoration, and measure a few of its frames by ``run``.

    The job's window and tile are the largest to use. ``brief`` leaves out measuring where it would
    take more than a small part of the whole time; nothing is measured where ``run`` is None.
    ``share`` of the whole time may go to measuring, where that is more than ``patience`` (seconds).
    MediaError for an output that cannot be written.
    """
    target, compute = job.target, job.compute
    with job.excerpt.open(job.source) as reader:
        info = reader.info
        size_out = output_size(model, info, job.encoding)
        output, policy = job.encoding.output(size_out), WorkPolicy(overwrite=True)
        open_writer(target, reader=reader, output=output, policy=policy).discard()
    backend = backend_of(model, compute.device)
    counted = count_footprint(backend)
    dtype = settled_precision(model, job, info)
    window, tile, memory, there = fit_memory(backend, compute, info, size_out)
    measured, disk = None, None
    if there is not None and memory > there:
        run = None  # it would end in the middle
    if run and info.frames and info.duration and (info.frames >= FEW or not brief):
        fitting = replace(job, compute=replace(compute, window=window, tile=tile, dtype=dtype))
        tiled = tile is not None and tile < max(info.width, info.height)
        work = partial(counted.work, window=window, tiled=tiled)
        trial = partial(few_frames, run, fitting, info.rate, info.duration)
        measured = measure(trial, info.frames, target, share, patience, work)
        if measured is not None:
            kept = round(counted.state * info.width * info.height)
            disk = disk_needed(measured, info.frames, target, size_out, kept)
    return Plan(
        target=target,
        frames=info.frames,
        size_in=(info.width, info.height),
        size_out=size_out,
        device=str(backend.device),
        window=window,
        tile=tile,
        memory=memory,
        memory_there=there,
        disk=disk,
        disk_free=free_bytes(target),
        frames_per_second=1 / measured.frame_seconds if measured else None,
        seconds=measured.total_seconds(info.frames) if measured and info.frames else None,
        network=job.network,
        why=job.why,
        precision=precision_text(dtype),
    )


def few_frames(
    run: Run, job: Job, rate: Fraction, duration: Fraction, path: Path, count: int
) -> Summary:
    """Restore so many frames from the middle of a film of ``duration`` seconds to a path."""
    before = math.floor(duration * WHERE * rate)  # a whole number of frames
    middle = (job.excerpt.start or 0) + before / rate
    few = replace(job.excerpt, start=middle, end=middle + count / rate)
    return run(replace(job, target=path, excerpt=few))


class Fitting(NamedTuple):
    """The largest window and tile that fit into the memory, or the smallest where none does."""

    window: int  # frames
    tile: int | None  # pixels
    memory: int  # bytes of the device that they need
    there: int | None  # bytes that the device has, if that is known


def fit_memory(
    backend: Backend,
    compute: Compute,
    info: MediaInfo,
    size_out: tuple[int, int],
) -> Fitting:
    """The window and tile for a video, at most those of ``compute``, by a float32 ``backend``."""
    counted, there = count_footprint(backend), total_memory(backend.device)
    window = fitting_window(compute.window, backend.scale, info)
    window, tile = choose_window(counted, info, size_out, window, compute.tile, there)
    memory = counted.needed(info.width, info.height, window, tile, size_out)
    with_graphs = memory + counted.graphs(info.width, info.height, window, tile)
    if there is None or with_graphs <= FILL * there:  # else they are given up first
        memory = with_graphs
    return Fitting(window, tile, memory, there)


def settle(
    model: nn.Module | Backend,
    job: Job,
    plan: Plan | None = None,
    *,
    brief: bool = True,
    share: float = SHARE,
    patience: float = PATIENCE,
) -> tuple[Job, Plan | None]:
    """The job with its precision and a window and a tile that fit, and the plan that says so.

    ``plan`` is the one that the network was chosen by, if there was one. Not planned is what will
    be refused, unless ``brief`` is False. Time and disk are not measured where an earlier try is
    gone on with. ``share`` and ``patience`` are those of ``make_plan``.
    """
    if brief and job.is_refused():
        return job, None
    if plan is None:
        resumes = can_go_on(job.place) and not job.restart
        run = None if resumes else partial(restore_job, model)
        plan = make_plan(model, job, run, brief=brief, share=share, patience=patience)
    else:
        plan = replace(plan, network=job.network, why=job.why)
    dtype = job.compute.dtype or precision_named(plan.precision)
    compute = replace(job.compute, dtype=dtype, window=plan.window, tile=plan.tile)
    return replace(job, compute=compute), plan


def choose_window(
    counted: Footprint,
    info: MediaInfo,
    size_out: tuple[int, int],
    window: int,
    tile: int | None,
    there: int | None,
) -> tuple[int, int | None]:
    """The largest window and tile that fit into the memory; the smallest where none does.

    Small windows come before tiles, which overlap: FEWEST frames cost little more than many. They
    come before a GPU without CUDA graphs too, if those of small windows fit.
    """
    if there is None:
        return window, tile
    windows = [w for w in (window, window // 2, window // 4) if w >= FEWEST] or [window]
    sides = [side for side in SIDES if side < max(info.width, info.height)]
    pairs: list[tuple[int, int | None]] = [(w, tile) for w in windows]
    for pair in pairs:
        graphs = counted.graphs(info.width, info.height, *pair)
        if counted.needed(info.width, info.height, *pair, size_out) + graphs <= FILL * there:
            return pair
    if tile is None:
        pairs += [(min(window, FEWEST), side) for side in sides]
    for pair in pairs:
        if counted.needed(info.width, info.height, *pair, size_out) <= FILL * there:
            break
    return pair


def measure(
    trial: Callable[[Path, int], Summary],
    frames: int,
    target: Path,
    share: float = SHARE,
    patience: float = PATIENCE,
    work: Callable[[int], float] = float,
) -> Measured | None:
    """Time one frame, two, four, ... for as long as there is patience; None where it fails.

    trial restores so many frames into a file or folder, of the kind that ``target`` names.
    ``work`` is that on so many frames: more than they are where windows look ahead.
    """
    name = parse_output(target)
    runs: list[tuple[int, float, int]] = []  # frames, seconds, bytes
    with tempfile.TemporaryDirectory() as folder:

        def run(count: int) -> None:
            path = name.at(Path(folder) / str(count))
            began = time.perf_counter()
            restored = trial(path, count).frames
            runs.append((restored, time.perf_counter() - began, bytes_of(parse_output(path).place)))

        try:
            run(1)
            for count in (2**n for n in range(1, MOST.bit_length())):
                done, seconds, _ = runs[-1]
                spent = sum(past for _, past, _ in runs)
                if spent + 2 * seconds > max(patience, share * frames * seconds / done):
                    break
                run(count)
        except MediaError:  # no frame just there, or damage: the restoration itself will tell
            return None
    first, (done, seconds, size) = runs[0], runs[-1]
    # What happens once is in both of two runs. The very first waits for what is loaded, and its
    # frame has no neighbours, so it counts only where there are no two others.
    before, less, _ = runs[1 if len(runs) > 2 else 0]
    each = seconds / work(done)
    if done > before:
        each = max((seconds - less) / (work(done) - work(before)), each / 10)
    if frames > done:  # of the film's other frames, with what is seen ahead
        each *= (work(frames) - work(done)) / (frames - done)
    grown = (size - first[2]) / (done - first[0]) if done > first[0] else size / done
    return Measured(each, seconds - each * (done - 1), max(grown, 0.0), first[2])


def disk_needed(
    measured: Measured, frames: int, target: Path, size_out: tuple[int, int], memory: int
) -> int:
    """Bytes of the output, and the most of what is beside it at any time.

    ``memory`` is what the model remembers, in bytes: it is kept with every segment, and is there
    twice while a newer one takes its place. A video is, while it is joined with its sound.
    """
    segment = segment_frames(size_out)
    kept, older = (memory if frames >= count * segment else 0 for count in (1, 2))
    if parse_output(target).kind == "images":
        return round(measured.frame_bytes * (frames - 1)) + measured.first_bytes + kept + older
    keys = math.ceil(frames / segment)
    video = round(measured.frame_bytes * (frames - keys) + measured.first_bytes * keys)
    return video + kept + max(video, older)


def bytes_of(path: Path) -> int:
    """Of a file, or of all files of a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
