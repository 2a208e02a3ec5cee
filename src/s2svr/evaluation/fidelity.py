"""How far a restored video, damaged again, is from the video that it was made of."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor

from ..damage import shrinks, stream
from ..media import open_reader
from ..metrics import mean_finite, psnr_rgb
from ..ops import quantised, resize_to
from .compare import with_times

BIN = 30  # frames
DRIFT = 0.5  # dB


@dataclass(frozen=True)
class Fidelity:
    """PSNR (dB, rounded RGB) of the restored video, damaged again, against its source.

    Frames without any difference have no PSNR and are left out of what is a mean.
    """

    frames: int
    equal: int  # of them, those that came out as in the source
    psnr: float | None  # None where all are equal
    base: float | None  # the same of the source itself, resized: what the damage alone does to it
    bins: list[float | None]  # psnr - base, mean over every BIN frames; psnr where base is None
    warning: str | None  # where it drifts


@torch.inference_mode()
def measure_fidelity(source: Path, restored: Path, damage: str = "bicubic") -> Fidelity:
    """Damage ``restored`` again and compare with ``source``, frame by frame.

    ``damage`` is what ``source`` suffered, a name of ``damage.stream``. ``bicubic`` alone reduces
    to the source's size, whatever it is; where that is ``restored``'s own, nothing is done. Each
    frame is held against what the plainly resized source would give, so that a harder scene does
    not look like drift. Raises ValueError where the sizes do not fit.
    """
    both, base = [], []
    for frame, again, plain in damaged_again(Path(source), Path(restored), damage):
        both.append(psnr_rgb(again, frame))
        base.append(psnr_rgb(plain, frame))
    if not both:
        raise ValueError(f"expected frames at common times, {source} and {restored} have none")
    plain_mean, _ = mean_finite(base)
    apart = both
    if math.isfinite(plain_mean):
        apart = [a - b if math.isfinite(b) else math.inf for a, b in zip(both, base, strict=True)]
    bins = [
        mean_of_finite(apart[at : at + BIN]) for at in range(0, max(len(both) - BIN + 1, 1), BIN)
    ]
    equal = sum(math.isinf(value) for value in both)
    return Fidelity(len(both), equal, mean_of_finite(both), mean_of_finite(base), bins, drift(bins))


def mean_of_finite(values: list[float]) -> float | None:
    """Mean of the finite values, if there are any."""
    mean, _ = mean_finite(values)
    return mean if math.isfinite(mean) else None


def drift(bins: list[float | None]) -> str | None:
    """A warning if any bin lies lower than the first; bins of equal frames cannot."""
    there = [(value, index * BIN) for index, value in enumerate(bins) if value is not None]
    if not there or there[0][0] - min(there)[0] <= DRIFT:
        return None
    (first, _), (lowest, begin) = there[0], min(there)
    return (
        f"drifts from its source: {first - lowest:.2f} dB further away in the frames "
        f"{begin} to {begin + BIN - 1} than at the begin"
    )


def damaged_again(
    source: Path, restored: Path, damage: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The source's frames, with the restored ones damaged and the resized ones damaged."""
    with open_reader(source) as first, open_reader(restored) as second:
        small, large = ((r.info.height, r.info.width) for r in (first, second))
        check_damage(source, small, restored, large, damage)
        again = stream(damage)
        if damage == "bicubic":
            again = partial(reduced_frames, small)
        met = with_times(first, second)
        matched = ((a.rgb, b.rgb) for a, b in met if a is not None and b is not None)
        frames, outputs, plain = tee(matched, 3)
        resized = (resize_to(a, large).clamp(0, 1) for a, _ in plain)
        for (a, _), x, y in zip(frames, again(b for _, b in outputs), again(resized), strict=True):
            yield quantised(a), x, y


def reduced_frames(size: tuple[int, int], frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Frames reduced to one size (height, width), as files hold them."""
    return (quantised(resize_to(frame, size)) for frame in frames)


def check_damage(
    source: Path, small: tuple[int, int], restored: Path, large: tuple[int, int], damage: str
) -> None:
    """ValueError where this damage cannot turn the one (height, width) into the other."""
    if damage == "bicubic":
        fits, wanted = large >= small and large[1] >= small[1], "at least"
    else:
        factor = shrinks(damage)
        fits, wanted = large == (factor * small[0], factor * small[1]), f"{factor} times"
    if not fits:
        raise ValueError(
            f"expected {restored} to be {wanted} as large as {source}, got frames of "
            f"{large[1]}x{large[0]} for {small[1]}x{small[0]} pixels"
        )
