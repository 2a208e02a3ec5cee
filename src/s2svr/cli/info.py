"""The command that shows what a machine has, or what a file holds and what would become of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .check import short
from .options import Device, Json, Precision
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from ..restoration import Holdings


def info_command(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="IN", help="Video file or image folder to look into."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="Name of an output, which is not written."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
) -> None:
    """Show what a file holds and, with OUT, what would be kept, converted or dropped.

    Without a file: the device, precision and versions that a restoration would use.
    """
    if source is not None:
        from ..restoration import holdings_of

        show_file(holdings_of(source, target), as_json=as_json)
        return
    from ..devices import describe_machine

    facts = describe_machine(device, precision)
    if as_json:
        print_json(facts)
    else:
        print_table([{"": name, " ": value} for name, value in facts.items()])


def show_file(found: "Holdings", *, as_json: bool) -> None:
    """Print what a file holds."""
    if as_json:
        print_json(found)
        return
    if found.target is None:
        print_table([{"": row.what, "value": short(row.source)} for row in found.rows])
    else:
        print_table(
            [
                {"": row.what, "source": short(row.source), "fate": row.fate, "why": row.why}
                for row in found.rows
            ]
        )
    say(f"looked at {found.frames} pictures; what later ones carry is said by restore and --check")
