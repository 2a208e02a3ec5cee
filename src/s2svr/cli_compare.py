"""The command that compares two videos."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Json
from .console import print_json, progress, say


def compare(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Video or image folder.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The same, restored.")],
    flow: Annotated[str | None, typer.Option(help="Flow weights, to measure flicker.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with a slider between frames.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two videos of one size, frame by frame at equal times: PSNR, SSIM, flicker."""
    from .checkpoint import load
    from .compare import compare as measure
    from .page import summary, write_page

    network = load(flow, task="flow") if flow else None
    with progress() as (move, _):
        found = measure(reference, output, flow=network, progress=lambda done: move(done, None))
    if html:
        write_page(html, found)
    if found.missing or found.extra:
        say(
            f"warning: {found.missing} frames of {reference} have no partner in {output}, "
            f"{found.extra} of {output} none in {reference}"
        )
    if as_json:
        print_json(found)
    else:
        typer.echo(summary(found))
