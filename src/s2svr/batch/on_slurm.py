"""Workers on a Slurm cluster, by submitit: each job of the queue is a job of Slurm."""

import json
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from ..jobs import OVER, Receive, Worker, perform_to
from .engine import LocalEngine

POLL_JOBS = 0.5  # seconds between two looks at a job's events
DAYS = 60 * 24 * 7  # minutes that a job may take, if nothing else is asked for


class SlurmEngine:
    """Jobs of Slurm that share the folder of the batch; ``jobs`` of them at once.

    ``options`` are those of submitit's executor, such as slurm_partition. ``cluster`` is local to
    run them here. Raises ModuleNotFoundError without the extra ``cluster``.
    """

    def __init__(
        self, local: LocalEngine, jobs: int, cpus: int, *, gpus: int = 0,
        options: dict[str, Any] | None = None, cluster: str | None = None,
    ) -> None:  # fmt: skip
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "expected submitit for --engine slurm: install s2svr[cluster]"
            ) from error
        self.local, self.folder = local, local.folder / "slurm"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.executor = submitit.AutoExecutor(folder=self.folder, cluster=cluster)
        usual = {"name": "s2svr", "timeout_min": DAYS, "cpus_per_task": cpus,
                 "gpus_per_node": gpus}  # fmt: skip
        self.executor.update_parameters(**usual | (options or {}))
        self.seats = tuple(f"worker-{number}" for number in range(jobs))

    def launch(self, name: str, receive: Receive) -> Worker:
        """A worker that has its jobs done by Slurm; the scout is a process of this machine."""
        if name == "scout":
            return self.local.launch(name, receive)
        return SlurmWorker(self, receive)

    def close(self) -> None:
        """Jobs end with their workers."""


class SlurmWorker:
    """Has one job after the other done, and hands on the events that it writes down."""

    def __init__(self, engine: SlurmEngine, receive: Receive) -> None:
        self.engine, self.receive = engine, receive
        self.job: Any = None
        self.ended = False

    def send(self, message: dict[str, Any]) -> None:
        place = self.engine.folder / f"{secrets.token_hex(8)}.events"
        self.job = self.engine.executor.submit(perform_to, message, str(place))
        threading.Thread(target=self.follow, args=(self.job, place), daemon=True).start()

    def follow(self, job: Any, place: Path) -> None:
        """Hand on events until the job is over; if it did not say how it ended, it has died."""
        read, over = 0, False
        while not over and not self.ended:
            last = job.done()  # asked before reading: nothing comes after it
            lines = place.read_bytes()[read:] if place.exists() else b""
            whole = lines[: lines.rfind(b"\n") + 1]
            read += len(whole)
            for line in whole.splitlines():
                event = json.loads(line)
                over = event["event"] in OVER
                self.receive(event)
            if last and not over:
                self.ended = True
                self.receive({"event": "end", "code": str(job.state)})
            time.sleep(0 if over else POLL_JOBS)
        place.unlink(missing_ok=True)

    def kill(self) -> None:
        self.ended = True
        if self.job is not None and not self.job.done():
            self.job.cancel()

    close = kill
