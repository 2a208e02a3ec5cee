"""The worker that looks, plans, shows and reports, while another one restores."""

import itertools
import logging
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .crew import Message, Worker
from .order import Entry, Making, QueueError, RefusedError

if TYPE_CHECKING:
    from .queue import JobQueue

FIRST = ("plan", "preview", "report")  # what is done first
SECONDS = 3  # of a preview
PLANNED = ("new", "failed", "cancelled")  # states whose plan is noted; others have begun with one


@dataclass
class Question:
    """A command that waits for its answer, which comes also when nobody waits any more."""

    message: Message
    answer: "Future[Any]" = field(default_factory=Future)
    tries: int = 0  # workers that ended by it

    def __post_init__(self) -> None:
        self.answer.set_running_or_notify_cancel()  # from now on it cannot be cancelled


class Scout:
    """What is still to be looked at, planned, shown and reported; under the queue's lock.

    A report takes as long as it takes, so it is given up for whatever a person waits for, and made
    afterwards.
    """

    def __init__(self, queue: "JobQueue") -> None:
        self.queue = queue
        self.worker: Worker | None = None
        self.asked: list[tuple[str, str]] = []  # what, and a job's id
        self.current: tuple[str, str] | None = None
        self.stale = False  # what is being done is not wanted any more
        self.questions: dict[int, Question] = {}  # that are answered at once
        self.numbers = itertools.count()
        self.number = 0  # of what is being done

    def begin(self) -> None:
        """Have the worker ready: it takes seconds to start."""
        if self.worker is None and not self.queue.closed:
            mine: list[Worker] = []

            def receive(message: Message) -> None:
                with self.queue.lock:
                    if mine and mine[0] is self.worker:
                        self.heed(message)

            try:
                mine.append(self.queue.launch("scout", receive))
            except OSError as error:
                self.give_up(f"the process that looks cannot be started: {error.strerror}")
                return
            self.worker = mine[0]
            for question in self.questions.values():
                self.worker.send(question.message)
        self.pump()

    def give_up(self, error: str) -> None:
        """No worker can be had: tell all who wait for one."""
        logging.getLogger(__name__).warning(error)
        questions, asked = list(self.questions.values()), self.asked
        self.questions, self.asked = {}, []
        for question in questions:
            question.answer.set_exception(RefusedError(error))
        for what, name in asked:
            if entry := self.queue.entries.get(name):
                self.failed(what, error, entry)

    def resume(self, entry: Entry) -> None:
        """Ask again for what the last process did not get."""
        if entry.facts is None:
            return
        if entry.planning:
            self.asked.append(("plan", entry.id))
        if entry.preview is not None and entry.preview.state in ("waiting", "making"):
            self.asked.append(("preview", entry.id))
        if entry.state == "done" and entry.fidelity is None:
            self.asked.append(("report", entry.id))

    def question(self, message: Message) -> "Future[Any]":
        """The answer to a command, which comes soon, or a QueueError.

        It is asked again where a worker ends by it, up to the queue's attempts.
        """
        with self.queue.lock:
            number = next(self.numbers)
            question = self.questions[number] = Question(message | {"number": number})
            if self.worker is None:
                self.begin()
            else:
                self.worker.send(question.message)
            return question.answer

    def ask(self, what: str, entry: Entry) -> None:
        """Have something done for a job; what is done of it already is done again."""
        task = what, entry.id
        if task not in self.asked:
            self.asked.append(task)
        if what == "plan":
            self.queue.put(entry.but({"planning": True}))
        if self.current in (task, ("preview", entry.id)):  # of other settings
            self.stale = True
            if self.worker is not None:
                self.worker.send({"do": "drop", "number": self.number})
        elif self.current is not None and self.current[0] == "report" and what != "report":
            self.asked.append(self.current)
            self.restart()
        self.begin()

    def forget(self, name: str) -> None:
        """A job is gone."""
        self.asked = [task for task in self.asked if task[1] != name]
        if self.current is not None and self.current[1] == name:
            self.restart()
            self.begin()

    def restart(self) -> None:
        """End the worker, whatever it does."""
        if self.worker is not None:
            self.worker.kill()
        self.worker, self.current, self.stale = None, None, False

    def pump(self) -> None:
        """Have the next thing done, if nothing is."""
        if self.current is not None or not self.asked or self.worker is None:
            return
        task = min(self.asked, key=lambda task: FIRST.index(task[0]))
        self.asked.remove(task)
        what, name = task
        entry = self.queue.entries.get(name)
        if entry is None:
            self.pump()
            return
        folder = self.queue.folder(entry) / "previews"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # such as of a full disk
            self.failed(what, f"the folder {folder.name} cannot be made: {error.strerror}", entry)
            self.pump()
            return
        self.current, self.stale, self.number = task, False, next(self.numbers)
        self.worker.send({
            "do": what, "entry": entry.model_dump(mode="json"), "folder": str(folder),
            "seconds": SECONDS, "number": self.number,
        })  # fmt: skip

    def heed(self, message: Message) -> None:
        """Note what the worker says."""
        event = message.pop("event")
        if event == "end":
            self.lost(message)
        elif message.get("number") in self.questions:
            answer = self.questions.pop(message["number"]).answer
            if event == "answer":
                answer.set_result(message["value"])
            else:
                answer.set_exception(QueueError(message["error"]))
        elif self.current is not None:
            entry = self.queue.entries.get(self.current[1])
            if entry is not None and not self.stale:
                self.note(event, message, entry)
            ends = {"plan": "planned", "preview": "previewed", "report": "fidelity"}
            if event in ("failed", "dropped", ends[self.current[0]]):
                self.current = None
        self.pump()

    def note(self, event: str, message: Message, entry: Entry) -> None:
        """Write down what became of a job's plan, preview or report."""
        assert self.current is not None
        if event == "planned" and entry.state not in PLANNED:
            self.queue.put(entry.but({"planning": False}))
        elif event == "planned":
            self.queue.put(entry.but({
                "network": message["network"], "why": message["why"], "plan": message["plan"],
                "planning": False,
            }))  # fmt: skip
        elif event in ("preview", "previewed") and entry.preview is not None:
            state = {"preview": "making", "previewed": "ready"}[event]
            facts = {key: message[key] for key in ("done", "total", "pictures", "start")}
            making = entry.preview.model_copy(update={"state": state} | facts)
            self.queue.put(entry.but({"preview": making}), durable=event == "previewed")
        elif event in ("report", "fidelity"):
            self.queue.put(entry.but({event: message[event]}))
        elif event == "failed":
            self.failed(self.current[0], message["error"], entry)

    def failed(self, what: str, error: str, entry: Entry) -> None:
        """Say why something could not be done."""
        if what == "plan":
            why = {"error": error} if entry.state in PLANNED else {}
            self.queue.put(entry.but({"planning": False} | why))
        elif what == "preview":
            making = entry.preview or Making(key="")
            making = making.model_copy(update={"state": "failed", "error": error})
            self.queue.put(entry.but({"preview": making}))
        else:
            self.queue.put(
                entry.but({"report": entry.report or [], "fidelity": {"missing": error}})
            )

    def lost(self, message: Message) -> None:
        """The worker ended by itself: what it did is not tried again, but questions are."""
        error = message.get("error") or (
            f"the process that looked at it ended without a word (code {message['code']})"
        )
        self.worker = None
        for number, question in list(self.questions.items()):
            question.tries += 1
            if question.tries >= self.queue.attempts or self.queue.closed:
                kind = RefusedError if message.get("refused") else QueueError
                self.questions.pop(number).answer.set_exception(kind(error))
        if self.current is not None and (entry := self.queue.entries.get(self.current[1])):
            self.failed(self.current[0], error, entry)
        self.current = None
        if self.asked or self.questions:
            self.begin()
