"""The memory of a batch's worker beside that of one ``restore``.

    python benchmarks/product/worker_memory.py FOLDER [--runs 3] [--files 4]

Makes clips of two sizes in FOLDER. Each clip is restored by ``restore``, and all clips of a size
by one worker of ``batch``, so many times. Prints the median of the largest resident sets that both
tell of, in MB.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import av
import numpy as np

SIZES = [(32, 24), (320, 180)]
OPTIONS = ["--weights", "sr-light", "--threads", "1", "--device", "cpu", "--json"]


def make_clip(path: Path, size: tuple[int, int], phase: int) -> None:
    """A clip of eight frames: a pattern that moves."""
    y, x = np.mgrid[: size[1], : size[0]]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(8):
            waves = [127 + 90 * np.sin(x / (5 + phase) + y / 7 + k + index) for k in range(3)]
            picture = av.VideoFrame.from_ndarray(np.stack(waves, -1).astype(np.uint8), "rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def told(*words: str) -> list[int]:
    """Peaks, in bytes, that a command tells of, one for each file that it restores."""
    command = [sys.executable, "-m", "s2svr", *words, *OPTIONS]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if words[0] == "restore":
        return [json.loads(out)["peak_memory"]]
    events = [json.loads(line) for line in out.splitlines()]
    return [event["peak_memory"] for event in events if event["event"] == "file"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--files", type=int, default=4)
    asked = parser.parse_args()
    for size in SIZES:
        name = "x".join(map(str, size))
        clips = asked.folder / name
        clips.mkdir(parents=True)
        for number in range(asked.files):
            make_clip(clips / f"{number}.mp4", size, number)
        alone, worker = [], []
        for run in range(asked.runs):
            for clip in sorted(clips.iterdir()):
                out = asked.folder / f"{name}-alone-{run}" / clip.name
                alone += told("restore", str(clip), str(out))
            worker += told("batch", str(clips), str(asked.folder / f"{name}-batch-{run}"))
        one, other = median(alone) / 1e6, median(worker) / 1e6
        print(f"{name}: restore {one:.0f} MB, a worker {other:.0f} MB, {other / one - 1:+.1%}")  # noqa: T201


if __name__ == "__main__":
    main()
