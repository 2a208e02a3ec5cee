"""Commands that damage videos, and that judge what was restored."""

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import End, Json, Overwrite, Rate, Start
from .console import print_json, print_table, say

measure = typer.Typer()
Damage = Annotated[
    str,
    typer.Option(
        help="Damage that IN suffered: bicubic, gaussian, blur-N (frames), hevc-N (QP) or "
        "h264-N (CRF)."
    ),
]


@measure.command()
def degrade(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file or image folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Video file, or folder for PNGs.")],
    bicubic: Annotated[
        bool, typer.Option("--bicubic", help="Reduce 4 times, bicubic as in MATLAB (BI).")
    ] = False,
    gaussian: Annotated[
        bool,
        typer.Option("--gaussian", help="Blur by a Gaussian of sigma 1.6 and reduce 4 times (BD)."),
    ] = False,
    blur: Annotated[
        int | None,
        typer.Option(
            metavar="FRAMES", help="Average this many frames, an odd number: motion blur."
        ),
    ] = None,
    hevc_qp: Annotated[
        int | None, typer.Option(metavar="QP", help="Compress with x265 at this fixed QP.")
    ] = None,
    x264_crf: Annotated[
        int | None,
        typer.Option(
            metavar="CRF", help="Compress with x264 at this rate factor, as web video is."
        ),
    ] = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a damaged test video, which is stored without further loss."""
    from .degrade import degrade_video

    asked: dict[str, int | None] = {"blur": blur, "hevc": hevc_qp, "h264": x264_crf}
    asked |= {"bicubic": bicubic or None, "gaussian": gaussian or None}
    given = [
        name if value is True else f"{name}-{value}"
        for name, value in asked.items()
        if value is not None
    ]
    if len(given) != 1:
        raise ValueError(
            "expected one of --bicubic, --gaussian, --blur, --hevc-qp and --x264-crf, got "
            f"{' and '.join(given) or 'none'}"
        )
    (damage,) = given
    count = degrade_video(
        source, target, damage, fps=fps, start=start, end=end, overwrite=overwrite,
        say=lambda line: say(f"warning: {line}"),
    )  # fmt: skip
    typer.echo(f"{target}: {count} frames, {damage}")


@measure.command()
def fidelity(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video that was restored.")],
    restored: Annotated[Path, typer.Argument(metavar="OUT", help="The restored video.")],
    damage: Damage = "bicubic",
    as_json: Json = False,
) -> None:
    """Damage a restored video again and measure how far it is from its input."""
    from .fidelity import fidelity as measured

    found = measured(source, restored, damage)
    if as_json:
        print_json(found)
        return
    psnr = "equal" if found.psnr is None else found.psnr
    base = "equal" if found.base is None else found.base
    row = {"frames": found.frames, "equal": found.equal}
    print_table([row | {"PSNR (rgb)": psnr, "input resized": base}])
    if found.warning:
        say(f"warning: {found.warning}")


@measure.command()
def report(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=FILE",
            help="Tables of evaluate, such as reds=reds4.json or clips-sr=mine.json.",
        ),
    ] = None,
) -> None:
    """Print the paper's tables with measured numbers beside the published ones, as Markdown."""
    from .report import CLIPS, RESULTS
    from .report import report as tables

    given = {}
    for entry in results or []:
        name, sign, path = entry.partition("=")
        if not sign:
            known = ", ".join((*RESULTS, *CLIPS))
            raise ValueError(f"expected NAME=FILE with a name of {known}, got {entry}")
        given[name] = Path(path)
    typer.echo(tables(given), nl=False)
