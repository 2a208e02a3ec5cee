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
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from .color import bounded, from_rgb, to_open_rgb
from .media import Frame, MediaError, Reader, Writer
from .ops import resize_to
from .queues import read_ahead, write_behind
from .scenes import find_cuts
from .windows import Say

T = TypeVar("T")
Progress = Callable[[int, int | None], None]  # frames done, about how many there are if known

QUEUE = 4  # frames that wait between two stages


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
    shots: int = 1
    corrupt: int = 0  # frames that the decoder called damaged; they were restored all the same
    damage: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def shares(self) -> dict[str, float]:
        """Of the busy time; the stages work side by side."""
        return {name: seconds / sum(self.busy.values()) for name, seconds in self.busy.items()}


class Job:
    """Moves one video's frames from its reader to its writer, and counts what happens."""

    def __init__(
        self,
        model: nn.Module,
        reader: Reader,
        size: tuple[int, int],
        device: torch.device | str | None,
        progress: Progress,
        say: Say,
    ) -> None:
        self.began = time.perf_counter()
        self.reader, self.size, self.progress, self.say = reader, size, progress, say
        self.device = next(model.parameters()).device if device is None else torch.device(device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.spent: dict[str, float] = defaultdict(float)  # seconds
        self.frames = read_ahead(timed(reader, self.spent, "decode"), QUEUE)
        self.waiting: deque[Frame] = deque()  # decoded and not yet restored, without their planes
        self.done = self.corrupt = 0
        self.shots = 0
        self.said: list[str] = []

    def tell(self, line: str) -> None:
        """Keep a warning for the summary, and pass it on now."""
        self.said.append(line)
        self.say(line)

    def rgb(self) -> Iterator[Tensor]:
        """The decoded frames, as the model takes them.

        Restored frames come in bursts, a window at a time; frames are asked for when a burst is
        over. So here is where speeds are told.
        """
        for frame in timed(self.frames, self.spent, "wait"):
            self.progress(self.done, self.reader.info.frames)
            self.waiting.append(replace(frame, planes=()))
            planes = tuple(plane.to(self.device) for plane in frame.planes)
            yield to_open_rgb(planes, frame.color)

    def counted_cuts(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        for frame, begins in find_cuts(frames):
            self.shots += begins
            yield frame, begins

    def coded(self, restored: Iterable[Tensor], writer: Writer) -> Iterator[Frame]:
        """Restored frames as the writer takes them, at the times of the decoded ones."""
        width, height = self.size
        for rgb in restored:
            if rgb.shape[-2:] != (height, width):
                rgb = bounded(resize_to(rgb, (height, width)), rgb)
            planes = from_rgb(rgb, writer.color, writer.chroma)
            frame = self.waiting.popleft()
            self.corrupt += frame.corrupt
            yield replace(
                frame, planes=tuple(plane.to("cpu") for plane in planes), color=writer.color
            )

    def run(self, restored: Iterable[Tensor], writer: Writer) -> None:
        """Decode, restore and encode all frames."""

        def write(frame: Frame) -> None:
            began = time.perf_counter()
            writer.write(frame)
            self.spent["encode"] += time.perf_counter() - began

        with closing(self.frames), write_behind(write, QUEUE) as put:
            for frame in timed(self.coded(restored, writer), self.spent, "restore"):
                put(frame)
                self.done += 1
        self.progress(self.done, self.done)
        if not self.done:
            raise MediaError(f"{self.reader.path} has no frame that can be decoded")

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
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
