"""Films that several workers restore together, a stretch each."""

import json
import shutil
from pathlib import Path
from typing import Any

from ..files import file_fingerprint, write_whole
from ..jobs import Entry, QueueError, settings_asked
from .items import Item
from .settings import BatchSettings

PLAN = "plan.json"
LEAST = 1.5  # lengths of a stretch that a film must have to be divided


class Film:
    """A film in stretches: their jobs, and the one that joins them, whose place is the item's."""

    def __init__(self, item: Item, plan: dict[str, Any], folder: Path) -> None:
        self.item, self.plan, self.folder = item, plan, folder
        self.parts: dict[str, Entry] = {}  # jobs of the stretches, by their ids
        for number, stretch in enumerate(plan["stretches"]):
            target = folder / f"{number:06d}{item.entry.target.suffix}"
            part = Entry(
                name=f"{item.entry.name} {number + 1}/{len(plan['stretches'])}",
                source=item.entry.source, target=target, order=item.entry.order,
                weights=item.entry.weights, stretch=stretch,
                record=folder / f"{number:06d}.json", network=plan["network"], why=plan["why"],
            )  # fmt: skip
            self.parts[part.id] = part
        self.joining = False

    def note(self, entry: Entry) -> None:
        """Take note of a change of a stretch, if it is one of this film."""
        if entry.id not in self.parts:
            return
        self.parts[entry.id] = entry
        self.item.done = sum(part.done for part in self.parts.values())

    def shares(self) -> list[tuple[float, Entry]]:
        """The jobs of the stretches, each with its share of the film's frames."""
        lengths = [plan["end"] - plan["first"] for plan in self.plan["stretches"]]
        parts = self.parts.values()
        return [(n / sum(lengths), part) for n, part in zip(lengths, parts, strict=True)]

    @property
    def done(self) -> bool:
        """True if all stretches are."""
        return all(part.state == "done" for part in self.parts.values())

    @property
    def failed(self) -> str:
        """Why it cannot be joined, when all its stretches are over."""
        over = all(part.state in ("done", "failed") for part in self.parts.values())
        wrong = [part for part in self.parts.values() if part.state == "failed"]
        return f"{wrong[0].name}: {wrong[0].error}" if over and wrong else ""

    def join(self) -> Entry:
        """The job that joins what the stretches have made."""
        self.joining = True
        parts = [{"target": str(part.target), "stretch": part.stretch}
                 for part in self.parts.values()]  # fmt: skip
        return self.item.entry.but({
            "parts": parts, "network": self.plan["network"], "why": self.plan["why"], "rank": -1.0,
        })  # fmt: skip


def stretches_folder(item: Item) -> Path:
    """The folder of a film's plan and its stretches."""
    assert item.entry.record is not None
    return item.entry.record.parents[1] / "stretches" / item.entry.record.stem


def clear_stretches(item: Item) -> None:
    """Remove what is there of stretches of a file that is done."""
    shutil.rmtree(stretches_folder(item), ignore_errors=True)


def is_long(item: Item, split: float | None) -> bool:
    """True for a video that is restored in stretches of about ``split`` seconds.

    One that was begun as a whole goes on so; one that was being joined is joined.
    """
    if split is None or item.facts["kind"] != "video" or not item.facts["seconds"]:
        return False
    divided = item.state == "new" or (stretches_folder(item) / PLAN).is_file()
    return item.facts["seconds"] >= LEAST * split and divided


def pieces_of(item: Item, split: float | None) -> int:
    """About how many stretches there will be of a file; 1 if it is restored as a whole."""
    return max(1, round(item.facts["seconds"] / split)) if split and is_long(item, split) else 1


def planned_film(item: Item, settings: BatchSettings, network: tuple[str, str], ask: Any) -> Film:
    """The film that an item is, by the plan that was made first: it decides what comes out.

    ``ask`` has the scout do something for an entry. Raises QueueError for a film that cannot be
    divided, and where an earlier plan was made for something else.
    """
    folder = stretches_folder(item)
    place = folder / PLAN
    order, weights = item.entry.order, item.entry.weights
    asked = {
        "source": file_fingerprint(item.entry.source), "settings": settings_asked(order),
        "seconds": settings.split, "weights": weights,
    }  # fmt: skip
    if order.restart:
        clear_stretches(item)
    if place.is_file():
        plan = json.loads(place.read_text(encoding="utf-8"))
        for name, value in asked.items():
            if plan[name] != value:
                raise QueueError(
                    f"it was begun in stretches with {name} {plan[name]}, and now it is {value}: "
                    "go on with what it was, or start over with --restart"
                )
        if order.quality != "auto" and plan["network"] != network[0]:
            raise QueueError(
                f"it was begun in stretches by {plan['network']}, and {network[0]} is asked for: "
                "go on with what it was, or start over with --restart"
            )
    else:
        entry = item.entry.but({"network": network[0], "stretch": {"seconds": settings.split}})
        stretches = ask("divide", entry)
        plan = asked | {"network": network[0], "why": network[1], "threads": order.threads,
                        "stretches": stretches}  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(plan, indent=1).encode())
    threads = order.model_copy(update={"threads": plan["threads"], "restart": False})
    item.entry = item.entry.but({"order": threads})
    return Film(item, plan, folder)
