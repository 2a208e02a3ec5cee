"""The queue: jobs in their order, workers that restore, and one that looks, plans and shows."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ..files import free_bytes
from ..text import no_room
from .crew import Receive, Worker, WorkerProcess
from .order import ACTIVE, Entry, Making, Order, QueueError, State
from .restorers import Restorers
from .scout import Scout
from .store import Store, remove_work

DAY = 86400.0  # seconds

Listener = Callable[[str, Entry | None], None]  # a job's id, and what it is now; None: gone
Launch = Callable[[str, Receive], Worker]  # the worker's kind, and who is told of its events


class NoRoomError(QueueError):
    """The disk has no room for what is asked for."""


class JobQueue:
    """Durable jobs of a folder. Every call is for any thread, and returns at once.

    ``keep`` is the age in seconds at which jobs go that are not waiting, running or paused.
    ``launch`` starts a worker, by a name of ``seats`` for those that restore; a job or a question
    whose worker ends without a word is tried ``attempts`` times. ValueError where another process
    has the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: float = 7 * DAY,
        launch: Launch | None = None,
        seats: Sequence[str] = ("restorer",),
        attempts: int = 1,
    ) -> None:
        self.store, self.keep = Store(folder), keep
        self.launch = launch or self.launch_process
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.unsaved: set[str] = set()  # ids of jobs that the disk has no room for
        self.restorers, self.attempts = Restorers(self, seats), attempts
        self.entries = {entry.id: entry for entry in self.store.load()}
        self.scout = Scout(self)
        self.closed = False

    def launch_process(self, kind: str, receive: Receive) -> Worker:
        """A worker in a process of its own."""
        folder = self.store.folder
        return WorkerProcess(receive, folder / "workers.log", folder / f"{kind}.lock")

    def open(self) -> None:
        """Go on with what was under way when the last process ended."""
        with self.lock:
            for entry in list(self.entries.values()):
                if entry.state == "running":
                    self.put(entry.but({"state": "waiting", "fps": None, "left": None}))
                self.scout.resume(entry)
            self.scout.begin()
            self.restorers.pump()

    def close(self) -> None:
        """End the workers; what is unfinished goes on when the folder is opened again."""
        with self.lock:
            self.closed = True
            workers = self.restorers.workers()
            if self.scout.worker is not None:
                workers.append(self.scout.worker)
        for worker in workers:
            worker.close()
        self.save_again()
        self.store.close()

    # What there is

    def get(self, name: str) -> Entry:
        """The job of an id. Raises KeyError."""
        return self.entries[name]

    def all(self) -> list[Entry]:
        """All jobs in the queue's order."""
        with self.lock:
            return sorted(self.entries.values(), key=lambda entry: (entry.rank, entry.created))

    def folder(self, entry: Entry) -> Path:
        """The job's own folder."""
        return self.store.place(entry)

    def expires(self, entry: Entry) -> float | None:
        """The time, in seconds since 1970, at which a job goes; None while it is active."""
        return None if entry.state in ACTIVE else entry.changed + self.keep

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell of every change from now on, in whatever thread; the result ends that."""
        with self.lock:
            self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def put(self, entry: Entry, *, durable: bool = True) -> Entry:
        """Make a job what is given, and tell of it.

        This happens in the threads that hear of the workers: errors are logged, and all goes on.
        """
        log = logging.getLogger(__name__)
        with self.lock:
            self.entries[entry.id] = entry
            try:
                if durable:
                    self.store.save(entry)
                    self.unsaved.discard(entry.id)
                else:
                    self.store.save_progress(entry)
            except OSError as error:
                self.unsaved.add(entry.id)
                log.warning("%s cannot be saved: %s", entry.name, error)
            for listener in list(self.listeners):
                try:
                    listener(entry.id, entry)
                except Exception as error:
                    log.exception("a change of %s cannot be told: %s", entry.name, error)
            return entry

    def save_again(self) -> None:
        """Save what found no room on the disk before."""
        with self.lock:
            for name in self.unsaved & self.entries.keys():
                self.put(self.entries[name])

    # What people ask for

    def look(self, entry: Entry) -> "Future[dict[str, Any]]":
        """Facts about a job that need not be in the queue; QueueError where it is impossible."""
        return self.scout.question({"do": "look", "entry": entry.model_dump(mode="json")})

    def so_far(self, entry: Entry, path: Path) -> "Future[int]":
        """Write what a job has on the disk as a video; frames, or QueueError where none is."""
        asked = {"do": "so far", "entry": entry.model_dump(mode="json"), "path": str(path)}
        return self.scout.question(asked)

    def take(self, entry: Entry) -> Entry:
        """Take a job that is restored as soon as a worker is free, and not shown before."""
        with self.lock:
            entry = self.put(entry.but({"state": "waiting"}))
            self.restorers.pump()
            return self.get(entry.id)

    def add(self, entry: Entry) -> Entry:
        """Take a job that was looked at; it is planned and shown, and starts when it is told to.

        Raises QueueError.
        """
        with self.lock:
            for other in self.entries.values():
                if other.target == entry.target and other.state != "done":
                    raise QueueError(
                        f"{entry.target.name} is what the job of {other.name} makes, which is "
                        f"{other.state}: remove that job, or give the video another name"
                    )
            last = max((other.rank for other in self.entries.values()), default=0.0)
            entry = entry.but({"rank": last + 1})
            try:
                self.store.save(entry)
            except OSError as error:
                self.store.remove(entry)
                raise NoRoomError(
                    f"{entry.name} cannot be taken: {error.strerror}; free some of the disk"
                ) from error
            self.put(entry)
            self.scout.ask("plan", entry)
            return self.preview(entry.id, None)

    def change(self, name: str, order: Order, facts: dict[str, Any]) -> Entry:
        """Give a job that has not begun other settings, which were looked at."""
        with self.lock:
            entry = self.expect(name, "new", "failed", "cancelled")
            start = entry.preview.start if entry.preview else None
            self.put(entry.but({
                "order": order, "facts": facts, "plan": None, "network": "", "why": "",
                "error": "", "state": "new", "changed": time.time(), "done": 0, "kept": 0,
            }))  # fmt: skip
            self.scout.ask("plan", self.get(name))
            return self.preview(name, start)

    def preview(self, name: str, start: float | None) -> Entry:
        """Show SECONDS of a job, from ``start`` or from its middle."""
        with self.lock:
            entry = self.get(name)
            making = Making(key=preview_key(entry, start), start=start)
            place = self.folder(entry) / "previews" / f"{making.key}.mp4"
            if place.is_file():
                making = making.model_copy(update={"state": "ready"})
            entry = self.put(entry.but({"preview": making}))
            if making.state != "ready":
                self.scout.ask("preview", entry)
            return entry

    def start(self, name: str) -> Entry:
        """Put a job into the queue."""
        with self.lock:
            entry = self.expect(name, "new", "failed", "cancelled")
            if entry.target.exists() and not entry.order.overwrite:
                raise QueueError(
                    f"{entry.target.name} exists already; name another output or add --overwrite"
                )
            disk, free = (entry.plan or {}).get("disk"), free_bytes(entry.target)
            if disk is not None and disk > free and not entry.kept:
                raise NoRoomError(no_room(entry.target.name, disk, free))
            changes = {"state": "waiting", "error": "", "said": [], "changed": time.time()}
            entry = self.put(entry.but(changes))
            self.restorers.pump()
            return self.get(name)

    def pause(self, name: str) -> Entry:
        """Hold a job; what it has done stays. The next one takes its place."""
        with self.lock:
            entry = self.expect(name, "waiting", "running")
            self.restorers.send(name, {"do": "pause"})
            self.put(entry.but({"state": "paused", "left": None, "fps": None}))
            self.restorers.pump()
            return self.get(name)

    def go_on(self, name: str) -> Entry:
        """Let a paused job go on."""
        with self.lock:
            entry = self.expect(name, "paused")
            here = self.restorers.send(name, {"do": "go on"})
            self.put(entry.but({"state": "running" if here else "waiting"}))
            self.restorers.pump()
            return self.get(name)

    def cancel(self, name: str) -> Entry:
        """End a job, and remove what it has done."""
        with self.lock:
            entry = self.expect(name, "waiting", "running", "paused")
            self.restorers.let_go(name)
            if entry.worked:
                remove_work(entry.target)
            gone = {"state": "cancelled", "done": 0, "kept": 0, "fps": None, "left": None,
                    "worked": False, "changed": time.time()}  # fmt: skip
            entry = self.put(entry.but(gone))
            self.restorers.pump()
            return entry

    def remove(self, name: str) -> None:
        """Remove a job and all that is in its folder; outputs beside it stay."""
        with self.lock:
            entry = self.get(name)
            if entry.state in ACTIVE:
                entry = self.cancel(name)
            if entry.worked and entry.state != "done":
                remove_work(entry.target)
            self.scout.forget(name)
            del self.entries[name]
            self.store.remove(entry)
            for listener in list(self.listeners):
                listener(name, None)

    def clear(self) -> None:
        """Forget all jobs; outputs, and what is there of unfinished ones, stay."""
        with self.lock:
            for entry in self.all():
                del self.entries[entry.id]
                self.store.remove(entry)

    def reorder(self, names: Sequence[str]) -> None:
        """Put jobs at the front, in this order. Raises KeyError for one that is not there."""
        with self.lock:
            first = [self.get(name) for name in dict.fromkeys(names)]
            others = [entry for entry in self.all() if entry.id not in names]
            for rank, entry in enumerate([*first, *others]):
                if entry.rank != rank:
                    self.put(entry.but({"rank": float(rank)}))

    def sweep(self) -> None:
        """Remove what is too old, and save what found no room."""
        with self.lock:
            self.save_again()
            for entry in self.all():
                expires = self.expires(entry)
                if expires is not None and expires <= time.time():
                    self.remove(entry.id)

    # What happens

    def expect(self, name: str, *states: State) -> Entry:
        """The job, which must be in one of these states. Raises KeyError and QueueError."""
        entry = self.get(name)
        if entry.state not in states:
            raise QueueError(f"{entry.name} is {entry.state}: expected one that is "
                             f"{' or '.join(states)}")  # fmt: skip
        return entry


def preview_key(entry: Entry, start: float | None) -> str:
    """A name for a preview: the same for the same seconds, settings and state."""
    asked = entry.order.model_dump_json(include={
        "task", "quality", "scale", "size", "height", "width", "fit", "strength", "grain", "fps",
        "start", "end", "deinterlace", "device", "precision", "scene_cuts",
    })  # fmt: skip
    text = f"{asked} {start} {entry.state == 'done'}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
