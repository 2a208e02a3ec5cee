"""Workers on a Ray cluster: each job is a task, and Ray finds the node that has room for it."""

import threading
from typing import Any

from ..jobs import (
    Entry,
    Receive,
    Worker,
    perform,
    perform_apart,
    said_by,
    unpack_product,
)
from .engine import LocalEngine

STREAM = {"num_returns": "streaming", "max_retries": 0}  # what is tried again, the queue decides


class RayEngine:
    """Tasks on the cluster at ``address`` (None: one that is begun here), each with its share.

    ``jobs`` tasks at once, each with ``gpus`` (0 or 1) and ``cpus``; None: as many as the cluster
    has room for. With ``send`` sources and results travel, since no folder is shared.
    Raises ModuleNotFoundError without the extra ``cluster``.
    """

    def __init__(
        self, local: LocalEngine, address: str | None, jobs: int | None, cpus: int | None,
        *, send: bool = False,
    ) -> None:  # fmt: skip
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "expected Ray for --engine ray: install s2svr[cluster]"
            ) from error
        self.ray, self.local, self.send = ray, local, send
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        smallest = min(int(node.get("CPU", 1)) for node in nodes)
        self.gpus = int(any(node.get("GPU") for node in nodes))
        self.cpus = cpus or (1 if self.gpus else max(1, smallest))
        kind, each = ("GPU", 1) if self.gpus else ("CPU", self.cpus)
        room = sum(int(node.get(kind, 0)) // each for node in nodes)
        self.seats = tuple(f"worker-{number}" for number in range(jobs or max(1, room)))

    def launch(self, name: str, receive: Receive) -> Worker:
        """A worker that has its jobs done as tasks; the scout is a process of this machine."""
        if name == "scout":
            return self.local.launch(name, receive)
        return RayWorker(self, receive)

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()


class RayWorker:
    """Has one job after the other done as a task, and hands its events on."""

    def __init__(self, engine: RayEngine, receive: Receive) -> None:
        self.engine, self.receive = engine, receive
        self.tasks: Any = None  # the generator of the one that runs
        self.ended = False

    def send(self, message: dict[str, Any]) -> None:
        threading.Thread(target=self.have_done, args=(message,), daemon=True).start()

    def have_done(self, message: dict[str, Any]) -> None:
        """Have a job done, and hand on what is told of it."""
        ray, entry = self.engine.ray, Entry.model_validate(message["entry"])
        tasks: Any = None
        try:
            tasks = self.tasks = self.begun(message, entry)
            for reference in tasks:
                event = ray.get(reference) if isinstance(reference, ray.ObjectRef) else reference
                if self.ended:
                    return
                if event["event"] == "product":
                    unpack_product(event, entry)
                else:
                    self.receive(event)
        except Exception as error:  # of Ray, of files, of memory: the queue tries again
            if not self.ended:
                self.ended = True
                self.receive(said_by(error))
        finally:
            if self.tasks is tasks:  # what is done here lets the next one begin when it is let go
                self.tasks = None

    def begun(self, message: dict[str, Any], entry: Entry) -> Any:
        """The events of a job: references where it is a task, themselves where it is done here."""
        engine = self.engine
        share = STREAM | {"num_cpus": engine.cpus, "num_gpus": engine.gpus}
        if not engine.send:
            return engine.ray.remote(perform).options(**share).remote(message)
        if entry.parts:  # what is joined lies here
            return perform(message)
        data, changed = entry.source.read_bytes(), entry.source.stat().st_mtime_ns
        apart = engine.ray.remote(perform_apart).options(**share)
        return apart.remote(message, engine.ray.put(data), changed)

    def kill(self) -> None:
        self.ended = True
        if isinstance(self.tasks, self.engine.ray.ObjectRefGenerator):
            self.engine.ray.cancel(self.tasks, force=True)

    close = kill
