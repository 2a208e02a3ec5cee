"""How fast moving photographs are rendered, beside what a training step of the teacher takes.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/render_speed.py PHOTOS [--device cuda] \
        [--batch 8]

On the CPU clips are drawn one by one, as a loader's process draws them, and the process's own time
is counted; on an accelerator in batches, by the clock. A step of ``flow-light-teacher`` takes two
rendered pairs of 192x192 on average.
"""

import argparse
import time
from itertools import count
from pathlib import Path

import torch

from s2svr.render.photos import MovingPhotographs, photographs
from s2svr.render.scene import Look

# Frames, side in pixels, sub-frames, and what needs them.
CASES = (
    (2, 192, 1, "the teacher's pairs"),
    (2, 256, 1, "the students' pairs"),
    (7, 256, 1, "clips of 7 frames"),
    (2, 256, 13, "blurred pairs"),
)


def speed(clips: MovingPhotographs, device: torch.device, batch: int, seconds: float) -> float:
    """Clips a second, after one draw that does not count."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for index in count():
        if device.type == "cuda":
            clips.batch(range(index * batch, (index + 1) * batch), device)
            torch.cuda.synchronize()
        else:
            clips[index]
        if index == 0:
            start = clock()
        elif clock() - start > seconds:
            return index * (batch if device.type == "cuda" else 1) / (clock() - start)
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    photos = [photo.to(chosen.device) for photo in photographs(chosen.photos)]
    print("| clip | a second |\n|---|---|")  # noqa: T201
    for frames, side, subframes, what in CASES:
        look = Look(speed=(0.0, 16.0), subframes=subframes)
        clips = MovingPhotographs(photos, frames=frames, size=(side, side), look=look)
        found = speed(clips, chosen.device, chosen.batch, chosen.seconds)
        print(f"| {what}, {frames} x {side}x{side} | {found:.1f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
