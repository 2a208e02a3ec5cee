"""The files of a batch, and what becomes of each."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..jobs import Entry
from .inputs import Passage
from .settings import BatchSettings

ItemState = Literal["new", "unfinished", "done", "skipped", "otherwise", "failed"]
TO_DO: tuple[ItemState, ...] = ("new", "unfinished")


@dataclass
class Item:
    """One input on its way to its output."""

    passage: Passage
    entry: Entry
    state: ItemState = "new"
    why: str = ""  # it failed or was left
    facts: dict[str, Any] = field(default_factory=dict)  # of the source
    summary: dict[str, Any] | None = None  # of the restoration
    done: int = 0  # frames

    @property
    def frames(self) -> int | None:
        """About how many there are, if that is known."""
        return self.facts.get("frames")

    @property
    def work(self) -> int:
        """Pixels of all its frames; 0 where that is not known."""
        width, height = self.facts.get("size_in", (0, 0))
        return width * height * (self.frames or 0)

    @property
    def damage(self) -> str:
        """A sentence about frames that came damaged; empty if none did."""
        found = self.summary or {}
        damaged = [f"{n} frames were decoded with errors"] if (n := found.get("corrupt")) else []
        return "; ".join([*damaged, *found.get("damage", [])])

    @property
    def ill(self) -> bool:
        """True if this is not as it was asked for: it failed, was left, or came damaged."""
        return self.state in ("failed", "otherwise") or bool(self.damage)

    def report(self) -> dict[str, Any]:
        """The end of it as plain values."""
        found = self.summary or {}
        kept = ("frames", "seconds", "frames_per_second", "size_in", "size_out", "network",
                "resumed", "peak_memory", "warnings", "seams")  # fmt: skip
        return {
            "event": "file", "source": str(self.passage.source), "target": str(self.passage.place),
            "state": self.state, "why": self.why or self.damage,
        } | {name: found[name] for name in kept if name in found}  # fmt: skip


def new_item(passage: Passage, settings: BatchSettings) -> Item:
    """An input of which nothing is known yet."""
    below = passage.place.relative_to(settings.out).as_posix()
    digest = hashlib.sha256(os.fsencode(below)).hexdigest()[:24]
    entry = Entry(  # for processes that may run in other folders
        name=str(passage.name), source=passage.source.absolute(), target=passage.target.absolute(),
        order=settings.order, weights=settings.weights,
        record=settings.hidden.absolute() / "made" / f"{digest}.json",
    )  # fmt: skip
    return Item(passage, entry)


def counts(items: Sequence[Item]) -> dict[str, int]:
    """The number of files of each state."""
    found: dict[str, int] = {}
    for item in items:
        found[item.state] = found.get(item.state, 0) + 1
    return found
