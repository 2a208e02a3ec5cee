"""The application: its commands, and the console script."""

import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import Annotated

import typer

from .batch import batch_command
from .compare import compare_command, fidelity_command
from .degrade import degrade_command
from .doctor import doctor_command
from .evaluate import evaluate_command, report_command
from .flow import evaluate_flow_command, figures, flow_command, import_flow_command
from .info import info_command
from .output import Commands
from .restore import restore_command
from .serve import serve_command
from .system import benchmark_command, export_command, models_command
from .train import data, render_command, train
from .tune import adapt_command, tune_command

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)

app.add_typer(train, name="train")
app.add_typer(data, name="data")
app.add_typer(figures, name="figures")


def show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("s2svr"))
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole trace of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Restore videos: super-resolution, deblurring and removal of compression artefacts."""


app.command("restore")(restore_command)
app.command("batch")(batch_command)
app.command("tune")(tune_command)
app.command("adapt")(adapt_command)
app.command("serve")(serve_command)
app.command("models")(models_command)
app.command("info")(info_command)
app.command("doctor")(doctor_command)
app.command("benchmark")(benchmark_command)
app.command("evaluate")(evaluate_command)
app.command("evaluate flow")(evaluate_flow_command)
app.command("compare")(compare_command)
app.command("fidelity")(fidelity_command)
app.command("degrade")(degrade_command)
app.command("flow")(flow_command)
app.command("import-flow")(import_flow_command)
app.command("export")(export_command)
app.command("render")(render_command)
app.command("report")(report_command)


def end_cleanly() -> None:
    """Have SIGTERM end a command as Ctrl-C does, and a terminal that is closed too.

    One that is closed may send several signals, as its shell and the system do: what is cleaned up
    after the first one is not interrupted by those that follow.
    """
    closed = getattr(signal, "SIGHUP", None)  # Windows has none

    def end(number: int, frame: FrameType | None) -> None:
        if closed is not None:
            signal.signal(closed, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, end)
    if closed is not None and signal.getsignal(closed) == signal.SIG_DFL:  # by nohup it is ignored
        signal.signal(closed, end)


def print_any_name() -> None:
    """Have names of files that are not UTF-8 printed as the bytes that they are."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def main() -> None:
    """Run the command line; the entry point of the console script."""
    print_any_name()
    end_cleanly()
    try:
        app(prog_name="s2svr")
    except KeyboardInterrupt:  # before a command begins
        raise SystemExit(130) from None
