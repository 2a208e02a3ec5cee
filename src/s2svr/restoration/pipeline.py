"""One video on its way from decoding through restoring to encoding.

Decoding and encoding run in threads of their own; the pixels' type changes in two lines, both calls
of ``color`` on the model's device.
"""

import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ..color import bounded, from_rgb, to_open_rgb
from ..finish import Finish, finished, moment_of
from ..gpu import Copies, Landing
from ..media import Frame, MediaError, Reader, carried
from ..ops import resize_to
from ..writing import Position, Writer
from .journal import Checkpoint, Journal
from .runner import Runner
from .settings import Job, Stretch
from .threads import read_ahead, write_behind
from .windows import Cuts, group_windows

T = TypeVar("T")
Progress = Callable[[int, int | None], None]  # frames done, about how many there are if known

QUEUE = 4  # frames that wait between two stages
FROZEN = 64  # equal frames after which one is restored all the same: what waits is bounded
SEGMENT = 100e6  # pixels of a segment of the output: what a sudden end can cost, and
FRAMES = 32, 240  # its least and most frames: each begins with a costly key frame


class Stopped(KeyboardInterrupt):
    """A restoration has stopped where it can go on later; the message says so."""


def segment_frames(size: tuple[int, int]) -> int:
    """Frames of ``size`` after which what is done is made durable."""
    return round(min(max(SEGMENT / (size[0] * size[1]), FRAMES[0]), FRAMES[1]))


@dataclass(frozen=True)
class Summary:
    """The report of a restoration; sizes are (width, height) in pixels, as coded."""

    source: Path
    target: Path
    frames: int
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    seconds: float
    peak_memory: int  # bytes: of the GPU where one was used, else of the process so far
    busy: dict[str, float]  # seconds of decode, restore, encode, without a codec's own threads
    resumed: int = 0  # of the frames: they were restored before and kept
    repeats: int = 0  # frames equal to the one before, which was restored for both
    shots: int = 1
    corrupt: int = 0  # frames that the decoder called damaged; they were restored all the same
    damage: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    network: str = ""  # its name, and why it was taken
    why: str = ""

    @property
    def frames_per_second(self) -> float:
        return (self.frames - self.resumed) / self.seconds

    @property
    def shares(self) -> dict[str, float]:
        """Of the busy time, if there was any; the stages work side by side."""
        whole = sum(self.busy.values()) or 1.0
        return {name: seconds / whole for name, seconds in self.busy.items()}


class Decoded(NamedTuple):
    """A frame that is to be restored, and those after it that show the same, without planes."""

    number: int  # in the source
    frame: Frame
    repeats: deque[Frame]  # grows while they are decoded
    source: Tensor | None = None  # the frame as RGB, and its time, where it is needed to finish
    moment: Fraction = Fraction(0)


