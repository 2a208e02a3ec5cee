"""What motion compensation is worth: a network against its twin trained without flow.

    python benchmarks/studies/motion.py OURS.safetensors TWIN.safetensors CLIPS [--frames 24]

Both are trained by the same recipe, steps and seed (``--set model.motion=false`` makes the twin).
Prints PSNR (RGB, rounded) of both on every clip, how fast the clip moves, and the mean attention
weight that ours gives to the neighbouring frames.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.data.folder import folder_clips
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.s2svr import S2SVR


def mean_psnr(restored: Tensor, truth: Tensor) -> float:
    """Mean over frames, dB."""
    pairs = zip(restored, truth, strict=True)
    return sum(psnr_rgb(a, b) for a, b in pairs) / len(truth)


@torch.inference_mode()
def attended(model: S2SVR, lq: Tensor) -> tuple[Tensor, float]:
    """The restored clip (T, 3, sH, sW), and the mean weight of the frames before and after."""
    weights: list[float] = []

    def keep(module: torch.nn.Module, given: tuple, result: tuple[Tensor, Tensor]) -> None:
        weights.append(1 - result[1][:, 0].mean().item())  # the first is the frame's own

    assert model.decoder.attention is not None
    handle = model.decoder.attention.register_forward_hook(keep)
    restored = model(lq[None])[0][0]
    handle.remove()
    return restored, sum(weights) / len(weights)


@torch.inference_mode()
def speed(model: S2SVR, lq: Tensor) -> float:
    """90th percentile of the flow between neighbouring frames, in full-size pixels."""
    assert model.flow is not None
    flow = model.flow(lq[1:], lq[:-1]).norm(dim=1)
    return model.scale * flow.flatten().quantile(0.9).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", type=Path)
    parser.add_argument("twin", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    chosen = parser.parse_args()
    ours, twin = load(chosen.ours), load(chosen.twin)
    assert isinstance(ours, S2SVR)
    assert isinstance(twin, S2SVR)
    lines = ["| clip | p90 motion, px | without | with | difference | weight of neighbours |"]
    lines.append("|---|---|---|---|---|---|")
    differences = []
    for sequence in folder_clips(chosen.clips):
        pair = bicubic_down(read_clip(sequence.hq, count=chosen.frames).float() / 255)
        restored, weight = attended(ours, pair.lq)
        with torch.inference_mode():
            without = mean_psnr(twin(pair.lq[None])[0][0], pair.hq)
        with_motion = mean_psnr(restored, pair.hq)
        differences.append(with_motion - without)
        lines.append(
            f"| {sequence.name} | {speed(ours, pair.lq):.1f} | {without:.2f} | {with_motion:.2f} "
            f"| {differences[-1]:+.2f} | {weight:.2f} |"
        )
    lines.append(f"| mean | | | | {sum(differences) / len(differences):+.2f} | |")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
