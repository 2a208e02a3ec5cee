"""How far restoring in tiles is from restoring whole frames.

    python benchmarks/product/tiles.py CLIPS... [--weights sr-light] [--frames 100] [--tile 192]

Each clip is reduced by --reduce and played to and fro until there are enough frames. With --pan
PIXELS a window of 320 pixels moves so fast over the first frames of all clips side by side instead.
Prints, in levels of 255: the 99.9th percentile of the difference in the worst frame, the last
frame's, and the largest difference of any pixel.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.media import read_clip
from s2svr.ops import resize_bicubic
from s2svr.restoration.frames import restore
from s2svr.restoration.tiles import Box, split_until

PAN_SIZE = 144, 320  # height and width of what is seen of a pan


def to_and_fro(length: int, count: int, step: int = 1) -> list[int]:
    """Positions 0, step, 2 step, ... below ``length``, then back, and so on."""
    last = length - 1
    return [last - abs((t * step) % (2 * last) - last) if last else 0 for t in range(count)]


def reduced(clip: Tensor, factor: int) -> Tensor:
    """Codes (T, 3, H, W) -> (T, 3, H / factor, W / factor) in [0, 1], rounded to 8 bits."""
    small = resize_bicubic(clip / 255, 1 / factor) if factor > 1 else clip / 255
    return small.clamp(0, 1).mul(255).round() / 255


def played(path: Path, factor: int, count: int) -> Iterator[Tensor]:
    clip = reduced(read_clip(path), factor)
    yield from (clip[t] for t in to_and_fro(len(clip), count))


def panned(paths: list[Path], factor: int, count: int, speed: int) -> Iterator[Tensor]:
    height, width = PAN_SIZE
    firsts = (reduced(read_clip(path, count=1), factor)[0] for path in paths)
    wide = torch.cat([frame[:, :height] for frame in firsts], 2)
    for left in to_and_fro(wide.shape[2] - width + 1, count, speed):
        yield wide[:, :, left : left + width]


def measure(name: str, clip: list[Tensor], weights: str, tile: int, window: int) -> None:
    """Print one line."""
    box = Box(0, 0, *clip[0].shape[-2:])
    wholes, parts = (
        restore(load(weights), clip, window=window, tile=size, cuts=None) for size in (None, tile)
    )
    tails, largest = [], 0.0
    for whole, part in zip(wholes, parts, strict=True):
        difference = (255 * (whole - part)).abs().flatten()
        tails.append(difference.kthvalue(round(0.999 * len(difference))).values.item())
        largest = max(largest, difference.max().item())
    print(  # noqa: T201
        f"{name:28} {box.width}x{box.height} {len(clip)} frames, {len(split_until(box, tile))} "
        f"tiles of {tile}: 99.9 % {max(tails):.4f}, at last {tails[-1]:.4f}, most {largest:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--weights", default="sr-light")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--reduce", type=int, default=2, choices=(1, 2, 4))
    parser.add_argument("--tile", type=int, action="append")
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--pan", type=int, action="append")
    given = parser.parse_args()
    inputs = {
        f"pan {s}": panned(given.clips, given.reduce, given.frames, s) for s in given.pan or []
    }
    inputs = inputs or {p.stem: played(p, given.reduce, given.frames) for p in given.clips}
    for name, frames in inputs.items():
        clip = list(frames)
        for tile in given.tile or [192]:
            measure(name, clip, given.weights, tile, given.window)


if __name__ == "__main__":
    main()
