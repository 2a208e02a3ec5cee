"""Restoration of an iterator of frames."""

import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from .backend import Backend, backend_of
from .cuts import find_cuts
from .runner import Runner
from .windows import Cuts, Say, group_windows


def restore(
    model: nn.Module | Backend,
    frames: Iterable[Tensor],
    *,
    window: int = 16,
    tile: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    cuts: Cuts | None = find_cuts,
    say: Say = warnings.warn,
) -> Iterator[Tensor]:
    """Restore frames (3, H, W) in [0, 1], all of one size, lazily: (3, sH, sW) in [0, 1].

    model is a network with ``scale``, ``lookahead`` and the call of S2SVR, which is moved to
    ``device`` (None: it stays where it is), or a Backend. The frames are taken in windows of
    ``window`` frames, between which the memory is carried; whatever the window, the result is the
    same, on a CPU bit by bit. Memory starts afresh where ``cuts`` says that a shot begins (None: it
    is all one shot). ``tile`` is the longest side, in pixels, of the parts that frames are restored
    in; ``dtype`` other than float32 is for GPUs. When memory runs out, smaller windows and then
    tiles are used, and ``say`` is told; MemoryError when that does not suffice.
    """
    backend = backend_of(model, device, dtype)
    runner = Runner(backend, window=window, tile=tile, say=say)
    shots = (cuts or single_shot)(checked(frames))
    return runner.run_all(group_windows(shots, window, backend.lookahead))


def single_shot(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Every frame, and whether it is the first."""
    for index, frame in enumerate(frames):
        yield frame, index == 0


def checked(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """The frames; ValueError at the first that is none or is of another size."""
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.ndim != 3 or len(frame) != 3 or not frame.is_floating_point():
            raise ValueError(
                "expected frames (3, H, W) of floats in [0, 1], "
                f"got {tuple(frame.shape)} of {frame.dtype}"
            )
        if frame.shape != shape:
            raise ValueError(
                f"expected all frames of one size {tuple(shape)}, got {tuple(frame.shape)}"
            )
        yield frame
