"""The command that restores a video or a folder of images."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from ..tasks import USUAL_TASK, task_named
from .options import (
    PIPE,
    Audio,
    AudioTrack,
    Bitrate,
    Bits,
    CheckOnly,
    Codec,
    ColorRange,
    Crf,
    DecodedFrom,
    Deinterlace,
    Device,
    EncoderPreset,
    End,
    Fit,
    Grain,
    Height,
    InputFormat,
    Json,
    Matrix,
    NetworkQuality,
    OutputFormatName,
    Overwrite,
    PlanOnly,
    Precision,
    PreviewSeconds,
    Rate,
    Restart,
    Scale,
    SceneCuts,
    Size,
    SoFarPath,
    SourceOrPipe,
    Start,
    Strength,
    TargetOrPipe,
    Task,
    Threads,
    Tile,
    Weights,
    Width,
    Window,
)
from .output import network_lines, plan_lines, preview_lines, print_json, say, summary_lines
from .piped import check_options, is_piped, run_piped, task_of_pipe
from .progress import progress
from .sets import Config, ProfileName, settled

if TYPE_CHECKING:
    from torch import nn

    from ..restoration import Choice, Job, Plan
    from ..text import Say


def restore_command(
    context: typer.Context,
    source: SourceOrPipe,
    target: TargetOrPipe,
    task: Task = None,
    weights: Weights = None,
    quality: NetworkQuality = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    codec: Codec = None,
    crf: Crf = None,
    bits: Bits = None,
    scale: Scale = None,
    size: Size = None,
    height: Height = None,
    width: Width = None,
    fit: Fit = None,
    strength: Strength = 1.0,
    grain: Grain = False,
    bitrate: Bitrate = None,
    encoder_preset: EncoderPreset = None,
    audio: Audio = None,
    audio_track: AudioTrack = None,
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
    so_far: SoFarPath = None,
    check: CheckOnly = False,
    input_format: InputFormat = None,
    decoded_from: DecodedFrom = None,
    output_format: OutputFormatName = None,
    matrix: Matrix = None,
    range: ColorRange = None,
    config: Config = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Restore a video file, an image or a folder of images."""
    check_options(context.params)
    if check:
        from .check import run_check

        run_check(context)
    elif is_piped(source, target):
        restore_pipe(settled(context))
    else:
        restore_files(settled(context))


def restore_files(given: dict[str, Any]) -> None:
    """Restore a file or folder, or a piece of it, by the values of the command's arguments."""
    from ..restoration import usual_task

    job, as_json = job_asked(given), given["as_json"]
    task, weights = given["task"], given["weights"]
    if weights is None and task is None:
        task = usual_task(job.source)
    if given["so_far"] is None:
        choice = chosen_network(job, task, weights, given["quality"], given["plan"])
        carry_out(job, choice, task, given["plan"], given["piece"], as_json=as_json)
    else:
        show_so_far(job, given["so_far"], as_json=as_json)


def job_asked(given: dict[str, Any]) -> "Job":
    """The restoration that the options of a command ask for, by the names of its arguments.

    Raises ValueError for a device or a precision that is not there.
    """
    from ..devices import choose_device, wanted_precision
    from ..finish import Finish
    from ..restoration import Compute, Encoding, Excerpt, Job
    from ..writing import SoundChoice

    place = choose_device(given["device"])
    precision = wanted_precision(given["precision"], place)
    return Job(
        source=given["source"],
        target=given["target"],
        excerpt=Excerpt(given["start"], given["end"], given["fps"], given["deinterlace"]),
        encoding=Encoding(
            codec=given["codec"],
            crf=given["crf"],
            bits=given["bits"],
            scale=given["scale"],
            size=given["size"],
            bitrate=given["bitrate"],
            preset=given["encoder_preset"],
            sound=SoundChoice(given["audio"], tuple(given["audio_track"] or ())),
            height=given["height"],
            width=given["width"],
            fit=given["fit"],
        ),
        compute=Compute(place, precision, given["threads"], given["window"], given["tile"]),
        scene_cuts=given["scene_cuts"],
        overwrite=given["overwrite"],
        restart=given["restart"],
        finish=Finish(given["strength"], given["grain"]),
    )


