"""One command of a queue, done in whatever process this is, as a worker of its own would do it."""

import json
import os
import platform
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import is_full, lasting_folder, output_place, sync, sync_folder, write_whole
from .crew import Message
from .order import Entry
from .records import parse_record

if TYPE_CHECKING:
    from .worker import Desk

OVER = ("restored", "failed", "unfit", "answer")  # events after which nothing comes

REPLACED, PLACE = "-replaced", "-place"  # the folder that was there, and where

Packed = dict[str, tuple[bytes, int]]  # files by their paths, with their times of change


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
    record = Entry.model_validate(message["entry"]).record
    if record is not None and not record.parents[1].is_dir():
        why = f"does not see the folder {record.parents[1]}: share it, or give --send with ray"
        yield unfit(message, why)
        return
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


def unfit(message: Message, why: str) -> Message:
    """The event of a machine that cannot do what a command says."""
    error = f"the machine {platform.node()} {why}"
    known = {"id": message["entry"]["id"], "number": message.get("number")}
    return {"event": "unfit", "error": error} | known


def perform_to(message: Message, place: str) -> None:
    """The same, with the events as lines of a file that others read meanwhile.

    A machine that does not fit gives the name that Slurm has for it.
    """
    node = {"node": os.environ.get("SLURMD_NODENAME") or platform.node()}
    with Path(place).open("a", encoding="utf-8") as file:
        for event in perform(message):
            told = event | node if event["event"] == "unfit" else event
            file.write(json.dumps(told, default=str) + "\n")
            file.flush()


def perform_apart(message: Message, source: Packed) -> Iterator[Message]:
    """The same where no folder is shared: the source comes packed, and what is made is sent back.

    Before the last event comes a ``product``, which ``unpack_product`` writes where it belongs. A
    machine whose disk is full does not fit.
    """
    entry = Entry.model_validate(message["entry"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = folder / "made" / "record.json"
        place, target = output_place(entry.target), folder / "out" / entry.target.name
        if place != entry.target:
            target = folder / "out" / place.name / entry.target.name
        here = entry.but({"source": folder / entry.source.name, "target": target, "record": record})
        try:
            unpack(source, folder)
            for event in perform(message | {"entry": here.model_dump(mode="json")}):
                if event.get("full"):
                    yield unfit(message, f"has no room: {event['error']}")
                    return
                if event["event"] == "restored":
                    made = lasting_folder(target) if entry.stretch else output_place(target)
                    kept = record.read_bytes() if record.exists() else None
                    yield {"event": "product", "made": pack(made), "record": kept}
                yield event
        except OSError as error:
            if not is_full(error):
                raise
            yield unfit(message, f"has no room: {error}")


def pack(place: Path) -> Packed:
    """The bytes of a file, or of all files of a folder, by paths that begin with its name."""
    files = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else [place]
    return {
        file.relative_to(place.parent).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in files
    }


def unpack(packed: Packed, folder: Path) -> None:
    """Write what was packed into a folder."""
    for name, (data, changed) in packed.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        os.utime(place, ns=(changed, changed))


def unpack_product(product: Message, entry: Entry, coming: Path) -> None:
    """Write what was made elsewhere where it belongs: whole, or not at all.

    Until it is whole it lies in the folder ``coming``, on the same disk. Its record is begun before
    it has its place, and completed afterwards.
    """
    folder = coming / entry.id
    clear_try(folder)
    unpack(product["made"], folder)
    (made,) = folder.iterdir()
    sync(made.iterdir() if made.is_dir() else [made])
    place = lasting_folder(entry.target) if entry.stretch else output_place(entry.target)
    place.parent.mkdir(parents=True, exist_ok=True)
    record = product["record"] and parse_record(product["record"])
    if record and entry.record:
        record.begun(place).save(entry.record)
    if place.is_dir():
        write_whole(folder / PLACE, os.path.relpath(place, folder).encode())
        place.replace(folder / REPLACED)
    made.replace(place)
    sync_folder(place.parent)
    if record and entry.record:
        record.save(entry.record)
    if entry.stretch is None:  # what was begun here is not gone on with
        shutil.rmtree(lasting_folder(place), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def clear_coming(coming: Path) -> None:
    """Remove what a sudden end has left of all that was coming, as ``clear_try`` does."""
    for folder in coming.iterdir() if coming.is_dir() else ():
        clear_try(folder)
    shutil.rmtree(coming, ignore_errors=True)


def clear_try(folder: Path) -> None:
    """Remove what came of one product; a folder that it was to replace is put back."""
    if (folder / REPLACED).is_dir() and (folder / PLACE).is_file():
        place = folder / (folder / PLACE).read_text(encoding="utf-8")
        if not place.exists():
            (folder / REPLACED).replace(place)
    shutil.rmtree(folder, ignore_errors=True)


def said_by(error: Exception) -> dict[str, Any]:
    """The event of a worker that ended by an error of the engine."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return {"event": "end", "code": what, "error": f"the cluster did not do it: {what}"}
