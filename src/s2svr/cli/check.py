"""The check of ``s2svr restore --check``, and its report for people."""

from typing import TYPE_CHECKING

import typer

from .output import print_json, print_table
from .progress import progress

if TYPE_CHECKING:
    from ..restoration import Check

WIDTH = 44  # characters of a value in the table
HEEDED = {"source", "target", "check", "codec", "deinterlace", "overwrite", "as_json"}


def refuse_others(context: typer.Context) -> None:
    """ValueError for options of ``restore`` that a check would not heed."""
    given = []
    for parameter in context.command.params:
        name = parameter.name or ""
        origin = context.get_parameter_source(name)
        if origin is not None and origin.name == "COMMANDLINE" and name not in HEEDED:
            given.append(parameter.opts[0])
    if given:
        raise ValueError(
            "expected --check with --codec, --deinterlace, --overwrite and --json alone, got "
            f"{', '.join(given)} beside it; a check takes the whole video and no model, so leave "
            "them out"
        )


def run_check(context: typer.Context) -> None:
    """Check as the options of ``restore`` say, and report; ends with 1 where something is lost.

    ValueError for options that a check would not heed.
    """
    from ..restoration import check_video

    refuse_others(context)
    given = context.params
    with progress() as (move, tell):
        check = check_video(
            given["source"], given["target"], codec=given["codec"],
            deinterlace=given["deinterlace"], overwrite=given["overwrite"],
            progress=move, say=lambda line: tell(f"warning: {line}"),
        )  # fmt: skip
    if given["as_json"]:
        print_json(check)
    else:
        print_check(check)
    if not check.holds:
        raise typer.Exit(1)


def print_check(check: "Check") -> None:
    """The table of what became of everything, and the proof, for people."""
    print_table(
        [
            {"": row.what, "source": short(row.source), "output": short(row.output),
             "fate": row.fate, "why": row.why}
            for row in check.rows
        ]
    )  # fmt: skip
    same = "equal" if check.equal else f"luma {check.luma_db:.2f} dB, chroma {check.chroma_db:.2f}"
    typer.echo(
        f"{check.target}: {check.frames} frames with {check.codec}, {same}; times shifted by "
        f"{float(check.shift):.6f} s, and {float(check.deviation):.6f} s beside that at most"
    )
    for line in check.failures:
        typer.echo(f"does not hold: {line}")
    typer.echo("all of it holds" if check.holds else f"{len(check.failures)} do not hold")


def short(text: str) -> str:
    """A value in one line that fits the table."""
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
