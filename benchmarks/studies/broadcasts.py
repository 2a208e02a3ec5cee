"""What coarse broadcasts gain that were enlarged: restored after the enlargement, or before it.

    python benchmarks/studies/broadcasts.py CLIPS [--weights compression-light] [--crf 30 34 38]
        [--times 1.5] [--frames 24] [--pictures OUT]

Each clip is reduced, coded by x264 and enlarged again, as a 480p broadcast is that comes as 720p.
The truth is what that gives without the coding: the detail that the reduction took is not asked
for. Prints PSNR of Y in dB and, as means over the clips and for the worst one, what is gained.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.table import degradation
from s2svr.data.folder import folder_clips
from s2svr.media import read_clip
from s2svr.metrics import psnr_y
from s2svr.ops import quantised, resize_to
from s2svr.restoration.frames import restore
from s2svr.writing.images import write_png

WAYS = ("after", "before")  # the enlargement


def mean_psnr(frames: Tensor, truth: Tensor) -> float:
    """PSNR of Y in dB, a mean over the frames."""
    return fmean(psnr_y(*pair) for pair in zip(frames, truth, strict=True))


def resized(clip: Tensor, height: int, width: int) -> Tensor:
    """Frames of that size, of 8 bits."""
    return quantised(resize_to(clip, (height, width)))


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

    def restored(frames: Tensor) -> Tensor:
        return torch.stack(list(restore(model, iter(frames))))

    print("| CRF | input | gain after | worst | gain before | worst |\n|---|---|---|---|---|---|")  # noqa: T201
    for crf in chosen.crf:
        inputs, gains = [], {way: {} for way in WAYS}
        for clip in folder_clips(chosen.clips):
            whole = read_clip(clip.hq)[: chosen.frames].float() / 255
            size = whole.shape[-2:]
            small = resized(whole, *(2 * round(side / chosen.times / 2) for side in size))
            coded = degradation(f"h264-{crf}")(small, torch.Generator()).lq
            truth, shown = resized(small, *size), resized(coded, *size)
            results = {"after": restored(shown), "before": resized(restored(coded), *size)}
            inputs.append(mean_psnr(shown, truth))
            for way, frames in results.items():
                gains[way][clip.name] = mean_psnr(frames, truth) - inputs[-1]
            if chosen.pictures is not None:
                chosen.pictures.mkdir(parents=True, exist_ok=True)
                middle = [frames[len(truth) // 2] for frames in (shown, *results.values(), truth)]
                picture = torch.cat(middle, 2)  # side by side: input, after, before, truth
                write_png(chosen.pictures / f"{clip.name}-{crf}.png", picture.clamp(0, 1))
        cells = [f"{fmean(inputs):.2f}"]
        for way in WAYS:
            worst = min(gains[way], key=gains[way].__getitem__)
            cells += [f"{fmean(gains[way].values()):+.3f}", f"{gains[way][worst]:+.3f} ({worst})"]
        print(f"| {crf} | {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