def restore_pipe(given: dict[str, Any]) -> None:
    """Restore where IN or OUT is a pipe, by the values of the command's arguments."""
    from ..restoration import usual_task

    task, weights = given["task"], given["weights"]
    if given["source"] == PIPE:
        task = task_of_pipe(task, weights, given["decoded_from"])
    elif task is None and weights is None:
        task = usual_task(given["source"])
    job = replace(job_asked(given), restart=True)  # nothing of an earlier try is looked for
    choice = chosen_network(job, task, weights, given["quality"], False)
    job = replace(job, network=choice.network, why=choice.why)
    run_piped(network(choice.network, task), job, given, as_json=given["as_json"])


def carry_out(
    job: "Job",
    choice: "Choice",
    task: str | None,
    plan: bool | None,
    piece: Fraction | None,
    *,
    as_json: bool,
) -> None:
    """Plan and restore by the chosen network, or one of them, or a piece."""
    job = replace(job, network=choice.network, why=choice.why)
    model = network(choice.network, task)
    if piece is not None:
        show_piece(model, job, piece, as_json=as_json)
        return
    if plan is not False:
        job = planned(model, job, choice.plan, only=bool(plan), as_json=as_json)
    if not plan:
        run(model, job, as_json=as_json)


def chosen_network(
    job: "Job", task: str | None, weights: str | None, quality: str | None, plan: bool | None
) -> "Choice":
    """The weights asked for, or else the network of the task; and why.

    Raises ValueError for a quality beside weights, and unknown ones.
    """
    from ..restoration import Choice, check_quality, choose_network

    asked = task_named(task or USUAL_TASK)
    if quality is not None:
        check_quality(quality)
    if weights is None:
        load = partial(network, task=task)
        return choose_network(
            asked, quality or "auto", job, load, planned=plan is not False, brief=not plan
        )
    if quality is not None:
        raise ValueError("expected --weights or --quality, a choice of the task's own, got both")
    return Choice(weights, "--weights")


def planned(
    model: "nn.Module", job: "Job", chosen_by: "Plan | None", *, only: bool, as_json: bool
) -> "Job":
    """The job with a window and tile that fit, after saying what it takes, if that is much.

    ``only``: no more than the plan is wanted, on the standard output. MediaError where the disk has
    no room.
    """
    from ..restoration import settle

    settled, plan = settle(model, job, chosen_by, brief=not only)
    if plan is None:
        return job  # which ends with a sentence, soon
    if only and as_json:
        print_json(plan)
    elif only or plan.seconds is not None or plan.tile != job.compute.tile:
        for line in plan_lines(plan if only else replace(plan, network="")):
            (typer.echo if only else say)(line)
    plan.check()
    return settled


def show_so_far(job: "Job", part: Path, *, as_json: bool) -> None:
    """Write what an unfinished restoration has so far, and say how many frames it is."""
    from ..restoration import write_so_far

    frames = write_so_far(job, part, overwrite=job.overwrite)
    if as_json:
        print_json({"part": str(part), "frames": frames})
    else:
        typer.echo(f"{part}: the first {frames} frames")


def show_piece(model: "nn.Module", job: "Job", seconds: Fraction, *, as_json: bool) -> None:
    """Restore a piece beside the input; ends with 1 where that is damaged."""
    from ..restoration import preview_video

    shown = preview_video(model, job, seconds, say=warn)
    if as_json:
        print_json(shown)
    else:
        typer.echo("\n".join(preview_lines(shown)))
    if shown.damage:
        raise typer.Exit(1)


def run(model: "nn.Module", job: "Job", *, as_json: bool) -> None:
    """Restore and report; ends with 1 where frames were damaged."""
    from ..restoration import restore_job

    with progress(job.network) as (move, tell), stopping(tell) as stop:
        lines = network_lines(job.network, job.why)

        def moved(done: int, total: int | None) -> None:
            while done and lines:  # once, when the first frames are there
                tell(lines.pop(0))
            move(done, total)

        summary = restore_job(
            model, job, progress=moved, say=lambda line: tell(f"warning: {line}"), stop=stop
        )
    if as_json:
        print_json(summary)
    else:
        typer.echo("\n".join(summary_lines(summary)))
    if summary.damage or summary.corrupt:
        raise typer.Exit(1)


def network(weights: str | None, task: str | None) -> "nn.Module":
    """The network of the given weights, or else of the task."""
    from ..checkpoint import load

    usual = task_named(task or USUAL_TASK).weights
    return load(weights or usual, task=task)


@contextmanager
def stopping(
    tell: "Say", words: str = "stopping at the end of the segment; Ctrl-C again stops at once"
) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed; pressed again, it ends the block at once.

    ``tell`` gets these words when it was.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tell(words)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def warn(line: str) -> None:
    say(f"warning: {line}")
