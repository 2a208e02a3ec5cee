"""Output of the command line: errors, tables, JSON and reports for people."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from ..text import amount, duration_text, notes, sentence

if TYPE_CHECKING:
    from ..restoration import Plan, Preview, Summary

# Errors whose sentence is for people; ModuleNotFoundError where an extra is not installed.
REFUSALS = (ValueError, FloatingPointError, OSError, MemoryError, ModuleNotFoundError)
STAGES = {"decode": "decoding", "restore": "restoring", "encode": "encoding"}


class Commands(TyperGroup):
    """Ends every command: an error with one sentence and exit code 2, Ctrl-C with 130.

    A command may be named by two words, of which the first alone is a command too.
    """

    def resolve_command(self, ctx: Any, words: list[str]) -> Any:
        both = " ".join(words[:2])
        return super().resolve_command(ctx, [both, *words[2:]] if both in self.commands else words)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say("\n".join([str(error) or "stopped", *notes(error)]))
            raise typer.Exit(130) from None
        except BrokenPipeError:  # ``s2svr ... | head``
            raise
        except (*REFUSALS, media_error(), full_device()) as error:
            if ctx.params.get("debug"):
                raise
            say("\n".join([f"error: {sentence(error)}", *notes(error)]))
            raise typer.Exit(2) from None


def media_error() -> type[Exception]:
    """MediaError; before its module is loaded, which takes seconds, nothing can raise it."""
    module = sys.modules.get("s2svr.media")
    return module.MediaError if module else ValueError


def full_device() -> type[Exception]:
    """torch's error for a GPU whose memory is full, also beside the model; as above."""
    torch = sys.modules.get("torch")
    return torch.OutOfMemoryError if torch else ValueError


def say(line: str) -> None:
    """One line to the standard error; the standard output is for results."""
    typer.echo(line, err=True)


def plan_lines(plan: "Plan") -> list[str]:
    """Lines that say what a restoration is going to do and take."""
    (width, height), (wide, high) = plan.size_in, plan.size_out
    parts = f"tiles of {plan.tile} pixels" if plan.tile else "whole frames"
    there = f" of {amount(plan.memory_there)}" if plan.memory_there else ""
    disk = "not measured" if plan.disk is None else f"about {amount(plan.disk)}"
    if plan.seconds is not None:
        pace = f"about {duration_text(plan.seconds)} at {plan.frames_per_second:.2f} frames/s"
    else:
        pace = "not measured"
    return [
        *network_lines(plan.network, plan.why),
        f"plan: {width}x{height} -> {wide}x{high}, about {plan.frames or '?'} frames on "
        f"{plan.device}, windows of {plan.window} frames, {parts}",
        f"memory: about {amount(plan.memory)}{there}; disk: {disk}, {amount(plan.disk_free)} free; "
        f"time: {pace}",
    ]


def network_lines(network: str, why: str) -> list[str]:
    """A line that names the network, and why it was taken; none where it has no name."""
    return [f"network: {network} ({why})"] if network else []


def summary_lines(summary: "Summary") -> list[str]:
    """Lines that say what a restoration did."""
    (width, height), (wide, high) = summary.size_in, summary.size_out
    shares = (f"{STAGES[name]} {share:.0%}" for name, share in summary.shares.items())
    lines = [
        f"{summary.target}: {summary.frames} frames, {width}x{height} -> {wide}x{high}, "
        f"{summary.seconds:.1f} s, {summary.frames_per_second:.2f} frames/s, "
        f"peak memory {summary.peak_memory / 2**20:.0f} MiB",
        f"time: {', '.join(shares)}; shots: {summary.shots}",
        *network_lines(summary.network, summary.why),
    ]
    if summary.corrupt:
        lines.append(f"damage: {summary.corrupt} frames were decoded with errors")
    return lines + [f"damage: {line}" for line in summary.damage]


def preview_lines(shown: "Preview") -> list[str]:
    """Lines that say what a preview shows."""
    sides = "the input on the left, the result on the right"
    damage = [f"damage: {line}" for line in shown.damage]
    return [f"{shown.target}: {shown.frames} frames, {sides}", *damage]


def print_json(value: Any, *, err: bool = False) -> None:
    """A dataclass, or a list of such or of dicts, as JSON to the standard output, or error."""
    from ..metrics import finite_or_none

    typer.echo(json.dumps(finite_or_none(plain(value)), indent=1, default=str), err=err)


def plain(value: Any) -> Any:
    """Dataclasses as dicts, with their properties."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return value
    names = [name for name, kind in vars(type(value)).items() if isinstance(kind, property)]
    return asdict(value) | {name: getattr(value, name) for name in names}


def print_table(rows: list[Any]) -> None:
    """Dataclasses of one type, or dicts of equal keys, as columns, to the standard output."""
    table = [plain(row) for row in rows]
    cells = [list(table[0]), *([cell(value) for value in row.values()] for row in table)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def cell(value: Any) -> str:
    """A value as people read it."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
