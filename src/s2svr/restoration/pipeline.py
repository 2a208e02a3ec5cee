"""One video on its way from decoding through restoring to encoding.

Decoding and encoding run in threads of their own; the pixels' type changes in two lines, both calls
of ``color`` on the model's device.
"""

import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..color import bounded, from_rgb, to_open_rgb
from ..media import Frame, MediaError, Reader
from ..ops import resize_to
from ..writing import Writer
from .journal import Checkpoint, Conditions, Journal
from .runner import Runner
from .threads import read_ahead, write_behind
from .windows import Cuts, Say, group_windows

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
    """What a restoration did; sizes are (width, height) in pixels, as coded."""

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

    @property
    def frames_per_second(self) -> float:
        return (self.frames - self.resumed) / self.seconds

    @property
    def shares(self) -> dict[str, float]:
        """Of the busy time; the stages work side by side."""
        return {name: seconds / sum(self.busy.values()) for name, seconds in self.busy.items()}


class Pipeline:
    """Moves one video's frames from its reader to its writer, and counts what happens.

    Frames that an earlier try has written are decoded again, so that what is known of them (cuts,
    damage) is known again, and go no further: decoding is quick beside restoring, and no container
    can be entered in its middle with all that an unbroken decoder knows there.
    """

    def __init__(
        self,
        reader: Reader,
        size: tuple[int, int],
        progress: Progress,
        say: Say,
    ) -> None:
        self.began = time.perf_counter()
        self.reader, self.size, self.progress, self.say = reader, size, progress, say
        self.device = torch.device("cpu")
        self.journal: Journal | None = None
        self.spent: dict[str, float] = defaultdict(float)  # seconds
        self.frames = read_ahead(timed(reader, self.spent, "decode"), QUEUE)
        # Decoded and not yet written, without planes; and whether each repeats the one before.
        self.waiting: deque[tuple[Frame, bool]] = deque()
        self.last: tuple[Tensor, ...] = ()  # planes of the last frame that was restored
        self.repeats = 0
        self.resumed = self.done = self.corrupt = 0
        self.shots = 0
        self.said: list[str] = []

    def tell(self, line: str) -> None:
        """Keep a warning for the summary, and pass it on now."""
        self.said.append(line)
        self.say(line)

    def distinct(self) -> Iterator[tuple[Tensor, bool]]:
        """The decoded frames, as the model takes them, and whether they are yet to be restored.

        What repeats the frame before is left out: ``coded`` gives it what that one has become.
        Restored frames come in bursts, a window at a time; frames are asked for when a burst is
        over. So here is where speeds are told.
        """
        before: tuple[Tensor, ...] = ()
        equal = 0
        for index, frame in enumerate(timed(self.frames, self.spent, "wait")):
            self.progress(self.done, self.reader.info.frames)
            self.corrupt += frame.corrupt
            same = len(before) > 0 and all(map(torch.equal, frame.planes, before))
            equal = equal + 1 if same and equal < FROZEN else 0
            self.repeats += equal > 0
            if index >= self.resumed:
                self.waiting.append((replace(frame, planes=()), equal > 0))
            if equal == 0:
                before = frame.planes
                planes = tuple(plane.to(self.device) for plane in before)
                yield to_open_rgb(planes, frame.color), index >= self.resumed

    def shown(self, cuts: Cuts) -> Iterator[tuple[Tensor, bool]]:
        """The frames that are to be restored, each with whether it begins a shot."""
        pending: deque[bool] = deque()

        def seen() -> Iterator[Tensor]:
            for frame, wanted in self.distinct():
                pending.append(wanted)
                yield frame

        for frame, begins in cuts(seen()):
            self.shots += begins
            if pending.popleft():
                yield frame, begins

    def coded(self, restored: Iterable[Tensor], writer: Writer) -> Iterator[Frame]:
        """Restored frames as the writer takes them, at the times of the decoded ones."""
        width, height = self.size
        for rgb in restored:
            yield from self.repeated(writer)
            if rgb.shape[-2:] != (height, width):
                rgb = bounded(resize_to(rgb, (height, width)), rgb)
            planes = from_rgb(rgb, writer.color, writer.chroma)
            self.last = tuple(plane.to("cpu") for plane in planes)
            frame, _ = self.waiting.popleft()
            yield replace(frame, planes=self.last, color=writer.color)

    def repeated(self, writer: Writer) -> Iterator[Frame]:
        """The frames that repeat the last one, as far as they are decoded."""
        while self.waiting and self.waiting[0][1]:
            frame, _ = self.waiting.popleft()
            yield replace(frame, planes=self.last, color=writer.color)

    def items(
        self, runner: Runner, size: int, cuts: Cuts, writer: Writer, segment: int
    ) -> Iterator[Frame | Checkpoint]:
        """What is to be written, and after windows that complete ``segment`` frames, a checkpoint.

        ``size`` is that of windows before any was too much for the memory.
        """
        kept = self.done
        for window in group_windows(self.shown(cuts), size, runner.lookahead):
            yield from self.coded(runner.run(window), writer)
            del window  # frees its frames before the next is collected
            if self.done - kept >= segment:
                kept = self.done
                yield Checkpoint.of(runner, self.last)
        yield from self.repeated(writer)

    def run(
        self,
        runner: Runner,
        cuts: Cuts,
        writer: Writer,
        facts: Conditions,
        segment: int,
        stop: Callable[[], bool],
    ) -> None:
        """Decode, restore and encode all frames that an earlier try has not written.

        ``facts`` are those of the journal. Raises Stopped after a segment if ``stop`` says so.
        """
        self.journal = journal = Journal(writer.work, facts)
        self.device, size, stopped = runner.device, runner.window, False
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        if journal.checkpoint:
            writer.go_on(journal.position)
            journal.checkpoint.restore(runner)
            self.resumed = self.done = journal.position.frames
            self.last = journal.checkpoint.last

        def write(item: Frame | Checkpoint) -> None:
            began = time.perf_counter()
            if isinstance(item, Frame):
                writer.write(item)
            else:
                journal.save(item, writer.end_segment())
            self.spent["encode"] += time.perf_counter() - began

        items = self.items(runner, size, cuts, writer, segment)
        with closing(self.frames), write_behind(write, QUEUE) as put:
            for item in timed(items, self.spent, "restore"):
                put(item)
                if isinstance(item, Frame):
                    self.done += 1
                elif stopped := stop():
                    break
        self.progress(self.done, None if stopped else self.done)
        if stopped:
            raise Stopped(f"stopped after {self.done} frames: the same command goes on from there")
        if not self.done:
            raise MediaError(f"{self.reader.path} has no frame that can be decoded")

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Add to what ends the block early that, and after how many frames, it can be resumed."""
        try:
            yield
        except Stopped:
            raise
        except BaseException as error:
            if self.journal and self.journal.checkpoint:
                kept = self.journal.position.frames
                error.add_note(f"{kept} frames are kept: the same command goes on from there")
            raise

    def summary(self, source: Path, target: Path, warnings: list[str]) -> Summary:
        """What was done; ``warnings`` of the writer join the others."""
        for line in [*self.reader.warnings, *warnings]:
            self.tell(line)
        busy = {
            "decode": self.spent["decode"],
            "restore": self.spent["restore"] - self.spent["wait"],
            "encode": self.spent["encode"],
        }
        return Summary(
            source=source,
            target=target,
            frames=self.done,
            size_in=(self.reader.info.width, self.reader.info.height),
            size_out=self.size,
            seconds=time.perf_counter() - self.began,
            peak_memory=peak_memory(self.device),
            busy=busy,
            resumed=self.resumed,
            repeats=self.repeats,
            shots=max(self.shots, 1),
            corrupt=self.corrupt,
            damage=list(self.reader.damage),
            warnings=self.said,
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
