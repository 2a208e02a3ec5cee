"""A model run over shots of any length, window by window, within the memory there is."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .tiles import SMALLEST, Box, blend, cut_memory, split, split_until

Say = Callable[[str], None]


class Window(NamedTuple):
    """Consecutive frames (3, H, W) of one shot."""

    frames: list[Tensor]
    ahead: int  # the last ones, which are seen and not restored
    first: bool  # begins a shot


def windows(frames: Iterable[tuple[Tensor, bool]], size: int, lookahead: int) -> Iterator[Window]:
    """Group frames, each with whether it begins a shot; no window sees beyond its shot.

    At most ``size + lookahead`` frames are held. A shot's last window restores all that is left.
    """
    held: list[Tensor] = []
    first = True
    for frame, begins in frames:
        if begins:
            if held:
                yield Window(held, 0, first)
            held, first = [], True
        held.append(frame)
        if len(held) == size + lookahead:
            yield Window(held, lookahead, first)
            held, first = held[size:], False
    if held:
        yield Window(held, 0, first)


def scale_of(model: nn.Module) -> int:
    """How many times larger a restoration model makes a frame; ValueError for other networks."""
    scale = getattr(model, "scale", None)
    if not isinstance(scale, int):
        raise ValueError(f"expected a restoration model, got a {type(model).__name__}")
    return scale


class Runner:
    """Restores windows in order and carries the model's memory from one to the next.

    A window that is too much for the device is tried again in smaller windows, then in tiles, from
    the same memory of the frames before; what sufficed is kept for all that follow.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        window: int,
        tile: int | None,
        device: torch.device,
        dtype: torch.dtype,
        say: Say,
    ) -> None:
        self.model = model.eval().to(device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scale, self.lookahead = scale_of(model), int(model.lookahead)  # type: ignore[arg-type]
        self.window, self.tile = window, tile
        self.device, self.dtype, self.say = device, dtype, say
        self.boxes: list[Box] = []
        self.memories: list[Any] = []  # one a box; None where the shot begins

    def run_all(self, groups: Iterable[Window]) -> Iterator[Tensor]:
        """The restored frames (3, sH, sW) of all windows, clamped to [0, 1]."""
        for window in groups:
            yield from self.run(window)
            del window  # frees its frames before the next is collected

    def run(self, window: Window) -> Iterator[Tensor]:
        """The restored frames of one window."""
        if not self.boxes:
            frame = Box(0, 0, *window.frames[0].shape[-2:])
            self.boxes = split_until(frame, self.tile) if self.tile else [frame]
        if window.first:
            self.memories = [None] * len(self.boxes)
        start, count = 0, len(window.frames) - window.ahead
        while start < count:
            stop = min(start + self.window, count)
            y = self.attempt(window.frames[start : stop + self.lookahead], stop - start)
            if y is None:
                self.shrink()
                continue
            yield from (frame.clamp(0, 1) for frame in y)
            del y  # before the next takes as much
            start = stop

    @torch.inference_mode()
    def attempt(self, frames: list[Tensor], count: int) -> Tensor | None:
        """Restore the first ``count`` frames; None, and nothing remembered, if memory runs out."""
        memories = []

        def parts(x: Tensor) -> Iterator[tuple[Box, Tensor]]:
            for box, memory in zip(self.boxes, self.memories, strict=True):
                part = x[..., box.top : box.bottom, box.left : box.right]
                y, after = self.model(part, memory, len(frames) - count)
                memories.append(after)
                yield box, y[0]

        reduced = self.dtype != torch.float32
        try:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=reduced):
                x = torch.stack(frames)[None].to(self.device)
                y = blend(parts(x), Box(0, 0, *x.shape[-2:]), self.scale)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return None
        self.memories = memories
        return y

    def shrink(self) -> None:
        """Halve the window, or else the tiles; say so. MemoryError if there is nothing to halve."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.window > 1:
            self.window //= 2
            self.say(f"out of memory, going on with windows of {self.window} frames")
            return
        largest = max(max(box.height, box.width) for box in self.boxes)
        if largest <= SMALLEST:
            raise MemoryError(
                f"out of memory with single frames in tiles of {largest} pixels; "
                "free some of it, or restore on another device"
            )
        old, self.boxes, self.memories = zip(self.boxes, self.memories, strict=True), [], []
        for box, memory in old:
            for part in split(box) if max(box.height, box.width) > SMALLEST else (box,):
                self.boxes.append(part)
                self.memories.append(cut_memory(memory, box, part))
        self.say(f"out of memory, going on with {len(self.boxes)} tiles")


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's or the CPU's allocator has refused."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
