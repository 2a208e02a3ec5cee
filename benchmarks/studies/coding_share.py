"""What share of a compression network's change is best, by how coarsely a file was coded.

    python benchmarks/studies/coding_share.py CLIPS
    python benchmarks/studies/coding_share.py CLIPS --coding libx264:crf=23 --every 10

Each clip is written as a file by every encoder, and read again. The change that the network makes
is measured against the truth, in luma: what the share told by the frames gains, what the network
gains that knows the file's quantiser (and has its experts blended in), and which one share for all
frames of the network's own change gains most. At last a line through those best shares, over the
quantiser that the file tells.
"""

import argparse
import math
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import numpy as np
import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.coarseness import coarseness_of, with_coarseness
from s2svr.damage.codecs import X265
from s2svr.media import read_clip
from s2svr.models import S2SVR, frame_beside
from s2svr.restoration import backend_of

CODINGS = [
    *(f"libx265:qp={qp}" for qp in (22, 27, 32, 37, 42)),  # the damage hevc-N
    *(f"libx265:crf={crf}" for crf in (18, 22, 26, 30)),
    *(f"libx264:crf={crf}" for crf in (18, 23, 28, 33)),
    *(f"libvpx-vp9:crf={crf}" for crf in (20, 30, 40, 50)),
    *(f"libsvtav1:crf={crf}" for crf in (20, 30, 40, 50)),
    *(f"mpeg2video:qmin={q},qmax={q}" for q in (2, 4, 8, 16)),
    *(f"mpeg4:qmin={q},qmax={q}" for q in (2, 4, 8, 16)),
]
LUMA = torch.tensor((65.481, 128.553, 24.966))[:, None, None] / 255
SHARES = torch.arange(0, 1.6, 0.01)


class Found(NamedTuple):
    """Of one clip and coding."""

    quantiser: float  # as the file tells it
    told: float  # share, the mean of its frames
    best: float
    gains: tuple[float, float, float, float]  # dB: told, by the file, the best, all of the change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of clips of high quality")
    parser.add_argument("--weights", default="compression-light")
    parser.add_argument("--coding", action="append", help="encoder:option=value; all if not given")
    parser.add_argument("--frames", type=int, default=8, help="of each clip, the first")
    parser.add_argument("--every", type=int, default=1, help="take every Nth clip")
    chosen = parser.parse_args()
    model = load(chosen.weights).eval()
    assert isinstance(model, S2SVR)
    found: dict[str, list[Found]] = {name: [] for name in chosen.coding or CODINGS}
    clips = sorted(path for path in chosen.clips.iterdir() if path.is_file())[:: chosen.every]
    with TemporaryDirectory() as folder:
        for clip in clips:
            for name, rows in found.items():
                path = Path(folder) / "coded.mkv"
                write_coded(clip, path, name, chosen.frames)
                rows.append(measured(model, clip, path, chosen.frames))
            sys.stderr.write(f"{clip.name}\n")
    say("| coding | quantiser | told | best | by frames | worst | by file | worst | best | all |")
    say("|---|---|---|---|---|---|---|---|---|---|")
    for name, rows in found.items():
        say(table_row(name, rows))
    for encoder in dict.fromkeys(name.partition("=")[0] for name in found):
        rows = [row for name, some in found.items() if name.startswith(encoder) for row in some]
        told, best = [row.quantiser for row in rows], [row.best for row in rows]
        more, _ = np.polyfit(told, best, 1)
        say(f"{encoder}: best share {np.mean(best):.2f} at {np.mean(told):.1f}, {more:+.4f} each")


def write_coded(clip: Path, path: Path, name: str, count: int) -> None:
    """Write the first frames of a clip by an encoder, as ``libx265:qp=37``."""
    encoder, _, setting = name.partition(":")
    options = dict(entry.split("=", 1) for entry in setting.split(","))
    if encoder == "libx265":
        value = options.pop("qp", None)
        options["x265-params"] = X265.format(value) if value else "log-level=none:frame-threads=1"
    if encoder == "libvpx-vp9":
        options["b"] = "0"  # its rate factor alone
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream(encoder, rate=25, options=options | {"threads": "1"})
        shown = source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for t, picture in zip(range(count), source.decode(shown), strict=False):
            plain = picture.reformat(format="yuv420p")
            plain.pts, plain.time_base, plain.pict_type = t, Fraction(1, 25), 0
            target.mux(stream.encode(plain))
        target.mux(stream.encode(None))


@torch.inference_mode()
def measured(model: S2SVR, clip: Path, path: Path, count: int) -> Found:
    """What shares of the network's change to a coded clip gain."""
    truth, x = (read_clip(each, count=count).float() / 255 for each in (clip, path))
    quality = model.mixer.quality if model.mixer else None
    if quality is None:
        raise ValueError("expected a network that tells how well frames were coded")
    quality.share = 1.0
    whole, _ = backend_of(model, "cpu", torch.bfloat16).run(x[None], None, 0)
    quality.share = None
    frames = [frame[None] for frame in x]
    told = torch.cat(
        [quality(frame, frame_beside(frames, t))[:, 1, 0, 0] for t, frame in enumerate(frames)]
    )
    change, wrong = ((LUMA * (picture - x)).sum(1) for picture in (whole, truth))

    def mean(product: Tensor) -> Tensor:
        return product.mean((1, 2))

    energy = mean(wrong * wrong), mean(change * wrong), mean(change * change)

    def gain(share: Tensor | float) -> float:
        left = energy[0] - 2 * share * energy[1] + share**2 * energy[2]
        return float((-10 * (left / energy[0]).log10()).mean())

    best = float(max(SHARES, key=lambda share: gain(float(share))))
    coarseness = coarseness_of(path)
    by_file, knows = gain(told), with_coarseness(model, path)
    if knows is not model:
        restored, _ = backend_of(knows, "cpu", torch.bfloat16).run(x[None], None, 0)
        left = mean((LUMA * (truth - restored)).sum(1) ** 2)
        by_file = float((-10 * (left / energy[0]).log10()).mean())
    gains = gain(told), by_file, gain(best), gain(1.0)
    quantiser = coarseness.quantiser if coarseness else math.nan
    return Found(quantiser, float(told.mean()), best, gains)


def table_row(name: str, rows: list[Found]) -> str:
    """Means over clips, and the worst clip, as a row of a table."""
    numbers = np.array([[row.quantiser, row.told, row.best] for row in rows]).mean(0)
    gains = np.array([row.gains for row in rows])
    mean, worst = gains.mean(0), gains.min(0)
    return (
        f"| {name} | {numbers[0]:.1f} | {numbers[1]:.2f} | {numbers[2]:.2f} | {mean[0]:+.3f} | "
        f"{worst[0]:+.3f} | {mean[1]:+.3f} | {worst[1]:+.3f} | {mean[2]:+.3f} | {mean[3]:+.3f} |"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
