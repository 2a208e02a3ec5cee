"""Commands that compare two videos: with a reference, or with what was restored."""

from pathlib import Path
from typing import Annotated

import typer

from .options import End, Json, Start
from .output import print_json, print_table, say
from .progress import progress


def compare_command(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="Reference: video file or image folder.")
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Restored video or image folder of the same size.")
    ],
    start: Start = None,
    end: End = None,
    cut: Annotated[
        bool,
        typer.Option(
            "--cut", help="OUT was restored from the part of REF between --start and --end only."
        ),
    ] = False,
    flow: Annotated[
        str,
        typer.Option(help="Flow network that flicker is measured with; none leaves flicker out."),
    ] = "flow-light-teacher",
    html: Annotated[
        Path | None, typer.Option(help="Write an HTML page with a slider between both videos.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the curve of PSNR over time as .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two videos of the same size, frame by frame: PSNR, SSIM and flicker."""
    from ..checkpoint import load
    from ..evaluation import Span, check_place, comparison_text, write_curve, write_page
    from ..evaluation import compare_videos as measure

    if html:
        check_place(html, ".html")
    if plot:
        check_place(plot, ".svg")
    network = None if flow == "none" else load(flow, task="flow")
    with progress() as (move, _):
        found = measure(
            reference, output, part=Span(start, end, cut), flow=network,
            progress=lambda done: move(done, None),
        )  # fmt: skip
    if html:
        write_page(html, found)
    if plot:
        write_curve(plot, found)
    if as_json:
        print_json(found)
    else:
        typer.echo(comparison_text(found))
    warn_of_unpaired(reference, len(found.missing), output, len(found.extra))
    if found.damage:
        raise typer.Exit(1)


Damage = Annotated[
    str,
    typer.Option(
        help="Damage that IN suffered: bicubic, gaussian, blur-N (frames), hevc-N (QP), "
        "h264-N (CRF), or several joined by +, such as h264-28+bicubic."
    ),
]


def fidelity_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video that was restored.")],
    restored: Annotated[Path, typer.Argument(metavar="OUT", help="The restored video.")],
    damage: Damage = "bicubic",
    as_json: Json = False,
) -> None:
    """Damage a restored video again and measure how far it is from its input."""
    from ..evaluation import measure_fidelity as measured

    found = measured(source, restored, damage)
    if as_json:
        print_json(found)
    else:
        psnr = "equal" if found.psnr is None else found.psnr
        base = "equal" if found.base is None else found.base
        row = {"frames": found.frames, "equal": found.equal}
        print_table([row | {"PSNR (rgb)": psnr, "input resized": base}])
        if found.warning:
            say(f"warning: {found.warning}")
        for line in found.damage:
            say(f"warning: {line}")
    warn_of_unpaired(source, found.lost, restored, found.added)
    if found.damage:
        raise typer.Exit(1)


def warn_of_unpaired(first: Path, lost: int, second: Path, added: int) -> None:
    """Say how many frames of two videos have no partner, if any."""
    if lost or added:
        say(
            f"warning: {lost} frames of {first} have no partner in {second}, "
            f"{added} of {second} none in {first}"
        )
