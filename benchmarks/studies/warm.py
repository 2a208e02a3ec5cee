"""How far ahead a network that reads both ways has to see: windows against the whole clip.

    python benchmarks/studies/warm.py VIDEO... --weights sr-light --weights sr-base
        [--warm 2] [--window 16] [--frames 40] [--size 96x64]

Of each video the middle is taken, so large that its reduction by 4 has --size. It is restored at
once and in windows whose backward sweep starts ``warm`` frames after their end. Prints, for each
network, window and ``warm``: how many frames are encoded for each that is restored, PSNR (dB)
between the two outputs over all frames and of the worst frame, their largest difference in levels
of 255, and how much the windows lose to the whole clip against the original (dB).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.media import read_clip
from s2svr.metrics import psnr
from s2svr.models.s2svr import S2SVR
from s2svr.restoration.frames import restore


def middle(path: Path, frames: int, width: int, height: int) -> Tensor:
    """The middle of a video's first frames (T, 3, height, width), in [0, 1]."""
    clip = read_clip(path, count=frames).float() / 255
    top, left = (clip.shape[-2] - height) // 8 * 4, (clip.shape[-1] - width) // 8 * 4
    return clip[..., top : top + height, left : left + width]


def restored(model: S2SVR, x: Tensor, window: int) -> Tensor:
    """The clip (T, 3, sH, sW) in windows."""
    return torch.stack(list(restore(model, iter(x), window=window, cuts=None)))


def levels(a: Tensor, b: Tensor) -> float:
    return psnr(255 * a, 255 * b)


def rows(model: S2SVR, truths: list[Tensor], windows: list[int], warms: list[int]) -> Iterator[str]:
    """One line for each window and ``warm``, over all clips."""
    clips = [bicubic_down(truth).lq for truth in truths]
    wholes = torch.cat([restored(model, x, len(x)) for x in clips])
    truth = torch.cat(truths)
    for window in windows:
        for warm in warms:
            model.lookahead = model.config.radius + warm
            parts = torch.cat([restored(model, x, window) for x in clips])
            worst = min(levels(a, b) for a, b in zip(parts, wholes, strict=True))
            yield (
                f"windows of {window}, warm {warm}: "
                f"{(window + model.lookahead) / window:.2f} frames encoded for each, "
                f"{levels(parts, wholes):.1f} dB, worst frame {worst:.1f} dB, "
                f"largest {255 * float((parts - wholes).abs().max()):.2f} levels, "
                f"{levels(parts, truth) - levels(wholes, truth):+.4f} dB against the original"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", action="append", required=True)
    parser.add_argument("--warm", type=int, action="append")
    parser.add_argument("--window", type=int, action="append")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--size", default="96x64", help="of the reduced clip")
    given = parser.parse_args()
    width, height = (4 * int(side) for side in given.size.split("x"))
    truths = [middle(path, given.frames, width, height) for path in given.videos]
    for weights in given.weights:
        model = load(weights)
        assert isinstance(model, S2SVR)
        for row in rows(model, truths, given.window or [16], given.warm or [2, 4, 8, 16]):
            print(f"{weights}: {row}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
