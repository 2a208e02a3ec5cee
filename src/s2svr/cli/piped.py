"""``s2svr restore`` where IN or OUT is -, the standard input or output."""

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from ..tasks import LOSSY_TASK
from .options import PIPE
from .output import network_lines, print_json, say, summary_lines
from .progress import progress

if TYPE_CHECKING:
    from torch import nn

    from ..restoration import Job

RAW = {"codec", "crf", "bitrate", "encoder_preset", "audio", "audio_track"}
FILES = {
    "restart": "--restart",
    "check": "--check",
    "piece": "--preview",
    "plan": "--plan",
    "so_far": "--so-far",
}


def is_piped(source: Path, target: Path) -> bool:
    """True where one of the two is a pipe."""
    return PIPE in (source, target)


def check_options(given: dict[str, Any]) -> None:
    """ValueError for options of ``restore`` that do not go with the pipes, or the files, there are.

    ``given`` are the values of its arguments, by their names.
    """
    source, target = given["source"] == PIPE, given["target"] == PIPE
    if source or target:
        for name, option in FILES.items():
            if given[name]:
                raise ValueError(
                    f"{option} needs a file: what goes through a pipe is there once, and nothing "
                    "of it is kept; name files, or leave it out"
                )
    if source and given["fps"] is not None:
        raise ValueError("a frame rate is for images; what comes through a pipe has its own times")
    if target and (coded := [name for name in sorted(RAW) if given[name] not in (None, [], ())]):
        raise ValueError(
            f"what is written to - is raw video: leave out --{coded[0].replace('_', '-')}, which "
            "is of files"
        )
    of_input = ("input_format", "decoded_from", "matrix", "range")
    ends = dict.fromkeys(of_input, source) | {"output_format": target}
    for name, there in ends.items():
        if given[name] is not None and not there:
            side = "IN" if name in of_input else "OUT"
            raise ValueError(f"--{name.replace('_', '-')} is of a pipe: it needs - as {side}")


def task_of_pipe(
    task: str | None, weights: str | None, decoded_from: Path | None = None
) -> str | None:
    """The task of what comes through a pipe, where none was asked for that of its file.

    Says which it is where that is not known.
    """
    if task is not None or weights is not None:
        return task
    if decoded_from is not None:
        from ..restoration import usual_task

        return usual_task(decoded_from)
    say(f"a pipe hides how it was coded: the task is {LOSSY_TASK}; --task names another")
    return LOSSY_TASK


def run_piped(model: "nn.Module", job: "Job", given: dict[str, Any], *, as_json: bool) -> None:
    """Restore from or to a pipe and report; ends with 1 where frames were damaged.

    The standard output carries video alone where it is the pipe.
    """
    from ..pipes import Ends, PipeTags, restore_piped

    tags = PipeTags(given["input_format"], given["matrix"], given["range"])
    ends = Ends(
        source=sys.stdin.buffer if job.source == PIPE else None,
        tags=tags,
        form=given["output_format"] or "y4m",
        decoded_from=given["decoded_from"],
    )
    out = job.target == PIPE
    with ExitStack() as stack, progress(job.network) as (move, tell):
        if out:
            ends = replace(ends, target=stack.enter_context(video_output()))
        for line in network_lines(job.network, job.why):
            tell(line)
        summary = restore_piped(
            model,
            job,
            ends,
            fitted=given["plan"] is not False,
            progress=move,
            say=lambda line: tell(f"warning: {line}"),
        )
    if as_json:
        print_json(summary, err=out)
    else:
        typer.echo("\n".join(summary_lines(replace(summary, network=""))), err=out)
    if summary.damage or summary.corrupt:
        raise typer.Exit(1)


def video_output() -> BinaryIO:
    """The standard output, for video alone: whatever else is printed goes to the standard error.

    ValueError where it is a terminal.
    """
    if sys.stdout.isatty():
        raise ValueError(
            "the standard output is a terminal, and video would be written to it; lead it into "
            "a program, as | ffmpeg -i - out.mkv, or name an output"
        )
    sys.stdout.flush()
    video = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return video
