"""The workers that restore: each has a seat, and the waiting jobs take those that are free."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..files import lasting_folder
from .crew import Message, Worker
from .order import Entry

if TYPE_CHECKING:
    from .queue import JobQueue


@dataclass
class Seat:
    """A place for one worker at a time, by the name that it is launched with."""

    name: str
    worker: Worker | None = None
    job: str | None = None  # an id; restored, or paused with all that it has in its memory
    unfit: str = ""  # why nothing is restored here any more


class Restorers:
    """The seats of a queue, under its lock.

    A job whose worker ends without a word is given to another, as often as the queue allows.
    """

    def __init__(self, queue: "JobQueue", seats: Sequence[str]) -> None:
        self.queue = queue
        self.seats = [Seat(name) for name in seats]

    def workers(self) -> list[Worker]:
        """All workers that there are."""
        return [seat.worker for seat in self.seats if seat.worker is not None]

    def send(self, name: str, message: Message) -> bool:
        """Tell the worker that has a job; False if none has it."""
        for seat in self.seats:
            if seat.job == name and seat.worker is not None:
                seat.worker.send(message)
                return True
        return False

    def let_go(self, name: str) -> None:
        """End the worker that restores a job, if one does."""
        for seat in self.seats:
            if seat.job == name:
                seat.job = None
                self.end(seat)

    def end(self, seat: Seat) -> None:
        """End the worker of a seat: its memory is for others."""
        if seat.worker is not None:
            seat.worker.kill()
        seat.worker = None

    def pump(self) -> None:
        """Have the next jobs restored where there is room; paused ones give way."""
        waiting = [entry for entry in self.queue.all() if entry.state == "waiting"]
        if self.queue.closed:
            waiting = []
        for entry in waiting:
            seat = self.free()
            if seat is None:
                break
            if seat.job is not None:
                self.let_go(seat.job)
            self.begin(seat, entry)
        if waiting and all(seat.unfit for seat in self.seats):
            for entry in waiting:
                self.queue.put(entry.but(ended({"state": "failed", "error": self.seats[0].unfit})))
        for seat in self.seats:
            if seat.job is None:
                self.end(seat)

    def free(self) -> Seat | None:
        """A seat without a job, or else one whose job is paused."""
        fit = [seat for seat in self.seats if not seat.unfit]
        empty = next((seat for seat in fit if seat.job is None), None)
        return empty or next(
            (s for s in fit if s.job and self.queue.get(s.job).state == "paused"), None
        )

    def begin(self, seat: Seat, entry: Entry) -> None:
        """Have a job restored at a seat; it has failed where the system has no room for it."""
        worked = entry.worked or not lasting_folder(entry.target).exists()
        begun = {"state": "running", "fps": None, "left": None, "worked": worked}
        entry = self.queue.put(entry.but(begun))
        seat.job = entry.id
        folder = self.queue.folder(entry) / "pictures"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if seat.worker is None:
                seat.worker = self.launched(seat)
        except OSError as error:  # such as of a full disk
            seat.job, why = None, f"the job cannot be begun: {error.strerror}"
            self.queue.put(entry.but(ended({"state": "failed", "error": why})))
            return
        seat.worker.send({"do": "restore", "entry": entry.model_dump(mode="json"),
                          "folder": str(folder)})  # fmt: skip
        if entry.order.restart:  # once: what it does from now on is gone on with
            order = entry.order.model_copy(update={"restart": False})
            self.queue.put(entry.but({"order": order, "kept": 0, "done": 0}))

    def launched(self, seat: Seat) -> Worker:
        """A new worker; events of one that was let go are not heeded."""
        mine: list[Worker] = []

        def receive(message: Message) -> None:
            with self.queue.lock:
                if not (mine and mine[0] is seat.worker):
                    return
                if seat.job is not None:
                    self.heed(message, seat, self.queue.get(seat.job))
                elif message["event"] == "end":
                    seat.worker = None

        mine.append(self.queue.launch(seat.name, receive))
        return mine[0]

    def heed(self, message: Message, seat: Seat, entry: Entry) -> None:
        """Note what happened to the job of a seat."""
        event = message["event"]
        if event in ("progress", "kept", "picture", "planned"):
            changes = {key: value for key, value in message.items() if key not in ("event", "id")}
            if event == "progress":  # it has gone on from what was there
                changes["worked"] = True
            if entry.state == "paused":
                changes |= {"fps": None, "left": None}
            self.queue.put(entry.but(changes), durable=event == "planned")
        elif event == "said":
            self.queue.put(entry.but({"said": [*entry.said, message["line"]]}))
        elif event in ("restored", "failed", "unfit", "end"):
            self.finish(event, message, seat, entry)

    def finish(self, event: str, message: Message, seat: Seat, entry: Entry) -> None:
        """Note how a restoration ended, and have the next one begin."""
        changes: dict[str, Any] = {}
        if event == "restored":
            done = message["summary"]["frames"]
            changes = {"state": "done", "summary": message["summary"], "done": done,
                       "total": done, "kept": done}  # fmt: skip
        elif event == "failed" and not message.get("again"):
            changes = {"state": "failed", "error": message["error"]}
        elif event == "unfit":  # it is the worker's fault: another one takes the job
            seat.unfit, changes = message["error"], {"state": "waiting"}
        else:
            if event == "end":
                seat.worker = None
            changes = {"tries": entry.tries + 1, "state": "waiting"}
            if entry.tries + 1 >= self.queue.attempts:
                changes |= {"state": "failed", "error": message.get("error") or (
                    f"the process that restored ended without a word (code {message['code']}); it "
                    "may have run out of memory. Start the job again: it goes on from what is kept"
                )}  # fmt: skip
        seat.job = None
        entry = self.queue.put(entry.but(ended(changes)))
        if event == "restored" and entry.record is None:
            self.queue.scout.ask("report", entry)
        self.pump()


def ended(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes of a job that is not restored any more."""
    return {"fps": None, "left": None, "changed": time.time()} | changes
