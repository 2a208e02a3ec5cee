"""What a mixture of a frame's pixels along its motion takes off the blur that a network leaves.

    python benchmarks/studies/along.py CLIPS --weights deblur-light [--flow-down 4 2] \
        [--places 0.25 0.5 1 1.5] [--frames 8]

CLIPS is a folder of pairs, such as ``benchmarks/product/rendered_blur.py`` makes. The mixture is of
the differences of the grey frame from itself, moved by parts (--places) of the flow to the frame
after and to that before, as the network's flow net finds it at each of --flow-down. Shares of these
are fitted to all clips but one by least squares, the same for all pixels, and added to what the
network made of that one. Prints by how many dB the error of its grey frames falls, for each clip
and on average; 0 where the network has used all that its flow tells.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.data import DATASETS
from s2svr.media import read_clip
from s2svr.models import S2SVR
from s2svr.models.along import PLACES
from s2svr.ops import enlarge_flow, warp

RIDGE = 1e-4  # of the mean square of a difference, so that like ones share


class Fit(NamedTuple):
    """Sums over the pixels of a clip: of products of differences, with what is left, of that."""

    square: Tensor
    cross: Tensor
    left: Tensor


def differences(grey: Tensor, ways: list[Tensor], places: Sequence[float]) -> Iterator[Tensor]:
    """What a grey frame (1, 1, H, W) has over itself on both sides together, for each place."""
    for place in places:
        yield sum((warp(grey, place * way) - grey for way in ways), torch.zeros_like(grey))


def of_clip(model: S2SVR, lq: Tensor, hq: Tensor, down: int, places: Sequence[float]) -> Fit:
    """The sums over all frames but the first and the last."""
    frames, config = list(lq[:, None]), model.config
    restored = model(lq[None])[0][0].clamp(0, 1)
    model.config = replace(config, flow_down=down)
    flows = model.flows(frames, len(frames))
    model.config = config
    size = (lq.shape[-2], lq.shape[-1])
    fits = []
    for t in range(1, len(frames) - 1):
        found = (line[0][t] for line in flows[:2])
        ways = [enlarge_flow(o, config.down, size) for o in found if o is not None]
        over = differences(lq[t].mean(0)[None, None], ways, places)
        columns = torch.stack([difference.flatten() for difference in over], 1).double()
        left = (hq[t] - restored[t]).mean(0).flatten().double()
        fits.append(Fit(columns.T @ columns, columns.T @ left, left @ left))
    return added(fits)


def added(fits: list[Fit]) -> Fit:
    """The sums over all of these."""
    return Fit(*(torch.stack(part).sum(0) for part in zip(*fits, strict=True)))


def gains(clips: list[Fit]) -> list[float]:
    """How far the error of each clip falls by shares that were fitted to the others, in dB."""
    found = []
    for place, clip in enumerate(clips):
        square, cross, _ = added([other for i, other in enumerate(clips) if i != place])
        ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square)).double()
        shares = torch.linalg.solve(square + ridge, cross)
        after = clip.left - 2 * shares @ clip.cross + shares @ clip.square @ shares
        found.append(float(10 * torch.log10(clip.left / after)))
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--flow-down", type=int, nargs="+", default=[4])
    parser.add_argument("--places", type=float, nargs="+", default=PLACES)
    parser.add_argument("--frames", type=int, default=8)
    chosen = parser.parse_args()
    model = load(chosen.weights)
    if not isinstance(model, S2SVR) or model.flow is None or model.scale > 1:
        parser.error(f"expected a network that deblurs by flow, got {chosen.weights}")
    for down in chosen.flow_down:
        fits = []
        for clip in DATASETS["pairs"](chosen.clips, ""):
            assert clip.lq is not None
            lq, hq = (read_clip(path)[: chosen.frames].float() / 255 for path in (clip.lq, clip.hq))
            fits.append(of_clip(model, lq, hq, down, chosen.places))
        each = gains(fits)
        clips = " ".join(f"{gain:+.2f}" for gain in each)
        print(f"flow at 1/{down}: {fmean(each):+.3f} dB; {clips}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
