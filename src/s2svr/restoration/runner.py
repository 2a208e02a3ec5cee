"""A model run window by window, within the memory there is."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..color import bounded
from ..maps import to_device
from ..text import Say
from .backend import Backend
from .busy import BusyCores
from .tiles import (
    SMALLEST,
    Box,
    blend,
    core_box,
    cut_maps,
    join_maps,
    split_box,
    split_until,
)
from .windows import Window

# Frames after which what tiles remember is joined. What is wrong at their edges goes on with the
# motion, so it has to be put right before it has crossed the overlap. After every frame any motion
# within the overlap is exact (lab/2026-11-23-tiles.md); the price is that frames ahead are
# encoded once for each frame that sees them.
JOINED = 1

BLACK, DARK = 1 / 255, 0.02  # a result below the first is black, a source above the second is not

# What errors say that are of no kind of their own: of the CPU, cuDNN and cuBLAS, and the driver.
REFUSED = ("DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "CUDA error: out of memory")


class Runner:
    """Restores windows in order and carries the memory from one to the next.

    A window that is too much for the device is tried again in smaller windows, then in tiles, from
    the same memory of the frames before; what sufficed is kept for all that follow. Motion is
    estimated on whole frames where the backend can: that of a part is another at its edges.
    """

    def __init__(self, backend: Backend, *, window: int, tile: int | None, say: Say) -> None:
        if window < 1:
            raise ValueError(f"expected a window of at least 1 frame, got {window}")
        if tile is not None and tile < SMALLEST:
            raise ValueError(f"expected tiles of at least {SMALLEST} pixels, got {tile}")
        self.backend, self.window, self.tile, self.say = backend, window, tile, say
        self.boxes: list[Box] = []
        self.memory: Any = None  # of whole frames; None where the shot begins
        self.whole_flow = True  # motion is estimated on whole frames
        self.busy = BusyCores(say)
        self.between_windows = True  # all frames of the last window have been handed out

    def run_all(self, groups: Iterable[Window]) -> Iterator[Tensor]:
        """The restored frames (3, sH, sW) of all windows, in [0, 1] where theirs are."""
        for window in groups:
            yield from self.run(window)
            del window  # frees its frames before the next is collected

    def run(self, window: Window) -> Iterator[Tensor]:
        """The restored frames of one window."""
        if not self.boxes:
            frame = Box(0, 0, *window.frames[0].shape[-2:])
            self.boxes = split_until(frame, self.tile) if self.tile else [frame]
        if window.first:
            self.memory = None
        start, count = 0, len(window.frames) - window.ahead
        while start < count:
            most = self.window if len(self.boxes) == 1 else min(self.window, JOINED)
            stop = min(start + most, count)
            seen = window.frames[start : stop + self.backend.lookahead]
            began = time.perf_counter()
            restored = self.attempt(seen, stop - start)
            if restored is None:
                self.shrink()
                continue
            check_restored(restored, seen, self.backend)
            if self.backend.device.type == "cpu":
                self.busy.note(time.perf_counter() - began, len(seen))
            for index, y in enumerate(restored, start):
                self.between_windows = index == count - 1
                yield bounded(y, window.frames[index])
            del restored  # before the next takes as much
            start = stop

    @torch.inference_mode()
    def attempt(self, frames: list[Tensor], count: int) -> Tensor | None:
        """Restore the first ``count`` frames; None, and nothing remembered, if memory runs out."""
        ahead = len(frames) - count
        try:
            x = torch.stack(frames)[None].to(self.backend.device)
            if len(self.boxes) > 1:
                return self.attempt_parts(x, ahead)
            memory = to_device(self.memory, self.backend.device)
            restored, self.memory = self.backend.run(x, memory, ahead)
            return restored
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return None

    def attempt_parts(self, x: Tensor, ahead: int) -> Tensor:
        """Frames (1, T + ahead, 3, H, W), part by part -> (T, 3, sH, sW); all is remembered.

        Between windows the memory lies outside the device, which has room for one part's only.
        """
        backend, frame = self.backend, Box(0, 0, *x.shape[-2:])
        flows = self.flows(x, ahead)
        kept: list[tuple[Box, Any]] = []

        def parts() -> Iterator[tuple[Box, Tensor]]:
            for box in self.boxes:
                part = x[..., box.top : box.bottom, box.left : box.right]
                memory = to_device(cut_maps(self.memory, frame, box), backend.device)
                motion = None if flows is None else cut_maps(flows, frame, box)
                restored, after = backend.run(part, memory, ahead, motion)
                inner = core_box(box, frame)
                kept.append((inner, to_device(cut_maps(after, box, inner), torch.device("cpu"))))
                del memory, after
                yield box, restored

        restored = blend(parts(), frame, backend.scale)
        self.memory = join_maps(kept, frame)
        return restored

    def flows(self, x: Tensor, ahead: int) -> Any:
        """The motion in frames (1, T, 3, H, W); None where the parts have to estimate their own."""
        if not self.whole_flow:
            return None
        try:
            return self.backend.flows(x, self.memory, ahead)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        self.whole_flow = False
        self.say("out of memory, going on with motion estimated in each tile: edges may show")
        return None

    def shrink(self) -> None:
        """Halve the window, or else the tiles; say so. MemoryError if there is nothing to halve."""
        if self.backend.device.type == "cuda":
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
        parts = (split_box(b) if max(b.height, b.width) > SMALLEST else (b,) for b in self.boxes)
        self.boxes = [part for group in parts for part in group]
        self.say(f"out of memory, going on with {len(self.boxes)} tiles")


def out_of_memory(error: RuntimeError) -> bool:
    """True for an error by which a GPU's, a library's or the CPU's allocator refuses."""
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in REFUSED)


def check_restored(restored: Tensor, frames: list[Tensor], backend: Backend) -> None:
    """FloatingPointError where a window (T, 3, H, W) cannot be what a network makes of its frames.

    It is not finite, or its first frame is black and the source's is not.
    """
    low, high = (float(value) for value in restored.aminmax())
    if not math.isfinite(low + high):
        found = "is not finite"
    elif float(restored[0].amax()) < BLACK and float(frames[0].mean()) > DARK:
        found = "is black where the source is not"
    else:
        return
    ways = ["other --weights"]
    if backend.device.type != "cpu":
        ways = ["--device cpu", "a newer driver", *ways]
    if backend.precision != "float32":
        ways = ["--precision fp32", *ways]
    raise FloatingPointError(
        f"what the network made {found}: its weights are damaged, or {backend.device} computes "
        f"wrongly; nothing more is written, so try {' or '.join(ways)}"
    )
