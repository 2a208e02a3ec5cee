"""Commands about optical flow: how good it is, and what it looks like."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_options import Device, Json, dimensions
from .console import print_json, print_table, say

if TYPE_CHECKING:
    import torch

    from .evaluate_flow import Flow

Networks = Annotated[
    list[str] | None,
    typer.Option("--weights", metavar="[LABEL=]WEIGHTS", help="Flow network: name or file; often."),
]
Reduced = Annotated[int, typer.Option(min=1, help="Reduce the frames for a student.")]
Table = Annotated[Path | None, typer.Option(help="Write .json, .csv or .md.")]


def evaluate_flow(
    root: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="Folder of .flo files and frames.")
    ] = None,
    weights: Networks = None,
    dis: Annotated[
        bool, typer.Option("--dis", help="Also OpenCV's DIS, without learning.")
    ] = False,
    photos: Annotated[
        Path | None, typer.Option(help="Instead of DATA: folder to render clips from.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which of the endless clips.")] = 0,
    clips: Annotated[int, typer.Option(min=1, help="How many are rendered.")] = 8,
    frames: Annotated[int, typer.Option(min=2, help="Of each rendered clip.")] = 4,
    size: Annotated[
        tuple | None, typer.Option(parser=dimensions, metavar="WxH", help="640x360 if not given.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0, help="Fastest, pixels a frame.")] = 24.0,
    degradation: Annotated[
        list[str] | None,
        typer.Option(help="clean, bicubic, blur (rendered), hevc-37, ...: what they see; often."),
    ] = None,
    reduced: Reduced = 1,
    table: Table = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare flow with its truth: end-point and photometric error, consistency, occlusion."""
    from .evaluate_flow import evaluate_flow as measure
    from .evaluate_flow import shown
    from .flow_cases import CLEAN, cases_of, rendered_cases
    from .tables import write_table

    if (root is None) == (photos is None):
        raise ValueError("expected either a folder of .flo files or --photos to render clips from")
    methods = networks(weights or [], device)
    if dis:
        from .classical import NAME
        from .classical import dis as classical

        methods[NAME] = classical()
    inputs = degradation or [CLEAN]
    if photos is not None:
        from .data.photos import photographs

        width, height = size or (640, 360)
        cases = rendered_cases(
            photographs(photos), inputs, seed=seed, clips=clips, frames=frames,
            size=(height, width), speed=speed,
        )  # fmt: skip
    elif root is not None:
        cases = cases_of(root, inputs)
    rows = measure(methods, cases, reduced=reduced, done=lambda name: say(f"done: {name}"))
    if table:
        write_table(table, rows)
    if as_json:
        print_json(rows)
    else:
        print_table(shown(rows))


def networks(names: list[str], device: str) -> "dict[str, Flow]":
    """Flow networks by their label, which is their name unless given as ``LABEL=WEIGHTS``."""
    from .checkpoint import load
    from .devices import choose_device

    place, found = choose_device(device), {}
    for entry in names:
        label, sign, name = entry.rpartition("=")
        found[label if sign else entry] = on(load(name, task="flow", device=place), place)
    return found


def on(net: "Flow", place: "torch.device") -> "Flow":
    """The estimator for frames of the CPU, at work on a device."""
    return lambda a, b: net(a.to(place), b.to(place)).cpu()
