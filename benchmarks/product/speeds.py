"""The page of speeds: networks, precisions and devices side by side, by the machine's name.

    python benchmarks/product/speeds.py OUT.md [--device cpu] [--precision fp32 --precision bf16]
        [--threads 1] [--frames 16] [--rounds 1] [--commit NAME] [--busy]

Every bundled network restores made-up frames of its size; all of a size take turns, and the ratio
is to the first. On a GPU windows are CUDA graphs.
"""

import argparse
import platform
import sys
import time
from datetime import date
from pathlib import Path

import torch
from torch import nn

from s2svr.checkpoint import load
from s2svr.devices import choose_device, choose_precision
from s2svr.evaluation import Contender, Speed, measure_speed, speed_table

# Networks that are compared with each other, by the size of the frames (width, height) they get.
NETWORKS = {
    (320, 180): ["sr-light", "sr-real", "sr-base", "sr-real-base"],
    (640, 360): ["deblur-light", "compression-light"],
    (1280, 720): ["deblur-light", "compression-light"],
}
COLUMNS = "network", "device", "precision", "in", "out", "frames/s", "ratio", "time", "memory MiB"
TOP = """# Speeds

Frames a second of the bundled networks on decoded frames, measured side by side in one run.
Absolute numbers are those of the machine named below; ratios, which are to the first network of a
size, carry over better. `s2svr benchmark` measures yours, from file to file with `--clip`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="Markdown file that is written")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", action="append", help="may be given more than once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--commit", default="", help="what was measured")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="count the process's own time: the machine has other work",
    )
    chosen = parser.parse_args()
    device, found = choose_device(chosen.device), []
    for size, names in NETWORKS.items():
        contenders = [
            Contender(name, loaded(name), device, choose_precision(precision, device))
            for name in names
            for precision in chosen.precision or ["fp32"]
        ]
        found += measure_speed(
            contenders, [size], [],
            frames=chosen.frames, threads=chosen.threads, rounds=chosen.rounds,
            clock=time.process_time if chosen.busy else time.perf_counter,
        )  # fmt: skip
    words = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    chosen.out.write_text(page_of(found, words, chosen.commit, busy=chosen.busy), "utf-8")


def loaded(name: str) -> nn.Module:
    """A network of its own for each contender: devices want it in other orders of memory."""
    return load(name)


def page_of(speeds: list[Speed], words: str, commit: str, *, busy: bool) -> str:
    """The page as Markdown; ``words`` is the command."""
    rows = speed_table(speeds)
    columns = [name for name in COLUMNS if name in rows[0]]
    lines = [
        TOP,
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row[name] for name in columns) + " |" for row in rows),
        "",
        f"Machine: {speeds[0].machine}, {speeds[0].threads} of them used"
        + (", shared with other work: seconds are the process's own." if busy else "."),
        f"PyTorch {torch.__version__}, Python {platform.python_version()}, {date.today()}"
        + (f", commit `{commit}`." if commit else "."),
        f"The command: `python benchmarks/product/{words}`",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
