"""The times that ``s2svr tune`` tells against those that the restorations take.

    python benchmarks/product/told_times.py FILMS... [--task upscale] [--quality best]

Both by the processor's clock, on one thread, so that other programs count less; the two minutes of
tune are also those of that clock. Prints the network, and the seconds taken and told.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from s2svr.checkpoint import load
from s2svr.restoration import Compute, Job, restore_job
from s2svr.tasks import TASKS
from s2svr.tuning import tune_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--task", choices=TASKS, help="the one that is recommended if not given")
    parser.add_argument("--quality", choices=["fast", "best"])
    chosen = parser.parse_args()
    time.perf_counter = time.monotonic = time.process_time
    say("film", "size", "frames", "network", "took", "told", "told / took")
    for film in chosen.films:
        with tempfile.TemporaryDirectory() as folder:
            job = Job(film, Path(folder) / "told.mkv", compute=Compute(device="cpu", threads=1))
            tuning = tune_video(job, None, task=chosen.task, quality=chosen.quality)
            size = f"{tuning.film.width}x{tuning.film.height}"
            for offer in tuning.offers:
                name, told = offer.candidate.network.name, offer.seconds
                began = time.process_time()
                target = Path(folder) / f"{name}.mkv"
                frames = restore_job(load(name), replace(job, target=target)).frames
                took = time.process_time() - began
                figures = ("not told",) if told is None else (f"{told:.1f}", f"{told / took:.2f}")
                say(film.name, size, str(frames), name, f"{took:.1f}", *figures)


def say(*words: str) -> None:
    print(*words, sep="  ", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
