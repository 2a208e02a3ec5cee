"""How much of a restoration's gain the output's own coding keeps, and what that costs in bytes.

    python benchmarks/product/output_quality.py CLIPS --weights NAME --damage hevc-37 \
        [--crf 18 14 10]

Every clip is damaged, restored into .mp4 at each crf, and read again; ``lossless`` is what the
network made. Prints means over the clips: PSNR of Y in dB, the gain over the damaged clip, and the
mean size of a file.
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

from s2svr.checkpoint import load
from s2svr.damage.video import degrade_video
from s2svr.data.folder import folder_clips
from s2svr.evaluation.compare import compare_videos
from s2svr.restoration.video import restore_video


def psnr(truth: Path, output: Path) -> float:
    """Mean over frames, Y, dB."""
    value = compare_videos(truth, output).psnr_y
    assert value is not None
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--damage", default="hevc-37")
    parser.add_argument("--crf", type=int, nargs="+", default=[18, 16, 14, 12, 10, 8])
    parser.add_argument("--end", type=Fraction, default=Fraction(1), help="seconds of each clip")
    chosen = parser.parse_args()
    model = load(chosen.weights)
    sums: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for sequence in folder_clips(chosen.clips):
            damaged, output = Path(name) / "damaged.mkv", Path(name) / "output.mp4"
            degrade_video(sequence.hq, damaged, chosen.damage, end=chosen.end, overwrite=True)
            base = psnr(sequence.hq, damaged)
            lossless = Path(name) / "restored.mkv"
            restore_video(model, damaged, lossless, codec="ffv1", overwrite=True)
            rows: dict[str, tuple[float, float]] = {"damaged": (base, 0)}
            rows["lossless"] = psnr(sequence.hq, lossless), 0
            for crf in chosen.crf:
                restore_video(model, damaged, output, crf=crf, overwrite=True)
                rows[f"crf {crf}"] = (psnr(sequence.hq, output), output.stat().st_size)
            for row, (value, size) in rows.items():
                total = sums.setdefault(row, [0.0, 0.0])
                total[0] += value - base
                total[1] += size
    count = len(folder_clips(chosen.clips))
    print("| output | gain on Y, dB | kB a clip |\n|---|---|---|")  # noqa: T201
    for row, (gain, size) in sums.items():
        print(f"| {row} | {gain / count:+.3f} | {size / count / 1000:.0f} |")  # noqa: T201


if __name__ == "__main__":
    main()
