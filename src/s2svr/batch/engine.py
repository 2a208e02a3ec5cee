"""Engines: the places where a batch's workers run. This one: processes of this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..jobs import Receive, Worker, WorkerProcess
from ..text import Say

COMING = "coming"  # folder, beside the records, of what is being sent back


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


class ScoutOfTwo:
    """The scout of a cluster: what is measured is done by a worker there, and all else here."""

    def __init__(
        self, receive: Receive, local: LocalEngine, away: Callable[[Receive], Worker]
    ) -> None:
        def heed(message: dict[str, Any]) -> None:
            over = message["event"] == "end"
            receive(message)  # which takes it apart
            if over:
                self.kill()  # neither goes on without the other

        self.here, self.away = local.launch("scout", heed), away(heed)

    def send(self, message: dict[str, Any]) -> None:
        (self.away if message["do"] == "estimate" else self.here).send(message)

    def kill(self) -> None:
        self.here.kill()
        self.away.kill()

    def close(self) -> None:
        self.here.close()
        self.away.close()


class LeftOut:
    """Nodes of a cluster that cannot do the work, and why: the others go on without them."""

    def __init__(self, say: Say) -> None:
        self.say, self.nodes = say, dict[str, str]()

    def add(self, node: str, why: str) -> None:
        """Leave a node out from now on, and say so once."""
        if node not in self.nodes:
            self.nodes[node] = why
            self.say(f"left out: {why}")
