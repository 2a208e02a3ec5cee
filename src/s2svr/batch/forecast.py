"""The time and disk that a batch will take, from a measured plan of one file of each task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..files import free_bytes
from ..tasks import TASKS
from ..text import duration_text, no_room
from .films import pieces_of
from .items import TO_DO, Item

LONGEST_BEST = 15 * 60  # seconds that a batch by the best networks may take

# A plan of an item by networks of a quality; None where it failed, which it says itself.
Estimate = Callable[[Item, str], dict[str, Any] | None]


@dataclass
class Totals:
    """Sums over the files that are to be restored."""

    files: int
    frames: int
    unknown: int  # files whose length or speed is not known
    seconds: float | None  # None: nothing was measured
    disk: int | None  # bytes of the outputs, and of what is there while they are made
    disk_free: int
    workers: int
    networks: dict[str, tuple[str, str]] = field(default_factory=dict)  # of tasks, and why
    fingerprints: dict[str, str] = field(default_factory=dict)  # of networks: what makes results

    def check(self, out: Path) -> None:
        """ValueError where the disk has no room for all of it."""
        if self.disk is not None and self.disk > self.disk_free:
            raise ValueError(no_room(out, self.disk, self.disk_free))


@dataclass
class Group:
    """The files of one task that are to be restored, and the plan of the one that was measured."""

    items: list[Item]
    measured: Item
    plan: dict[str, Any]
    free: bool  # the network is ours to choose
    split: float | None  # seconds of a stretch

    @property
    def unknown(self) -> int:
        """How many there are whose time cannot be known."""
        return sum(seconds_of(item, self.measured, self.plan) is None for item in self.items)

    @property
    def seconds(self) -> list[float]:
        """The times of the others, and of the stretches that they are restored in."""
        found = []
        for item in self.items:
            taken, count = seconds_of(item, self.measured, self.plan), pieces_of(item, self.split)
            found += [] if taken is None else [taken / count] * count
        return found


def forecast(
    items: Sequence[Item],
    out: Path,
    workers: int,
    estimate: Estimate,
    *,
    split: float | None = None,
    made: Mapping[str, str] = MappingProxyType({}),
) -> Totals:
    """Sum up what is to be done by so many workers, and choose a network for each task.

    Films are restored in stretches of about ``split`` seconds. One file of each task is measured;
    the others take as long for each pixel. Of the quality auto are the networks that have ``made``
    other files of a task; else the best ones on a GPU, or where the workers do all of it within
    LONGEST_BEST.
    """
    todo = left_of(items)
    groups = {}
    for task in dict.fromkeys(item.facts["task"] for item in todo):
        same = [item for item in todo if item.facts["task"] == task]
        if group := measured_group(same, split, made.get(task), estimate):
            groups[task] = group
    keep_short(list(groups.values()), workers, estimate)
    todo = left_of(items)
    totals = Totals(len(todo), sum(item.frames or 0 for item in todo), 0, None, None,
                    free_bytes(out), workers)  # fmt: skip
    seconds, disk, beside = [], 0, 0
    for task, group in groups.items():
        totals.networks[task] = group.plan["network"], group.plan["why"]
        totals.fingerprints[group.plan["network"]] = group.plan.get("fingerprint", "")
        totals.unknown += group.unknown
        seconds += group.seconds
        for item in group.items:
            kept, less = disk_of(item, group.measured, group.plan)
            disk, beside = disk + kept, max(beside, less)
    if seconds:
        totals.seconds = makespan(seconds, workers)
        totals.disk = disk + beside * workers
    return totals


def left_of(items: Sequence[Item]) -> list[Item]:
    """Those that are to be restored."""
    return [item for item in items if item.state in TO_DO]


def makespan(seconds: Sequence[float], workers: int) -> float:
    """The time that so many workers take, who end at about the same time."""
    return max(max(seconds), sum(seconds) / min(workers, len(seconds)))


def measured_group(
    items: list[Item], split: float | None, made: str | None, estimate: Estimate
) -> Group | None:
    """The files of one task with the plan of one of them; None where none of them can be planned.

    ``made`` is the network of files that are done.
    """
    for item in measured_first(items):
        quality, task = item.entry.order.quality, TASKS[item.facts["task"]]
        free, why = quality == "auto" and item.entry.weights is None, ""
        if free and task.best and made in (task.weights, task.best):
            quality, why = "best" if made == task.best else "fast", "it made other files there"
        if plan := estimate(item, quality):
            plan["why"] = why or plan["why"]
            return Group(left_of(items), item, plan, free and not why, split)
    return None


def measured_first(items: list[Item]) -> list[Item]:
    """The same in the order in which they are measured, until one can be."""
    return sorted(items, key=lambda item: (item.state != "new", -item.work))


def keep_short(groups: list[Group], workers: int, estimate: Estimate) -> None:
    """Take the fast networks on a CPU where the best ones would make a batch long.

    An item that cannot be planned by the fast network fails, and another one is measured.
    """
    taken = [seconds for group in groups for seconds in group.seconds]
    whole = makespan(taken, workers) if taken else 0.0
    for group in groups:
        plan, best = group.plan, TASKS[group.measured.facts["task"]].best
        if not (group.free and plan["seconds"] and plan["network"] == best):
            continue
        if plan["device"] != "cpu" or whole <= LONGEST_BEST:
            plan["why"] = f"the batch takes about {duration_text(whole)}"
            continue
        for item in measured_first(group.items):
            if fast := estimate(item, "fast"):
                fast["why"] = f"the batch would take about {duration_text(whole)} by {best}"
                group.measured, group.plan = item, fast
                break
        group.items = left_of(group.items)


def seconds_of(item: Item, measured: Item, plan: dict[str, Any]) -> float | None:
    """The time that an item takes by the plan of another; None where it cannot be known."""
    if plan["seconds"] is None or not item.frames or not measured.frames:
        return None
    each = 1 / plan["frames_per_second"]
    first = plan["seconds"] - each * (measured.frames - 1)
    share = item.work * measured.frames / (measured.work * item.frames)
    return first + share * each * (item.frames - 1)


def disk_of(item: Item, measured: Item, plan: dict[str, Any]) -> tuple[int, int]:
    """Bytes of an item's output, and of what is beside it for a while; none where not known."""
    if not measured.work:
        return 0, 0
    whole = (plan["disk"] or 0) * item.work / measured.work
    made = whole if item.facts["kind"] == "images" else whole / 2
    return round(made), round(whole - made)
