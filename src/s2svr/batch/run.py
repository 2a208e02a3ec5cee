"""A batch from its inputs to its outputs: looked at, planned, restored by workers, reported."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ..files import file_fingerprint
from ..jobs import Entry, JobQueue, QueueError, RefusedError, clear_coming
from ..text import Say
from .engine import COMING, Engine
from .films import Film, clear_stretches, is_long, planned_film
from .forecast import Totals, forecast
from .inputs import Found, Passage, check_pattern, find_inputs, refusal
from .items import TO_DO, Item, new_item
from .settings import BatchSettings

ATTEMPTS = 3  # of a file whose worker ends without a word
POLL = 2.0  # seconds between two looks at watched folders


class Batch:
    """The files of a batch and their queue, which is for one batch into a folder at a time.

    ``say`` is told of warnings, ``tell`` of every file that is over. Raises ValueError for inputs
    that cannot be a batch.
    """

    def __init__(
        self, settings: BatchSettings, engine: Engine, say: Say, tell: Callable[[Item], None]
    ) -> None:
        self.settings, self.engine, self.say, self.tell = settings, engine, say, tell
        check_pattern(settings.name)
        self.found = self.find() if not settings.watch else Found()
        settings.hidden.mkdir(parents=True, exist_ok=True)
        self.items: list[Item] = []
        self.known: dict[str, Item] = {}  # by the ids of their jobs
        self.totals: Totals | None = None
        self.films: list[Film] = []  # that are under way in stretches
        self.complaint = ""  # about watched folders
        self.changed = threading.Condition()
        self.error: Exception | None = None  # of what was done about a change, for ``run``
        self.seen: dict[Passage, tuple[str, float]] = {}  # watched: what it was, and since when
        self.queue = JobQueue(
            settings.hidden, launch=engine.launch, seats=engine.seats, attempts=ATTEMPTS
        )
        self.queue.clear()
        clear_coming(settings.hidden / COMING)  # of a run that was killed
        self.queue.listen(self.note)

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *error: object) -> None:
        self.queue.close()
        self.engine.close()

    def find(self) -> Found:
        """The inputs that are there now."""
        settings = self.settings
        return find_inputs(settings.inputs, settings.out, settings.name, empty=settings.watch)

    # What is to be done

    def survey(self, passages: list[Passage]) -> list[Item]:
        """Look at inputs, and what is there of their outputs; those that cannot be have failed."""
        items = []
        for passage in passages:
            item = new_item(passage, self.settings)
            try:
                if why := refusal(passage):
                    raise QueueError(why)
                item.facts = self.ask("survey", item.entry)
                item.state, item.why = item.facts["state"], item.facts.get("why", "")
                item.summary = item.facts.get("summary")
            except QueueError as error:
                item.state, item.why = "failed", str(error)
            if item.state == "done":
                item.state = "skipped"
                clear_stretches(item)
            items.append(item)
            self.known[item.entry.id] = item
        return items

    def ask(self, what: str, entry: Entry) -> Any:
        """The scout's answer about an entry; QueueError where that cannot be restored."""
        asked = {"do": what, "entry": entry.model_dump(mode="json")}
        return self.queue.scout.question(asked).result()

    def prepare(self) -> Totals:
        """Look at all inputs, choose networks, and say what the batch takes."""
        self.items = self.survey(self.found.passages)
        self.totals = self.forecast(self.items)
        return self.totals

    def forecast(self, items: list[Item]) -> Totals:
        """Time, disk and networks of some items; one that cannot be planned fails.

        Where the cluster takes no jobs, it is not asked again for each of them.
        """
        refused = ""
        measured = self.settings.planned and not self.settings.watch  # what comes is not known

        def estimate(item: Item, quality: str) -> dict[str, Any] | None:
            nonlocal refused
            order = item.entry.order.model_copy(update={"quality": quality})
            entry = item.entry.but({"order": order})
            try:
                if refused:
                    raise QueueError(refused)
                plan: dict[str, Any] = self.ask("estimate" if measured else "choice", entry)
                asked = entry.but({"network": plan["network"]})
                return plan | {"fingerprint": self.ask("fingerprint", asked)}
            except QueueError as error:
                item.state, item.why = "failed", str(error)
                refused = str(error) if isinstance(error, RefusedError) else refused
                return None

        made = {item.facts["task"]: item.summary["network"] for item in [*items, *self.items]
                if item.summary}  # fmt: skip
        return forecast(
            items, self.settings.out, len(self.engine.seats), estimate,
            split=self.settings.split, made=made,
        )  # fmt: skip

    # Doing it

    def run(self, move: Callable[[], None] = lambda: None) -> list[Item]:
        """Restore what is to be restored, and return all items; ``move`` is called now and then.

        A watched batch ends by KeyboardInterrupt, or an error; those of ``tell`` are raised too.
        """
        assert self.totals is not None
        self.submit(self.items, self.totals)
        while self.settings.watch or any(item.state in TO_DO for item in self.items):
            with self.changed:
                self.changed.wait(POLL / 4)
            self.check()
            self.join_films()
            move()
            if self.settings.watch:
                self.look_again()
        with self.queue.lock:  # the last of them is told of
            self.check()
            return self.items

    def check(self) -> None:
        """Raise the error of what was done about a change, if there was one."""
        if self.error is not None:
            raise self.error

    def submit(self, items: list[Item], totals: Totals) -> None:
        """Put items into the queue; the largest first where several workers share them.

        Those of which nothing is to be done are told of at once.
        """
        work: list[tuple[float, Entry]] = []
        for item in items:
            if item.state not in TO_DO:
                self.tell(item)
                continue
            network = totals.networks[item.facts["task"]]
            if not is_long(item, self.settings.split):
                clear_stretches(item)  # of a run that divided it
                item.entry = with_network(item, network)
                work.append((item.work, item.entry))
                continue
            try:
                film = planned_film(item, self.settings, network, self.ask)
            except QueueError as error:
                item.state, item.why = "failed", str(error)
                self.tell(item)
                continue
            self.films.append(film)
            for share, part in film.shares():
                self.known[part.id] = item
                work.append((item.work * share, part))
        if len(self.engine.seats) > 1:
            work.sort(key=lambda pair: -pair[0])
        self.queue.scout.restart()  # its memory is for the workers
        for rank, (_, entry) in enumerate(work, len(self.known)):
            known = {"fingerprint": totals.fingerprints.get(entry.network, "")}
            self.queue.take(entry.but(known | {"rank": float(rank)}))

    def join_films(self) -> None:
        """Have films joined whose stretches are done."""
        for film in list(self.films):
            item = film.item
            if film.joining:
                if item.state in TO_DO:
                    continue
            elif film.done:
                item.entry = self.queue.take(film.join())
                continue
            elif film.failed:
                item.state, item.why = "failed", film.failed
                self.tell(item)
            else:
                continue
            self.films.remove(film)

    def note(self, name: str, entry: Entry | None) -> None:
        """Take note of a change in the queue, in the thread that hears of it."""
        try:
            self.heed(name, entry)
        except Exception as error:  # such as of an output that nobody reads any more
            self.error = error
        with self.changed:
            self.changed.notify_all()

    def heed(self, name: str, entry: Entry | None) -> None:
        """Do what a change in the queue asks for."""
        item = self.known.get(name)
        if item is None or entry is None:
            return
        if entry.stretch is not None:
            for film in self.films:
                film.note(entry)
            return
        over = item.state in TO_DO and entry.state in ("done", "failed")
        item.done = entry.done
        if over:
            item.summary, item.why = entry.summary, entry.error
            item.state = "done" if entry.state == "done" else "failed"
            if item.state == "done":
                clear_stretches(item)
            self.tell(item)

    def look_again(self) -> None:
        """Take what has come and has stopped growing."""
        now = time.monotonic()
        try:
            found = self.find()
        except (ValueError, OSError) as error:
            if str(error) != self.complaint:
                self.say(f"nothing new is taken: {error}")
            self.complaint = str(error)
            return
        self.complaint = ""
        ready = []
        for passage in found.passages:
            try:
                what = file_fingerprint(passage.source)
            except OSError:  # it went again
                continue
            before, since = self.seen.get(passage, ("", now))
            if before != what:
                self.seen[passage] = what, now
            elif now - since >= self.settings.settle:
                self.seen[passage] = what, math.inf  # taken
                ready.append(passage)
        if ready:
            items = self.survey(ready)
            totals = self.forecast(items)
            self.items += items
            self.submit(items, totals)


def with_network(item: Item, network: tuple[str, str]) -> Entry:
    """An item's job with a network; what was begun goes on with its own, and with its threads."""
    changes: dict[str, Any] = {"network": network[0], "why": network[1]}
    if begun := item.facts.get("begun"):
        order = item.entry.order.model_copy(update={"threads": begun.get("threads")})
        changes |= {"order": order}
        if order.quality == "auto" and not item.entry.weights:
            known = begun.get("network's name") or network[0]
            changes |= {"network": known, "why": "the restoration was begun with it"}
    return item.entry.but(changes)
