"""The task that ``s2svr tune`` recommends, against the one that PSNR prefers.

    python benchmarks/product/advice.py CLIPS... [--kinds clean blurred] [--frames 24]

Each clip is damaged in four ways: reduced 4 times (clean), that coded by x264 (compressed), the
middle of it as means of several frames (blurred), and the reduced one woven into fields
(interlaced). Prints, for each, what is told of coding and blur, the PSNR (dB, RGB) that its
enlargement and each task's fast network have against the clip, the task with the highest one, and
the task that is recommended. Frames near both ends, where no blur is made, are left out. With
--best, the larger networks are measured too.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.color import to_rgb
from s2svr.damage import degrade_video
from s2svr.media import open_reader
from s2svr.metrics import psnr_rgb
from s2svr.ops import resize_to
from s2svr.restoration import Job, restore
from s2svr.tasks import TASKS
from s2svr.tuning import tune_video

SIZE = (256, 144)  # of the part that is blurred, pixels
ENDS = 3  # frames at both ends that are not blurred


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--frames", type=int, default=24, help="restored of each clip")
    parser.add_argument("--crf", type=int, default=26, help="of what is compressed")
    parser.add_argument("--blur", type=int, default=7, help="frames of which one is the mean")
    parser.add_argument("--best", action="store_true", help="measure the larger networks too")
    chosen = parser.parse_args()
    names = [*TASKS, *(f"{name} best" for name in TASKS if chosen.best and TASKS[name].best)]
    say("clip", "kind", "told", "input", *names, "preferred", "recommended")
    for clip in chosen.clips:
        with tempfile.TemporaryDirectory() as folder:
            for kind in chosen.kinds:
                film, truth = KINDS[kind](clip, Path(folder), chosen)
                report(clip.stem, kind, film, truth, chosen.frames, names)


def report(clip: str, kind: str, film: Path, truth: Path, count: int, names: list[str]) -> None:
    """Measure and print one film."""
    found = tune_video(Job(film, film.with_name("out.mkv")), None, budget=0.0)
    wanted, frames = pictures(truth), pictures(film)
    if kind == "interlaced":  # a frame of two
        wanted = islice(wanted, 0, None, 2)
    inputs, truths = (list(islice(several, count)) for several in (frames, wanted))
    scores = {"input": score(iter(inputs), truths)}
    for name in names:
        task, _, best = name.partition(" ")
        network = load(TASKS[task].best if best else TASKS[task].weights)
        restored = restore(
            network, inputs, window=16, device=torch.device("cpu"), dtype=torch.float32, cuts=None
        )
        scores[name] = score(restored, truths)
    preferred = max(TASKS, key=lambda name: scores[name])
    told = f"{found.film.coded:.1f}/{found.film.blur:.2f}"
    say(clip, kind, told, *(f"{value:.2f}" for value in scores.values()), preferred,
        found.advice.task)  # fmt: skip


def score(frames: Iterator[Tensor], truths: list[Tensor]) -> float:
    """Mean PSNR of frames, brought to the truth's size, without those near both ends."""
    pairs = list(zip(frames, truths, strict=False))[ENDS:-ENDS]
    size = (truths[0].shape[-2], truths[0].shape[-1])
    return fmean(psnr_rgb(resize_to(a, size).clamp(0, 1), b) for a, b in pairs)


def pictures(path: Path) -> Iterator[Tensor]:
    """The frames (3, H, W) of a video, deinterlaced where it is marked."""
    with open_reader(path) as reader:
        for frame in reader:
            yield to_rgb(frame.planes, frame.color)


def ffmpeg(source: Path, target: Path, *options: str) -> Path:
    """Have FFmpeg make one video of another."""
    line: list[str | Path] = ["ffmpeg", "-v", "error", "-y", "-i", source, *options, target]
    subprocess.run(line, check=True)
    return target


def whole(clip: Path, folder: Path) -> Path:
    """The clip, of sides that a quarter, and its fields, can have."""
    crop = "crop=trunc(iw/16)*16:trunc(ih/16)*16"
    return ffmpeg(clip, folder / "truth.mkv", "-vf", crop, "-c:v", "ffv1")


def clean(clip: Path, folder: Path, chosen: argparse.Namespace) -> tuple[Path, Path]:
    """A clip that is reduced, and its truth."""
    truth, film = whole(clip, folder), folder / "clean.mkv"
    degrade_video(truth, film, "bicubic", overwrite=True)
    return film, truth


def compressed(clip: Path, folder: Path, chosen: argparse.Namespace) -> tuple[Path, Path]:
    """A clip that is reduced and coded, and its truth."""
    film, truth = clean(clip, folder, chosen)
    coding = ("-c:v", "libx264", "-crf", str(chosen.crf))
    return ffmpeg(film, folder / "compressed.mp4", *coding), truth


def blurred(clip: Path, folder: Path, chosen: argparse.Namespace) -> tuple[Path, Path]:
    """The middle of a clip, blurred, and its truth."""
    crop = "crop={}:{}".format(*SIZE)
    truth = ffmpeg(clip, folder / "middle.mkv", "-vf", crop, "-c:v", "ffv1")
    film = folder / "blurred.mkv"
    degrade_video(truth, film, f"blur-{chosen.blur}", overwrite=True)
    return film, truth


def interlaced(clip: Path, folder: Path, chosen: argparse.Namespace) -> tuple[Path, Path]:
    """A clip that is reduced, each two frames of which are the fields of one, and its truth."""
    film, truth = clean(clip, folder, chosen)
    weave = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme")
    coding = ("-c:v", "libx264", "-crf", "20")
    return ffmpeg(film, folder / "interlaced.mp4", *weave, *coding), truth


KINDS = {"clean": clean, "compressed": compressed, "blurred": blurred, "interlaced": interlaced}


def say(*words: str) -> None:
    print(*words, sep="  ", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
