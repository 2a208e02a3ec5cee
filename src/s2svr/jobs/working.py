"""The work that a worker does for a job: plan it, show a piece of it, restore it, report on it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checkpoint import load
from ..coarseness import with_coarseness
from ..color import to_rgb
from ..evaluation import measure_fidelity
from ..files import free_bytes, network_fingerprint
from ..finish import finished, moment_of
from ..media import Frame, MediaError, Reader, carried, open_reader
from ..metrics import finite_or_none
from ..pace import Pace
from ..restoration import (
    Backend,
    Job,
    Plan,
    backend_of,
    find_cuts,
    piece_of,
    precision_of,
    restore,
    restore_job,
    what_was_kept,
)
from .crew import Message
from .looking import job_of, plan_entry, task_of
from .order import Entry
from .pictures import OFTEN, Proxy, Watched, stacked, write_still

TELL_EVERY = 0.25  # seconds between two events of one kind

Tell = Callable[[Message], None]


class DroppedError(Exception):
    """What was being done is not wanted any more."""


class Bench:
    """A place to work at: the network that is at hand, and whether work is to pause.

    ``gate`` is open while there is work to be done; ``dropped`` holds the numbers of the tasks
    whose result nobody waits for, and ``number`` is that of the current one.
    """

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.gate = threading.Event()
        self.gate.set()
        self.dropped: set[int] = set()
        self.number = 0
        self.loaded: tuple[tuple[Any, ...], nn.Module] | None = None
        self.identities: dict[tuple[str, str], str] = {}  # of networks, by name and task
        self.fits: dict[tuple[Any, ...], tuple[int, int | None]] = {}  # windows and tiles

    def identity(self, job: Job, task: str) -> str:
        """A digest of a job's network."""
        key = job.network, task
        if key not in self.identities:
            self.identities[key] = network_fingerprint(self.network(job, task))
        return self.identities[key]

    def network(self, job: Job, task: str) -> nn.Module:
        """The network of a job; the last one stays in memory."""
        key = (job.network, task)
        if self.loaded is None or self.loaded[0] != key:
            self.loaded = None  # before the next one: one model at a time
            self.loaded = key, load(job.network, task=task)
        return self.loaded[1]

    def settled(self, entry: Entry) -> Job:
        """The job as it was planned, or is planned now; tells of the plan."""
        if entry.plan is not None:
            return job_of(entry)
        job, plan = plan_entry(entry)
        self.tell({"event": "planned", "id": entry.id} | plan_message(plan))
        return job

    def check(self) -> None:
        """Raise DroppedError if nobody waits for what is being done."""
        if self.number in self.dropped:
            raise DroppedError


def plan_message(plan: Plan) -> Message:
    """A plan as an event."""
    return {"network": plan.network, "why": plan.why, "plan": asdict(plan) | {"target": None}}


def restore_entry(bench: Bench, entry: Entry, folder: Path) -> None:
    """Restore a job; its pictures come into ``folder``. Raises what ``restore_job`` raises."""
    job = bench.settled(entry)
    again = entry.kept > 0 and not job.restart
    if entry.plan is not None and not again:
        check_room(entry)
    bench.tell(restored(bench, entry, job, task_of(entry), folder))


def restored(bench: Bench, entry: Entry, job: Job, task: str, folder: Path) -> Message:
    """Restore a job as it is settled, and tell how far it is; the result says what came of it.

    Pictures come into ``folder``, but not of one of many.
    """
    model = with_coarseness(bench.network(job, task), job.source)
    backend = backend_of(model, job.compute.device, precision_of(model, job))
    pace, told, done, numbers = Pace(), 0.0, 0, count(entry.pictures + 1)

    def move(now: int, total: int | None) -> None:
        nonlocal pace, told, done
        if job.stretch is not None:
            now, total = max(0, now - job.stretch.first), job.stretch.end - job.stretch.first
        if not bench.gate.is_set():
            bench.tell({"event": "halted", "id": entry.id, "done": now})
            bench.gate.wait()
            pace = Pace()
        moment, done = time.monotonic(), now
        pace.add(now, moment)
        if moment - told >= TELL_EVERY:
            told = moment
            speed = pace.speed() if len(pace.ends) > 1 else None
            left = pace.left(total, moment) if speed and total is not None else None
            bench.tell({"event": "progress", "id": entry.id, "done": now, "total": total,
                        "fps": speed, "left": left})  # fmt: skip

    def stop() -> bool:
        bench.tell({"event": "kept", "id": entry.id, "kept": done})
        return False

    def show(before: Tensor, after: Tensor) -> None:
        number = next(numbers)
        after = finished(after, before, job.finish, Fraction(0))
        show_still(folder, number, stacked(before, after))
        bench.tell({"event": "picture", "id": entry.id, "pictures": number})

    watched = backend if entry.record else Watched(backend, show)
    summary = restore_job(
        watched, job, stop=stop, progress=move,
        say=lambda line: bench.tell({"event": "said", "id": entry.id, "line": line}),
    )  # fmt: skip
    shares = {"frames_per_second": summary.frames_per_second, "shares": summary.shares}
    return {"event": "restored", "id": entry.id, "summary": asdict(summary) | shares}


def check_room(entry: Entry) -> None:
    """Raise MediaError where the disk has no room for what the plan needs."""
    assert entry.plan is not None
    # A plan of an earlier version says less.
    known = {name: entry.plan[name] for name in Plan.__dataclass_fields__ if name in entry.plan}
    replace(Plan(**known), target=entry.target, disk_free=free_bytes(entry.target)).check()


