"""The work for one of many files: what is there of it already, and its record."""

import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from ..checkpoint import load
from ..devices import choose_device
from ..files import file_fingerprint
from ..restoration import (
    Choice,
    Job,
    Stretch,
    begun_under,
    choose_network,
    make_plan,
    output_size,
    precision_of,
)
from ..stretches import divide, seams_of
from ..tasks import TASKS
from .looking import job_of, plan_entry, task_of
from .order import Entry
from .records import Record, bytes_in, content_of, read_record, settings_asked
from .working import Bench, restored


def survey_entry(bench: Bench, entry: Entry) -> dict[str, Any]:
    """Facts about a source, and what is to be done: ``state`` is one of these.

    done: the output is there, and is what would be made; otherwise: it is there, and something else
    made it (``why``); unfinished: it was begun; new. Raises MediaError and ValueError for what
    cannot be restored so.
    """
    job, task = job_of(anywhere(entry)), task_of(entry)
    with job.excerpt.open(job.source) as reader:
        info = reader.info
        size = output_size(bench.network(replace(job, network=usual(entry, task)), task), info,
                           job.encoding)  # fmt: skip
        facts: dict[str, Any] = {
            "task": task, "kind": info.kind, "frames": info.frames, "size_out": size,
            "size_in": (info.width, info.height),
            "seconds": None if info.duration is None else float(info.duration),
        }  # fmt: skip
    place = job.place
    begun, there = begun_under(place), place.exists()
    found, why = made_so(bench, entry, job) if there else (None, "")
    if found is not None:
        return facts | {"state": "done", "summary": found.summary}
    if begun is not None and not entry.order.restart and (entry.order.overwrite or not there):
        return facts | {"state": "unfinished", "begun": begun}
    if there and not entry.order.overwrite:
        return facts | {"state": "otherwise", "why": why}
    return facts | {"state": "new"}


def anywhere(entry: Entry) -> Entry:
    """The same where nothing is computed: a device that is asked for may be on other machines."""
    order = entry.order.model_copy(update={"device": "cpu", "precision": "auto"})
    return entry.but({"order": order})


def usual(entry: Entry, task: str) -> str:
    """The weights that are asked for, or else the task's own."""
    return entry.weights or TASKS[task].weights


def made_so(bench: Bench, entry: Entry, job: Job) -> tuple[Record | None, str]:
    """The record of an output that needs not be made again, or None and why it needs to."""
    record, task = read_record(entry.record) if entry.record else None, task_of(entry)
    if record is None or not record.is_of(job.place):
        return None, "no batch has made it"
    why = record.difference(file_fingerprint(job.source), settings_asked(entry.order))
    if why:
        return None, why
    fast, best = TASKS[task].weights, TASKS[task].best or TASKS[task].weights
    names = {"auto": {fast, best}, "fast": {fast}, "best": {best}}[entry.order.quality]
    network = entry.weights or record.network
    if not entry.weights and network not in names:
        return None, f"it was made by {network}, and now {' or '.join(names)} is asked for"
    if record.identity != bench.identity(replace(job, network=network), task):
        return None, f"it was made by other weights than {network} holds now"
    return record, ""


def estimate_entry(entry: Entry) -> dict[str, Any]:
    """The network for an entry and why, and a plan of which a few frames are measured here."""
    _, plan = plan_entry(entry)
    return asdict(plan) | {"target": None}


def choose_for(entry: Entry) -> dict[str, Any]:
    """The same without time and disk: nothing is measured, and the device need not be here."""
    name, job = entry.order.device, job_of(anywhere(entry))
    device = choose_device(name) if name == "auto" else torch.device(name)
    choice = Choice(entry.weights or "", "--weights")
    if not entry.weights:
        job = replace(job, compute=replace(job.compute, device=device))
        task, quality = TASKS[task_of(entry)], entry.order.quality
        choice = choose_network(task, quality, job, load, planned=False)
    return {"network": choice.network, "why": choice.why, "seconds": None, "disk": None,
            "device": str(device)}  # fmt: skip


