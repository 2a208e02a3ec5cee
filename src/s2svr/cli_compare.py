"""The command that compares two videos."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import End, Json, Start
from .console import print_json, progress, say


def compare(
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
    from .checkpoint import load
    from .compare import Part
    from .compare import compare as measure
    from .page import summary, write_curve, write_page
    from .tables import check_place

    if html:
        check_place(html, ".html")
    if plot:
        check_place(plot, ".svg")
    network = None if flow == "none" else load(flow, task="flow")
    with progress() as (move, _):
        found = measure(
            reference, output, part=Part(start, end, cut), flow=network,
            progress=lambda done: move(done, None),
        )  # fmt: skip
    if html:
        write_page(html, found)
    if plot:
        write_curve(plot, found)
    if as_json:
        print_json(found)
    else:
        typer.echo(summary(found))
    if found.missing or found.extra:
        say(
            f"warning: {len(found.missing)} frames of {reference} have no partner in {output}, "
            f"{len(found.extra)} of {output} none in {reference}"
        )
    if found.damage:
        raise typer.Exit(1)
