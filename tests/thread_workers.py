"""Workers in threads of this process: they do what those in processes of their own do."""

import json
import threading
from typing import Any

from s2svr.jobs import Receive
from s2svr.jobs.worker import Desk


class ThreadWorker:
    """A desk at which a thread works; what it does after ``kill`` is not heard of any more."""

    def __init__(self, receive: Receive) -> None:
        self.receive, self.alive = receive, True
        self.desk = Desk(self)
        threading.Thread(target=self.desk.work, daemon=True).start()

    def write(self, line: bytes) -> None:
        if self.alive:
            self.receive(json.loads(line))

    def send(self, message: dict[str, Any]) -> None:
        self.desk.waiting.put(json.loads(json.dumps(message)))

    def kill(self) -> None:
        self.alive = False

    close = kill


class ThreadEngine:
    """An engine of such workers."""

    def __init__(self, jobs: int = 1) -> None:
        self.seats = tuple(f"worker-{number}" for number in range(jobs))
        self.launched: list[str] = []

    def launch(self, name: str, receive: Receive) -> ThreadWorker:
        self.launched.append(name)
        return ThreadWorker(receive)

    def close(self) -> None:
        pass
