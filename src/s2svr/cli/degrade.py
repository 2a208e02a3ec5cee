"""The command that makes damaged test videos."""

from typing import Annotated

import typer

from .options import End, Overwrite, Rate, Source, Start, Target
from .output import say


def degrade_command(
    source: Source,
    target: Target,
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
            metavar="FRAMES",
            help="Average this many frames in linear light, an odd number: motion blur.",
        ),
    ] = None,
    hevc_qp: Annotated[
        int | None,
        typer.Option(metavar="QP", help="Compress with x265 at this fixed QP, without B frames."),
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
    from ..damage import degrade_video

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
