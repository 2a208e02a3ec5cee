"""Processes that do the work, so that the one that answers always answers.

A line of JSON on a process's standard input is a command, a line on its standard output an event.
It ends when its input ends: no work goes on without the one who asked for it.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

Message = dict[str, Any]
Receive = Callable[[Message], None]


class Worker(Protocol):
    """Takes commands; what it was launched with is told of events, the last one an ``end``."""

    def send(self, message: Message) -> None:
        """Hand over a command; one that has ended takes none."""

    def kill(self) -> None:
        """End it at once, whatever it does; when this returns, it has ended."""

    def close(self) -> None:
        """The same, and wait until all that it said is handed on."""


def visible_gpu(number: int) -> str:
    """The name of a GPU for another process, by its number among those that this one sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return seen.split(",")[number] if seen else str(number)


class WorkerProcess:
    """A worker that is a process of its own, which writes what it has to say to ``log``.

    ``gpu`` is the number of the only GPU that it sees; None: it sees all that there are.
    """

    def __init__(self, receive: Receive, log: Path, lock: Path, gpu: int | None = None) -> None:
        self.receive, self.sending = receive, threading.Lock()
        # This very package, and nothing of the folder that one happens to be in: -P. Ctrl-C is for
        # the one who asks.
        here = str(Path(__file__).parents[2])
        places = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-P", "-m", "s2svr.jobs.worker", str(lock)]
        environment = os.environ | {"PYTHONPATH": places}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible_gpu(gpu)
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                start_new_session=True, env=environment,
            )  # fmt: skip
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self) -> None:
        """Hand on what comes, until nothing does; no line ends this, so that the end is told."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.receive(json.loads(line))
            except Exception as error:  # also of a line that the worker did not end
                logging.getLogger(__name__).exception("%.200r cannot be heeded: %s", line, error)
        self.process.stdout.close()
        self.receive({"event": "end", "code": self.process.wait()})

    def send(self, message: Message) -> None:
        with self.sending:
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()
            except (OSError, ValueError):
                return  # its end is told by ``listen``; Windows has no error for gone readers

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with suppress(OSError):  # of a command that it did not read
            self.process.stdin.close()

    def close(self) -> None:
        self.kill()
        self.listener.join(10)
