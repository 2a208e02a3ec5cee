"""The command that examines the installation."""

import json

import typer

from .options import Json
from .output import print_table


def doctor_command(as_json: Json = False) -> None:
    """Show what is installed, found and used, what is wrong, and what mends it.

    The text may be pasted into a report: it names no files and no users. Ends with 1 where
    something is wrong.
    """
    from ..doctor import examine

    found = examine()
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        order = {"installed": 0, "found": 1, "used": 2}
        shown = sorted(found, key=lambda finding: order[finding.part])
        print_table([{"": f.part, "what": f.what, "value": f.value} for f in shown])
    wrong = [finding for finding in found if finding.wrong]
    if not as_json:
        for finding in wrong:
            typer.echo(f"wrong: {finding.wrong}\n  mend: {finding.mend}")
        typer.echo(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(1)
