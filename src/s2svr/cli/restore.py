"""The command that restores a video or a folder of images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import LOSSY_TASK, USUAL_TASK, task_named
from .options import (
    Bits,
    CheckOnly,
    Codec,
    Crf,
    Deinterlace,
    Device,
    End,
    Json,
    Overwrite,
    PlanOnly,
    Precision,
    PreviewSeconds,
    Rate,
    Restart,
    Scale,
    SceneCuts,
    Size,
    Start,
    Task,
    Threads,
    Tile,
    Weights,
    Window,
)

if TYPE_CHECKING:
    from torch import nn


def restore_command(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or image folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Video file, or folder for PNGs.")],
    task: Task = None,
    weights: Weights = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    codec: Codec = None,
    crf: Crf = None,
    bits: Bits = None,
    scale: Scale = None,
    size: Size = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    deinterlace: Deinterlace = "auto",
    window: Window = 16,
    tile: Tile = None,
    scene_cuts: SceneCuts = True,
    overwrite: Overwrite = False,
    restart: Restart = False,
    plan: PlanOnly = None,
    piece: PreviewSeconds = None,
    check: CheckOnly = False,
    as_json: Json = False,
) -> None:
    """Restore a video file or a folder of images."""
    if check:
        from .check import refuse_others, run_check

        refuse_others(context)
        run_check(source, target, codec=codec, overwrite=overwrite, as_json=as_json)
        return
    from ..devices import choose_device, choose_precision
    from .job import Asked

    place = choose_device(device)
    if weights is None and task is None:
        task = usual_task(source)
    asked = Asked(
        network(weights, task), source, target, place, choose_precision(precision, place),
        window=window, tile=tile, threads=threads, codec=codec, crf=crf, bits=bits, scale=scale,
        size=size, fps=fps, start=start, end=end, deinterlace=deinterlace, scene_cuts=scene_cuts,
        overwrite=overwrite, restart=restart,
    )  # fmt: skip
    if piece is not None:
        asked.preview(piece, as_json=as_json)
        return
    if plan is not False:
        asked = asked.planned(only=bool(plan), as_json=as_json)
    if not plan:
        asked.restore(as_json=as_json)


def network(weights: str | None, task: str | None) -> "nn.Module":
    """The network of the given weights, or else of the task."""
    from ..checkpoint import load

    usual = task_named(task or USUAL_TASK).weights
    return load(weights or usual, task=task)


def usual_task(source: Path) -> str:
    """The task where none is given, by whether the source's codec is lossy."""
    from ..media import open_reader

    with open_reader(source) as reader:
        return LOSSY_TASK if reader.info.lossy else USUAL_TASK
