"""Trials: a few crops restored by each network that could fit, and the time of the whole film."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ..coarseness import with_coarseness
from ..restoration import PATIENCE, Job, Plan, precision_of, restore, settle
from ..tasks import TASKS, task_named

CROP = (48, 64)  # height and width of what is restored of a moment, pixels of the film
AROUND = {True: 2, False: 6}  # frames on each side of the shown one, for enlarging and not
DEARER = 6.0  # times that the best network of a task takes longer than the fast one, about
FIRST = 4.0  # frames' time that measuring a film takes at least: one alone, and two
THOROUGH = 5  # of the time that is left, one part may go to measuring a network of the first task

Clock = Callable[[], float]  # seconds that are left


class Network(NamedTuple):
    """A network that could restore a film."""

    task: str
    quality: str  # fast or best; empty where the task has one network
    name: str

    @property
    def label(self) -> str:
        return f"{self.task} {self.quality}".strip()


@dataclass
class Candidate:
    """What a network makes of a film, as far as it was tried."""

    network: Network
    crops: list[Tensor] = field(default_factory=list)  # (3, h, w), of each moment
    size: tuple[int, int] | None = None  # of the result, as coded
    seconds: float | None = None  # that the whole film takes
    frames_per_second: float | None = None
    left_out: str = ""  # why something of it was not tried


def networks_of(tasks: list[str], quality: str | None) -> list[Network]:
    """The networks of tasks, in the order in which they are tried: the first task's first."""
    found = []
    for name in tasks:
        task = TASKS[name]
        if not task.best:
            found.append(Network(name, "", task.weights))
            continue
        pairs = [("fast", task.weights), ("best", task.best)]
        found += [Network(name, q, w) for q, w in pairs if quality in (None, "auto", q)]
    return sorted(found, key=lambda n: (n.task != tasks[0], n.quality == "best"))


def crop_of(frames: list[Tensor]) -> tuple[slice, slice]:
    """Rows and columns of a moment's part with most detail and motion, CROP at most."""
    middle = frames[len(frames) // 2].mean(0)
    detail = F.pad(middle.diff(dim=1).abs(), (0, 1)) + F.pad(middle.diff(dim=0).abs(), (0, 0, 0, 1))
    change = (frames[-1].mean(0) - frames[0].mean(0)).abs()
    height, width = (min(a, b) for a, b in zip(middle.shape, CROP, strict=True))
    worth = F.avg_pool2d((detail * (0.05 + change))[None, None], (height, width), 8)[0, 0]
    best = int(worth.argmax())
    top, left = 8 * (best // worth.shape[1]), 8 * (best % worth.shape[1])
    return slice(top, top + height), slice(left, left + width)


def restored_crop(
    model: nn.Module, job: Job, frames: list[Tensor], place: tuple[slice, slice], enlarges: bool
) -> Tensor:
    """The part of a moment's middle frame, restored."""
    middle = len(frames) // 2
    first = max(0, middle - AROUND[enlarges])
    near = [f[:, place[0], place[1]] for f in frames[first : middle + AROUND[enlarges] + 1]]
    results = restore(
        model, near, window=len(near), device=job.compute.device, dtype=job.compute.dtype, cuts=None
    )
    return list(results)[middle - first].cpu()


def try_network(
    network: Network,
    model: nn.Module,
    job: Job,
    moments: list[list[Tensor]],
    places: list[tuple[slice, slice]],
) -> tuple[Candidate, float]:
    """The candidate with its crops, and the seconds that a frame of the film will take, about."""
    began = time.monotonic()
    enlarges = int(getattr(model, "scale", 1)) > 1
    model = with_coarseness(model, job.source)
    pairs = zip(moments, places, strict=True)
    crops = [restored_crop(model, job, frames, place, enlarges) for frames, place in pairs]
    spent = time.monotonic() - began
    count = len(crops) * (2 * AROUND[enlarges] + 1) * CROP[0] * CROP[1]
    pixels = moments[0][0].shape[-1] * moments[0][0].shape[-2]
    return Candidate(network, crops), spent * pixels / count


def timed_film(
    candidate: Candidate, model: nn.Module, job: Job, folder: Path, patience: float
) -> Candidate:
    """The candidate with the time that the film takes, measured from file to file.

    Measuring takes ``patience`` seconds, about.
    """
    target = folder / f"{candidate.network.name}{job.target.suffix}"
    asked = replace(job, target=target)
    plan: Plan | None
    _, plan = settle(model, asked, None, brief=False, share=0.0, patience=patience)
    assert plan is not None
    candidate.size, candidate.seconds = plan.size_out, plan.seconds
    candidate.frames_per_second = plan.frames_per_second
    if plan.seconds is None:
        candidate.left_out = "its time cannot be measured: too little memory, or no length known"
    return candidate


def try_all(
    networks: list[Network],
    job: Job,
    moments: list[list[Tensor]],
    load: Callable[[str], Any],
    left: Clock,
    folder: Path,
) -> list[Candidate]:
    """Every candidate, as far as there is time, in the networks' order.

    Those of the first task are tried and timed before the others are tried, and these before they
    are timed.
    """
    places = [crop_of(frames) for frames in moments]
    found: list[Candidate] = []
    frames: dict[str, float] = {}  # seconds of a frame, about, by the network's name
    spent: dict[str, float] = {}  # seconds of the crops
    jobs: dict[str, Job] = {}  # in the precision of each network

    def timed(candidate: Candidate) -> None:
        name = candidate.network.name
        least = FIRST * frames[name]
        if least > left():
            candidate.left_out = "no time was left to measure it from file to file"
            return
        advised = candidate.network.task == networks[0].task
        patience = max(least, left() / THOROUGH if advised else PATIENCE)
        timed_film(candidate, load(name), jobs[name], folder, patience)

    for network in networks:
        usual = spent.get(task_named(network.task).weights, 0.0)
        if left() <= (DEARER * usual if network.quality == "best" else 0):
            found.append(Candidate(network, left_out="no time was left to try it"))
            continue
        began = time.monotonic()
        model = load(network.name)
        compute = replace(job.compute, dtype=precision_of(model, job))
        jobs[network.name] = replace(job, compute=compute)
        candidate, frames[network.name] = try_network(
            network, model, jobs[network.name], moments, places
        )
        spent[network.name] = time.monotonic() - began
        found.append(candidate)
        if network.task == networks[0].task:
            timed(candidate)
    for candidate in found:
        if candidate.crops and candidate.network.task != networks[0].task:
            timed(candidate)
    return found
