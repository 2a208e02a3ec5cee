"""The command line: each command parses, calls one public function, and prints.

torch is imported inside the commands, so that ``--help`` answers at once.
"""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_compare import compare
from .cli_evaluate import evaluate
from .cli_flow import evaluate_flow, figures, flow, import_flow
from .cli_measure import measure
from .cli_options import (
    Bits,
    Checked,
    Codec,
    Cuts,
    Device,
    End,
    Fields,
    Json,
    Overwrite,
    Piece,
    Planned,
    Precision,
    Quality,
    Rate,
    Restart,
    Scale,
    Size,
    Start,
    Task,
    Threads,
    Tile,
    Weights,
    Window,
    dimensions,
)
from .cli_train import data, render, train
from .console import Commands, print_json, print_table, say

if TYPE_CHECKING:
    from torch import nn

app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.add_typer(train, name="train")
app.add_typer(data, name="data")
app.add_typer(figures, name="figures")
app.add_typer(measure)


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("s2svr"))
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole trace of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Restore videos: super-resolution, deblurring and removal of compression artefacts."""


@app.command()
def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or image folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Video file, or folder for PNGs.")],
    task: Task = None,
    weights: Weights = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    codec: Codec = None,
    crf: Quality = None,
    bits: Bits = None,
    scale: Scale = None,
    size: Size = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    deinterlace: Fields = "auto",
    window: Window = 16,
    tile: Tile = None,
    scene_cuts: Cuts = True,
    overwrite: Overwrite = False,
    restart: Restart = False,
    plan: Planned = None,
    piece: Piece = None,
    check: Checked = False,
    as_json: Json = False,
) -> None:
    """Restore a video file or a folder of images."""
    if check:
        from .cli_check import refuse_others, run_check

        refuse_others(context)
        run_check(source, target, codec=codec, overwrite=overwrite, as_json=as_json)
        return
    from .cli_restore import Asked
    from .devices import choose_device, choose_precision

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
    from .checkpoint import TASKS, load

    if task is not None and task not in TASKS:
        raise ValueError(f"expected the task {', '.join(TASKS)}, got {task!r}")
    return load(weights or task or "sr", task=task)


def usual_task(source: Path) -> str:
    """The task where none is given: ``upscale`` for a source of a lossy codec, else ``sr``."""
    from .media import open_reader

    with open_reader(source) as reader:
        return "upscale" if reader.info.lossy else "sr"


@app.command()
def models(
    weights: Annotated[
        list[Path] | None, typer.Argument(help="Weights files to list as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the bundled weights and given files: size, training and measured gain of each."""
    from .checkpoint import bundled, describe

    names: list[str | Path] = [*bundled(), *(weights or [])]
    rows = [describe(name) for name in names]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows)
    else:
        say("no weights are bundled")


@app.command()
def info(device: Device = "auto", precision: Precision = "auto", as_json: Json = False) -> None:
    """Show the device, precision and versions that a restoration would use."""
    from .devices import describe

    facts = describe(device, precision)
    if as_json:
        print_json(facts)
    else:
        print_table([{"": name, " ": value} for name, value in facts.items()])


@app.command()
def benchmark(
    task: Task = None,
    weights: Weights = None,
    sizes: Annotated[
        list[tuple] | None,
        typer.Option(
            "--size",
            parser=dimensions,
            metavar="WxH",
            help="Size of the made-up frames; may be given more than once.",
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames timed at each size.")] = 16,
    clips: Annotated[
        list[Path] | None,
        typer.Option("--clip", help="Video timed from file to file; may be given more than once."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure frames per second: of the network alone at each size, and from file to file."""
    from .benchmark import benchmark as measure
    from .devices import choose_device, choose_precision

    place = choose_device(device)
    results = measure(
        network(weights, task), sizes or [(320, 180)], clips or [], frames=frames, device=place,
        dtype=choose_precision(precision, place), threads=threads,
    )  # fmt: skip
    if as_json:
        print_json(results)
    else:
        print_table([result.row() for result in results])


app.command()(evaluate)
app.command("evaluate flow")(evaluate_flow)
app.command()(compare)
app.command()(flow)
app.command()(import_flow)
app.command()(render)


def main() -> None:
    """Run the command line; the entry point of the console script."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: cleaned up
    try:
        app(prog_name="s2svr")
    except KeyboardInterrupt:  # before a command begins
        raise SystemExit(130) from None
