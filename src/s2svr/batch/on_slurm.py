"""Workers on a Slurm cluster, by submitit: each job of the queue is a job of Slurm."""

import json
import secrets
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from ..jobs import OVER, Receive, Worker, perform_to, said_by
from ..text import Say
from .engine import LeftOut, LocalEngine, ScoutOfTwo

POLL_JOBS = 0.5  # seconds between two looks at a job's events
REFUSED = 5.0  # seconds after which Slurm is asked again
LAST = 10.0  # seconds that jobs get at the end
DAYS = 60 * 24 * 7  # minutes that a job may take, if nothing else is asked for


class SlurmEngine:
    """Jobs of Slurm that share the folder of the batch; ``jobs`` of them at once.

    ``options`` are those of submitit's executor, such as slurm_partition. ``cluster`` is local to
    run them here. Raises ModuleNotFoundError without the extra ``cluster``, and ValueError where
    there is no Slurm.
    """

    def __init__(
        self, local: LocalEngine, jobs: int, cpus: int, *, gpus: int = 0,
        options: dict[str, Any] | None = None, cluster: str = "slurm",
        say: Say = lambda line: None,
    ) -> None:  # fmt: skip
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "expected submitit for --engine slurm: install s2svr[cluster]"
            ) from error
        if cluster == "slurm" and shutil.which("srun") is None:
            raise ValueError(
                "expected the commands of Slurm for --engine slurm, srun is not there: give the "
                "command on a node from which jobs are submitted"
            )
        self.local, self.folder = local, local.folder / "slurm"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.executor = submitit.AutoExecutor(folder=self.folder, cluster=cluster)
        self.options = {"name": "s2svr", "timeout_min": DAYS, "cpus_per_task": cpus,
                        "gpus_per_node": gpus} | (options or {})  # fmt: skip
        self.executor.update_parameters(**self.options)
        self.seats = tuple(f"worker-{number}" for number in range(jobs))
        self.submitting, self.jobs, self.left_out = threading.Lock(), list[Any](), LeftOut(say)

    def launch(self, name: str, receive: Receive) -> Worker:
        """A worker that has its jobs done by Slurm."""
        if name == "scout":
            return ScoutOfTwo(receive, self.local, lambda heed: SlurmWorker(self, heed))
        return SlurmWorker(self, receive)

    def submit(self, message: dict[str, Any], place: Path) -> Any:
        """The job of a command, on a node that is not left out. Raises what submitit does."""
        with self.submitting:
            nodes = filter(None, [self.options.get("slurm_exclude"), *self.left_out.nodes])
            if excluded := ",".join(map(str, nodes)):
                self.executor.update_parameters(slurm_exclude=excluded)
            job = self.executor.submit(perform_to, message, str(place))
            self.jobs = [other for other in self.jobs if not other.done()] + [job]
        return job

    def close(self) -> None:
        """Jobs end with their workers; wait until they have."""
        until = time.monotonic() + LAST
        while not all(job.done() for job in self.jobs) and time.monotonic() < until:
            time.sleep(POLL_JOBS / 5)


class SlurmWorker:
    """Has one job after the other done, and hands on the events that it writes down."""

    def __init__(self, engine: SlurmEngine, receive: Receive) -> None:
        self.engine, self.receive = engine, receive
        self.job: Any = None
        self.ended = False

    def send(self, message: dict[str, Any]) -> None:
        threading.Thread(target=self.have_done, args=(message,), daemon=True).start()

    def have_done(self, message: dict[str, Any]) -> None:
        """Have a job done, on another node where one cannot, and hand on what is told of it."""
        left, over = set[str](), dict[str, Any]()
        while not self.ended:
            place = self.engine.folder / f"{secrets.token_hex(8)}.events"
            try:
                self.job = self.engine.submit(message, place)
            except Exception as error:  # of submitit, whatever Slurm says
                time.sleep(REFUSED)
                why = f"Slurm did not take the job: {error}".splitlines()[0]
                over = {"event": "end", "code": type(error).__name__, "error": why,
                        "refused": True}  # fmt: skip
            else:
                try:
                    over = self.followed(self.job, place)
                except Exception as error:  # of submitit, of files: the queue tries again
                    over = said_by(error)
                self.job = None  # it ends by itself
            if self.ended:
                return
            node: str = over.get("node", "")
            if over["event"] == "unfit" and node not in {"", *left}:
                left.add(node)
                self.engine.left_out.add(node, over["error"])
                continue
            self.ended |= over["event"] == "end"
            self.receive(over)
            return

    def followed(self, job: Any, place: Path) -> dict[str, Any]:
        """The event that says how a job ended; those before it are handed on."""
        read, over = 0, dict[str, Any]()
        while not over and not self.ended:
            last = job.done()  # asked before reading: nothing comes after it
            lines = place.read_bytes()[read:] if place.exists() else b""
            whole = lines[: lines.rfind(b"\n") + 1]
            read += len(whole)
            for line in whole.splitlines():
                event = json.loads(line)
                if event["event"] in OVER:
                    over = event
                else:
                    self.receive(event)
            if last and not over:
                over = {"event": "end", "code": str(job.state)}
            time.sleep(0 if over else POLL_JOBS)
        if self.ended and not job.done():
            job.cancel()
        place.unlink(missing_ok=True)
        return over or {"event": "end", "code": "cancelled"}

    def kill(self) -> None:
        self.ended = True
        job = self.job
        if job is not None and not job.done():
            job.cancel()

    close = kill
