"""Progress of a restoration, as a bar on a terminal or in lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..pace import Pace
from ..text import duration_text
from .output import say

if TYPE_CHECKING:
    from ..restoration import Progress

LINE_EVERY = 10.0  # seconds between lines of progress where there is no terminal


@contextmanager
def progress(name: str = "") -> Iterator[tuple["Progress", Callable[[str], None]]]:
    """Functions that show how far a restoration is, and a line beside that.

    A bar on a terminal, after the network's ``name``, else a line every LINE_EVERY seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    pace, last = Pace(), time.monotonic()
    console = Console(stderr=True)
    if not console.is_terminal:

        def line(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            text = pace.text(done, total, now)
            if now - last >= LINE_EVERY:
                last = now
                say(f"{done}/{total or '?'} frames, {text}")

        yield line, say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames, {task.fields[pace]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, pace="starting")

        def move(done: int, total: int | None) -> None:
            text = pace.text(done, total, time.monotonic())
            bar.update(task, completed=done, total=total, pace=text)

        yield move, lambda text: bar.console.print(text, markup=False, highlight=False)


@contextmanager
def timed_progress() -> Iterator[tuple[Callable[[str, float, float], None], Callable[[str], None]]]:
    """Functions that show what is done within a time, and a line beside that.

    The first takes words, the seconds that are gone and those that there are. A bar on a terminal,
    else a line every LINE_EVERY seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    last = -LINE_EVERY
    console = Console(stderr=True)
    if not console.is_terminal:

        def line(doing: str, gone: float, seconds: float) -> None:
            nonlocal last
            if gone - last >= LINE_EVERY:
                last = gone
                say(f"{doing}, {left_text(gone, seconds)}")

        yield line, say
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}")
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, left="")

        def move(doing: str, gone: float, seconds: float) -> None:
            left = left_text(gone, seconds)
            bar.update(task, description=doing, completed=gone, total=seconds, left=left)

        yield move, lambda text: bar.console.print(text, markup=False, highlight=False)


def left_text(gone: float, seconds: float) -> str:
    """The time that is left, at most."""
    return f"at most {duration_text(max(0.0, seconds - gone))} left"
