"""Engines: the places where a batch's workers run. This one: processes of this machine."""

from pathlib import Path
from typing import Protocol

from ..jobs import Receive, Worker, WorkerProcess


class Engine(Protocol):
    """Starts workers: one for each of the ``seats``, by their names, shares the work of a batch."""

    seats: tuple[str, ...]

    def launch(self, name: str, receive: Receive) -> Worker:
        """A worker for a seat, or the ``scout``, which looks at files; it is told of its events."""
        ...

    def close(self) -> None:
        """End what outlives the workers."""
        ...


class LocalEngine:
    """Processes of this machine, by turns on ``gpus`` (their numbers; none: on the CPU)."""

    def __init__(self, folder: Path, jobs: int, gpus: tuple[int, ...] = ()) -> None:
        self.folder = folder
        self.seats = tuple(f"worker-{number}" for number in range(jobs))
        self.gpus = {s: gpus[n % len(gpus)] for n, s in enumerate(self.seats)} if gpus else {}

    def launch(self, name: str, receive: Receive) -> Worker:
        """A process, as Engine says; the scout shares the first GPU."""
        gpu = self.gpus.get(name, next(iter(self.gpus.values()), None))
        log, lock = self.folder / "workers.log", self.folder / f"{name}.lock"
        return WorkerProcess(receive, log, lock, gpu)

    def close(self) -> None:
        """Nothing outlives the workers."""
