"""How much the quality of a coded clip fluctuates over its frames, before and after.

    s2svr evaluate VAL --task compression --degradation kvazaar-37 --frames 24 --protocol y \
        --segment 1 --out SCORES
    python benchmarks/fluctuation.py SCORES

For each clip and method: the standard deviation of PSNR-Y over all frames (dB), that within each
four frames in a row (the period of low-delay codecs, so that what the clip shows counts less), and
the mean step from one frame to the next.
"""

import json
import sys
from pathlib import Path
from statistics import fmean, pstdev

PERIOD = 4


def fluctuation(psnr: list[float]) -> tuple[float, float, float]:
    """Deviation of all frames, of each ``PERIOD`` in a row, and the mean step between two."""
    periods = [psnr[i : i + PERIOD] for i in range(len(psnr) - PERIOD + 1)]
    steps = [abs(b - a) for a, b in zip(psnr, psnr[1:], strict=False)]
    return pstdev(psnr), fmean(map(pstdev, periods)), fmean(steps)


def main() -> None:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        for method, scores in json.loads(path.read_text())["frames"].items():
            values = fluctuation(scores["psnr"]["y"])
            found.setdefault(method, []).append(values)
            print(path.stem, method, *(f"{value:.3f}" for value in values), sep="  ")  # noqa: T201
    for method, clips in found.items():
        print("mean", method, *(f"{fmean(v):.3f}" for v in zip(*clips)), sep="  ")  # noqa: T201, B905


if __name__ == "__main__":
    main()
