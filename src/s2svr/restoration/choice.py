"""The choice between the networks of a task: a fast one, and a larger one that restores more."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ..media import open_reader
from ..tasks import LOSSY_TASK, PLUS, USUAL_TASK, Task
from ..text import duration_text
from .backend import Backend
from .journal import begun_with
from .plan import SHARE, Plan, make_plan
from .settings import Job
from .video import restore_job

QUALITIES = ("auto", "fast", "best")
PATIENCE_BEST = 15 * 60  # seconds that a restoration by the best network may take


class Choice(NamedTuple):
    """A network's name, and why it was taken."""

    network: str
    why: str
    plan: Plan | None = None  # of a restoration by this network, if one was made to choose it


def check_quality(quality: str) -> None:
    """Raise ValueError for what is none of QUALITIES."""
    if quality not in QUALITIES:
        raise ValueError(f"expected the quality {', '.join(QUALITIES)}, got {quality!r}")


def usual_task(source: Path) -> str:
    """The task where none is given, by whether the source's codec is lossy."""
    with open_reader(source) as reader:
        return LOSSY_TASK if reader.info.lossy else USUAL_TASK


def choose_network(
    task: Task,
    quality: str,
    job: Job,
    load: Callable[[str], nn.Module | Backend],
    *,
    planned: bool = True,
    brief: bool = True,
    share: float = SHARE,
) -> Choice:
    """The network that does a job, and the reason.

    ``auto`` takes the best one on a GPU, or where a plan says that it ends within PATIENCE_BEST; it
    is the fast one where nothing is ``planned`` or the time cannot be known, and where the best one
    is the fast one with mirrored frames, which gain too little to wait for. What an earlier try
    was begun with stays. Nothing is measured for what will be refused, unless ``brief`` is False;
    ``share`` is that of ``make_plan``. Raises ValueError for an unknown quality.
    """
    check_quality(quality)
    if not task.best:
        return Choice(task.weights, "the task has one network only")
    if quality != "auto":
        return Choice(task.best if quality == "best" else task.weights, f"--quality {quality}")
    begun = None if job.restart else begun_with(job.place)
    if begun in (task.weights, task.best):
        return Choice(str(begun), "the restoration was begun with it")
    if task.best == task.weights + PLUS:
        return Choice(task.weights, "--quality best takes mirrored frames too")
    if torch.device(job.compute.device or "cpu").type == "cuda":
        return Choice(task.best, "a GPU is used")
    if not planned or (brief and job.is_refused()):
        return Choice(task.weights, "nothing is planned")
    best = load(task.best)
    plan = make_plan(best, job, partial(restore_job, best), brief=False, share=share)
    seconds = plan.seconds
    if seconds is None:
        return Choice(task.weights, "the time that the best one takes cannot be known")
    text = duration_text(seconds)
    if seconds <= PATIENCE_BEST:
        return Choice(task.best, f"it takes about {text}", plan)
    return Choice(task.weights, f"{task.best} would take about {text}")
