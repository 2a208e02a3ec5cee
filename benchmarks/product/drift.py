"""Whether a network's gain lasts: clips played to and fro, restored as one long video.

    python benchmarks/product/drift.py CLIPS --weights NAME [--damage blur-3] [--frames 240] \
        [--side 320]

Prints the gain in dB (RGB, rounded) over the damaged clip, or over its bicubic enlargement, as a
mean over every 30 frames; and how far it is ahead of the same network restarted every 30 frames,
since gains change with what a clip shows.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.coarseness import knowing
from s2svr.damage import degradation, told_coarseness
from s2svr.data.clips import bounced
from s2svr.data.folder import folder_clips
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.ops import resize_bicubic
from s2svr.restoration import scale_of
from s2svr.restoration.frames import restore

BIN = 30  # frames


def scores(frames: Iterable[Tensor], truth: Tensor) -> list[float]:
    """PSNR of each frame."""
    return [psnr_rgb(y, hq) for y, hq in zip(frames, truth, strict=True)]


def bins(ours: list[float], other: list[float]) -> str:
    """Means, over every 30 frames, of ours minus the other."""
    gains = [a - b for a, b in zip(ours, other, strict=True)]
    return " ".join(f"{fmean(gains[t : t + BIN]):+.2f}" for t in range(0, len(gains), BIN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--damage", default="bicubic")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--side", type=int, default=320, help="pixels that are used of each side")
    chosen = parser.parse_args()
    network = load(chosen.weights)
    for sequence in folder_clips(chosen.clips):
        model = knowing(network, told_coarseness(chosen.damage, sequence.hq))
        clip = read_clip(sequence.hq)[..., : chosen.side, : chosen.side].float() / 255
        long = clip[[bounced(t, len(clip)) for t in range(chosen.frames)]]
        lq, hq = degradation(chosen.damage)(long, torch.Generator().manual_seed(0))
        base = lq if scale_of(model) == 1 else resize_bicubic(lq, scale_of(model)).clamp(0, 1)
        parts = (frame for part in lq.split(BIN) for frame in restore(model, iter(part)))
        whole = scores(restore(model, iter(lq)), hq)
        print(f"{sequence.name}: {bins(whole, scores(base, hq))}", flush=True)  # noqa: T201
        print(f"  over restarts: {bins(whole, scores(parts, hq))}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
