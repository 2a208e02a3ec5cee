"""What coarse broadcasts gain that were enlarged: restored after the enlargement, or before it.

    python benchmarks/product/broadcasts.py CLIPS [--weights compression-light] [--crf 30 34 38]
        [--times 1.5] [--frames 24] [--pictures OUT]

Each clip is reduced, coded by x264 and enlarged again, as a 480p broadcast is that comes as 720p.
The truth is what that gives without the coding: the detail that the reduction took is not asked
for. Prints PSNR of Y in dB and, as means over the clips and for the worst one, what is gained.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from compression_tables import gain_text
from torch import Tensor, nn

from s2svr.checkpoint import load
from s2svr.damage.table import degradation
from s2svr.data.folder import folder_clips
from s2svr.evaluation.scores import mean_gain
from s2svr.media import read_clip
from s2svr.metrics import psnr_y
from s2svr.ops import quantised, resize_to
from s2svr.restoration.frames import restore
from s2svr.writing.images import write_png

COLUMNS = "| CRF | input | gain after | worst | gain before | worst |\n|---|---|---|---|---|---|"


def scores(frames: Tensor, truth: Tensor) -> list[float]:
    """PSNR of Y of each frame, in dB."""
    return [psnr_y(*pair) for pair in zip(frames, truth, strict=True)]


def resized(clip: Tensor, height: int, width: int) -> Tensor:
    """Frames of that size, of 8 bits."""
    return quantised(resize_to(clip, (height, width)))


def shown(model: nn.Module, small: Tensor, size: tuple[int, int], crf: int) -> dict[str, Tensor]:
    """A reduced clip, coded and enlarged to ``size``: as it is, and restored in both orders."""

    def restored(frames: Tensor) -> Tensor:
        return torch.stack(list(restore(model, iter(frames))))

    coded = degradation(f"h264-{crf}")(small, torch.Generator()).lq
    enlarged = resized(coded, *size)
    before = resized(restored(coded), *size)
    return {"input": enlarged, "after": restored(enlarged), "before": before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", default="compression-light")
    parser.add_argument("--crf", type=int, nargs="+", default=[30, 34, 38])
    parser.add_argument("--times", type=float, default=1.5)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pictures", type=Path, help="folder for the middle frames")
    chosen = parser.parse_args()
    model = load(chosen.weights)
    found: dict[int, dict[str, dict[str, list[float]]]] = {crf: {} for crf in chosen.crf}
    for clip in folder_clips(chosen.clips):
        whole = read_clip(clip.hq, count=chosen.frames).float() / 255
        size = (whole.shape[-2], whole.shape[-1])
        small = resized(whole, *(2 * round(side / chosen.times / 2) for side in size))
        truth = resized(small, *size)
        for crf, of_clips in found.items():
            results = shown(model, small, size, crf)
            of_clips[clip.name] = {way: scores(y, truth) for way, y in results.items()}
            if chosen.pictures is not None:  # side by side: input, after, before, truth
                middle = [y[len(truth) // 2] for y in (*results.values(), truth)]
                chosen.pictures.mkdir(parents=True, exist_ok=True)
                write_png(
                    chosen.pictures / f"{clip.name}-{crf}.png", torch.cat(middle, 2).clamp(0, 1)
                )
    print(COLUMNS)  # noqa: T201
    for crf, of_clips in found.items():
        cells = [f"{fmean(fmean(of['input']) for of in of_clips.values()):.2f}"]
        for way in ("after", "before"):
            gains = {name: mean_gain(of[way], of["input"]) for name, of in of_clips.items()}
            cells.append(gain_text(gains))
        print(f"| {crf} | {' | '.join(cells)} |")  # noqa: T201


if __name__ == "__main__":
    main()
