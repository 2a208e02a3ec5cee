"""A look at a source: what it is, what will be kept of it, and what is proposed."""

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..checkpoint import load, read_card
from ..devices import choose_device, precision_named, wanted_precision
from ..finish import Finish
from ..media import MediaInfo, Reader, open_container, video_stream
from ..restoration import (
    Choice,
    Compute,
    Encoding,
    Excerpt,
    Job,
    Plan,
    Stretch,
    choose_network,
    output_size,
    settle,
    usual_task,
)
from ..tasks import TASKS
from ..writing import SoundChoice, open_writer
from .order import Entry

# Of the container itself, written anew.
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
TRANSFERS = {16: "HDR (PQ)", 18: "HDR (HLG)"}


def job_of(entry: Entry) -> Job:
    """The restoration that an entry asks for, with what is settled of it. Raises ValueError."""
    order, plan = entry.order, entry.plan or {}
    sound = SoundChoice(order.audio, order.audio_tracks)
    place = choose_device(order.device)
    window, tile = plan.get("window", order.window), plan.get("tile", order.tile)
    precision = wanted_precision(order.precision, place)
    if precision is None:  # ``auto`` has a choice, which the plan has made
        precision = precision_named(plan.get("precision", ""))
    return Job(
        entry.source,
        entry.target,
        Excerpt(exact(order.start), exact(order.end), exact(order.fps), order.deinterlace),
        Encoding(
            codec=order.codec,
            crf=order.crf,
            bits=order.bits,
            scale=exact(order.scale),
            size=order.size,
            bitrate=order.bitrate,
            preset=order.preset,
            sound=sound,
            height=order.height,
            width=order.width,
            fit=order.fit,
        ),
        Compute(place, precision, order.threads, window, tile),
        order.scene_cuts,
        order.overwrite,
        order.restart,
        entry.network,
        entry.why,
        Finish(order.strength, order.grain),
        None if entry.stretch is None else Stretch(**entry.stretch),
        tuple(Path(part["target"]) for part in entry.parts),
    )


def exact(value: float | None) -> Fraction | None:
    """A number as it was typed: 0.1 is a tenth, and 24000/1001 itself."""
    return None if value is None else Fraction(str(value)).limit_denominator(10**6)


def task_of(entry: Entry) -> str:
    """The task that is asked for, or that the weights are for, or else fits the source."""
    if entry.weights and not entry.order.task:
        return read_card(entry.weights).task
    return entry.order.task or usual_task(entry.source)


def plan_entry(entry: Entry) -> tuple[Job, Plan]:
    """The job with its network, window and tile, and the plan, as the command line makes them.

    Raises what a restoration would.
    """
    task, job = task_of(entry), job_of(entry)
    if entry.weights:
        choice = Choice(entry.weights, "--weights")
    else:
        choice = choose_network(
            TASKS[task], entry.order.quality, job, load, brief=False, share=0.0
        )  # fmt: skip
    job = replace(job, network=choice.network, why=choice.why)
    settled, plan = settle(
        load(choice.network, task=task), job, choice.plan, brief=False, share=0.0
    )
    assert plan is not None
    return settled, plan


def look(entry: Entry) -> dict[str, Any]:
    """Facts about the source, the task, and what becomes of tracks and tags; nothing is measured.

    Raises MediaError for what is no video, and ValueError or MediaError for impossible settings.
    """
    job = job_of(entry)
    with job.excerpt.open(job.source) as reader:
        task = task_of(entry)
        network = load(TASKS[task].weights, task=task)
        size = output_size(network, reader.info, job.encoding)
        with tempfile.TemporaryDirectory() as folder:
            place, output = Path(folder) / job.target.name, job.encoding.output(size)
            writer = open_writer(place, reader=reader, output=output)
            changes = [*reader.warnings, *writer.warnings]
            writer.discard()  # it was opened only to see what it would leave out
        return {
            **facts_of(reader),
            "size_out": shown(size, reader.info),
            "task": task,
            "task_why": why_task(entry, reader.info),
            "changes": changes,
            "kept": kept_of(reader, changes),
            "scale": network.scale,
        }


def shown(size: tuple[int, int], info: MediaInfo) -> tuple[int, int]:
    """Width and height as a player turns them."""
    return size[::-1] if info.rotation % 180 else size


def why_task(entry: Entry, info: MediaInfo) -> str:
    """The reason for the task, in words."""
    if entry.order.task:
        return "you chose it"
    if info.lossy:
        return f"{info.codec or 'the codec'} loses detail, which this task repairs"
    return f"{info.codec or 'the format'} is without loss"


def facts_of(reader: Reader) -> dict[str, Any]:
    """What the headers say."""
    info = reader.info
    seconds = None if info.duration is None else float(info.duration)
    return {
        "width": shown((info.width, info.height), info)[0],
        "height": shown((info.width, info.height), info)[1],
        "rate": float(info.rate),
        "seconds": seconds,
        "frames": info.frames,
        "kind": info.kind,
        "codec": info.codec,
        "container": info.container,
        "bits": info.color.bits,
        "interlaced": info.interlaced,
        "hdr": TRANSFERS.get(info.color.transfer, ""),
        "bytes": reader.path.stat().st_size if reader.path.is_file() else None,
    }


def kept_of(reader: Reader, changes: list[str]) -> list[str]:
    """What goes into the output with the pictures, but for what ``changes`` speak of."""
    info, lines = reader.info, []
    if info.kind == "images":
        return ["order and rate of the images"]
    lines.append("every frame at its own time")
    if info.container and reader.path.suffix.lower() != ".yuv":
        with open_container(reader.path) as container:
            video = video_stream(container, reader.path)
            others = [stream.index for stream in container.streams if stream.index != video.index]
            for index, track in zip(others, info.tracks, strict=True):
                inner = track.kind == "data" and track.codec in ("", "bin_data")  # of chapters
                if not inner and not any(f"track {index} (" in line for line in changes):
                    lines.append(str(track))
            if count := len(container.chapters()):
                lines.append(f"{count} chapter{'s' if count > 1 else ''}")
            tags = [key for key in container.metadata if key.lower() not in OWN_TAGS]
            lines += [f"tag {key}" for key in sorted(tags)]
    if info.rotation:
        lines.append(f"rotation by {info.rotation} degrees")
    if info.aspect != 1:
        lines.append(f"pixel aspect {info.aspect}")
    if reader.display.mastering or reader.display.light:
        lines.append("HDR10 metadata")
    return lines
