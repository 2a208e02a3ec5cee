"""Commands about networks: what there is, how fast it is, and files for other runtimes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..tasks import USUAL_TASK, task_named
from .options import Json, Overwrite, Task, Threads, Weights, parse_dimensions
from .output import cell, print_json, print_table, say
from .restore import network

if TYPE_CHECKING:
    from torch import nn

    from ..evaluation import Contender

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
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Bundled weights by name, a weights file, or a preset by name, with random "
            "weights; may be given more than once, to be compared.",
        ),
    ] = None,
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
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="auto (a GPU if there is one), cpu, cuda or cuda:N; may be given more than once."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, fp16 (GPUs), bf16 (GPUs, and CPUs made for it) or auto: fp32, or bf16 "
            "where such a CPU is faster with it; may be given more than once."
        ),
    ] = None,
    threads: Threads = None,
    rounds: Annotated[
        int,
        typer.Option(min=1, help="Turns that all take; the fastest of each counts."),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Measure frames per second of networks, devices and precisions side by side.

    Alone at each size, and from file to file. Ratios are to the first of them.
    """
    from ..evaluation import measure_speed as measure
    from ..evaluation import speed_table

    results = measure(
        contenders(weights or [None], task, device or ["auto"], precision or ["auto"]),
        sizes or [(320, 180)], clips or [], frames=frames, threads=threads, rounds=rounds,
    )  # fmt: skip
    if as_json:
        print_json(results)
        return
    print_table(speed_table(results))
    for name in dict.fromkeys(result.machine for result in results):
        say(f"measured on: {name}")


def contenders(
    weights: Sequence[str | None], task: str | None, devices: list[str], precisions: list[str]
) -> "list[Contender]":
    """Every network on every device in every precision, each a network of its own.

    Raises ValueError for what cannot run: nothing is left out.
    """
    from ..devices import choose_device, wanted_precision
    from ..evaluation import Contender

    found = []
    for name in weights:
        for device in devices:
            for precision in precisions:
                place = choose_device(device)
                dtype = wanted_precision(precision, place)
                label = Path(name or task_named(task or USUAL_TASK).weights).stem
                found.append(Contender(label, timed_network(name, task), place, dtype))
    return found


def timed_network(name: str | None, task: str | None) -> "nn.Module":
    """The network of weights or of the task; of a preset that is not bundled, with random ones."""
    from ..checkpoint import bundled
    from ..models import PRESETS, S2SVR, S2SVRConfig

    config = PRESETS.get(name or "")
    if name in bundled() or not isinstance(config, S2SVRConfig):
        return network(name, task)
    return S2SVR(config).eval()


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
