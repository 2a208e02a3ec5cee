"""How a restoration that was asked for is carried out: plan, preview, restoration, report."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from .output import plan_lines, preview_lines, print_json, say, summary_lines
from .progress import progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..restoration import Progress, Say, Summary


@dataclass(frozen=True)
class Asked:
    """A restoration as it was asked for; the names are those of ``restore_video``."""

    model: "nn.Module"
    source: Path
    target: Path
    device: "torch.device"
    dtype: "torch.dtype"
    window: int
    tile: int | None
    threads: int | None
    codec: str | None
    crf: int | None
    bits: int | None
    scale: int | None
    size: tuple[int, int] | None
    fps: Fraction | None
    start: Fraction | None
    end: Fraction | None
    deinterlace: str
    scene_cuts: bool
    overwrite: bool
    restart: bool

    def planned(self, *, only: bool, as_json: bool) -> "Asked":
        """The same with a window and tile that fit, after saying what it takes, if that is much.

        ``only``: no more than the plan is wanted, on the standard output. MediaError where the
        disk has no room.
        """
        from ..restoration import can_go_on, make_plan

        if self.target.exists() and not (self.overwrite or only):
            return self  # which ends with a sentence, soon
        resumes = can_go_on(self.target) and not self.restart

        def trial(
            target: Path, start: Fraction, end: Fraction, window: int, tile: int | None
        ) -> "Summary":
            piece = replace(self, target=target, start=start, end=end, window=window, tile=tile)
            return piece.run()

        plan = make_plan(
            self.model, self.source, self.target, None if resumes else trial, window=self.window,
            tile=self.tile, device=self.device, scale=self.scale, size=self.size, fps=self.fps,
            start=self.start, end=self.end, brief=not only,
        )  # fmt: skip
        if only and as_json:
            print_json(plan)
        elif only or plan.seconds is not None or plan.tile != self.tile:
            for line in plan_lines(plan):
                (typer.echo if only else say)(line)
        plan.check()
        return replace(self, window=plan.window, tile=plan.tile)

    def run(
        self,
        move: "Progress" = lambda done, total: None,
        tell: "Say" = lambda line: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> "Summary":
        """Restore; ``move`` is told how far it is, ``tell`` of warnings."""
        from ..restoration import restore_video

        return restore_video(
            self.model, self.source, self.target, window=self.window, tile=self.tile,
            device=self.device, dtype=self.dtype, threads=self.threads, codec=self.codec,
            crf=self.crf, bits=self.bits, scale=self.scale, size=self.size, fps=self.fps,
            start=self.start, end=self.end, deinterlace=self.deinterlace,
            scene_cuts=self.scene_cuts, overwrite=self.overwrite, restart=self.restart,
            progress=move, say=tell, stop=stop,
        )  # fmt: skip

    def preview(self, seconds: Fraction, *, as_json: bool) -> None:
        """Restore a piece beside the input; ends with 1 where that is damaged."""
        from ..restoration import preview_video

        shown = preview_video(
            self.model, self.source, self.target, seconds=seconds, window=self.window,
            tile=self.tile, device=self.device, dtype=self.dtype, threads=self.threads,
            codec=self.codec, crf=self.crf, bits=self.bits, scale=self.scale, size=self.size,
            fps=self.fps, start=self.start, end=self.end, deinterlace=self.deinterlace,
            scene_cuts=self.scene_cuts, overwrite=self.overwrite, say=warn,
        )  # fmt: skip
        if as_json:
            print_json(shown)
        else:
            typer.echo("\n".join(preview_lines(shown)))
        if shown.damage:
            raise typer.Exit(1)

    def restore(self, *, as_json: bool) -> None:
        """Restore and report; ends with 1 where frames were damaged."""
        with progress() as (move, tell), stopping(tell) as stop:
            summary = self.run(move, lambda line: tell(f"warning: {line}"), stop)
        if as_json:
            print_json(summary)
        else:
            typer.echo("\n".join(summary_lines(summary)))
        if summary.damage or summary.corrupt:
            raise typer.Exit(1)


@contextmanager
def stopping(tell: "Say") -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; pressed again, it ends the block at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tell("stopping at the end of the segment; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def warn(line: str) -> None:
    say(f"warning: {line}")
