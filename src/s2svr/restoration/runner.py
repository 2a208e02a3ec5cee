"""A model run window by window, within the memory there is."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..color import bounded
from .tiles import (
    SMALLEST,
    Box,
    blend,
    core_box,
    cut_maps,
    join_maps,
    split_box,
    split_until,
    to_device,
)
from .windows import Say, Window, scale_of

# Frames after which what tiles remember is joined. What is wrong at their edges goes on with the
# motion, so it has to be put right before it has crossed the overlap. After every frame any motion
# within the overlap is exact (lab/2026-11-23-tiles.md); the price is that frames ahead are
# encoded once for each frame that sees them.
JOINED = 1

# What errors say that are of no kind of their own: of the CPU, cuDNN and cuBLAS, and the driver.
REFUSED = ("DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "CUDA error: out of memory")


class Runner:
    """Restores windows in order and carries the model's memory from one to the next.

    A window that is too much for the device is tried again in smaller windows, then in tiles, from
    the same memory of the frames before; what sufficed is kept for all that follow. For tiles, a
    model that has ``flows``, ``restore`` and a memory with ``x`` as S2SVR does estimates motion on
    whole frames: that of a part alone is another at its edges.
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
        self.network: Any = model  # for the methods that not every model has
        self.memory: Any = None  # of whole frames; None where the shot begins
        self.whole_flow = hasattr(model, "flows")  # motion is estimated on whole frames

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
            y = self.attempt(window.frames[start : stop + self.lookahead], stop - start)
            if y is None:
                self.shrink()
                continue
            yield from map(bounded, y, window.frames[start:stop])
            del y  # before the next takes as much
            start = stop

    @torch.inference_mode()
    def attempt(self, frames: list[Tensor], count: int) -> Tensor | None:
        """Restore the first ``count`` frames; None, and nothing remembered, if memory runs out."""
        reduced = self.dtype != torch.float32
        try:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=reduced):
                x = torch.stack(frames)[None].to(self.device)
                if len(self.boxes) == 1:
                    memory = to_device(self.memory, self.device)
                    y, memory = self.model(x, memory, len(frames) - count)
                    restored = y[0].float()
                    self.memory = memory
                    return restored
                return self.attempt_parts(x, len(frames) - count)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return None

    def attempt_parts(self, x: Tensor, lookahead: int) -> Tensor:
        """Frames (1, T + lookahead, 3, H, W), part by part -> (T, 3, sH, sW); all is remembered.

        Between windows the memory lies outside the device, which has room for one part's only.
        """
        frame = Box(0, 0, *x.shape[-2:])
        flows = self.flows(x, lookahead)
        kept: list[tuple[Box, Any]] = []

        def parts() -> Iterator[tuple[Box, Tensor]]:
            for box in self.boxes:
                part = x[..., box.top : box.bottom, box.left : box.right]
                memory = to_device(cut_maps(self.memory, frame, box), self.device)
                if flows is None:
                    y, after = self.model(part, memory, lookahead)
                else:
                    y, after = self.network.restore(
                        part, cut_maps(flows, frame, box), memory, lookahead
                    )
                inner = core_box(box, frame)
                kept.append((inner, to_device(cut_maps(after, box, inner), torch.device("cpu"))))
                del memory, after
                yield box, y[0]

        y = blend(parts(), frame, self.scale)
        self.memory = join_maps(kept, frame)
        return y

    def flows(self, x: Tensor, lookahead: int) -> Any:
        """The motion in frames (1, T, 3, H, W); None where the parts have to estimate their own."""
        if not self.whole_flow:
            return None
        past = to_device(self.memory.x, self.device) if self.memory is not None else []
        try:
            return self.network.flows([*past, *x.unbind(1)], x.shape[1], lookahead)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        self.whole_flow = False
        self.say("out of memory, going on with motion estimated in each tile: edges may show")
        return None

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
        parts = (split_box(b) if max(b.height, b.width) > SMALLEST else (b,) for b in self.boxes)
        self.boxes = [part for group in parts for part in group]
        self.say(f"out of memory, going on with {len(self.boxes)} tiles")


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's, a library's or the CPU's allocator has refused."""
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in REFUSED)
