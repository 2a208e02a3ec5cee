"""Progress of a restoration, as a bar on a terminal or in lines."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..text import duration_text
from .output import say

if TYPE_CHECKING:
    from ..restoration import Progress

LINE_EVERY = 10.0  # seconds between lines of progress where there is no terminal

RECENT = 300.0  # seconds after which it does not matter how fast frames came


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


class Pace:
    """The speed of frames over the latter half of the time so far, RECENT seconds at most.

    So neither the start nor what slowed the machine down long ago counts for ever. Frames come in
    bursts: a speed is taken from the end of one to the end of another.
    """

    def __init__(self) -> None:
        self.ends: deque[tuple[float, int]] = deque()  # seconds and frames done
        self.began = 0.0
        self.first = 0

    def add(self, done: int, now: float) -> None:
        """So many frames are done at a time in seconds; they grow from call to call."""
        if not self.ends:
            self.began, self.first = now, done
        if self.ends and done == self.ends[-1][1]:
            return
        if len(self.ends) > 2 and now - self.ends[-2][0] < (now - self.began) / 1000:
            self.ends.pop()  # very many frames: no need to keep every burst
        self.ends.append((now, done))
        since = max((self.began + now) / 2, now - RECENT)
        while len(self.ends) > 2 and self.ends[1][0] <= since:
            self.ends.popleft()

    def speed(self) -> float:
        """Frames a second; 0 before the first."""
        (since, before), (until, done) = self.ends[0], self.ends[-1]
        return (done - before) / max(until - since, 1e-9)

    def left(self, total: int, now: float) -> float:
        """Seconds until all frames are done; some have passed since the last burst."""
        until, done = self.ends[-1]
        return max(0.0, (total - done) / self.speed() - (now - until))

    def text(self, done: int, total: int | None, now: float) -> str:
        """Frames a second, and the time left where the end is known."""
        self.add(done, now)
        if self.ends[-1][1] == self.first:
            return "starting"
        if total is None:
            return f"{self.speed():.2f} frames/s"
        return f"{self.speed():.2f} frames/s, {duration_text(self.left(total, now))} left"
