"""The journal of a restoration: what is done is on the disk, is not lost and not done again.

The work folder beside the target holds ``journal.json``, all that the result depends on, and
``checkpoint``, the memory after the last frame that is surely written. How far that is stands in
``position.json`` once more, for those who read no memories.
"""

import io
import json
from collections.abc import Sequence
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..devices import core_count
from ..files import file_fingerprint, lasting_folder, share_file, write_whole
from ..maps import each, to_device
from ..media import MediaError, Reader
from ..writing import Position, VideoWriter, WorkFolder, Writer
from .runner import Runner
from .settings import Job
from .tiles import Box

Conditions = dict[str, str | int | None]

SEAM = "seam"  # of a stretch: the frame before it
# Conditions that may differ between the machines that restore stretches of one film.
NODE = {"device", "graphics card", "threads", "processors", "instructions", "stretch", "windows of",
        "tiles of", "names"}  # fmt: skip
JOURNAL, CHECKPOINT, POSITION = "journal.json", "checkpoint", "position.json"  # names of files
NAME = "network's name"


class Checkpoint(NamedTuple):
    """The state of a runner after a window."""

    window: int  # frames, after what memory there was has been found out
    boxes: list[Box]
    whole_flow: bool
    memory: Any  # of the model, on the CPU; None where nothing is remembered
    last: tuple[Tensor, ...]  # planes of the last frame, which the next ones may repeat

    @classmethod
    def of(cls, runner: Runner, last: tuple[Tensor, ...]) -> "Checkpoint":
        here = to_device(runner.memory, torch.device("cpu"))
        memory = each(here, Tensor.clone)  # no views of more
        return cls(runner.window, runner.boxes, runner.whole_flow, memory, last)

    def restore(self, runner: Runner) -> None:
        """Put another runner where that one was."""
        runner.window, runner.boxes, runner.whole_flow = self.window, self.boxes, self.whole_flow
        runner.memory = to_device(self.memory, runner.backend.device)


def can_go_on(target: Path) -> bool:
    """True if an earlier restoration into ``target`` has left something to go on from."""
    return (lasting_folder(target) / CHECKPOINT).exists()


