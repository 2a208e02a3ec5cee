"""What share of its change to a frame a deblurring network makes, and what that is worth.

    python benchmarks/studies/share.py CLIPS --weights deblur-light [--frames 12]

CLIPS is a folder of pairs, such as ``benchmarks/product/rendered_blur.py`` makes. Each clip is
restored blurred, and its truth, which is sharp, as if it were. Prints the mean, least and greatest
share that is told of their frames; for blurred clips the gain with that share, and with all of
every change; for sharp ones the PSNR of what comes out to what went in, both ways.
"""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.data import DATASETS
from s2svr.media import read_clip
from s2svr.metrics import psnr
from s2svr.models import S2SVR


def told_shares(model: S2SVR, clip: Tensor) -> list[float]:
    """What share of the change to each frame of a clip (T, 3, H, W) is made."""
    told = model.flows(list(clip[:, None]), len(clip)).told or []
    return [float(maps[0, -1, 0, 0]) for maps in told]


def compared(model: S2SVR, whole: S2SVR, lq: Tensor, hq: Tensor) -> str:
    """The row of a clip: its shares, and what comes out with them and with all of each change."""
    shares = told_shares(model, lq)
    held, all_of_it = (
        psnr(net(lq[None])[0][0].clamp(0, 1), hq, peak=1.0) for net in (model, whole)
    )
    row = f"{sum(shares) / len(shares):.2f} {min(shares):.2f} {max(shares):.2f}"
    if lq is hq:
        return f"{row}, {held:.2f} dB, {all_of_it:.2f} dB with all"
    before = psnr(lq, hq, peak=1.0)
    return f"{row}, {held - before:+.2f} dB, {all_of_it - before:+.2f} dB with all"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", default="deblur-light")
    parser.add_argument("--frames", type=int, default=12)
    chosen = parser.parse_args()
    model = load(chosen.weights)
    if not isinstance(model, S2SVR) or model.mixer is None or model.mixer.blurred is None:
        parser.error(f"expected a network that tells a share by blur, got {chosen.weights}")
    whole = deepcopy(model)
    assert whole.mixer is not None
    whole.mixer.start_share()
    for clip in DATASETS["pairs"](chosen.clips, ""):
        assert clip.lq is not None
        lq, hq = (read_clip(path)[: chosen.frames].float() / 255 for path in (clip.lq, clip.hq))
        for kind, frames in (("blurred", lq), ("sharp", hq)):
            print(f"{clip.name} {kind}: {compared(model, whole, frames, hq)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
