"""Restorations killed at random moments, and whether the resumed file is that of an unbroken one.

    python benchmarks/robustness/kills.py CLIP [--kills 20] [--frames 600] [--size 80x45] [--seed 0]

CLIP, played to and fro and reduced, becomes a video with sound. It is restored once without and
``--kills`` times with a SIGKILL, as mp4 and mkv in turn. A line for each says when it was killed,
how many frames had been kept by then, and whether the file is the same, byte by byte.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import torch

from s2svr.data.clips import bounced
from s2svr.media import read_clip
from s2svr.ops import resize_to
from s2svr.render.files import write_movie

RATE = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--size", default="80x45")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.mkv"
        clip = resize_to(read_clip(chosen.clip).float() / 255, (height, width)).clamp(0, 1)
        long = clip[[bounced(t, len(clip)) for t in range(chosen.frames)]]
        sound = 0.1 * torch.randn(2, round(chosen.frames / RATE * 48000))
        write_movie(source, long, Fraction(RATE), crf=16, sound=sound)
        try_all(source, Path(folder), chosen.kills, random.Random(chosen.seed))


def try_all(source: Path, folder: Path, kills: int, rng: random.Random) -> None:
    """Print what becomes of each kill."""
    whole: dict[str, tuple[bytes, float]] = {}  # of each suffix: the file, and seconds
    for suffix in (".mp4", ".mkv"):
        began = time.perf_counter()
        begin(source, folder / f"whole{suffix}").wait()
        seconds = time.perf_counter() - began
        whole[suffix] = (folder / f"whole{suffix}").read_bytes(), seconds
        say(f"unbroken {suffix}: {seconds:.1f} s, {len(whole[suffix][0])} bytes")
    same = 0
    for number in range(kills):
        suffix = (".mp4", ".mkv")[number % 2]
        target = folder / f"cut{number}{suffix}"
        moment = rng.uniform(0, whole[suffix][1])
        process = begin(source, target)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = "all" if target.exists() else resumed(source, target)
        equal = target.read_bytes() == whole[suffix][0]
        same += equal
        words = "the same file" if equal else "ANOTHER FILE"
        say(f"{number + 1}: {suffix} killed after {moment:.1f} s, {kept} frames kept: {words}")
    say(f"{same} of {kills} the same")


def resumed(source: Path, target: Path) -> str:
    """Go on in another process; how many frames it did not have to do again."""
    answer, _ = begin(source, target).communicate()
    return str(json.loads(answer)["resumed"])


def begin(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """Restore in another process, which writes its summary to its standard output."""
    command: list[str | Path] = [sys.executable, "-m", "s2svr", "restore", source, target]
    command += ["--no-plan", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
