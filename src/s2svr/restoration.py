"""Restoration of frames and of video files.

A video is an iterator of frames, the model is a function with an explicit memory; here they meet.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from .job import Job, Progress, Summary, segment_frames
from .journal import facts_of, text
from .media import MediaInfo, open_reader, open_writer
from .scenes import find_cuts
from .tiles import SMALLEST
from .windows import Cuts, Runner, Say, scale_of, windows

COMMENT = f"restored with s2svr {version('s2svr')}"  # in the output's metadata
OUTPUT_MEMORY = 2**30  # bytes that one window's restored frames may take


def restore(
    model: nn.Module,
    frames: Iterable[Tensor],
    *,
    window: int = 16,
    tile: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    cuts: Cuts | None = find_cuts,
    say: Say = warnings.warn,
) -> Iterator[Tensor]:
    """Restore frames (3, H, W) in [0, 1], all of one size, lazily: (3, sH, sW) in [0, 1].

    model has ``scale``, ``lookahead`` and the call of S2SVR; it is moved to ``device`` (None: it
    stays where it is). The frames are taken in windows of ``window`` frames, between which the
    memory is carried; whatever the window, the result is the same, on a CPU bit by bit. Memory
    starts afresh where ``cuts`` says that a shot begins (None: it is all one shot). ``tile`` is
    the longest side, in pixels, of the parts that frames are restored in; ``dtype`` other than
    float32 is for GPUs. When memory runs out, smaller windows and then tiles are used, and ``say``
    is told; MemoryError when that does not suffice.
    """
    runner = make_runner(model, window, tile, device, dtype, say)
    shots = (cuts or single_shot)(checked(frames))
    return runner.run_all(windows(shots, window, runner.lookahead))


def make_runner(
    model: nn.Module,
    window: int,
    tile: int | None,
    device: torch.device | str | None,
    dtype: torch.dtype,
    say: Say,
) -> Runner:
    """A runner with settings as those of ``restore``; ValueError where they are impossible."""
    if window < 1:
        raise ValueError(f"expected a window of at least 1 frame, got {window}")
    if tile is not None and tile < SMALLEST:
        raise ValueError(f"expected tiles of at least {SMALLEST} pixels, got {tile}")
    device = next(model.parameters()).device if device is None else torch.device(device)
    if device.type == "cuda":  # the same every time: what is resumed has to fit what was done
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return Runner(model, window=window, tile=tile, device=device, dtype=dtype, say=say)


def single_shot(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Every frame, and whether it is the first."""
    for index, frame in enumerate(frames):
        yield frame, index == 0


def checked(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """The frames; ValueError at the first that is none or is of another size."""
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.ndim != 3 or len(frame) != 3 or not frame.is_floating_point():
            raise ValueError(
                "expected frames (3, H, W) of floats in [0, 1], "
                f"got {tuple(frame.shape)} of {frame.dtype}"
            )
        if frame.shape != shape:
            raise ValueError(
                f"expected all frames of one size {tuple(shape)}, got {tuple(frame.shape)}"
            )
        yield frame


def restore_video(
    model: nn.Module,
    source: Path,
    target: Path,
    *,
    window: int = 16,
    tile: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    bits: int | None = None,
    scale: int | None = None,
    size: tuple[int, int] | None = None,
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
    """Restore a video file or a folder of images into a video file or a folder of PNGs.

    window (fewer for large frames), tile, device and dtype are those of ``restore``; threads are
    torch's. scale, or size (width, height) in pixels, is what the result is reduced to; start and
    end are in seconds, fps is the rate of an image folder, deinterlace as in ``open_reader``;
    codec, crf, bits and overwrite are the writer's. ``say`` is told of warnings. An error leaves
    nothing at ``target``: MediaError for files, ValueError for impossible settings.

    About every ``segment`` frames (None: by their size) what is done is made durable in a hidden
    folder beside ``target``, and Stopped is raised if ``stop`` says so. However it ends, the same
    call goes on from there and makes the same file as if nothing had happened; with other settings,
    input or weights it is refused (MediaError). ``restart`` begins anew.
    """
    source, target = Path(source), Path(target)
    if threads is not None:
        torch.set_num_threads(threads)
    with open_reader(source, fps=fps, start=start, end=end, deinterlace=deinterlace) as reader:
        sides = output_size(model, reader.info, scale, size)
        job = Job(reader, sides, progress, say)
        fitting = fitting_window(window, model, reader.info)
        runner = make_runner(model, fitting, tile, device, dtype, job.tell)
        segment = segment or segment_frames(sides)
        facts = facts_of(reader, runner, sides) | {
            "codec": codec, "crf": crf, "bits": bits, "rate": text(fps), "start": text(start),
            "end": text(end), "deinterlacing": deinterlace, "scene cuts": scene_cuts,
            "segments of": segment,
        }  # fmt: skip
        with job.noted(), open_writer(
            target, reader=reader, width=sides[0], height=sides[1], bits=bits, codec=codec, crf=crf,
            overwrite=overwrite, lasting=True, restart=restart, comment=COMMENT,
        ) as writer:  # fmt: skip
            job.run(runner, find_cuts if scene_cuts else single_shot, writer, facts, segment, stop)
    return job.summary(source, target, writer.warnings)


def output_size(
    model: nn.Module, info: MediaInfo, scale: int | None, size: tuple[int, int] | None
) -> tuple[int, int]:
    """Width and height, as coded, that the result is written in."""
    most = scale_of(model)
    width, height = info.width * most, info.height * most
    if size is not None:
        if scale is not None:
            raise ValueError("expected a scale or a size, got both")
        if info.rotation % 180:  # a player turns the picture: the user means what is shown
            size = size[::-1]
        if not (1 <= size[0] <= width and 1 <= size[1] <= height):
            raise ValueError(
                f"expected a size of at most {width}x{height} ({most} times the input), "
                f"got {size[0]}x{size[1]}"
            )
        return size
    if scale is not None and not 1 <= scale <= most:
        raise ValueError(f"expected a scale from 1 to {most}, which is the model's, got {scale}")
    return info.width * (scale or most), info.height * (scale or most)


def fitting_window(window: int, model: nn.Module, info: MediaInfo) -> int:
    """The window, or as many frames as OUTPUT_MEMORY holds when restored."""
    frame = 12 * info.width * info.height * scale_of(model) ** 2
    return max(1, min(window, OUTPUT_MEMORY // frame))
