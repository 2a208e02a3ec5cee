"""Options that several commands share, and what is typed as a value."""

import re
from fractions import Fraction
from typing import Annotated

import typer


def parse_seconds(text: str) -> Fraction:
    """``90.5``, ``1:30.5`` or ``0:01:30.5``."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise typer.BadParameter(f"expected seconds or [hours:]minutes:seconds, got {text!r}")
    hours, minutes, rest = (Fraction(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def parse_rate(text: str) -> Fraction:
    """``25``, ``23.976`` or ``24000/1001``."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"expected a number or a fraction, got {text!r}") from None


def parse_dimensions(text: str) -> tuple[int, int]:
    """``1920x1080``: width and height."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT in pixels, got {text!r}")
    return int(match[1]), int(match[2])


def parse_share(text: str) -> tuple[int, int]:
    """``0/3``: the first of three shares."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise typer.BadParameter(f"expected a share like 0/3, 1/3 or 2/3, got {text!r}")
    return int(match[1]), int(match[2])


Task = Annotated[
    str | None,
    typer.Option(
        help="sr (x4, of clean video), upscale (x4, of compressed or noisy video), deblur or "
        "compression; sr or upscale if not given."
    ),
]
Weights = Annotated[str | None, typer.Option(help="Bundled name or file, not the task's own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Codec = Annotated[str | None, typer.Option(help="Encoder of the output.")]
Crf = Annotated[int | None, typer.Option("--crf", help="Encoder's: lower is better.")]
Bits = Annotated[int | None, typer.Option(help="8 or 10, not as the input.")]
Scale = Annotated[int | None, typer.Option(help="Output 2 or 3 times the input, not 4.")]
Size = Annotated[
    tuple | None, typer.Option(parser=parse_dimensions, metavar="WxH", help="Instead of --scale.")
]
Rate = Annotated[
    Fraction | None,
    typer.Option("--fps", parser=parse_rate, metavar="N", help="Rate of an image folder."),
]
Start = Annotated[
    Fraction | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Skip what is before.")
]
End = Annotated[
    Fraction | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Skip what is after.")
]
Window = Annotated[int, typer.Option(min=1, help="Most frames at once.")]
Tile = Annotated[int | None, typer.Option(help="Longest side restored at once, in pixels.")]
SceneCuts = Annotated[bool, typer.Option(help="Start afresh at scene cuts.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin anew where an earlier try was cut off.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
PlanOnly = Annotated[
    bool | None, typer.Option("--plan/--no-plan", help="Only say what it takes; do not ask.")
]
PreviewSeconds = Annotated[
    Fraction | None,
    typer.Option("--preview", parser=parse_seconds, metavar="SECONDS", help="So much, beside IN."),
]
CheckOnly = Annotated[
    bool, typer.Option("--check", help="Change nothing, and prove that nothing is lost on the way.")
]
Deinterlace = Annotated[
    str, typer.Option("--deinterlace", help="auto, off or refuse: of interlaced video.")
]
