"""Parts of a frame that are restored one after the other where memory is short.

Parts overlap. What they restore is blended over a narrow band, and what they remember is joined
after every frame (``runner.JOINED``), so that no part lives on what it saw alone. Every tensor of a
memory is a map (B, C, h, w), on the grid of its frame, an n times finer one, or a 2, 4, 8 or 16
times coarser one (rounded up); so it can be cut and joined without knowing what it means. The same
holds for flows.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..maps import like

ALIGN = 16  # edges of parts lie on multiples of the coarsest grid of a memory
# Pixels that a part reaches beyond the middle between it and the next: beyond the reach of the
# convolutions and of the motion from one frame to the next (lab/2026-11-23-tiles.md).
OVERLAP = 48
BAND = 16  # width in pixels, around the middle, in which the results of two parts are mixed
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


def split_box(box: Box) -> tuple[Box, Box]:
    """Two overlapping halves along the longer side, which has to be at least SMALLEST."""
    tall = box.height >= box.width
    low, high = (box.top, box.bottom) if tall else (box.left, box.right)
    middle = round((low + high) / 2 / ALIGN) * ALIGN
    stop, start = middle + OVERLAP, middle - OVERLAP
    if tall:
        return box._replace(bottom=stop), box._replace(top=start)
    return box._replace(right=stop), box._replace(left=start)


def split_until(box: Box, size: int) -> list[Box]:
    """Split until no side is longer than ``size`` pixels, which has to be at least SMALLEST."""
    if size < SMALLEST:
        raise ValueError(f"expected tiles of at least {SMALLEST} pixels, got {size}")
    if max(box.height, box.width) <= size:
        return [box]
    return [part for half in split_box(box) for part in split_until(half, size)]


def core_box(box: Box, frame: Box) -> Box:
    """The inside of a part, whose memory is kept; the insides of all parts cover the frame once."""
    return Box(
        box.top + OVERLAP * (box.top > frame.top),
        box.left + OVERLAP * (box.left > frame.left),
        box.bottom - OVERLAP * (box.bottom < frame.bottom),
        box.right - OVERLAP * (box.right < frame.right),
    )


def cut_maps(maps: Any, box: Box, part: Box) -> Any:
    """Maps of ``box`` -> those of a part of it: copies, in the same tuples and lists."""
    if maps is None:
        return None
    if isinstance(maps, Tensor):
        rows = cells(
            cells_of_grid(maps.shape[-2], box.height), part.top - box.top, part.bottom - box.top
        )
        columns = cells(
            cells_of_grid(maps.shape[-1], box.width), part.left - box.left, part.right - box.left
        )
        return maps[..., rows, columns].clone()
    return like(maps, [cut_maps(item, box, part) for item in maps])


def join_maps(parts: list[tuple[Box, Any]], frame: Box) -> Any:
    """Maps of parts that cover the frame once -> those of the frame."""
    box, first = parts[0]
    if first is None:
        return None
    if not isinstance(first, Tensor):
        items = ([(box, maps[i]) for box, maps in parts] for i in range(len(first)))
        return like(first, [join_maps(item, frame) for item in items])
    tall, wide = (
        cells_of_grid(first.shape[-2], box.height),
        cells_of_grid(first.shape[-1], box.width),
    )
    size = cells(tall, 0, frame.height).stop, cells(wide, 0, frame.width).stop
    out = first.new_empty(*first.shape[:-2], *size)
    for box, part in parts:
        rows = cells(tall, box.top - frame.top, box.bottom - frame.top)
        out[..., rows, cells(wide, box.left - frame.left, box.right - frame.left)] = part
    return out


def cells_of_grid(count: int, pixels: int) -> tuple[int, int]:
    """Of a grid of ``count`` cells over so many pixels: cells a pixel, or else pixels a cell."""
    if count % pixels == 0:
        return count // pixels, 1
    for coarser in (2, 4, 8, ALIGN):
        if -(-pixels // coarser) == count:
            return 1, coarser
    raise ValueError(f"expected a memory on a grid of {pixels} pixels, got {count} cells")


def cells(unit: tuple[int, int], start: int, stop: int) -> slice:
    """Cells of a grid that cover the pixels from start to stop."""
    finer, coarser = unit
    return slice(start * finer // coarser, -(-stop * finer // coarser))


def blend(parts: Iterable[tuple[Box, Tensor]], frame: Box, scale: int) -> Tensor:
    """Restored parts (T, 3, s h, s w) -> the frames (T, 3, s H, s W), float32."""
    total = torch.zeros(frame.height * scale, frame.width * scale)
    out = None
    for box, y in parts:
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
    """Weights of one side's output pixels: 0 at an edge inside the frame, 1 beyond BAND."""
    place = torch.arange((stop - start) * scale) + 0.5
    weight = torch.ones_like(place)
    for inside, distance in ((start > 0, place), (stop < end, place.flip(0))):
        if inside:
            rise = (distance / scale - OVERLAP) / BAND + 0.5
            weight = torch.minimum(weight, rise.clamp(0, 1))
    return weight
