"""Backends run restoration networks: the contract, and PyTorch as its first implementation."""

import copy
import time
import warnings
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..files import network_fingerprint
from ..gpu import Graphs
from ..text import Say

PAIRS = 16  # of frames whose flow a GPU estimates at once
TRIED = 192, 108  # width and height at most of the frames that precisions are timed on, pixels
LAUNCHED = 1280 * 720  # pixels: a GPU works on larger frames for longer than launching takes


@runtime_checkable
class Backend(Protocol):
    """A network on a device, as the runner, the planner and the journal need it.

    A memory is any tree of tuples and lists of maps (..., h, w), see ``tiles``; None where a shot
    begins. A backend that has no room for what it is given raises torch.OutOfMemoryError.
    """

    scale: int  # times larger than the input are its results
    lookahead: int  # frames after the last restored one that it looks at, where there are any
    device: torch.device  # where frames are brought to, and results come from
    precision: str  # as ``float32``
    memory_types: Sequence[type]  # classes in a memory, which the journal may read again

    @property
    def identity(self) -> str:
        """A digest of the network and its weights: equal ones give equal results."""
        ...

    def run(self, frames: Tensor, memory: Any, ahead: int, flows: Any = None) -> tuple[Tensor, Any]:
        """Restore a window.

        frames (1, T + ahead, 3, H, W) in [0, 1], of which the last ``ahead`` are seen and not
        restored; ``memory`` of the frames before; ``flows`` those of ``flows``, cut to the same
        part of the frame, or None: it estimates its own. Returns (T, 3, sH, sW) in float32 and the
        memory after the last restored frame.
        """
        ...

    def flows(self, frames: Tensor, memory: Any, ahead: int) -> Any:
        """The motion in whole frames for ``run`` on their parts, as maps; None: it needs none."""
        ...