class UnfitError(Exception):
    """This worker has other versions or weights than the one that asks."""


class UnreadError(Exception):
    """Something could not be read, and may be another time."""


def fingerprint_of(bench: Bench, entry: Entry) -> str:
    """Versions of all that makes a result, and the network, as they are here."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("s2svr", "torch", "av"))
    identity = bench.identity(job_of(anywhere(entry)), task_of(entry))
    return f"{versions}, {Path(entry.network).stem} {identity}"


def check_fit(bench: Bench, entry: Entry) -> None:
    """Raise UnfitError where this worker is not like the one that planned, or lacks something.

    UnreadError where that could not be told: a disk of others may fail once.
    """
    if not entry.fingerprint:
        return
    try:
        here = fingerprint_of(bench, entry)
        job_of(entry)  # its device is there
    except (ValueError, FileNotFoundError) as error:
        raise UnfitError(f"the machine {platform.node()} cannot do it: {error}") from error
    except OSError as error:
        raise UnreadError(f"the machine {platform.node()} could not read it: {error}") from error
    if here != entry.fingerprint:
        raise UnfitError(
            f"the machine {platform.node()} has {here}, and the batch was begun with "
            f"{entry.fingerprint}: install the same there"
        )


def fitted(bench: Bench, entry: Entry) -> Job:
    """The job with its precision, and a window and a tile that fit, found once for each size."""
    job, task = job_of(entry), task_of(entry)
    model = bench.network(job, task)
    job = replace(job, compute=replace(job.compute, dtype=precision_of(model, job)))
    with job.excerpt.open(job.source) as reader:
        size = reader.info.width, reader.info.height
    key = (job.network, task, size, job.compute, job.encoding)
    if key not in bench.fits:
        plan = make_plan(model, job, None)
        plan.check()
        bench.fits[key] = plan.window, plan.tile
    window, tile = bench.fits[key]
    return replace(job, compute=replace(job.compute, window=window, tile=tile))


def divided(bench: Bench, entry: Entry) -> list[dict[str, Any]]:
    """The stretches of a film, of about ``entry.stretch["seconds"]`` each."""
    assert entry.stretch is not None
    seconds, job = entry.stretch["seconds"], job_of(anywhere(entry.but({"stretch": None})))
    return [asdict(part) for part in divide(bench.network(job, task_of(entry)), job, seconds)]


def seams_in(entry: Entry) -> list[dict[str, Any]]:
    """The seams of a film that was joined."""
    stretches = [Stretch(**part["stretch"]) for part in entry.parts]
    found = seams_of(stretches, [Path(part["target"]) for part in entry.parts])
    return [seam._asdict() for seam in found]


def restore_recorded(bench: Bench, entry: Entry, folder: Path) -> None:
    """Restore one of many unless it is done, and keep its record; tells as ``restore_entry`` does.

    Two that are given the same job do it one after the other: the second finds it done.
    """
    assert entry.record is not None
    check_fit(bench, entry)
    entry.record.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(entry.record.with_suffix(".lock")):
        if entry.stretch is not None:  # its work folder says how far it is
            fit, task = fitted(bench, entry), task_of(entry)
            bench.tell(restored(bench, entry, fit, task, folder))
            return
        job = job_of(entry)
        found, _ = made_so(bench, entry, job) if job.place.exists() else (None, "")
        if found is not None and found.summary is not None:
            bench.tell({"event": "restored", "id": entry.id, "summary": found.summary})
            return
        job, task = fitted(bench, entry), task_of(entry)
        record = Record(
            source=file_fingerprint(job.source), settings=settings_asked(entry.order),
            network=job.network, identity=bench.identity(job, task), before=content_of(job.place),
        )  # fmt: skip
        record.save(entry.record)
        message = restored(bench, entry, job, task, folder)
        message["summary"]["seams"] = seams_in(entry)
        record.made, record.summary = bytes_in(job.place), message["summary"]
        record.save(entry.record)
    bench.tell(message)
