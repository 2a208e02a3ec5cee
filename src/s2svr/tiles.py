"""Parts of a frame that are restored one after the other where memory is short.

Each part carries a memory of its own. Parts overlap, and their results are blended by linear ramps.
Every tensor of a memory is a map (B, C, h, w) of its whole part, on the part's own grid, an n times
finer one, or a 2, 4, 8 or 16 times coarser one (rounded up); so it can be cut without knowing what
it means.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGN = 16  # edges of parts lie on multiples of the coarsest grid of a memory
OVERLAP = 32  # pixels that a part reaches beyond the middle
UNSURE = 16  # pixels along an edge inside the frame whose result is not used
SMALLEST = 4 * OVERLAP  # a shorter side is not split


class Box(NamedTuple):
    """A rectangle of the frame in input pixels; the lower and right edges are outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def split(box: Box) -> tuple[Box, Box]:
    """Two overlapping halves along the longer side, which has to be at least SMALLEST."""
    tall = box.height >= box.width
    low, high = (box.top, box.bottom) if tall else (box.left, box.right)
    middle = round((low + high) / 2 / ALIGN) * ALIGN
    stop, start = middle + OVERLAP, middle - OVERLAP
    if tall:
        return box._replace(bottom=stop), box._replace(top=start)
    return box._replace(right=stop), box._replace(left=start)


def split_until(box: Box, size: int) -> list[Box]:
    """Split until no side is longer than ``size`` pixels."""
    if max(box.height, box.width) <= size:
        return [box]
    return [part for half in split(box) for part in split_until(half, size)]


def cut_memory(memory: Any, box: Box, part: Box) -> Any:
    """The memory of ``box`` -> that of a part of it: a copy, in the same tuples and lists."""
    if memory is None:
        return None
    if isinstance(memory, Tensor):
        rows = grid_range(memory.shape[-2], box.height, part.top - box.top, part.bottom - box.top)
        columns = grid_range(
            memory.shape[-1], box.width, part.left - box.left, part.right - box.left
        )
        return memory[..., rows, columns].clone()
    items = [cut_memory(item, box, part) for item in memory]
    return type(memory)(*items) if hasattr(memory, "_fields") else type(memory)(items)


def grid_range(cells: int, pixels: int, start: int, stop: int) -> slice:
    """Cells of a grid over ``pixels`` that cover the pixels from start to stop."""
    if cells % pixels == 0:
        return slice(start * cells // pixels, stop * cells // pixels)
    for coarser in (2, 4, 8, ALIGN):
        if -(-pixels // coarser) == cells:
            return slice(start // coarser, -(-stop // coarser))
    raise ValueError(f"expected a memory on a grid of {pixels} pixels, got {cells} cells")


def blend(parts: Iterable[tuple[Box, Tensor]], frame: Box, scale: int) -> Tensor:
    """Restored parts (T, 3, s h, s w) -> the frames (T, 3, s H, s W), float32."""
    total = torch.zeros(frame.height * scale, frame.width * scale)
    out = None
    for box, y in parts:
        if box == frame:
            return y.float()
        rows = slice(box.top * scale, box.bottom * scale)
        columns = slice(box.left * scale, box.right * scale)
        weight = ramp(box.top, box.bottom, frame.height, scale)[:, None]
        weight = weight * ramp(box.left, box.right, frame.width, scale)
        out = y.new_zeros(*y.shape[:2], *total.shape, dtype=torch.float32) if out is None else out
        out[..., rows, columns] += weight.to(out) * y
        total[rows, columns] += weight
    assert out is not None  # the parts cover the frame
    return out.div_(total.to(out))


def ramp(start: int, stop: int, end: int, scale: int) -> Tensor:
    """Weights of one side's output pixels: nothing at edges inside the frame, then rising to 1."""
    place = torch.arange((stop - start) * scale) + 0.5
    weight = torch.ones_like(place)
    for inside, distance in ((start > 0, place), (stop < end, place.flip(0))):
        if inside:
            rise = (distance / scale - UNSURE) / (2 * OVERLAP - 2 * UNSURE)
            weight = torch.minimum(weight, rise.clamp(0, 1))
    return weight
