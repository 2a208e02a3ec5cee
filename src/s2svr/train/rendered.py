"""Training clips of moving photographs, rendered from frames of the other clips."""

from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ..damage import SUBFRAMES, blurs_motion, degradation, smallest_side
from ..data import (
    MOVING,
    ClipPairs,
    Data,
    Pair,
    Stored,
    as_float,
    kept_clip,
    key_of,
    to_bytes,
)
from ..ops import quantised
from ..render import Look, film_batch

PHOTOS = 4  # still frames that one moving photograph is made from


def moving_pair(
    real: ClipPairs,
    rng: np.random.Generator,
    *,
    frames: int,
    size: tuple[int, int],
    device: torch.device | None = None,
) -> Pair:
    """A rendered clip (frames, 3, *size) and the same with the damage of the real clips' recipe.

    Blur is the mean of sub-frames in linear light, as ``exposed`` has them. A rolling shutter
    leaves its skew in both, and defocus is in both.
    """
    data = real.data
    photos = [photo(real, rng).to(device) for _ in range(PHOTOS)]
    generator = Generator().manual_seed(int(rng.integers(2**62)))
    subframes, shutter = exposed(data.degradation, rng)
    look = Look(
        speed=(0.0, data.speed),
        text=(0, data.text),
        subframes=subframes,
        shutter=shutter,
        rolling=float(rng.uniform(0, data.rolling)) if data.rolling else 0.0,
        parallax=data.parallax,
        defocus=data.defocus,
    )
    batch = film_batch([photos], frames=frames, size=size, generators=[generator], look=look)
    if blurs_motion(data.degradation):
        return Pair(quantised(batch.frames[0]), batch.sharp[0])
    return degradation(data.degradation)(batch.frames[0], generator)


def exposed(damage: str, rng: np.random.Generator) -> tuple[int, float]:
    """Sub-frames of each rendered frame, and the time that they cover, in frames.

    Of ``blur-N`` and ``shutter-N`` those that the damage averages; of a blur without a number, 9 to
    15 over half to all of the time between two frames; of other damage one.
    """
    kind, _, number = damage.partition("-")
    if not blurs_motion(damage):
        return 1, 0.5
    if not number:
        return 2 * int(rng.integers(4, 8)) + 1, float(rng.uniform(0.5, 1))
    if kind == "blur":
        return int(number), float(number)
    count = SUBFRAMES * int(number) + 1
    return count, count / SUBFRAMES


def check_rendered(damage: str, size: tuple[int, int]) -> None:
    """ValueError for damage that rendered clips of this size (height, width) cannot have."""
    if "+" in damage and blurs_motion(damage):
        raise ValueError(
            f"expected a blur alone for rendered clips, got {damage}: set data.rendered = 0, or "
            "leave the rest out"
        )
    least = smallest_side(damage)
    if min(size) < least:
        raise ValueError(
            f"expected rendered clips of at least {least}x{least} pixels for {damage}, got "
            f"{size[1]}x{size[0]}: raise data.crop, and data.context with it"
        )


def photo(real: ClipPairs, rng: np.random.Generator) -> Tensor:
    """A random frame of a training clip, (3, H, W) in [0, 1]."""
    source = real.sources[rng.integers(len(real.sources))]
    clip = real.clips[int(rng.choice(source))].hq
    return as_float(clip[int(rng.integers(len(clip)))])


def with_moving(
    clips: list[Stored],
    data: Data,
    folder: Path,
    *,
    seed: int,
    align: int = 1,
    device: torch.device | None = None,
) -> list[Stored]:
    """The clips and ``data.moving`` rendered ones, kept in ``folder`` for the next run.

    ``align`` as in ``ClipPairs``.
    """
    if not data.rendered:
        return clips
    real = ClipPairs(clips, data, seed=seed, align=align)
    size = (data.context[0] * real.scale, data.context[1] * real.scale)
    decisive = data.model_dump(mode="json", include={"degradation", "frames", "context", "speed"})
    rest = {"text", "rolling", "parallax", "defocus"}
    decisive |= data.model_dump(mode="json", include=rest, exclude_defaults=True)
    photos = sorted(clip.key for clip in clips)

    def rendered(index: int) -> Stored:
        def make() -> list[np.ndarray]:
            rng = np.random.default_rng((seed, index, 3))
            pair = moving_pair(real, rng, frames=data.frames, size=size, device=device)
            return [to_bytes(clip).cpu().numpy() for clip in pair]

        return kept_clip(folder, key_of(decisive, seed, photos, index), MOVING, make)

    return [*clips, *map(rendered, range(data.moving))]