def show_still(folder: Path, number: int, both: Tensor) -> None:
    """Write a picture and remove the last but one: a browser may still be reading the last."""
    write_still(folder / f"{number}.jpg", both)
    (folder / f"{number - 2}.jpg").unlink(missing_ok=True)


def preview_entry(bench: Bench, entry: Entry, folder: Path, seconds: Fraction) -> None:
    """Make the preview that an entry asks for, from its result where that is there."""
    assert entry.preview is not None
    bench.check()
    making, target = entry.preview, folder / f"{entry.preview.key}.mp4"
    begin = None if making.start is None else Fraction(str(making.start))
    job = job_of(entry) if entry.state == "done" else bench.settled(entry)
    if begin is not None:
        job = replace(job, excerpt=replace(job.excerpt, start=begin, end=None))
    piece = piece_of(job, seconds)
    assert piece.start is not None
    with piece.open(job.source) as reader:
        frames = reader.info.rate * seconds
        expected = min(round(frames), reader.info.frames or round(frames))
        event = {"event": "preview", "id": entry.id, "key": making.key, "total": expected,
                 "start": float(piece.start)}  # fmt: skip
        bench.tell(event | {"done": 0, "pictures": 0})
        pairs = finished_pairs(job, entry, piece.start, reader) if entry.state == "done" else None
        if pairs is None:
            model = with_coarseness(bench.network(job, task_of(entry)), job.source)
            pairs = restored_pairs(backend_of(model, job.compute.device, job.compute.dtype), job,
                                   reader)  # fmt: skip
        write_pairs(bench, entry, target, reader, pairs, event)


Pair = tuple[Frame, Tensor, Tensor]  # a frame without planes, what was given, what was made


def restored_pairs(backend: Backend, job: Job, reader: Reader) -> Iterator[Pair]:
    """Frames of a reader, restored."""

    def pictures() -> Iterator[tuple[tuple[Frame, Tensor, Fraction], Tensor]]:
        for index, frame in enumerate(reader):
            rgb = to_rgb(tuple(p.to(backend.device) for p in frame.planes), frame.color)
            yield (replace(frame, planes=()), rgb, moment_of(frame, index, reader)), rgb

    def restored(frames: Iterator[Tensor]) -> Iterator[Tensor]:
        return restore(
            backend, frames, window=job.compute.window, tile=job.compute.tile,
            cuts=find_cuts if job.scene_cuts else None, say=lambda line: None,
        )  # fmt: skip

    for (frame, before, moment), after in carried(pictures(), restored):
        yield frame, before, finished(after, before, job.finish, moment)


def finished_pairs(job: Job, entry: Entry, begin: Fraction, reader: Reader) -> Iterator[Pair]:
    """Frames of a reader beside those of the finished file at the same time."""
    shift = Fraction(str(entry.order.start or 0))
    with open_reader(job.target, start=max(begin - shift, Fraction(0))) as result:
        for frame, made in zip(reader, result, strict=False):
            before, after = (to_rgb(f.planes, f.color) for f in (frame, made))
            yield replace(frame, planes=()), before, after


def write_pairs(
    bench: Bench, entry: Entry, path: Path, reader: Reader, pairs: Iterator[Pair], event: Message
) -> None:
    """Write pairs as a video for browsers, and now and then as a picture; tell of both."""
    info, first, pictures, shown = reader.info, None, 0, 0.0
    aspect = 1 / info.aspect if info.rotation % 180 else info.aspect
    proxy = Proxy(path, info.rate, aspect.limit_denominator(1000))
    try:
        for number, (frame, before, after) in enumerate(pairs):
            bench.check()
            both = stacked(before, after, reader.display.orientation)
            seconds = number / info.rate if frame.time is None else frame.time
            first = seconds if first is None else first
            proxy.write(both, seconds - first)
            if time.monotonic() - shown >= OFTEN:
                pictures, shown = pictures + 1, time.monotonic()
                write_still(path.with_name(f"{path.stem}-{pictures}.jpg"), both)
                bench.tell(event | {"done": number + 1, "pictures": pictures})
        if not proxy.count:
            raise MediaError(f"{entry.name} has no frame in the time asked for")
        proxy.finish()
    finally:
        proxy.discard()
    bench.tell(event | {"event": "previewed", "done": proxy.count, "pictures": pictures})


def report_entry(bench: Bench, entry: Entry) -> None:
    """Say what was kept, and how far the result is from its source."""
    part = entry.order.start is not None or entry.order.end is not None
    rows: list[dict[str, str]] = []
    if entry.source.is_file() and (entry.facts or {}).get("kind") == "video":
        found = what_was_kept(entry.source, entry.target, entry.said)
        rows = [asdict(row) for row in found if row.what not in ("size", "codec")]
        for row in rows:
            if part and row["fate"] == "converted" and (not row["why"] or row is rows[0]):
                row |= {"fate": "cut", "why": "only a part of the video was restored"}
    bench.tell({"event": "report", "id": entry.id, "report": rows})
    figures: dict[str, Any]
    if part:
        figures = {"missing": "only a part of the video was restored"}
    else:
        try:
            figures = finite_or_none(asdict(measure_fidelity(entry.source, entry.target)))
        except ValueError as error:
            figures = {"missing": str(error)}
    bench.tell({"event": "fidelity", "id": entry.id, "fidelity": figures})