class Pipeline:
    """Moves one video's frames from its reader to its writer, and counts what happens.

    Frames that an earlier try has written are decoded again, so that what is known of them (cuts,
    damage) is known again, and go no further: decoding is quick beside restoring, and no container
    can be entered in its middle with all that an unbroken decoder knows there.
    """

    def __init__(
        self,
        reader: Reader,
        runner: Runner,
        writer: Writer,
        journal: Journal | None,
        size: tuple[int, int],
        finish: Finish,
        progress: Progress,
        stretch: Stretch | None = None,
    ) -> None:
        self.first = 0 if stretch is None else stretch.first  # frame that is written
        self.end = None if stretch is None else stretch.end
        self.reader, self.runner, self.writer, self.journal = reader, runner, writer, journal
        self.size, self.finish, self.progress = size, finish, progress
        self.spent: dict[str, float] = defaultdict(float)  # seconds
        self.copies = Copies(runner.backend.device)
        self.frames = read_ahead(self.sent(timed(reader, self.spent, "decode")), QUEUE)
        self.last: tuple[Tensor, ...] = ()  # planes of the last frame that was restored
        self.landing = Landing()  # tells when they can be read
        self.window = runner.window  # of frames, before any was too much for the memory
        self.repeats = 0
        self.resumed = self.first
        self.begin = self.first - (stretch.warm if stretch else 0)  # frames before go no further
        self.corrupt = 0
        self.shots = 0
        if runner.backend.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(runner.backend.device)
        if journal and journal.checkpoint:
            writer.go_on(journal.position)
            journal.checkpoint.restore(runner)
            self.begin = self.resumed = journal.position.frames
            self.last = journal.checkpoint.last
        elif stretch is not None:
            writer.go_on(Position(stretch.first, 0, stretch.last, stretch.moved))
        self.done = self.begin
        # Of the last frame to be restored that is decoded, and of the last that is restored.
        self.decoded_repeats = self.restored_repeats = deque[Frame]()

    def sent(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Landing]]:
        """The frames, each with its planes on their way to the model's device."""
        for frame in frames:
            yield frame, self.copies.up(frame.planes)

    def distinct(self) -> Iterator[tuple[Decoded | None, Tensor]]:
        """The frames as the model takes them, each with what is written of it; None: nothing more.

        A frame that repeats the one before is left out, and noted with that one. Restored frames
        come in bursts, a window at a time; frames are asked for when a burst is over. So here is
        where speeds are told.
        """
        before: Frame | None = None
        equal = 0
        for index, (frame, coming) in enumerate(timed(self.frames, self.spent, "wait")):
            self.progress(self.done, self.reader.info.frames)
            for line in self.reader.warnings:
                self.runner.say(line)  # who tells them but once
            self.corrupt += frame.corrupt
            equal = equal + 1 if frame.shows(before) and equal < FROZEN else 0
            self.repeats += equal > 0
            decoded, bare = None, replace(frame, planes=())
            if equal > 0:
                if index >= self.begin:
                    self.decoded_repeats.append(bare)
                continue
            if index >= self.begin:
                self.decoded_repeats = deque()
                decoded = Decoded(index, bare, self.decoded_repeats)
            before = frame
            rgb = to_open_rgb(self.copies.taken(coming), frame.color)
            if decoded and self.finish.changes:
                decoded = decoded._replace(source=rgb, moment=moment_of(frame, index, self.reader))
            yield decoded, rgb

    def shots_of(self, cuts: Cuts) -> Iterator[tuple[Decoded, tuple[Tensor, bool]]]:
        """The frames that are to be restored, each with whether it begins a shot.

        After the last of a stretch come those of its shot that the network wants to see.
        """
        beyond = 0
        for decoded, (frame, begins) in carried(self.distinct(), cuts):
            if decoded is not None and self.end is not None and decoded.number >= self.end:
                beyond += 1
                if begins or beyond > self.runner.backend.lookahead:
                    return
            self.shots += begins
            if decoded is not None:
                yield decoded, (frame, begins)

    def coded(self, rgb: Tensor) -> Landing:
        """A restored frame (3, sH, sW) as planes for the writer, on their way to it."""
        width, height = self.size
        if rgb.shape[-2:] != (height, width):
            rgb = bounded(resize_to(rgb, (height, width)), rgb)
        return self.copies.down(from_rgb(rgb, self.writer.color, self.writer.chroma))

    def shown_again(self) -> Iterator[Frame]:
        """The frames that repeat the last restored one, as far as they are decoded."""
        while self.restored_repeats:
            yield self.as_written(self.restored_repeats.popleft())

    def as_written(self, frame: Frame) -> Frame:
        """A frame of the source with the planes that were restored last."""
        return replace(frame, planes=self.last, color=self.writer.color)

    def items(self, cuts: Cuts, segment: int) -> Iterator[Frame | Checkpoint]:
        """Frames to write, and after windows that complete ``segment`` frames a checkpoint."""
        kept, lookahead = max(self.done, self.first), self.runner.backend.lookahead

        def restore(shots: Iterable[tuple[Tensor, bool]]) -> Iterator[Tensor]:
            return self.runner.run_all(group_windows(shots, self.window, lookahead))

        for decoded, rgb in carried(self.shots_of(cuts), restore):
            yield from self.shown_again()
            if decoded.source is not None:
                rgb = finished(rgb, decoded.source, self.finish, decoded.moment)
            self.landing = self.coded(rgb)
            self.last, self.restored_repeats = self.landing.tensors, decoded.repeats
            yield self.as_written(decoded.frame)
            if self.runner.between_windows and self.done - kept >= segment:
                kept = self.done
                yield Checkpoint.of(self.runner, self.last)
        yield from self.shown_again()

    def write(self, due: tuple[Frame | Checkpoint, Landing]) -> None:
        """Hand a frame to the writer, or make durable what it has; in a thread of its own."""
        item, landing = due
        landing.wait()
        began = time.perf_counter()
        if isinstance(item, Frame):
            self.writer.write(item)
        else:
            position = self.writer.end_segment()
            if self.journal:
                self.journal.save(item, position)
        self.spent["encode"] += time.perf_counter() - began

    def run(self, cuts: Cuts, segment: int, stop: Callable[[], bool]) -> None:
        """Decode, restore and encode all frames that an earlier try has not written.

        Raises Stopped after a segment if ``stop`` says so.
        """
        stopped = False
        items = self.items(cuts, segment)
        with closing(self.frames), write_behind(self.write, QUEUE) as put:
            for item in timed(items, self.spent, "restore"):
                if isinstance(item, Frame):
                    if self.done >= self.first:
                        put((item, self.landing))
                    self.done += 1
                    if self.done == self.first and self.journal:
                        self.landing.wait()
                        self.journal.save_seam(self.last, self.writer.color.bits)
                    if self.done == self.end:
                        put((Checkpoint(self.window, [], True, None, self.last), self.landing))
                        break
                    continue
                put((item, self.landing))
                if stopped := stop():
                    break
        self.progress(self.done, None if stopped else self.done)
        if stopped:
            raise Stopped(f"stopped after {self.done} frames: the same command goes on from there")
        if self.end is not None and self.done < self.end:
            raise MediaError(
                f"expected {self.end} frames in {self.reader.path}, got {self.done}: plan it anew"
            )
        if not self.done:
            raise MediaError(f"{self.reader.path} has no frame that can be decoded")

    def summary(self, job: Job, began: float, warnings: list[str]) -> Summary:
        """A report of the job, which began at a time of ``time.perf_counter``."""
        busy = {
            "decode": self.spent["decode"],
            "restore": self.spent["restore"] - self.spent["wait"],
            "encode": self.spent["encode"],
        }
        return Summary(
            source=job.source,
            target=job.target,
            frames=self.done - self.first,
            size_in=(self.reader.info.width, self.reader.info.height),
            size_out=self.size,
            seconds=time.perf_counter() - began,
            peak_memory=peak_memory(self.runner.backend.device),
            busy=busy,
            resumed=self.resumed - self.first,
            repeats=self.repeats,
            shots=max(self.shots, 1),
            corrupt=self.corrupt,
            damage=list(self.reader.damage),
            warnings=warnings,
            network=job.network,
            why=job.why,
        )


def timed(items: Iterable[T], spent: dict[str, float], name: str) -> Iterator[T]:
    """The items; the seconds that each took to come are added to ``spent[name]``."""
    iterator = iter(items)
    while True:
        began = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            spent[name] += time.perf_counter() - began
        yield item


def peak_memory(device: torch.device) -> int:
    """Bytes: the GPU's largest allocation, or the process's largest resident set; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage counts what the parent had before it became this one
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
