"""How many frames a stretch of a film must begin early, so that its seam is not seen.

    python benchmarks/studies/warm_up.py VIDEO... --weights sr-light --weights sr-real
        [--frames 56] [--border 40] [--size 96x64]

Of each video the middle of the first frames, of --size, is restored at once, and from so many
frames before the border on, with nothing remembered. Prints, for each network and number of frames,
PSNR (dB) between the two results over the frame before the border, where a seam is measured, and
over the frames from the border on; of the worst video.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.media import read_clip
from s2svr.metrics import psnr
from s2svr.restoration import restore

EARLY = 1, 2, 4, 8, 16, 24, 32


def middle(path: Path, frames: int, width: int, height: int) -> Tensor:
    """The middle of a video's first frames (T, 3, height, width), in [0, 1]."""
    clip = read_clip(path, count=frames).float() / 255
    top, left = (clip.shape[-2] - height) // 2, (clip.shape[-1] - width) // 2
    return clip[..., top : top + height, left : left + width]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", action="append", required=True)
    parser.add_argument("--frames", type=int, default=56)
    parser.add_argument("--border", type=int, default=40)
    parser.add_argument("--size", default="96x64")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    clips = [middle(path, asked.frames, width, height) for path in asked.videos]
    for name in asked.weights:
        model = load(name)
        wholes = [torch.stack(list(restore(model, clip, cuts=None))) for clip in clips]
        for early in EARLY:
            before, after = [], []
            for clip, whole in zip(clips, wholes, strict=True):
                first = asked.border - early
                part = torch.stack(list(restore(model, clip[first:], cuts=None)))
                same, again = 255 * whole[first:], 255 * part
                before.append(psnr(again[early - 1], same[early - 1]))
                after.append(psnr(again[early:], same[early:]))
            row = f"{name}: {early} early: {min(before):.1f} dB before, {min(after):.1f} dB after"
            print(row, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
