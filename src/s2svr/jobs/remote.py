"""One command of a queue, done in whatever process this is, as a worker of its own would do it."""

import json
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import hidden_beside, lasting_folder, write_whole
from .crew import Message
from .order import Entry

if TYPE_CHECKING:
    from .worker import Desk

OVER = ("restored", "failed", "unfit")  # events after which nothing comes


class Heard:
    """Takes a desk's events; the queue is another for each command, which come in turn."""

    def __init__(self) -> None:
        self.events: queue.Queue[Message] = queue.Queue()
        self.turn = threading.Lock()

    def write(self, line: bytes) -> None:
        self.events.put(json.loads(line))


@cache
def desk_here() -> "tuple[Desk, Heard]":
    """The desk of this process: its network stays in memory from one command to the next."""
    from .worker import Desk  # who only asks does without torch

    heard = Heard()
    return Desk(heard), heard


def perform(message: Message) -> Iterator[Message]:
    """Do a command and yield its events as they come; the last one says how it ended."""
    desk, heard = desk_here()
    with heard.turn:
        heard.events = queue.Queue()
        thread = threading.Thread(target=desk.attempt, args=(message,), daemon=True)
        thread.start()
        while True:
            event = heard.events.get()
            yield event
            if event["event"] in OVER:
                return


def perform_to(message: Message, place: str) -> None:
    """The same, with the events as lines of a file that others read meanwhile."""
    with Path(place).open("a", encoding="utf-8") as file:
        for event in perform(message):
            file.write(json.dumps(event, default=str) + "\n")
            file.flush()


def perform_apart(message: Message, data: bytes, changed: int) -> Iterator[Message]:
    """The same where no folder is shared: the source comes as bytes, and what is made is sent back.

    ``changed`` is the source's time of change. Before the last event comes a ``product``, which
    ``unpack_product`` writes where it belongs.
    """
    entry = Entry.model_validate(message["entry"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "in" / entry.source.name, folder / "out" / entry.target.name
        source.parent.mkdir()
        source.write_bytes(data)
        os.utime(source, ns=(changed, changed))
        record = folder / "record.json"
        here = entry.but({"source": source, "target": target, "record": record})
        for event in perform(message | {"entry": here.model_dump(mode="json")}):
            if event["event"] == "restored":
                made = lasting_folder(target) if entry.stretch else target
                files = {p.name: p.read_bytes() for p in made.iterdir()} if made.is_dir() else {}
                whole = None if made.is_dir() else made.read_bytes()
                kept = record.read_bytes() if record.exists() else None
                yield {"event": "product", "files": files, "whole": whole, "record": kept}
            yield event


def unpack_product(product: Message, entry: Entry) -> None:
    """Write what was made elsewhere where it belongs: whole, or not at all."""
    entry.target.parent.mkdir(parents=True, exist_ok=True)
    if product["whole"] is not None:
        write_whole(entry.target, product["whole"])
    else:
        beside = hidden_beside(entry.target, "-coming")
        beside.mkdir(exist_ok=True)
        for name, data in product["files"].items():
            (beside / name).write_bytes(data)
        beside.replace(lasting_folder(entry.target))
    if product["record"] is not None and entry.record is not None:
        entry.record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry.record, product["record"])


def said_by(error: Exception) -> dict[str, Any]:
    """The event of a worker that ended by an error of the engine."""
    return {"event": "end", "code": f"{type(error).__name__}: {error}".splitlines()[0]}
