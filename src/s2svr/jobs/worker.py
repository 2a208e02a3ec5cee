"""The process that works for a queue: commands come as lines of JSON, and events go."""

import json
import logging
import os
import queue
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from filelock import FileLock

from ..files import is_full
from ..media import MediaError
from ..restoration import write_so_far
from ..text import notes, sentence
from .crew import Message
from .looking import job_of, look, plan_entry
from .many import (
    UnfitError,
    UnreadError,
    choose_for,
    divided,
    estimate_entry,
    fingerprint_of,
    restore_recorded,
    survey_entry,
)
from .order import Entry
from .working import Bench, DroppedError, plan_message, preview_entry, report_entry, restore_entry

AT_ONCE = ("look", "so far")  # beside whatever is being done
NICE = 2  # those who answer come first
REFUSALS = (MediaError, ValueError, OSError, MemoryError, torch.OutOfMemoryError)


def run_worker() -> None:
    """Work until the input ends. The argument is a file to lock: one worker of a kind at a time."""
    # What others print is no event.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if hasattr(os, "nice"):
        os.nice(NICE)
    desk = Desk(events)
    threading.Thread(target=desk.listen, args=(sys.stdin.buffer,), daemon=True).start()
    with FileLock(sys.argv[1]):  # one that was left by a server that died ends soon
        desk.work()


class Writable(Protocol):
    """Takes lines of bytes."""

    def write(self, line: bytes, /) -> object: ...


class Desk:
    """Takes commands in the order in which they came, but looks at once."""

    def __init__(self, events: Writable) -> None:
        self.events, self.sending = events, threading.Lock()
        self.waiting: queue.Queue[Message] = queue.Queue()
        self.bench = Bench(self.tell)

    def tell(self, message: Message) -> None:
        """Send an event."""
        line = json.dumps(message, default=str).encode() + b"\n"
        with self.sending:
            self.events.write(line)

    def listen(self, commands: BinaryIO) -> None:
        """Take commands; when there are no more, end everything at once."""
        for line in commands:
            message = json.loads(line)
            if message["do"] == "pause":
                self.bench.gate.clear()
            elif message["do"] == "go on":
                self.bench.gate.set()
            elif message["do"] == "drop":
                self.bench.dropped.add(message["number"])
            elif message["do"] in AT_ONCE:
                threading.Thread(target=self.attempt, args=(message,), daemon=True).start()
            else:
                self.waiting.put(message)
        os._exit(0)

    def work(self) -> None:
        """Do what is asked for, one after the other."""
        while True:
            message = self.waiting.get()
            self.bench.number = message.get("number", -1)
            self.attempt(message)

    def attempt(self, message: Message) -> None:
        """Do one thing; an error becomes an event."""
        entry = Entry.model_validate(message["entry"])
        failed = {"event": "failed", "do": message["do"], "id": entry.id,
                  "number": message.get("number")}  # fmt: skip
        try:
            self.do(message, entry)
        except UnfitError as error:
            self.tell(failed | {"event": "unfit", "error": str(error)})
        except UnreadError as error:
            self.tell(failed | {"error": str(error), "again": True})
        except DroppedError:
            self.tell(failed | {"event": "dropped"})
        except REFUSALS as error:
            self.tell(failed | {"error": words(error, entry), "full": is_full(error)})
        except BaseException as error:
            logging.getLogger(__name__).exception("%s %s", message["do"], entry.id)
            self.tell(
                failed | {"error": f"{type(error).__name__}: {error}; this is a fault of ours"}
            )

    def do(self, message: Message, entry: Entry) -> None:
        """Do what a command says."""
        if message["do"] == "look":
            facts = look(entry)
            self.tell({"event": "answer", "number": message["number"], "value": facts})
        elif message["do"] == "so far":
            frames = write_so_far(job_of(entry), Path(message["path"]))
            self.tell({"event": "answer", "number": message["number"], "value": frames})
        elif message["do"] == "plan":
            self.bench.check()
            _, plan = plan_entry(entry)
            self.tell({"event": "planned", "id": entry.id} | plan_message(plan))
        elif message["do"] == "preview":
            seconds = Fraction(str(message["seconds"]))
            preview_entry(self.bench, entry, Path(message["folder"]), seconds)
        elif (answer := self.answer(message["do"], entry)) is not None:
            self.tell({"event": "answer", "number": message["number"], "value": answer})
        elif message["do"] == "report":
            report_entry(self.bench, entry)
        else:
            restore = restore_recorded if entry.record else restore_entry
            restore(self.bench, entry, Path(message["folder"]))

    def answer(self, what: str, entry: Entry) -> Any:
        """The answer to a question about one of many files; None for what is none."""
        if what == "survey":
            return survey_entry(self.bench, entry)
        if what == "divide":
            return divided(self.bench, entry)
        if what == "fingerprint":
            return fingerprint_of(self.bench, entry)
        if what == "estimate":
            return estimate_entry(entry)
        return choose_for(entry) if what == "choice" else None


def words(error: Exception, entry: Entry) -> str:
    """An error's sentence, with the names that people know in place of our paths."""
    text = ". ".join([sentence(error), *notes(error)])
    for path, name in ((entry.source, entry.name), (entry.target, entry.target.name)):
        text = text.replace(str(path), name)
    return text


if __name__ == "__main__":
    run_worker()
