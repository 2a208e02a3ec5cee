"""Records of what made an output: a later batch skips what source, network and settings agree with.

A record is begun before the output is, with what lay in its place, and completed when it is there.
So after a sudden end it can be told whether the output is the new one or what was there before.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..files import content_fingerprint, write_whole
from .order import Order

# Of an order: these say where and how it is computed, not what comes out.
ELSEWHERE = {"device", "threads", "window", "tile", "overwrite", "restart", "quality", "task"}


class Record(BaseModel):
    """What an output was made of and by, or is about to be."""

    source: str  # a fingerprint
    settings: dict[str, Any]
    network: str  # its name, and a digest of it
    identity: str
    before: str | None = None  # ``content_of`` what lay there when it was begun
    made: int | None = None  # bytes of the output, when it is complete
    summary: dict[str, Any] | None = None

    def begun(self, output: Path) -> "Record":
        """What it is before the output has its place, in which something else may lie."""
        return self.model_copy(update={"before": content_of(output), "made": None, "summary": None})

    def save(self, place: Path) -> None:
        """Write it down, whole."""
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(self.model_dump(mode="json"), indent=1).encode())

    def is_of(self, output: Path) -> bool:
        """True if what lies there is what it tells of, and nothing else was put in its place.

        What was there before is known by what it holds: a copy of it is no new output.
        """
        if self.made is not None:
            return bytes_in(output) == self.made
        return content_of(output) not in (None, self.before)

    def difference(self, source: str, settings: dict[str, Any]) -> str:
        """A sentence about what is asked for otherwise now; empty if nothing is."""
        if self.source != source:
            return "the source has changed since it was made"
        for name in sorted(self.settings.keys() | settings.keys()):
            then, now = self.settings.get(name), settings.get(name)
            if then != now:
                return f"it was made with {name} {then}, and now it is {now}"
        return ""


def parse_record(data: bytes) -> Record:
    """The record that was saved as these bytes; ValueError for others.

    Python's own JSON holds names that are not UTF-8.
    """
    return Record.model_validate(json.loads(data))


def read_record(place: Path) -> Record | None:
    """The record of a place; None where there is none that can be read."""
    try:
        return parse_record(place.read_bytes())
    except (OSError, ValueError):
        return None


def settings_asked(order: Order) -> dict[str, Any]:
    """All of an order that an output depends on, beside the network."""
    return order.model_dump(mode="json", exclude=ELSEWHERE)


def content_of(path: Path) -> str | None:
    """A fingerprint of what a file or folder holds; None where there is none."""
    return content_fingerprint(path) if path.exists() else None


def bytes_in(path: Path) -> int | None:
    """Bytes of a file, or of all files of a folder; None where there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size if path.exists() else None
