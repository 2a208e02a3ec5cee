"""PSNR of clips against their truth before and after a network has learned them, and the decisions.

    python benchmarks/studies/adapt_study.py CLIPS OUT [--minutes 5] [--weights sr-real]
        [--better sr-real-base]

Every clip of CLIPS is reduced by 4 and coded by x264 at CRF 28 (``x264``), or damaged by ``mixed``.
The network learns it on one thread within so many minutes of processor time, so that a busy machine
makes no difference, and sees no truth. What the decision would have kept away is measured too. OUT
gets one line of JSON for each clip and damage in ``lines.jsonl``, which a later run goes on from,
and the script prints a table of them.
"""

import argparse
import json
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import av
import torch
from torch import Generator, Tensor

from s2svr.adapting import Adaptation, adapt_film
from s2svr.adapting import run as adapting
from s2svr.adapting.judge import Score, Verdict, judged_by, restored_clip
from s2svr.checkpoint import load, read_card
from s2svr.damage import degradation
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models import S2SVR
from s2svr.ops import cut_to_multiple, resize_bicubic

DAMAGES = ("mixed", "x264")
FEWEST = 30  # the clips are shorter than films that are learned otherwise


def damaged(truth: Tensor, damage: str, seed: int, path: Path) -> None:
    """Write the film that is learned: of H.264, or without further loss."""
    if damage == "mixed":
        lq = degradation(damage)(truth, Generator().manual_seed(seed)).lq
        write(path, lq, "ffv1", "bgr0", {})
    else:
        write(path, resize_bicubic(truth, 1 / 4).clamp(0, 1), "libx264", "yuv420p", {"crf": "28"})


def write(path: Path, frames: Tensor, codec: str, form: str, options: dict[str, str]) -> None:
    """Frames (T, 3, H, W) in [0, 1] as a video."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=Fraction(25), options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], form
        for frame in (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1):
            picture = av.VideoFrame.from_ndarray(frame.contiguous().numpy(), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def scores(model: torch.nn.Module, film: Tensor, truth: Tensor) -> list[float]:
    """PSNR (dB) of each frame against its truth, after the network."""
    return [psnr_rgb(a, b) for a, b in zip(restored_clip(model, film), truth, strict=True)]


def one(clip: Path, damage: str, names: tuple[str, str], minutes: float, out: Path) -> dict:
    """Learn one clip with one damage."""
    truth = cut_to_multiple(read_clip(clip).float() / 255, 8)
    path, target = out / f"{clip.stem}-{damage}.mkv", out / f"{clip.stem}-{damage}.safetensors"
    damaged(truth, damage, sum(clip.stem.encode()), path)
    film = read_clip(path).float() / 255
    model, better = map(load, names)
    assert isinstance(model, S2SVR)
    assert isinstance(better, S2SVR)
    decisions: list[Verdict] = []

    def judged(before: list[Score], after: list[Score], *, better: bool) -> Verdict:
        decisions.append(judged_by(before, after, better=better))
        return replace(decisions[0], kept=True)  # it is written whatever was decided

    adapting.judged_by = judged
    before = scores(model, film, truth)
    job = Adaptation(
        path, target, minutes, threads=1, overwrite=True, network=names[0], fewest=FEWEST
    )
    found = adapt_film(model, read_card(names[0]), job, better=better, clock=time.process_time)
    after = scores(load(target), film, truth)
    held = slice(len(truth) - found.held, None)
    return {
        "clip": clip.stem, "damage": damage, "told": found.damage, "flow": found.flow,
        "learned from": found.learned_from, "frames": found.learned, "steps": found.steps,
        "seconds": found.seconds, "before": fmean(before), "gain": fmean(after) - fmean(before),
        "held": fmean(after[held]) - fmean(before[held]),
        "kept": decisions[0].kept, "why": decisions[0].why,
    }  # fmt: skip


def cases(clips: list[Path]) -> list[tuple[Path, str]]:
    """Each clip with both damages, in turn: what is done first says something of both."""
    first = [(clip, DAMAGES[i % 2]) for i, clip in enumerate(clips)]
    return first + [(clip, DAMAGES[(i + 1) % 2]) for i, clip in enumerate(clips)]


def table(lines: list[dict]) -> str:
    """The lines for people."""
    rows = ["| clip | damage | before | gain | held out | kept |"]
    rows.append("|---|---|---|---|---|---|")
    for line in lines:
        rows.append(
            f"| {line['clip']} | {line['damage']} | {line['before']:.2f} | {line['gain']:+.2f} | "
            f"{line['held']:+.2f} | {'yes' if line['kept'] else 'no'} |"
        )
    kept = [line["gain"] for line in lines if line["kept"]]
    if kept:
        rows.append(f"kept: {len(kept)} of {len(lines)}, mean {fmean(kept):+.3f} dB, "
                    f"least {min(kept):+.3f} dB")  # fmt: skip
    right = sum(line["kept"] == (line["gain"] > 0) for line in lines)
    rows.append(f"decisions that were right: {right} of {len(lines)}")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--weights", default="sr-real")
    parser.add_argument("--better", default="sr-real-base")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "lines.jsonl"
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(line["clip"], line["damage"]) for line in lines}
    for clip, damage in cases(sorted(given.clips.iterdir())):
        if (clip.stem, damage) not in done:
            names = (given.weights, given.better)
            lines.append(one(clip, damage, names, given.minutes, given.out))
            with kept.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    print(table(lines))  # noqa: T201


if __name__ == "__main__":
    main()
