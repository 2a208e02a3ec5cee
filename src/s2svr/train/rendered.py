"""Moving photographs as training clips: rendered from the frames of the clips that are there."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ..damage import degradation
from ..data import MOVING, ClipPairs, Data, Pair, Stored, as_float, to_bytes
from ..files import write_array
from ..ops import quantised
from ..render import Look, render_batch

PHOTOS = 4  # still frames that one moving photograph is made from
BLURS = ("blur", "shutter", "exposure")  # the renderer makes them itself, from sub-frames


def moving_pair(
    real: ClipPairs,
    rng: np.random.Generator,
    *,
    frames: int,
    size: tuple[int, int],
    device: torch.device | None = None,
) -> Pair:
    """A rendered clip (frames, 3, *size) as the truth, with the damage of the real clips' recipe.

    Blur is the mean of sub-frames in linear light, with the shutter open for half to all of the
    time between two frames.
    """
    data = real.data
    photos = [photo(real, rng).to(device) for _ in range(PHOTOS)]
    generator = Generator().manual_seed(int(rng.integers(2**62)))
    blurs = data.degradation in BLURS
    look = Look(
        speed=(0.0, data.speed),
        subframes=2 * int(rng.integers(4, 8)) + 1 if blurs else 1,
        shutter=float(rng.uniform(0.5, 1)) if blurs else 0.5,
    )
    batch = render_batch([photos], frames=frames, size=size, generators=[generator], look=look)
    if blurs:
        return Pair(quantised(batch.frames[0]), batch.sharp[0])
    return degradation(data.degradation)(batch.frames[0], generator)


def photo(real: ClipPairs, rng: np.random.Generator) -> Tensor:
    """A frame of a training clip, (3, H, W) in [0, 1]."""
    source = real.sources[rng.integers(len(real.sources))]
    clip = real.clips[int(rng.choice(source))].hq
    return as_float(clip[int(rng.integers(len(clip)))])


def with_moving(
    clips: list[Stored],
    data: Data,
    folder: Path,
    seed: int,
    down: int,
    device: torch.device | None = None,
) -> list[Stored]:
    """The clips and ``data.moving`` rendered ones, kept in ``folder`` for the next run."""
    if not data.rendered:
        return clips
    real = ClipPairs(clips, data, seed=seed, down=down)
    size = (data.context[0] * real.scale, data.context[1] * real.scale)
    decisive = data.model_dump(mode="json", include={"degradation", "frames", "context", "speed"})
    stamp = [decisive, seed, sorted(clip.path.name for clip in clips)]
    key = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    moving = []
    for index in range(data.moving):
        paths = [folder / f"{key}-{index}-{kind}.npy" for kind in ("lq", "hq")]
        if not all(path.exists() for path in paths):
            rng = np.random.default_rng((seed, index, 3))
            pair = moving_pair(real, rng, frames=data.frames, size=size, device=device)
            for path, clip in zip(paths, pair, strict=True):
                write_array(path, to_bytes(clip).cpu().numpy())
        lq, hq = (np.load(path, mmap_mode="r") for path in paths)
        moving.append(Stored(MOVING, lq, hq, paths[0]))
    return [*clips, *moving]
