"""Training clips that lie in a GPU's memory as a whole, and are cut there."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..data import ClipPairs, Draw
from .clip_flow import FlowCrops, flow_lines
from .step import Batch


def resident(crops: ClipPairs | FlowCrops, batch: int) -> Callable[[Fabric, int], Iterator[Batch]]:
    """The same as ``fit.batches``, but cut by the device itself; for one process."""

    def start(fabric: Fabric, first: int) -> Iterator[Batch]:
        clips = ResidentClips(crops, fabric.device)
        for step in count(first):
            yield clips.batch(range(step * batch, (step + 1) * batch))

    return start


class Turn(NamedTuple):
    """Turns of B squares, (B,) bool each."""

    down: Tensor  # flipped vertically
    right: Tensor  # flipped horizontally
    transposed: Tensor  # after that


class Flat:
    """Clips (T, C, H, W) of several sizes, joined in one tensor, pixel after pixel."""

    def __init__(self, clips: list[np.ndarray], device: torch.device) -> None:
        self.sizes = np.array([clip.shape[-2:] for clip in clips])
        self.channels = clips[0].shape[1]
        counts = [clip.size for clip in clips]
        self.first = np.cumsum([0, *counts[:-1]])
        kind = torch.from_numpy(np.empty(0, clips[0].dtype)).dtype
        self.pixels = torch.empty(sum(counts), dtype=kind, device=device)
        for clip, part in zip(clips, self.pixels.split(counts), strict=True):
            part.copy_(torch.from_numpy(np.array(clip)).flatten())

    def cut(self, clips: list[int], times: Tensor, corner: Tensor, size: int, turn: Turn) -> Tensor:
        """Squares (B, T, C, size, size) of frames ``times`` (B, T) of B clips.

        They begin at ``corner`` (B, 2), are flipped and then transposed.
        """
        device = self.pixels.device
        along = torch.arange(size, device=device)
        rows, columns = (
            corner[:, axis, None] + torch.where(flip[:, None], size - 1 - along, along)
            for axis, flip in enumerate(turn[:2])
        )
        # Where it is transposed, the row goes with the last axis.
        swapped = turn.transposed[:, None, None]
        y = torch.where(swapped, rows[:, None], rows[:, :, None])
        x = torch.where(swapped, columns[:, :, None], columns[:, None])
        first, sizes = sent(self.first[clips], device), sent(self.sizes[clips], device)
        plane = sizes.prod(1, keepdim=True)
        channels = torch.arange(self.channels, device=device) * plane
        frames = first[:, None] + times * self.channels * plane
        inside = y * sizes[:, 1, None, None] + x
        place = frames[:, :, None, None, None] + channels[:, None, :, None, None]
        return self.pixels[place + inside[:, None, None]]


class ResidentClips:
    """The items of a data set in batches, from frames that lie on ``device`` as 8-bit codes.

    Of ``ClipPairs`` the crop alone is cut, without its context: it needs no flow.
    """

    def __init__(self, crops: ClipPairs | FlowCrops, device: torch.device) -> None:
        self.pairs = crops.pairs if isinstance(crops, FlowCrops) else crops
        self.device = device
        self.lq = Flat([clip.lq for clip in self.pairs.clips], device)
        self.hq = Flat([clip.hq for clip in self.pairs.clips], device)
        self.flow: Flat | None = None
        if isinstance(crops, FlowCrops):
            self.flow = Flat([f.reshape(-1, *f.shape[3:]) for f in crops.flows], device)
            self.down = crops.down

    def batch(self, indices: Sequence[int]) -> Batch:
        """The items of these indices as a batch."""
        pairs, data, s = self.pairs, self.pairs.data, self.pairs.scale
        draws = [pairs.draw(index) for index in indices]
        clips = [d.sequence for d in draws]
        times = sent([d.frames for d in draws], self.device)
        corner = sent([(d.top + d.crop_top, d.left + d.crop_left) for d in draws], self.device)
        flags = sent([(*d.flip, d.transposed, d.clean) for d in draws], self.device).bool()
        turn, clean = Turn(*flags[:, :3].unbind(1)), flags[:, 3]
        lq = self.lq.cut(clips, times, corner, data.crop, turn)
        hq = self.hq.cut(clips, times, s * corner, s * data.crop, turn)
        if data.clean:
            lq = torch.where(clean[:, None, None, None, None], hq, lq)
        found = {"lq": lq.float() / 255, "hq": hq.float() / 255}
        if data.jitter:
            colour = sent([d.colour for d in draws], self.device, np.float32)
            colour = colour[:, None, :, None, None]
            found = {name: (x * colour).clamp(0, 1) for name, x in found.items()}
        if self.flow is not None:
            for name, neighbour in (("before", -1), ("after", 1)):
                place = sent([self.lines(d, neighbour) for d in draws], self.device)
                flow = self.flow.cut(
                    clips, place.clamp(min=0), corner // self.down, data.crop // self.down, turn
                )
                known = (place >= 0)[..., None, None, None]
                found[name] = torch.where(known, turned(flow.float(), turn), 0.0)
        return found

    def lines(self, d: Draw, neighbour: int) -> list[int]:
        """The places of the draw's flow to that neighbour in its clip's flow; -1: there is none."""
        length, lines = len(self.pairs.clips[d.sequence].lq), flow_lines(d, neighbour)
        return [
            -1 if line is None else (2 * line[0] + line[1]) * length + t
            for t, line in zip(d.frames, lines, strict=True)
        ]


def turned(flow: Tensor, turn: Turn) -> Tensor:
    """Flow (B, T, 2, h, w) whose pixels were turned, with its vectors turned too."""
    x, y = flow.unbind(2)
    down, right, swapped = (flag[:, None, None, None] for flag in turn)
    x, y = torch.where(right, -x, x), torch.where(down, -y, y)
    return torch.stack((torch.where(swapped, y, x), torch.where(swapped, x, y)), 2)


def sent(
    numbers: Sequence | np.ndarray, device: torch.device, kind: type[np.generic] = np.int64
) -> Tensor:
    """Numbers as a tensor on the device, for which the CPU does not wait."""
    here = torch.from_numpy(np.array(numbers, kind))
    if device.type == "cuda":
        here = here.pin_memory()
    return here.to(device, non_blocking=True)
