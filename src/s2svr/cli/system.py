"""Commands about networks: what there is, how fast it is, and files for other runtimes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..tasks import USUAL_TASK, task_named
from .options import Device, Json, Overwrite, Precision, Task, Threads, Weights, parse_dimensions
from .output import cell, print_json, print_table, say
from .restore import network

LONGEST = 29  # letters of a name in a table: with the other columns 80


def models_command(
    weights: Annotated[
        list[Path] | None, typer.Argument(help="Weights files to list as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the bundled weights and given files: task, size and measured gain; all with --json."""
    from ..checkpoint import bundled, describe_weights

    names: list[str | Path] = [*bundled(), *(weights or [])]
    rows = [describe_weights(name) for name in names]
    if as_json:
        print_json(rows)
    elif rows:
        print_table([short_row(row) for row in rows])
        say("recipe, data, clips and notes of each are shown by: s2svr models --json")
    else:
        say("no weights are bundled")


def short_row(row: dict[str, Any]) -> dict[str, str]:
    """What is most wanted of a card, in columns that fit a terminal."""
    name = row["name"]
    if len(name) > LONGEST:
        name = f"{name[: LONGEST // 2 - 1]}...{name[LONGEST // 2 + 2 - LONGEST :]}"
    wanted = ("task", "parameters", "bytes", "gain_db", "error")
    return {"name": name} | {key: "" if row[key] is None else cell(row[key]) for key in wanted}


def benchmark_command(
    task: Task = None,
    weights: Weights = None,
    sizes: Annotated[
        list[tuple] | None,
        typer.Option(
            "--size",
            parser=parse_dimensions,
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
    from ..devices import choose_device, choose_precision
    from ..evaluation import measure_speed as measure

    place = choose_device(device)
    results = measure(
        network(weights, task), sizes or [(320, 180)], clips or [], frames=frames, device=place,
        dtype=choose_precision(precision, place), threads=threads,
    )  # fmt: skip
    if as_json:
        print_json(results)
    else:
        print_table([result.row() for result in results])


def export_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for the two files; made if missing.")
    ],
    task: Task = None,
    weights: Weights = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames that a window restores.")] = 8,
    size: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_dimensions,
            metavar="WxH",
            help="Size of the frames, fixed: runtimes plan better for it; any size if not given.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a network as ONNX: one file for a shot's first window, one for all others."""
    from ..checkpoint import load, read_card
    from ..export import export_onnx

    name = weights or task_named(task or USUAL_TASK).weights
    files = export_onnx(
        load(name, task=task), folder, Path(name).stem,
        card=read_card(name), frames=frames, size=size, overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print_json([str(file) for file in files])
    else:
        for file in files:
            typer.echo(file)
