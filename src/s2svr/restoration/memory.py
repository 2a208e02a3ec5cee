"""The memory and work that a network needs, counted on frames so small that it costs nothing."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from ..gpu import FORMS
from ..maps import leaves
from .backend import Backend
from .runner import JOINED
from .tiles import Box, split_until

PROBE = 64  # side of the frames that are counted, pixels
WINDOWS = 3, 5  # frames; in shorter ones it is the work on one frame that takes most
FLOATS = 4  # bytes
# The first two were measured (lab/2026-11-23-memory-counted.md); the third is an assumption.
MARGIN = 1.3  # times what is counted: what allocators keep
PROCESS = 500 * 2**20  # bytes of the process and its libraries
# Without gradients they are not taken apart into the second.
CONVOLUTIONS = torch.ops.aten.conv2d.default, torch.ops.aten.convolution.default
CODED = 3 * 48  # bytes a pixel of the output that the queues and the encoder hold


@dataclass(frozen=True)
class Footprint:
    """Bytes that a model needs for each pixel of its input."""

    scale: int
    lookahead: int
    frame: float  # for one more frame in a window
    rest: float  # for the network's own values, once
    flow: float  # for the motion between two frames alone; 0 where parts estimate their own
    state: float  # what is remembered between windows
    shared: bool  # the model is where everything else is: on the CPU
    captured: int = 0  # pixels of the largest frames whose windows are CUDA graphs; 0: none are
    ahead: float = 0.0  # work on frames that are only looked ahead at, each of a restored one

    def work(self, frames: int, window: int, tiled: bool) -> float:
        """The work on a shot, in that on one frame; windows and tiles look ahead inside it."""
        ends = range(JOINED if tiled else window, frames, JOINED if tiled else window)
        return frames + self.ahead * sum(min(self.lookahead, frames - end) for end in ends)

    def needed(
        self, width: int, height: int, window: int, tile: int | None, size_out: tuple[int, int]
    ) -> int:
        """Bytes on the model's device, about, for frames of width x height pixels.

        What CUDA graphs hold comes on top: ``graphs`` says how much.
        """
        frame = Box(0, 0, height, width)
        boxes = split_until(frame, tile) if tile else [frame]
        count = max(box.height * box.width for box in boxes)
        together = window if len(boxes) == 1 else min(window, JOINED)
        need = count * (self.rest + self.frame * (together + self.lookahead))
        if len(boxes) > 1:
            need = max(need, self.flow * width * height)
            frames = window + together + 2 * self.lookahead + together * self.scale**2
            need += width * height * 3 * FLOATS * frames
            need += 2 * width * height * self.state * self.shared
        rest = PROCESS + CODED * size_out[0] * size_out[1] if self.shared else 0
        return round(MARGIN * need + rest)

    def graphs(self, width: int, height: int, window: int, tile: int | None) -> int:
        """Bytes that CUDA graphs hold beside, at most; 0 where windows are not captured.

        All graphs work in one pool, as large as what a plain call needs, whose own blocks the
        allocator keeps; and each of FORMS keeps what it reads and what it makes.
        """
        pixels = width * height
        if pixels > self.captured or (
            tile and len(split_until(Box(0, 0, height, width), tile)) > 1
        ):
            return 0
        seen = window + self.lookahead
        kept = 3 * FLOATS * (seen + window * self.scale**2) + 2 * self.state
        return round(MARGIN * pixels * (self.rest + self.frame * seen + FORMS * kept))


class Living(TorchDispatchMode):
    """Finds the most bytes that tensors made while it is entered take at once, and the work."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.now = self.most = 0
        self.work = 0  # multiplications of convolutions, which take nearly all the time

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; to say so would import the compiler, which takes seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, given: Any = (), named: Any = None
    ) -> Any:
        result = function(*given, **(named or {}))
        if function in CONVOLUTIONS:
            self.work += result.numel() * given[1][0].numel()
        for leaf in result if isinstance(result, tuple | list) else [result]:
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)  # keeps its address from being used again
                if reference.cdata not in self.storages:
                    self.storages[reference.cdata] = reference, storage.nbytes()
                    self.now += storage.nbytes()
        if self.now > self.most:  # only now does it matter what is gone
            self.storages = {k: v for k, v in self.storages.items() if not v[0].expired()}
            self.now = sum(size for _, size in self.storages.values())
            self.most = max(self.most, self.now)
        return result


COUNTED: dict[tuple[str, ...], Footprint] = {}  # of the networks that this process met before


def count_footprint(backend: Backend) -> Footprint:
    """Count what a restoration network needs, where it is; use one that runs in float32."""
    key = type(backend).__qualname__, backend.identity, backend.precision, str(backend.device)
    if key not in COUNTED:
        COUNTED[key] = counted_footprint(backend)
    return COUNTED[key]


@torch.inference_mode()
def counted_footprint(backend: Backend) -> Footprint:
    """Count it by two windows of different length."""
    ahead, place = backend.lookahead, backend.device
    frame = torch.zeros(1, 1, 3, PROBE, PROBE, device=place)
    _, state = backend.run(frame.repeat(1, 1 + 2 * ahead, 1, 1, 1), None, ahead)
    stored = sum(leaf.numel() * leaf.element_size() for leaf in leaves(state))

    def count(frames: int) -> tuple[int, int]:
        with Living() as living:
            backend.run(frame.repeat(1, frames + ahead, 1, 1, 1), state, ahead)
        return living.most + stored, living.work

    few, many = WINDOWS
    counts, works = zip(*map(count, WINDOWS), strict=True)
    pixels = PROBE * PROBE
    more = (counts[1] - counts[0]) / (many - few)
    frame_work = (works[1] - works[0]) / (many - few)
    ahead_work = works[0] - few * frame_work
    with Living() as living:
        flows = backend.flows(torch.zeros(1, 2, 3, PROBE, PROBE, device=place), None, 1)
    return Footprint(
        scale=backend.scale,
        lookahead=ahead,
        frame=more / pixels,
        rest=(counts[0] - (few + ahead) * more) / pixels,
        flow=0 if flows is None else living.most / pixels,
        state=stored / pixels,
        shared=place.type == "cpu",
        captured=getattr(backend, "captured", 0),  # other backends than PyTorch's have none
        ahead=ahead_work / (ahead * frame_work) if ahead and frame_work else 0.0,
    )
