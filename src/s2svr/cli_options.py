"""Options that several commands share, and what is typed as a value."""

import re
from fractions import Fraction
from typing import Annotated

import typer


def seconds(text: str) -> Fraction:
    """``90.5``, ``1:30.5`` or ``0:01:30.5``."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise typer.BadParameter(f"expected seconds or [hours:]minutes:seconds, got {text!r}")
    hours, minutes, rest = (Fraction(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def rate(text: str) -> Fraction:
    """``25``, ``23.976`` or ``24000/1001``."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"expected a number or a fraction, got {text!r}") from None


def dimensions(text: str) -> tuple[int, int]:
    """``1920x1080``: width and height."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT in pixels, got {text!r}")
    return int(match[1]), int(match[2])


def share(text: str) -> tuple[int, int]:
    """``0/3``: the first of three shares."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise typer.BadParameter(f"expected a share like 0/3, 1/3 or 2/3, got {text!r}")
    return int(match[1]), int(match[2])


Task = Annotated[str | None, typer.Option(help="sr, deblur or compression; sr if not given.")]
Weights = Annotated[str | None, typer.Option(help="Bundled name or file, not the task's own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of the model.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
