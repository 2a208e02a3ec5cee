"""Restoration of a video file or a folder of images."""

from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from ..media import MediaInfo, open_reader
from ..writing import OutputFormat, WorkPolicy, open_writer
from .cuts import find_cuts
from .frames import make_runner, single_shot
from .journal import conditions_of, fraction_text
from .pipeline import Pipeline, Progress, Summary, segment_frames
from .windows import Say, scale_of

COMMENT = f"restored with s2svr {version('s2svr')}"  # in the output's metadata
OUTPUT_MEMORY = 2**30  # bytes that one window's restored frames may take


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
        job = Pipeline(reader, sides, progress, say)
        fitting = fitting_window(window, model, reader.info)
        runner = make_runner(model, fitting, tile, device, dtype, job.tell)
        segment = segment or segment_frames(sides)
        facts = conditions_of(reader, runner, sides) | {
            "codec": codec, "crf": crf, "bits": bits, "rate": fraction_text(fps),
            "start": fraction_text(start), "end": fraction_text(end),
            "deinterlacing": deinterlace, "scene cuts": scene_cuts, "segments of": segment,
        }  # fmt: skip
        with job.noted(), open_writer(
            target, reader=reader, output=OutputFormat(*sides, bits, codec, crf),
            policy=WorkPolicy(overwrite, lasting=True, restart=restart), comment=COMMENT,
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
