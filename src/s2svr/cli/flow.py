"""Commands about optical flow: how good it is, and what it looks like."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, End, Json, Overwrite, Rate, Start, parse_dimensions
from .output import print_json, print_table, say

if TYPE_CHECKING:
    import torch

    from ..flow import Flow

TEACHER = "flow-light-teacher"
figures = typer.Typer(no_args_is_help=True, help="Draw figures of what the networks do.")
Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="[LABEL=]WEIGHTS",
        help="Flow network, a bundled name or a file; may be given more than once.",
    ),
]
Reduced = Annotated[
    int,
    typer.Option(
        min=1,
        help="Reduce the frames so many times before flow is estimated; some students need 4.",
    ),
]
Table = Annotated[Path | None, typer.Option(help="Write the table to a .json, .csv or .md file.")]
Truth = Annotated[
    Path | None, typer.Argument(metavar="DATA", help="Folder of .flo files and frames.")
]
Photos = Annotated[
    Path | None,
    typer.Option(help="Folder of photographs or videos to render clips from, in place of DATA."),
]
RenderedSize = Annotated[
    tuple | None,
    typer.Option(
        parser=parse_dimensions, metavar="WxH", help="Size of rendered clips; 640x360 if not given."
    ),
]
Seen = Annotated[
    list[str] | None,
    typer.Option(
        help="What the networks see: clean, bicubic, blur (rendered clips only), hevc-37 ...; "
        "may be given more than once."
    ),
]


def evaluate_flow_command(
    root: Truth = None,
    weights: Networks = None,
    dis: Annotated[
        bool, typer.Option("--dis", help="Also score DIS of OpenCV, a classical method.")
    ] = False,
    photos: Photos = None,
    seed: Annotated[int, typer.Option(help="Number that picks which clips are rendered.")] = 0,
    clips: Annotated[int, typer.Option(min=1, help="How many clips are rendered.")] = 8,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each rendered clip.")] = 4,
    size: RenderedSize = None,
    speed: Annotated[
        float,
        typer.Option(min=0, help="Fastest camera motion of rendered clips, in pixels a frame."),
    ] = 24.0,
    degradation: Seen = None,
    reduced: Reduced = 1,
    table: Table = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare flow with its truth: end-point and photometric error, consistency, occlusion."""
    from ..evaluation import write_table
    from ..flow import CLEAN, cases_of, rendered_cases, rows_to_print
    from ..flow import evaluate_flow as measure

    if (root is None) == (photos is None):
        raise ValueError("expected either a folder of .flo files or --photos to render clips from")
    methods = flow_networks(weights or [], device)
    if dis:
        from ..flow import DIS
        from ..flow import dis_flow as classical

        methods[DIS] = classical()
    inputs = degradation or [CLEAN]
    if photos is not None:
        from ..render import photographs

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
        print_table(rows_to_print(rows))


def flow_networks(names: list[str], device: str) -> "dict[str, Flow]":
    """Flow networks by their label, which is their name unless given as ``LABEL=WEIGHTS``."""
    from ..checkpoint import load
    from ..devices import choose_device

    place, found = choose_device(device), {}
    for entry in names:
        label, sign, name = entry.rpartition("=")
        found[label if sign else entry] = on(load(name, task="flow", device=place), place)
    return found


def on(net: "Flow", place: "torch.device") -> "Flow":
    """The estimator for frames of the CPU, at work on a device."""
    return lambda a, b: net(a.to(place), b.to(place)).cpu()


def flow_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or image folder.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Video file for colours, or new folder for .flo files."),
    ],
    weights: Annotated[str, typer.Option(help="Flow network: a bundled name or a file.")] = TEACHER,
    reduced: Reduced = 1,
    longest: Annotated[
        float | None,
        typer.Option(min=0.1, help="Motion that gets the full colour, in pixels a frame."),
    ] = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Show the motion in a video as colours: its direction as hue, white where nothing moves."""
    from ..flow import flow_video

    (net,) = flow_networks([weights], device).values()
    count = flow_video(
        net, source, target, reduced=reduced, longest=longest, fps=fps, start=start, end=end,
        overwrite=overwrite, say=lambda line: say(f"warning: {line}"),
    )  # fmt: skip
    typer.echo(f"{target}: {count} flows")


def import_flow_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="ARFlow's pwclite_ar.tar.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Weights file, .safetensors.")],
) -> None:
    """Convert ARFlow's published two-frame weights; code inside the file is not run."""
    from ..flow import import_flow as convert

    typer.echo(convert(source, target))


@figures.command("flow")
def flow_picture(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Clean video or image folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="PNG file.")],
    student: Annotated[str, typer.Option(help="Weights of the student trained with distillation.")],
    undistilled: Annotated[
        str | None, typer.Option(help="Weights of a student trained without distillation.")
    ] = None,
    teacher: Annotated[str, typer.Option(help="Weights of the teacher.")] = TEACHER,
    degradation: Annotated[
        str, typer.Option(help="Damage: bicubic, blur-7, hevc-37 ...")
    ] = "bicubic",
    frame: Annotated[int, typer.Option(min=0, help="Which frame is drawn, counted from 0.")] = 8,
    reduced: Reduced = 1,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw the paper's Fig. 1: the flow of a damaged frame, and frames aligned by it."""
    from ..flow import flow_figure

    names = [f"teacher={teacher}", f"student={student}"]
    if undistilled is not None:
        names.insert(1, f"not distilled={undistilled}")
    others = flow_networks(names, device)
    errors = flow_figure(
        source, target, teacher=others["teacher"], others=others, damage=degradation,
        frame=frame, reduced=reduced,
    )  # fmt: skip
    if as_json:
        print_json(errors)
    else:
        print_table([errors])
