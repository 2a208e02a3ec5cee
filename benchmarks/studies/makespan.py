"""How long a batch takes with 1 to 64 workers, from the times that its files were measured to take.

    python benchmarks/studies/makespan.py LINES [--start 4] [--split 30]

LINES are what ``s2svr batch --json`` printed. The queue is played through: a worker that is free
takes the next job, the largest first or in the order of the names; each worker begins ``start``
seconds late. With --split files that take longer are cut into stretches of at most so many seconds.
Prints, for each number of workers, the time until all is done, and the ideal: the sum shared
equally, or the longest job, where that is more.
"""

import argparse
import heapq
import json
import math
from collections.abc import Sequence
from pathlib import Path

WORKERS = 1, 2, 4, 8, 16, 32, 64


def makespan(jobs: Sequence[float], workers: int, start: float) -> float:
    """Seconds until all jobs are done by workers that take them in this order."""
    free = [start] * workers
    heapq.heapify(free)
    for job in jobs:
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def in_parts(jobs: Sequence[float], split: float | None) -> list[float]:
    """The jobs, those of more than ``split`` seconds in equal parts of at most that."""
    if split is None:
        return list(jobs)
    return [job / n for job in jobs for n in [math.ceil(job / split)] for _ in range(n)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", type=Path)
    parser.add_argument("--start", type=float, default=4.0)
    parser.add_argument("--split", type=float)
    asked = parser.parse_args()
    text = asked.lines.read_text(encoding="utf-8")
    told = [json.loads(line) for line in text.splitlines()]
    jobs = in_parts([line["seconds"] for line in told if line.get("seconds")
                     and line.get("state") == "done"], asked.split)  # fmt: skip
    print(f"{len(jobs)} jobs, {sum(jobs):.1f} s, longest {max(jobs):.2f} s")  # noqa: T201
    print("workers  largest first  by name  ideal  of the ideal")  # noqa: T201
    for workers in WORKERS:
        sorted_time = makespan(sorted(jobs, reverse=True), workers, asked.start)
        plain_time = makespan(jobs, workers, asked.start)
        ideal = asked.start + max(sum(jobs) / workers, max(jobs))
        row = f"{workers:7} {sorted_time:14.1f} {plain_time:8.1f} {ideal:6.1f}"
        print(f"{row} {ideal / sorted_time:13.0%}")  # noqa: T201


if __name__ == "__main__":
    main()
