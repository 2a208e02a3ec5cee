"""What a restoration says that it will take, against what it takes.

    python benchmarks/product/forecast.py CLIP [--frames 500] [--size 320x180] [--weights sr-light]

CLIP, played to and fro and reduced, is restored by a process of its own as a user would. Prints its
plan beside the truth, and the time left that it shows every ten seconds beside what was left.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from threading import Thread

from s2svr.data.clips import bounced
from s2svr.media import read_clip
from s2svr.ops import resize_to
from s2svr.render.files import write_movie

FIRST = LAST = 60  # seconds in which the time left need not be right
INTERVAL = 0.03  # seconds between two looks at the disk
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
Line = tuple[float, str]  # seconds since the start, and what was said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--weights", default="sr-light")
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    clip = resize_to(read_clip(chosen.clip).float() / 255, (height, width)).clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.mp4"
        frames = (clip[bounced(t, len(clip))] for t in range(chosen.frames))
        write_movie(source, frames, Fraction(25))
        command: list[str | Path] = [sys.executable, "-m", "s2svr", "restore"]
        command += [source, Path(folder) / "work/out.mp4", "--weights", chosen.weights, "--json"]
        (Path(folder) / "work").mkdir()
        lines, most, answer = watched(command)
    summary = json.loads(answer)
    say(f"restored: {summary['frames']} frames in {summary['seconds']:.0f} s")
    compare_plan(lines, summary, most)
    compare_left(lines)


def watched(command: list[str | Path]) -> tuple[list[Line], int, str]:
    """Run: what it says on the standard error and when, most bytes in the folder, its answer."""
    work = next(Path(word).parent for word in command if str(word).endswith("out.mp4"))
    lines: list[Line] = []
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    sizes = [0]
    watcher = Thread(target=watch, args=(work, process, sizes))
    watcher.start()
    for line in process.stderr:
        lines.append((time.monotonic() - began, line.strip()))
        print(f"{lines[-1][0]:6.1f} s  {lines[-1][1]}", flush=True)  # noqa: T201
    lines.append((time.monotonic() - began, "end"))
    answer = process.stdout.read()
    watcher.join()
    if process.wait():
        raise SystemExit(f"expected a restoration, it ended with {process.returncode}")
    return lines, max(sizes), answer


def watch(folder: Path, process: subprocess.Popen[str], sizes: list[int]) -> None:
    """Note how many bytes a folder holds until a process ends."""
    while process.poll() is None:
        total = 0
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):  # renamed or deleted just now
                total += path.stat().st_size if path.is_file() else 0
        sizes[0] = max(sizes[0], total)
        time.sleep(INTERVAL)


def compare_plan(lines: list[Line], summary: dict, most: int) -> None:
    text = next(line for _, line in lines if line.startswith("memory:"))
    memory, disk = (
        float(number) * UNITS[unit]
        for number, unit in re.findall(r"(?:memory|disk): about ([\d.]+) (\w+)", text)
    )
    minutes, seconds = map(int, re.findall(r"time: about (\d+):(\d+) ", text)[0])
    for what, plan, found in (
        ("seconds", 60 * minutes + seconds, summary["seconds"]),
        ("disk MiB", disk / 2**20, most / 2**20),
        ("memory MiB", memory / 2**20, summary["peak_memory"] / 2**20),
    ):
        say(f"{what}: planned {plan:.1f}, found {found:.1f}, {plan / found - 1:+.0%}")


def compare_left(lines: list[Line]) -> None:
    """Of every time left that was shown: the truth beside it."""
    start, end = next(t for t, line in lines if line.startswith("memory:")), lines[-1][0]
    worst = 0.0
    for now, line in lines:
        if found := re.search(r"(?:(\d+):)?(\d+):(\d+) left", line):
            hours, minutes, seconds = (int(part or 0) for part in found.groups())
            told, true = 3600 * hours + 60 * minutes + seconds, end - now
            if now - start >= FIRST and true > LAST:
                say(f"after {now - start:.0f} s: {told} s left, truly {true:.0f}")
                worst = max(worst, abs(told / true - 1))
    say(f"time left, after {FIRST} s and until {LAST} s before the end: at most {worst:.0%} off")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
