"""The tables of a compression network: gains by codec and rate, by length, and two artifacts.

    python benchmarks/product/compression_tables.py CLIPS --weights NAME [--frames 24]
        [--damage hevc-22 ... h264-38] [--lengths-of hevc-37] [--segment 1 5 15] [--every 8]

Prints for each damage the means over the clips, and the worst clip: gains of Y and of Cb and Cr in
dB; banding and mosquito noise (artifacts.py) of every 8th frame, of what came in, what comes out
and the truth. Then the gain of Y where the memory is emptied every so many frames. What is drawn
here from one pass, `s2svr evaluate --table` has clip by clip; benchmarks/product/drift.py tells
whether a gain lasts, and `s2svr evaluate --pictures` shows it.
"""

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import torch
from artifacts import banding, mosquito
from torch import Tensor, nn

from s2svr.checkpoint import load
from s2svr.coarseness import knowing
from s2svr.damage import cache_name, degradation, told_coarseness
from s2svr.data import Clip, as_float, damaged_clip, folder_clips
from s2svr.evaluation.methods import Method, our_method
from s2svr.evaluation.protocols import View, view
from s2svr.evaluation.scores import mean_gain
from s2svr.metrics import luma, psnr_chroma, psnr_y

DAMAGES = [f"hevc-{qp}" for qp in (22, 27, 32, 37, 42)] + [
    f"h264-{crf}" for crf in (24, 28, 30, 34, 38)
]
Scores = dict[str, list[float]]  # by measure, a value a frame


def scores(pictures: Iterable[View], truth: list[Tensor], every: int) -> Scores:
    """Each frame's PSNR of Y and of chroma in dB, and every so many frames' artifacts."""
    found: Scores = {"y": [], "chroma": [], "banding": [], "mosquito": []}
    for index, (picture, hq) in enumerate(zip(pictures, truth, strict=True)):
        found["y"].append(psnr_y(picture.rgb, hq))
        found["chroma"].append(psnr_chroma(picture.rgb, hq))
        if index % every == 0:
            codes, true = (luma(rgb)[0].round() for rgb in (picture.rgb, hq))
            found["banding"].append(banding(codes, true))
            found["mosquito"].append(mosquito(codes, true))
    return found


def clip_scores(
    methods: dict[str, Method], clip: Clip, damage: str, seed: int, frames: int, every: int,
    cache: Path | None,
) -> dict[str, Scores]:  # fmt: skip
    """Scores of a damaged clip by method, and of the truth beside itself."""
    codes = damaged_clip(
        clip.hq, degradation(damage), seed=seed, frames=frames, name=cache_name(damage), cache=cache
    )
    lq, truth = ([as_float(code) for code in one] for one in codes)
    found = {
        name: scores(method(view(x) for x in lq), truth, every) for name, method in methods.items()
    }
    return found | {"truth": scores((view(x) for x in truth), truth, every)}


def known_mean(values: Iterable[float]) -> float:
    """The mean of the finite ones; NaN where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else math.nan


def gain_text(gains: dict[str, float]) -> str:
    """The mean gain, and the worst clip's, as two cells."""
    worst = min(gains, key=lambda name: gains[name])
    return f"{known_mean(gains.values()):+.3f} | {gains[worst]:+.3f} ({worst})"


def gains_of(clips: dict[str, dict[str, Scores]], method: str, measure: str) -> dict[str, float]:
    """A method's mean gain over the input, by clip."""
    return {
        name: mean_gain(of[method][measure], of["input"][measure]) for name, of in clips.items()
    }


def damage_row(damage: str, clips: dict[str, dict[str, Scores]]) -> str:
    """A damage's line of the first table."""
    cells = [f"{known_mean(v for of in clips.values() for v in of['input']['y']):.2f}"]
    cells += [gain_text(gains_of(clips, "ours", measure)) for measure in ("y", "chroma")]
    for measure in ("banding", "mosquito"):
        for method in ("input", "ours", "truth"):
            if (measure, method) != ("mosquito", "truth"):  # which has none
                values = (v for of in clips.values() for v in of[method][measure])
                cells.append(f"{known_mean(values):.3f}")
    return f"| {damage} | {' | '.join(cells)} |"


def tables(model: nn.Module, clips: list[Clip], chosen: argparse.Namespace) -> Iterable[str]:
    """Lines of both tables, each as soon as it is known."""
    columns = "damage, Y in, gain Y, worst clip, gain of chroma, worst clip, "
    columns += "banding in, out, truth, mosquito in, out"
    yield f"| {columns.replace(', ', ' | ')} |\n|{'---|' * 11}"
    lengths: dict[str, dict[str, Scores]] = {}
    segments = {f"T={count}": count for count in chosen.segment}
    for damage in chosen.damage:
        found = {}
        for index, clip in enumerate(clips):
            told = knowing(model, told_coarseness(damage, clip.hq, chosen.frames))
            methods: dict[str, Method] = {"input": iter, "ours": our_method(told)}
            if damage == chosen.lengths_of:
                methods |= {name: our_method(told, count) for name, count in segments.items()}
            found[clip.name] = clip_scores(
                methods, clip, damage, index, chosen.frames, chosen.every, chosen.cache
            )
        if damage == chosen.lengths_of:
            lengths = found
        yield damage_row(damage, found)
    if lengths:
        yield f"\n| frames a memory, {chosen.lengths_of} | gain Y | worst clip |\n|---|---|---|"
        for name in (*segments, "ours"):
            length = "all" if name == "ours" else name.removeprefix("T=")
            yield f"| {length} | {gain_text(gains_of(lengths, name, 'y'))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--frames", type=int, default=24, help="of each clip, the first")
    parser.add_argument("--damage", nargs="+", default=DAMAGES)
    parser.add_argument("--lengths-of", default="hevc-37", help="damage of the second table")
    parser.add_argument("--segment", type=int, nargs="+", default=[1, 5, 15])
    parser.add_argument("--every", type=int, default=8, help="frames to the next with artifacts")
    parser.add_argument("--cache", type=Path, help="folder that keeps the damaged clips")
    chosen = parser.parse_args()
    with torch.inference_mode():
        for line in tables(load(chosen.weights), folder_clips(chosen.clips), chosen):
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
