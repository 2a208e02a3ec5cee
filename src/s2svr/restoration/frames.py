"""Restoration of an iterator of frames."""

import math
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..text import Say
from .backend import Backend, backend_of
from .cuts import find_cuts
from .runner import Runner
from .windows import Cuts, group_windows

WANTED = "expected frames (3, H, W) of floats in [0, 1]"
# Colours that video can code reach beyond [0, 1], most of them far beyond what a display shows, but
# their brightness hardly does. Codes of 0 to 255 and frames in [-1, 1] lie outside.
VALUES, BRIGHTNESS = (-1.2, 2.2), (-0.3, 1.3)
LUMA = torch.tensor((0.3, 0.59, 0.11))[:, None, None]  # shares of R, G, B, about


def restore(
    model: nn.Module | Backend,
    frames: Iterable[Tensor],
    *,
    window: int = 16,
    tile: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = torch.float32,
    cuts: Cuts | None = find_cuts,
    say: Say = warnings.warn,
) -> Iterator[Tensor]:
    """Restore frames (3, H, W) in [0, 1], all of one size, lazily: (3, sH, sW) in [0, 1].

    model is a network with ``scale``, ``lookahead`` and the call of S2SVR, which is moved to
    ``device`` (None: it stays where it is), or a Backend. The frames are taken in windows of
    ``window`` frames, between which the memory is carried. Networks that read forward in time make
    the same whatever the window, on a CPU bit by bit; those that read both ways differ a little.
    Memory starts afresh where ``cuts`` says that a shot begins (None: it is all one shot). ``tile``
    is the longest side, in pixels, of the parts that frames are restored in; ``dtype`` other than
    float32 is for GPUs, and bfloat16 also for CPUs made for it. When memory runs out, smaller
    windows and then tiles are used, and ``say`` is told; MemoryError when that does not suffice.
    ValueError for frames that are arrays, integers, beyond [0, 1] or not finite; FloatingPointError
    where what the network gives back cannot be a picture.
    """
    if not isinstance(frames, Iterable):
        raise ValueError(f"{WANTED}, one by one, got {described(frames)}: {advice(frames)}")
    backend = backend_of(model, device, dtype, say)
    runner = Runner(backend, window=window, tile=tile, say=say)
    shots = (cuts or single_shot)(checked(frames))
    return runner.run_all(group_windows(shots, window, backend.lookahead))


def single_shot(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Every frame, and whether it is the first."""
    for index, frame in enumerate(frames):
        yield frame, index == 0


def checked(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """The frames in float32; ValueError at the first that is none, or is of another size."""
    shape = None
    for index, frame in enumerate(frames):
        if not is_frame(frame):
            raise ValueError(f"{WANTED}, got {described(frame)}: {advice(frame)}")
        low, high = (float(value) for value in frame.aminmax())
        if not math.isfinite(low + high):
            raise ValueError(
                f"{WANTED}, got values that are not finite in frame {index}: mend what makes them"
            )
        luma = (LUMA.to(frame) * frame).sum(0).aminmax()
        if not (
            VALUES[0] <= low <= high <= VALUES[1]
            and BRIGHTNESS[0] <= luma.min <= luma.max <= BRIGHTNESS[1]
        ):
            scaling = "divide them by 255" if low >= 0 and high <= 255 else "scale them"
            raise ValueError(f"{WANTED}, got values from {low:g} to {high:g}: {scaling}")
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ValueError(
                f"expected all frames of one size {tuple(shape)}, got {tuple(frame.shape)}"
            )
        yield frame.float()


def is_frame(thing: object) -> bool:
    """True for a tensor (3, H, W) of floats."""
    if not (isinstance(thing, Tensor) and thing.is_floating_point() and thing.numel()):
        return False
    return thing.ndim == 3 and len(thing) == 3


def described(thing: object) -> str:
    """What was given in place of a frame, in words."""
    if isinstance(thing, Tensor | np.ndarray):
        kind = "a numpy array " if isinstance(thing, np.ndarray) else ""
        return f"{kind}{tuple(thing.shape)} of {thing.dtype}"
    return f"a {type(thing).__name__}"


def advice(thing: object) -> str:
    """What makes a frame of what was given in place of one."""
    if not isinstance(thing, Tensor | np.ndarray):
        return "read_clip reads files, and restore_video restores them"
    if thing.ndim == 2:
        return "a single frame is given as [frame], and a grey one as three planes"
    if thing.ndim == 4:
        return "give its frames one by one"
    call = "frame" if isinstance(thing, Tensor) else "torch.from_numpy(frame)"
    if thing.ndim == 3 and thing.shape[0] != 3 and thing.shape[-1] in (3, 4):
        call += ("[..., :3]" if thing.shape[-1] == 4 else "") + ".permute(2, 0, 1)"
    tops = {"uint8": 255, "uint16": 65535}
    if top := tops.get(str(thing.dtype).removeprefix("torch.")):
        call += f" / {top}"
    return f"{call} is one" if call != "frame" else "take three planes: red, green and blue"
