"""Peak memory of a long video against that of a short one.

    python benchmarks/product/memory.py CLIP [--frames 500 --frames 10000] [--size 32x24] \
        [--weights NAME]

CLIP, played to and fro and reduced, becomes videos of so many frames, each restored by a process
of its own. Prints the peak memory of each, and its ratio to the first.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from s2svr.data.clips import bounced
from s2svr.media import read_clip
from s2svr.ops import resize_to
from s2svr.render.files import write_movie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, action="append")
    parser.add_argument("--size", default="32x24")
    parser.add_argument("--weights", default="sr-light")
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    clip = resize_to(read_clip(chosen.clip).float() / 255, (height, width)).clamp(0, 1)
    first = None
    for count in chosen.frames or [500, 10000]:
        peak, seconds = restored(clip, count, chosen.weights)
        first = first or peak
        line = f"{count} frames: {peak / 2**20:.1f} MiB, {peak / first - 1:+.1%}, {seconds:.0f} s"
        print(line, flush=True)  # noqa: T201


def restored(clip: Tensor, count: int, weights: str) -> tuple[int, float]:
    """Bytes at the peak and seconds of a restoration of so many frames."""

    def long() -> Iterator[Tensor]:
        for t in range(count):
            yield clip[bounced(t, len(clip))]

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.mp4"
        write_movie(source, long(), Fraction(25))
        command: list[str | Path] = [sys.executable, "-m", "s2svr", "restore"]
        command += [source, Path(folder) / "out.mp4"]
        command += ["--weights", weights, "--no-plan", "--json"]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    summary = json.loads(answer.stdout)
    assert summary["frames"] == count
    return summary["peak_memory"], summary["seconds"]


if __name__ == "__main__":
    main()
