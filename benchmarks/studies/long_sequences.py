"""What a longer video is worth (the paper's Table 5): segments of one length, each on its own.

    python benchmarks/studies/long_sequences.py VAL [--weights sr-light] \
        [--peer OUT/basicvsr-0/frames-15] [--lengths 1 5 15 30] [--frames 30] [--alone]

PSNR (RGB, rounded, dB; mean of the clip means) of all frames of VAL, reduced by 4 and restored in
segments of 5, 15 and 30 frames and as a whole: by our network, by the BasicVSR of ``basicvsr.py``,
and by our network on a window of five frames around each frame, as sliding-window methods do
(``--alone`` leaves that out).
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from light_study import PEER, network
from studies import averaged
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.data.folder import folder_clips
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.s2svr import S2SVR

LENGTHS = (5, 15, 30)
HALF = 2  # frames of the sliding window on each side
Method = Callable[[Tensor], Tensor]  # (T, 3, h, w) -> (T, 3, 4h, 4w)


def sliding(model: S2SVR) -> Method:
    """Each frame from a window of its own."""

    def run(x: Tensor) -> Tensor:
        out = []
        for t in range(len(x)):
            start = max(t - HALF, 0)
            y, _ = model(x[None, start : t + HALF + 1])
            out.append(y[0, t - start])
        return torch.stack(out)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("val", type=Path)
    parser.add_argument("--weights", default="sr-light")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--frames", type=int, help="of each clip; all if not given")
    parser.add_argument("--alone", action="store_true", help="without the sliding window")
    chosen = parser.parse_args()
    model = load(chosen.weights)
    assert isinstance(model, S2SVR)
    methods: dict[str, Method] = {"ours": lambda x: model(x[None])[0][0]}
    if chosen.peer is not None:
        other = averaged(network(PEER, 0), chosen.peer)
        methods["BasicVSR"] = lambda x: other(x[None])[0]
    if not chosen.alone:
        methods["five frames"] = sliding(model)
    pairs = [
        bicubic_down(read_clip(s.hq, count=chosen.frames).float() / 255)
        for s in folder_clips(chosen.val)
    ]
    names = list(methods)
    margins = [f"ours over {name}" for name in names[1:]]
    print(f"| segment | {' | '.join([*names, *margins])} |")  # noqa: T201
    print(f"|---|{'---|' * (len(names) + len(margins))}")  # noqa: T201
    for length in sorted({*chosen.lengths, max(len(pair.lq) for pair in pairs)}):
        scores: dict[str, list[float]] = {name: [] for name in names}
        for pair in pairs:
            for name, method in methods.items():
                with torch.inference_mode():
                    y = torch.cat([method(part) for part in pair.lq.split(length)])
                scores[name].append(fmean(psnr_rgb(*p) for p in zip(y, pair.hq, strict=True)))
        means = [fmean(scores[name]) for name in names]
        cells = [f"{mean:.3f}" for mean in means] + [f"{means[0] - m:+.3f}" for m in means[1:]]
        print(f"| {length} | {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
