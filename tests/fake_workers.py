"""Workers that restore nothing: what a queue asks of them is noted, and events come as told."""

import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from s2svr.jobs import Entry, JobQueue, Receive

FACTS = {
    "width": 64, "height": 48, "rate": 25.0, "seconds": 1.0, "frames": 25, "kind": "video",
    "codec": "h264", "container": "mov,mp4", "bits": 8, "interlaced": False, "hdr": "",
    "bytes": 1000, "size_out": [256, 192], "task": "upscale", "task_why": "h264 loses detail",
    "changes": [], "kept": ["every frame at its own time", "audio aac"], "scale": 4,
}  # fmt: skip
PLAN = {
    "frames": 25, "size_in": [64, 48], "size_out": [256, 192], "device": "cpu", "window": 16,
    "tile": None, "memory": 2**29, "memory_there": 2**34, "disk": 250000, "disk_free": 2**36,
    "frames_per_second": 4.0, "seconds": 6.0, "network": "sr-real", "why": "--quality fast",
    "target": None,
}  # fmt: skip
SUMMARY = {
    "frames": 25, "size_in": [64, 48], "size_out": [256, 192], "seconds": 5.0, "peak_memory": 2**29,
    "frames_per_second": 5.0, "resumed": 0, "corrupt": 0, "damage": [], "warnings": [],
    "network": "sr-real", "why": "--quality fast", "source": "", "target": "",
}  # fmt: skip
FIGURES = {"frames": 25, "equal": 0, "psnr": 40.5, "base": 42.0, "bins": [-1.5], "warning": None}


class FakeWorker:
    """Answers in a thread of its own; a restoration waits for ``steps``: events, or "end"."""

    def __init__(self, kind: str, receive: Receive) -> None:
        self.kind, self.receive = kind, receive
        self.sent: list[dict[str, Any]] = []
        self.steps: queue.Queue[str] = queue.Queue()
        self.inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.killed = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["do"] not in ("pause", "go on", "drop"):
            self.inbox.put(message)

    def kill(self) -> None:
        self.killed.set()
        self.inbox.put(None)
        self.steps.put("killed")

    close = kill

    def run(self) -> None:
        while (message := self.inbox.get()) is not None:
            for event in getattr(self, message["do"].replace(" ", "_"))(message):
                if not self.killed.is_set():
                    self.receive(event)

    def look(self, message: dict[str, Any]):
        source = Path(message["entry"]["source"])
        number = message["number"]
        bad = source.is_file() and source.read_bytes()[:3] == b"bad"
        if bad or message["entry"]["order"]["scale"] == 9:
            name = message["entry"]["name"]
            error = (
                f"{name} is not a video that can be read" if bad else "expected a scale of 1 to 4"
            )
            yield {"event": "failed", "do": "look", "number": number, "error": error}
        else:
            yield {"event": "answer", "number": number, "value": FACTS}

    def so_far(self, message: dict[str, Any]):
        if message["entry"]["kept"]:
            Path(message["path"]).write_bytes(b"so far")
            yield {"event": "answer", "number": message["number"], "value": 4}
        else:
            yield {"event": "failed", "do": "so far", "number": message["number"],
                   "error": "nothing is on the disk yet"}  # fmt: skip

    def plan(self, message: dict[str, Any]):
        yield {"event": "planned", "id": message["entry"]["id"], "network": "sr-real",
               "why": "--quality fast", "plan": PLAN}  # fmt: skip

    def preview(self, message: dict[str, Any]):
        making = message["entry"]["preview"]
        folder = Path(message["folder"])
        event = {"event": "preview", "id": message["entry"]["id"], "key": making["key"], "total": 9,
                 "start": 0.5, "done": 0, "pictures": 1}  # fmt: skip
        with suppress(FileNotFoundError):  # the job was removed meanwhile
            (folder / f"{making['key']}-1.jpg").write_bytes(b"jpeg")
            yield event
            (folder / f"{making['key']}.mp4").write_bytes(b"proxy")
            yield event | {"event": "previewed", "done": 9}

    def report(self, message: dict[str, Any]):
        name = message["entry"]["id"]
        rows = [{"what": "audio 1", "source": "aac", "output": "aac", "fate": "kept", "why": ""}]
        yield {"event": "report", "id": name, "report": rows}
        yield {"event": "fidelity", "id": name, "fidelity": FIGURES}

    def restore(self, message: dict[str, Any]):
        entry = Entry.model_validate(message["entry"])
        while (step := self.steps.get()) != "killed":
            if step == "end":
                yield {"event": "end", "code": -9}
                return
            if step == "fail":
                yield {"event": "failed", "error": "the disk is full", "number": None}
                return
            if step == "picture":
                (Path(message["folder"]) / "1.jpg").write_bytes(b"jpeg")
                yield {"event": "picture", "id": entry.id, "pictures": 1}
            if step == "progress":
                yield {"event": "progress", "id": entry.id, "done": 5, "total": 25, "fps": 4.0,
                       "left": 5.0}  # fmt: skip
                yield {"event": "kept", "id": entry.id, "kept": 4}
            if step == "done":
                entry.target.write_bytes(b"restored " + entry.source.read_bytes())
                yield {"event": "restored", "id": entry.id, "summary": SUMMARY}
                return


class Crew:
    """Launches fake workers, and remembers them."""

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []

    def launch(self, kind: str, receive: Receive) -> FakeWorker:
        self.workers.append(FakeWorker(kind, receive))
        return self.workers[-1]

    def last(self, kind: str) -> FakeWorker:
        return [worker for worker in self.workers if worker.kind == kind][-1]

    def step(self, *names: str) -> None:
        """What the restorer does next."""
        for name in names:
            self.last("restorer").steps.put(name)


def until(condition, seconds: float = 10.0) -> None:
    """Wait for something that other threads do."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def fake_queue(folder: Path, crew: Crew) -> JobQueue:
    return JobQueue(folder, launch=crew.launch)
