"""Distance of a restored video, damaged again, from the video that it was made of."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor

from ..damage import shrinks, stream
from ..media import Reader, open_reader
from ..metrics import mean_finite, psnr_rgb
from ..ops import quantised, resize_to
from .compare import Pairing, damage_lines, paired_frames, upright_size

BIN = 30  # frames of which one mean is taken
DRIFT = 0.5  # dB by which a later bin may be lower than the first


@dataclass(frozen=True)
class Fidelity:
    """PSNR (dB, rounded RGB) of the restored video, damaged again, against its source.

    Frames without any difference have no PSNR and are left out of means.
    """

    frames: int
    equal: int  # of them, those without any difference from the source
    psnr: float | None  # None where all are equal
    base: float | None  # the same of the source itself, resized: the effect of the damage alone
    bins: list[float | None]  # psnr - base, mean over every BIN frames; psnr where base is None
    warning: str | None  # where it drifts
    lost: int  # frames of the source without a partner in the restored video
    added: int  # frames of the restored video without one in the source
    damage: list[str]  # what did not decode


@dataclass
class Met:
    """Counts of what is met while two videos are read, the source's first."""

    alone: list[int] = field(default_factory=lambda: [0, 0])  # frames without a partner
    corrupt: list[int] = field(default_factory=lambda: [0, 0])


@torch.inference_mode()
def measure_fidelity(source: Path, restored: Path, damage: str = "bicubic") -> Fidelity:
    """Damage ``restored`` again and compare with ``source``, frame by frame.

    ``damage``, a name of ``damage.stream``, is the damage of ``source``. ``bicubic`` alone takes
    any size: what is larger of the two, on either side, is reduced to the other. Each frame's PSNR
    is taken relative to that of the plainly resized source, so that a harder scene does not look
    like drift. Frames are taken upright. Raises ValueError where the sizes do not fit.
    """
    values, base, met = [], [], Met()
    with open_reader(Path(source)) as first, open_reader(Path(restored)) as second:
        for frame, again, plain in damaged_again(first, second, damage, met):
            values.append(psnr_rgb(again, frame))
            base.append(psnr_rgb(plain, frame))
        read = zip((first, second), met.corrupt, strict=True)
        broken = [line for pair in read for line in damage_lines(*pair)]
    if not values:
        raise ValueError(f"expected frames at common times, {source} and {restored} have none")
    plain_mean, _ = mean_finite(base)
    gains = values
    if math.isfinite(plain_mean):
        gains = [a - b if math.isfinite(b) else math.inf for a, b in zip(values, base, strict=True)]
    count = len(values)
    bins = [mean_of_finite(gains[at : at + BIN]) for at in range(0, max(count - BIN + 1, 1), BIN)]
    return Fidelity(
        frames=count,
        equal=sum(math.isinf(value) for value in values),
        psnr=mean_of_finite(values),
        base=mean_of_finite(base),
        bins=bins,
        warning=drift_warning(bins),
        lost=met.alone[0],
        added=met.alone[1],
        damage=broken,
    )


def mean_of_finite(values: list[float]) -> float | None:
    """Mean of the finite values; None where there are none."""
    mean, _ = mean_finite(values)
    return mean if math.isfinite(mean) else None


def drift_warning(bins: list[float | None]) -> str | None:
    """Warning if a bin is lower than the first by more than DRIFT; None where no bin is."""
    known = [(value, index * BIN) for index, value in enumerate(bins) if value is not None]
    if not known or known[0][0] - min(known)[0] <= DRIFT:
        return None
    (first, _), (lowest, begin) = known[0], min(known)
    return (
        f"drifts from its source: {first - lowest:.2f} dB further away in the frames "
        f"{begin} to {begin + BIN - 1} than at the begin"
    )


def damaged_again(
    source: Reader, restored: Reader, damage: str, met: Met
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the source's frames, the restored ones damaged, and the resized ones damaged."""
    small, large = (upright_size(reader)[::-1] for reader in (source, restored))
    check_damage(source.path, small, restored.path, large, damage)
    damaged, common = stream(damage), small
    if damage == "bicubic":
        common = min(small[0], large[0]), min(small[1], large[1])
        damaged = partial(reduced_frames, common)
    matched = matched_frames(paired_frames(source, restored), met)
    frames, outputs, plain = tee(matched, 3)
    resized = (resize_to(a, large).clamp(0, 1) for a, _ in plain)
    again = damaged(b for _, b in outputs)
    sources = reduced_frames(common, (a for a, _ in frames))
    yield from zip(sources, again, damaged(resized), strict=True)


def matched_frames(pairs: Iterable[Pairing], met: Met) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the frames that have a partner, with it; count the others, and damage of all."""
    for a, b in pairs:
        for side, (frame, other) in enumerate(((a, b), (b, a))):
            met.corrupt[side] += frame is not None and frame.corrupt
            met.alone[side] += other is None
        if a is not None and b is not None:
            yield a.rgb, b.rgb


def reduced_frames(size: tuple[int, int], frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Reduce frames to one size (height, width), rounded as files hold them."""
    return (quantised(resize_to(frame, size)) for frame in frames)


def check_damage(
    source: Path, small: tuple[int, int], restored: Path, large: tuple[int, int], damage: str
) -> None:
    """Raise ValueError where this damage cannot turn (height, width) ``large`` into ``small``."""
    factor = shrinks(damage)
    if damage == "bicubic" or large == (factor * small[0], factor * small[1]):
        return
    words = f"{factor} times as large as" if factor > 1 else "as large as"
    raise ValueError(
        f"expected {restored} to be {words} {source} for {damage}, got frames of "
        f"{large[1]}x{large[0]} for {small[1]}x{small[0]} pixels; bicubic takes any size"
    )