def begun_under(target: Path) -> Conditions | None:
    """The conditions that an earlier restoration into ``target`` was begun under.

    None where there is none to go on with, or its journal cannot be read.
    """
    if not can_go_on(target):
        return None
    try:
        found = json.loads((lasting_folder(target) / JOURNAL).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def begun_with(target: Path) -> str | None:
    """The name of the network in those conditions; None where there is none."""
    name = (begun_under(target) or {}).get(NAME)
    return name if isinstance(name, str) else None


def refuse_change(folder: Path, before: Conditions, now: Conditions) -> None:
    """MediaError where a restoration in a work folder was begun under other conditions."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise MediaError(
                f"{folder.name} holds a restoration that was begun with {name} {before.get(name)}, "
                f"and now it is {now.get(name)}: go on with what it was, or start over with "
                "--restart"
            )


class Journal:
    """The journal in a writer's work folder; a try begun under other conditions is refused.

    ``position`` of the writer and ``checkpoint`` are where the last try got to; None where there
    was none. ``memory_types`` are the classes that a memory may hold. Raises MediaError.
    """

    def __init__(
        self, work: WorkFolder, conditions: Conditions, memory_types: Sequence[type]
    ) -> None:
        self.work, folder = work, work.folder
        self.memory_types = memory_types
        self.file, self.state = folder / JOURNAL, folder / CHECKPOINT
        self.position = Position(0, 0, None, 0)
        self.checkpoint: Checkpoint | None = None
        work.keep_work = self.state.exists()
        if not work.keep_work:
            with work.errors():
                work.clear()  # images of a try that was cut off early, with other settings
                write_whole(self.file, json.dumps(conditions, indent=1).encode())
            return
        try:
            before = json.loads(self.file.read_text(encoding="utf-8"))
            self.load()
        except Exception as error:  # whatever a damaged file makes of the unpickler
            raise MediaError(
                f"the unfinished restoration in {folder} cannot be read; start over with --restart"
            ) from error
        refuse_change(folder, before, conditions)

    def load(self) -> None:
        """Read where the last try got to."""
        with torch.serialization.safe_globals([*self.memory_types]):
            stored = torch.load(self.state, map_location="cpu", weights_only=True)
        position, window, boxes, whole_flow, memory, last = stored
        self.position, boxes = Position(*position), [Box(*box) for box in boxes]
        self.checkpoint = Checkpoint(window, boxes, whole_flow, memory, last)

    def save_seam(self, planes: tuple[Tensor, ...], bits: int) -> None:
        """Keep the last frame before a stretch, as it is restored with what was remembered."""
        buffer = io.BytesIO()
        torch.save([bits, list(planes)], buffer)
        with self.work.errors():
            write_whole(self.work.folder / SEAM, buffer.getvalue())

    def adopt(self, parts: Sequence[Path], writer: Writer, conditions: Conditions) -> None:
        """Take over all that the work folders of finished stretches hold, as if made here, once.

        Raises MediaError for one that other versions, weights or settings made.
        """
        if not parts or self.checkpoint or not isinstance(writer, VideoWriter):
            return
        segments, position, last = 0, self.position, ()
        for target in parts:
            folder = lasting_folder(target)
            before = json.loads((folder / JOURNAL).read_text("utf-8"))
            same = [name for name in conditions if name not in NODE]
            refuse_change(folder, {n: before.get(n) for n in same},
                          {n: conditions[n] for n in same})  # fmt: skip
            stored = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
            position, last = Position(*stored[0]), stored[5]
            with self.work.errors():
                for number in range(position.segments):
                    share_file(folder / writer.packet_path(number).name,
                               writer.packet_path(segments + number))  # fmt: skip
            segments += position.segments
        self.save(Checkpoint(1, [], True, None, last), position._replace(segments=segments))

    def save(self, checkpoint: Checkpoint, position: Position) -> None:
        """Make sure that nothing before this is ever done again."""
        buffer = io.BytesIO()
        window, boxes, *rest = checkpoint
        torch.save([tuple(position), window, [tuple(box) for box in boxes], *rest], buffer)
        with self.work.errors():
            write_whole(self.state, buffer.getvalue())
            write_whole(self.state.with_name(POSITION), json.dumps(position).encode())
        self.work.keep_work = True
        self.position, self.checkpoint = position, checkpoint


def conditions_of(
    job: Job, reader: Reader, runner: Runner, size: tuple[int, int], segment: int
) -> Conditions:
    """All that the bytes of the result depend on."""
    backend = runner.backend
    card = torch.cuda.get_device_name(backend.device) if backend.device.type == "cuda" else None
    return {
        "input": file_fingerprint(reader.path),
        "network": backend.identity,
        NAME: job.network,
        "size": f"{size[0]}x{size[1]}",
        "windows of": runner.window,
        "tiles of": runner.tile,
        "device": str(backend.device),
        "graphics card": card,
        "precision": backend.precision,
        "threads": torch.get_num_threads(),
        "processors": core_count(),  # encoders have as many threads
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "version of torch": torch.__version__,
        **settings_of(job),
        "scene cuts": job.scene_cuts,
        "segments of": segment,
        "stretch": None if job.stretch is None else f"{job.stretch}",
    }


def settings_of(job: Job) -> Conditions:
    """All that encoded packets depend on and that a job and the programs' versions say."""
    excerpt, encoding = job.excerpt, job.encoding
    return {
        "version of s2svr": version("s2svr"),
        "version of PyAV": version("av"),
        "names": job.target.name if job.target != job.place else None,  # of images
        "codec": encoding.codec,
        "crf": encoding.crf,
        "bits": encoding.bits,
        "bit rate": encoding.bitrate,
        "encoder's preset": encoding.preset,
        "sound": encoding.sound.form,
        "tracks of sound": ", ".join(encoding.sound.tracks) or None,
        "rate": fraction_text(excerpt.fps),
        "start": fraction_text(excerpt.start),
        "end": fraction_text(excerpt.end),
        "deinterlacing": excerpt.deinterlace,
        "strength": str(job.finish.strength),
        "grain": job.finish.grain,
    }


def fraction_text(value: Fraction | None) -> str | None:
    """A setting as JSON has it."""
    return None if value is None else str(value)
