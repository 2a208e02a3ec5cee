"""Workers on a Ray cluster: each job is a task, and Ray finds the node that has room for it."""

import threading
from collections.abc import Iterator
from typing import Any

from ..jobs import Entry, Receive, Worker, pack, perform, said_by, unfit, unpack_product
from ..text import Say
from .engine import COMING, LeftOut, LocalEngine, ScoutOfTwo

STREAM = {"num_returns": "streaming", "max_retries": 0}  # what is tried again, the queue decides
NODE = "ray.io/node-id"  # a label that every node has


class RayEngine:
    """Tasks on the cluster at ``address`` (None: one that is begun here), each with its share.

    ``jobs`` tasks at once, each with ``cpus`` and a GPU where there are some, unless ``device`` is
    cpu; None: as many as the cluster has room for. With ``send`` sources and results travel, since
    no folder is shared. Raises ModuleNotFoundError without the extra ``cluster``, and ValueError
    for a GPU that is not there, and where no node has room for a task.
    """

    def __init__(
        self, local: LocalEngine, address: str | None, jobs: int | None, cpus: int | None,
        *, send: bool = False, device: str = "auto", say: Say = lambda line: None,
    ) -> None:  # fmt: skip
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "expected Ray for --engine ray: install s2svr[cluster]"
            ) from error
        self.ray, self.local, self.send, self.left_out = ray, local, send, LeftOut(say)
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        nodes = list(self.nodes().values())
        smallest = min((int(node["CPU"]) for node in nodes if node.get("CPU")), default=1)
        there = any(node.get("GPU") for node in nodes)
        if device == "cuda" and not there and jobs is None:
            self.close()
            raise ValueError(
                "expected a GPU in the Ray cluster for --device cuda, found none: say how many "
                "will come by --jobs"
            )
        self.gpus = int(device != "cpu" and (there or device == "cuda"))
        self.cpus = cpus or (1 if self.gpus else max(1, smallest))
        if not any(self.has_room(node) for node in nodes):
            lacking = self.lacking(nodes)
            if jobs is None:
                self.close()
                raise ValueError(
                    f"{lacking}: give --threads that one has, or say how many will come by --jobs"
                )
            say(f"{lacking}: waiting for one")
        kind, each = ("GPU", 1) if self.gpus else ("CPU", self.cpus)
        room = sum(int(node.get(kind, 0)) // each for node in nodes)
        self.seats = tuple(f"worker-{number}" for number in range(jobs or max(1, room)))
        self.task = ray.remote(sent_as_it_is())

    def nodes(self) -> dict[str, dict[str, float]]:
        """What each node has that is there, by its id."""
        return {n["NodeID"]: n["Resources"] for n in self.ray.nodes() if n["Alive"]}

    def has_room(self, node: dict[str, float]) -> bool:
        """True for a node that can do a job."""
        return node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= self.gpus

    def lacking(self, nodes: list[dict[str, float]]) -> str:
        """A sentence about a job that none of the nodes can do."""
        kind = " and a GPU" if self.gpus else ""
        largest = max((int(n.get("CPU", 0)) for n in nodes if n.get("GPU", 0) >= self.gpus),
                      default=0)  # fmt: skip
        return (
            f"expected a node of the Ray cluster with {self.cpus} processors{kind}, the largest "
            f"{'with a GPU ' if self.gpus else ''}has {largest}"
        )

    def launch(self, name: str, receive: Receive) -> Worker:
        """A worker that has its jobs done as tasks."""
        if name == "scout":
            return ScoutOfTwo(receive, self.local, lambda heed: RayWorker(self, heed))
        return RayWorker(self, receive)

    def share(self) -> dict[str, Any]:
        """What a task asks for, and the nodes that it is not for."""
        share = STREAM | {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.left_out.nodes:
            share["label_selector"] = {NODE: f"!in({','.join(self.left_out.nodes)})"}
        return share

    def refusal(self) -> str:
        """Why no node can do a job; empty if one can."""
        fit = [
            name
            for name, node in self.nodes().items()
            if name not in self.left_out.nodes and self.has_room(node)
        ]
        return "" if fit else next(iter(self.left_out.nodes.values()), "")

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()


def sent_as_it_is() -> Any:
    """A function that does a command as a task; it is sent itself, so a node without s2svr can."""

    def have_done(message: dict[str, Any], *packed: Any) -> Iterator[dict[str, Any]]:
        import platform

        import ray

        node = {"node": ray.get_runtime_context().get_node_id()}
        try:
            from s2svr.jobs import perform, perform_apart
        except ImportError as error:
            why = f"the machine {platform.node()} has no s2svr that fits: {error}"
            known = {"id": message["entry"]["id"], "number": message.get("number")}
            yield {"event": "unfit", "error": why} | known | node
            return
        for event in perform_apart(message, *packed) if packed else perform(message):
            yield event | node if event["event"] == "unfit" else event

    return have_done


class RayWorker:
    """Has one job after the other done as a task, and hands its events on."""

    def __init__(self, engine: RayEngine, receive: Receive) -> None:
        self.engine, self.receive = engine, receive
        self.tasks: Any = None  # the generator of the one that runs
        self.ended = False

    def send(self, message: dict[str, Any]) -> None:
        threading.Thread(target=self.have_done, args=(message,), daemon=True).start()

    def have_done(self, message: dict[str, Any]) -> None:
        """Have a job done, on another node where one cannot, and hand on what is told of it."""
        tasks: Any = None
        try:
            again = True
            while again and not self.ended:
                if why := self.engine.refusal():
                    self.receive(unfit(message, "") | {"error": why})
                    return
                tasks = self.tasks = self.begun(message)
                if self.ended:  # it was let go meanwhile
                    self.kill()
                again = self.followed(message, tasks)
        except Exception as error:  # of Ray, of files, of memory: the queue tries again
            if not self.ended:
                self.ended = True
                self.receive(said_by(error))
        finally:
            if self.tasks is tasks:  # what is done here lets the next one begin when it is let go
                self.tasks = None

    def followed(self, message: dict[str, Any], tasks: Any) -> bool:
        """Hand on what is told of a job; True where the node that had it cannot do it."""
        ray, entry = self.engine.ray, Entry.model_validate(message["entry"])
        for reference in tasks:
            event = ray.get(reference) if isinstance(reference, ray.ObjectRef) else reference
            if self.ended:
                return False
            if event["event"] == "unfit" and "node" in event:
                self.engine.left_out.add(event["node"], event["error"])
                return True
            if event["event"] == "product":
                unpack_product(event, entry, self.engine.local.folder / COMING)
            else:
                self.receive(event)
        return False

    def begun(self, message: dict[str, Any]) -> Any:
        """The events of a job: references where it is a task, themselves where it is done here."""
        engine, entry = self.engine, Entry.model_validate(message["entry"])
        task = engine.task.options(**engine.share())
        if not engine.send:
            return task.remote(message)
        if entry.parts:  # what is joined lies here
            return perform(message)
        return task.remote(message, engine.ray.put(pack(entry.source)))

    def kill(self) -> None:
        self.ended = True
        if isinstance(self.tasks, self.engine.ray.ObjectRefGenerator):
            self.engine.ray.cancel(self.tasks, force=True)

    close = kill