class TorchBackend:
    """A PyTorch network with ``scale``, ``lookahead`` and the call of S2SVR.

    Where it has ``flows``, ``restore`` and a memory with ``x`` as S2SVR does, motion is estimated
    on whole frames.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        say: Say = warnings.warn,
    ) -> None:
        self.model: Any = model.eval().to(device)
        self.scale, self.lookahead = scale_of(model), int(model.lookahead)  # type: ignore[arg-type]
        self.device, self.dtype = device, dtype
        self.precision = str(dtype).removeprefix("torch.")
        self.memory_types: Sequence[type] = getattr(model, "memory_types", ())
        self.graphs: Graphs | None = None  # of whole frames; tiles are too large to need them
        on_gpu = device.type == "cuda"
        # Both ways: the same network may have been on a device of the other kind before.
        model.pairs, model.few = (PAIRS, True) if on_gpu else (1, False)  # type: ignore[assignment]
        order = torch.channels_last if on_gpu else torch.contiguous_format
        self.model.to(memory_format=order)  # type: ignore[call-overload]
        if on_gpu:
            # The same every time: what is resumed has to fit what was done.
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            # Flow of files is looked up on the CPU, which is not captured.
            by_files = getattr(getattr(model, "flow", None), "by_files", False)
            own = weakref.proxy(self)  # no cycle: the GPU's memory goes with the last reference
            if not by_files:
                self.graphs = Graphs(lambda *given: own.restored(*given), device, say)
        self.network: Any = self.model
        if dtype != torch.float32:
            self.network = cast_weights(self.model, dtype)

    @cached_property
    def identity(self) -> str:
        return network_fingerprint(self.model)

    @property
    def captured(self) -> int:
        """Pixels of the largest frames whose windows are CUDA graphs; 0: none are."""
        return LAUNCHED if self.graphs else 0

    def autocast(self) -> torch.autocast:
        """The precision that was asked for."""
        reduced = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=reduced)

    @torch.inference_mode()
    def run(self, frames: Tensor, memory: Any, ahead: int, flows: Any = None) -> tuple[Tensor, Any]:
        """Restore a window, as Backend says."""
        if self.graphs and flows is None and frames.shape[-2:].numel() <= self.captured:
            return self.graphs((frames, memory), ahead)
        return self.restored((frames, memory), ahead, flows)

    def restored(self, given: tuple[Tensor, Any], ahead: int, flows: Any = None) -> tuple:
        """What ``run`` returns, by the network itself; given: frames and memory."""
        frames, memory = given
        with self.autocast():
            if flows is None:
                restored, memory = self.network(frames, memory, ahead)
            else:
                restored, memory = self.network.restore(frames, flows, memory, ahead)
        return restored[0].float(), memory

    @torch.inference_mode()
    def flows(self, frames: Tensor, memory: Any, ahead: int) -> Any:
        """Optical flow of whole frames, as Backend says."""
        if not hasattr(self.model, "flows"):
            return None
        past = [frame.to(self.device) for frame in memory.x] if memory is not None else []
        with self.autocast():
            return self.network.flows([*past, *frames.unbind(1)], frames.shape[1], ahead)


class Identity:
    """The backend that changes nothing."""

    scale, lookahead = 1, 0
    device, precision = torch.device("cpu"), "float32"
    memory_types: Sequence[type] = ()
    identity = "nothing is changed"

    def run(self, frames: Tensor, memory: None, ahead: int, flows: None = None) -> tuple:
        """Frames (1, T + ahead, 3, H, W) -> the first T of them, and no memory."""
        return frames[0, : frames.shape[1] - ahead], None

    def flows(self, frames: Tensor, memory: None, ahead: int) -> None:
        """There is no motion to know of."""


def scale_of(model: object) -> int:
    """The factor by which a restoration model enlarges; ValueError for other networks."""
    scale = getattr(model, "scale", None)
    if not isinstance(scale, int):
        raise ValueError(f"expected a restoration model, got a {type(model).__name__}")
    return scale


def backend_of(
    model: nn.Module | Backend,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    say: Say = warnings.warn,
) -> Backend:
    """The backend that runs a PyTorch network on a device (None: where it is); a backend as it is.

    dtype None is float32.
    ``say`` is told where it goes on more slowly. Raises ValueError for a network that restores
    nothing.
    """
    if not isinstance(model, nn.Module):
        return model
    scale_of(model)
    return TorchBackend(model, place_of(model, device), dtype or torch.float32, say)


def place_of(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """The device that is asked for; None: where the network is."""
    if device is None:
        first = next(model.parameters(), None)
        return torch.device("cpu") if first is None else first.device
    return torch.device(device)


def cast_weights(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy whose convolutions hold their weights in a reduced precision, cast once for all.

    They read in the order that half-precision matrices do, also on a CPU (in float32, where copies
    cost more, that pays on AVX512 alone: lab/2026-11-29-bf16-on-cpus.md).
    """
    copied = copy.deepcopy(model)
    for layer in copied.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to(dtype)
    return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def trial_pixels(backend: Backend, size: tuple[int, int]) -> int:
    """How many pixels ``faster_precision`` restores and sees for frames of (width, height)."""
    width, height = map(min, size, TRIED)
    return 4 * (1 + backend.lookahead) * width * height


def faster_precision(model: nn.Module, size: tuple[int, int]) -> torch.dtype:
    """bfloat16 where a CPU restores a frame of (width, height) faster in it, else float32.

    One frame is restored twice in each, the first time to warm up.
    """
    width, height = map(min, size, TRIED)
    seconds: dict[torch.dtype, float] = {}
    backends = [backend_of(model, "cpu", dtype) for dtype in (torch.float32, torch.bfloat16)]
    for backend in backends * 2:
        assert isinstance(backend, TorchBackend)
        frames = torch.full((1, 1 + backend.lookahead, 3, height, width), 0.5)
        began = time.perf_counter()
        backend.run(frames, None, backend.lookahead)
        seconds[backend.dtype] = time.perf_counter() - began
    return min(seconds, key=lambda dtype: seconds[dtype])
