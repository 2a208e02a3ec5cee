"""The time and disk that a batch will take, from a measured plan of one file of each task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import free_bytes
from ..tasks import TASKS
from ..text import duration_text, no_room
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


def forecast(items: Sequence[Item], out: Path, workers: int, estimate: Estimate) -> Totals:
    """Sum up what is to be done by so many workers, and choose a network for each task.

    One file of each task is measured; the others take as long for each pixel.
    """
    todo = [item for item in items if item.state in TO_DO]
    totals = Totals(len(todo), sum(item.frames or 0 for item in todo), 0, None, None,
                    free_bytes(out), workers)  # fmt: skip
    seconds, disk, beside = [], 0, 0
    for task in dict.fromkeys(item.facts["task"] for item in todo):
        group = [item for item in todo if item.facts["task"] == task]
        measured, plan, why = choose(group, estimate)
        if measured is None or plan is None:
            continue
        totals.networks[task] = plan["network"], why
        totals.fingerprints[plan["network"]] = plan.get("fingerprint", "")
        for item in group:
            taken = seconds_of(item, measured, plan)
            if taken is None:
                totals.unknown += 1
                continue
            seconds.append(taken)
            made, less = disk_of(item, measured, plan)
            disk, beside = disk + made, max(beside, less)
    if seconds:
        totals.seconds = max(max(seconds), sum(seconds) / min(workers, len(seconds)))
        totals.disk = disk + beside * workers
    return totals


def choose(
    group: Sequence[Item], estimate: Estimate
) -> tuple[Item | None, dict[str, Any] | None, str]:
    """The item of a group that was measured, its plan, and why its network is taken."""
    for item in sorted(group, key=lambda item: (item.state != "new", -item.work)):
        quality = item.entry.order.quality
        plan = estimate(item, quality)
        if plan is None:
            continue
        network, why = plan["network"], plan["why"]
        if quality == "auto" and plan["seconds"] and network == TASKS[item.facts["task"]].best:
            whole = sum(seconds_of(other, item, plan) or 0 for other in group)
            why = f"the batch takes about {duration_text(whole)}"
            if whole > LONGEST_BEST and plan["device"] == "cpu":
                plan, why = estimate(item, "fast"), f"{network} takes {duration_text(whole)}"
        return item, plan, why
    return None, None, ""


def seconds_of(item: Item, measured: Item, plan: dict[str, Any]) -> float | None:
    """The time that an item takes by the plan of another; None where it cannot be known."""
    if plan["seconds"] is None or not item.frames or not measured.frames:
        return None
    each = 1 / plan["frames_per_second"]
    first = plan["seconds"] - each * (measured.frames - 1)
    share = item.work * measured.frames / (measured.work * item.frames)
    return first + share * each * (item.frames - 1)


def disk_of(item: Item, measured: Item, plan: dict[str, Any]) -> tuple[int, int]:
    """Bytes of an item's output, and of what is beside it for a while."""
    whole = (plan["disk"] or 0) * item.work / measured.work
    made = whole if item.facts["kind"] == "images" else whole / 2
    return round(made), round(whole - made)
