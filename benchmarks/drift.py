"""Whether a network's gain lasts: clips played to and fro, restored as one long video.

    python benchmarks/drift.py CLIPS --weights NAME [--damage blur-3] [--frames 240] [--side 320]

Prints the gain in dB (RGB, rounded) over the damaged clip, or over its bicubic enlargement, as a
mean over every 30 frames.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch

from s2svr.checkpoint import load
from s2svr.data.clips import bounced
from s2svr.data.folder import folder
from s2svr.degrade import degradation
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.ops import resize_bicubic
from s2svr.restoration import restore
from s2svr.windows import scale_of

BIN = 30  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--damage", default="bicubic")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--side", type=int, default=320, help="pixels that are used of each side")
    chosen = parser.parse_args()
    model = load(chosen.weights)
    for sequence in folder(chosen.clips):
        clip = read_clip(sequence.hq)[..., : chosen.side, : chosen.side].float() / 255
        long = clip[[bounced(t, len(clip)) for t in range(chosen.frames)]]
        lq, hq = degradation(chosen.damage)(long, torch.Generator().manual_seed(0))
        gains = []
        for y, x, truth in zip(restore(model, iter(lq)), lq, hq, strict=True):
            base = resize_bicubic(x, scale_of(model)).clamp(0, 1) if scale_of(model) > 1 else x
            gains.append(psnr_rgb(y, truth) - psnr_rgb(base, truth))
        bins = [fmean(gains[t : t + BIN]) for t in range(0, len(gains), BIN)]
        line = " ".join(f"{gain:+.2f}" for gain in bins)
        print(f"{sequence.name}: {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
