"""How much the quality of a coded clip fluctuates over its frames, before and after.

    s2svr evaluate VAL --task compression --degradation kvazaar-37 --frames 24 --protocol y \
        --segment 1 --out SCORES
    python benchmarks/product/fluctuation.py SCORES

For each clip and method, of PSNR-Y in dB: the mean step from one frame to the next, and the
standard deviation within four frames in a row, the period of low-delay codecs. What the clip shows
counts less in them than in the deviation over all frames, which ``evaluate`` itself prints.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

PERIOD = 4


def fluctuation(psnr: list[float]) -> tuple[float, float]:
    """Mean step between two frames, and mean deviation of each ``PERIOD`` in a row."""
    periods = [psnr[i : i + PERIOD] for i in range(len(psnr) - PERIOD + 1)]
    return fmean(abs(b - a) for a, b in pairwise(psnr)), fmean(map(pstdev, periods))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    chosen = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(chosen.scores.glob("*.json")):
        for method, scores in json.loads(path.read_text())["frames"].items():
            values = fluctuation(scores["psnr"]["y"])
            found.setdefault(method, []).append(values)
            print(path.stem, method, *(f"{value:.3f}" for value in values), sep="  ")  # noqa: T201
    for method, clips in found.items():
        means = map(fmean, zip(*clips, strict=True))
        print("mean", method, *(f"{mean:.3f}" for mean in means), sep="  ")  # noqa: T201


if __name__ == "__main__":
    main()
