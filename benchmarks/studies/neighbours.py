"""How much of a damage the frames around can undo, by a fixed share of each.

    python benchmarks/studies/neighbours.py VAL [--degradation hevc-37 ...] [--reach 1 2 3 4] \
        [--aligned 1 2 3] [--flow flow-light-student-compression] [--weights deblur-light] \
        [--frames 14]

For each clip and damage, the shares of so many neighbours on each side that fit best by least
squares, the same for all pixels: as they lie; aligned as ``compression-light`` does it, by the flow
from frame to frame of the damaged ones; and one a side aligned by DIS on the clean ones. With
``--weights`` also what a network gains that knows the damaged frames alone, by the shares that it
tells of the exposure, and by all of its mixer. Prints the mean gain in PSNR over the frames that
have all neighbours (dB; of Y for coded video, but of RGB for what a network tells).
"""

import argparse
from collections.abc import Callable
from functools import lru_cache, reduce
from pathlib import Path
from statistics import fmean

import torch
from torch import Generator, Tensor

from s2svr.checkpoint import load
from s2svr.damage.table import degradation
from s2svr.data.folder import folder_clips
from s2svr.flow.dis import dis_flow
from s2svr.media import read_clip
from s2svr.metrics import luma
from s2svr.models import S2SVR, S2SVRConfig
from s2svr.models.flows import frames_around, link_flows
from s2svr.models.mixer import Mixer
from s2svr.models.output import contrast
from s2svr.ops import enlarge_flow, pad_to_multiple, resize_bicubic, warp
from s2svr.train.network import preset_named

DOWN = preset_named("compression-light", S2SVRConfig).flow_down
Align = Callable[[Tensor, Tensor, int, int], Tensor]  # lq, hq, t, other -> lq[other] at frame t


def aligned_by(name: str) -> Align:
    """By a bundled flow network on reduced damaged frames, from one to the next."""
    net = load(name)

    @lru_cache(maxsize=64)  # reaching further takes the flows of reaching less far
    def flow(lq: Tensor, t: int, other: int) -> Tensor:
        on = t + (1 if other > t else -1)
        o = net(*(resize_bicubic(pad_to_multiple(lq[i, None], DOWN), 1 / DOWN) for i in (t, on)))
        if on == other:
            return o
        whole = link_flows(o, flow(lq, on, other))
        assert whole is not None
        return whole

    def align(lq: Tensor, hq: Tensor, t: int, other: int) -> Tensor:
        size = (lq.shape[-2], lq.shape[-1])
        return warp(lq[other, None], enlarge_flow(flow(lq, t, other), DOWN, size))[0]

    return align


def by_truth(lq: Tensor, hq: Tensor, t: int, other: int) -> Tensor:
    """By DIS on the clean frames."""
    return warp(lq[other, None], dis_flow()(hq[t, None], hq[other, None]))[0]


def as_they_lie(lq: Tensor, hq: Tensor, t: int, other: int) -> Tensor:
    """Not at all."""
    return lq[other]


def gain(lq: Tensor, hq: Tensor, reach: int, times: range, align: Align, coded: bool) -> float:
    """What the best shares gain over some of the frames, in dB."""
    measure = luma if coded else torch.Tensor.clone
    steps = [d for d in range(-reach, reach + 1) if d]
    square, cross, error = torch.zeros(len(steps), len(steps)), torch.zeros(len(steps)), 0.0
    square, cross = square.double(), cross.double()
    for t in times:
        here = measure(lq[t, None])
        over = [measure(align(lq, hq, t, t + d)[None]) - here for d in steps]
        columns = torch.stack([o.flatten() for o in over], 1).double()
        missing = (measure(hq[t, None]) - here).flatten().double()
        square += columns.T @ columns
        cross += columns.T @ missing
        error += float(missing @ missing)
    shares = torch.linalg.lstsq(square, cross[:, None]).solution[:, 0]
    left = error - float(2 * shares @ cross - shares @ square @ shares)
    return float(10 * torch.log10(torch.tensor(error / left)))


def told(lq: Tensor, hq: Tensor, reach: int, times: range, mixer: Mixer) -> tuple[float, float]:
    """What the shares of the exposure gain over some of the frames, and those of the mixer."""
    assert mixer.exposure is not None
    errors = torch.zeros(3).double()
    grey = list(lq[:, None].mean(2))
    for t, whole in zip(times, mixer.exposure(grey, times), strict=True):
        here, others = lq[t, None], frames_around(list(lq[:, None]), t, reach)
        over = torch.cat(others) - here
        by_exposure = here + (whole[0, :, None] * over).sum(0)
        most = reduce(torch.maximum, map(contrast, (here, *others)))
        mixed = mixer(here, others, most, whole)
        for place, made in enumerate((here, by_exposure, mixed)):
            errors[place] += (made - hq[t]).square().sum().double()
    gains = 10 * torch.log10(errors[0] / errors[1:])
    return float(gains[0]), float(gains[1])


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("val", type=Path)
    parser.add_argument("--degradation", nargs="+", default=["hevc-37", "shutter-2", "blur-7"])
    parser.add_argument("--reach", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--aligned", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--flow", default="flow-light-student-compression")
    parser.add_argument("--weights")
    parser.add_argument("--frames", type=int, default=14)
    chosen = parser.parse_args()
    mixer: Mixer | None = None
    if chosen.weights:
        net = load(chosen.weights)
        mixer = net.mixer if isinstance(net, S2SVR) else None
        if mixer is None or mixer.exposure is None:
            parser.error(f"expected weights that tell an exposure, got {chosen.weights}")
    most = max(chosen.reach + chosen.aligned + ([mixer.neighbours] if mixer else []))
    ways: dict[str, tuple[int, Align]] = {f"{n} a side": (n, as_they_lie) for n in chosen.reach}
    by_flow = aligned_by(chosen.flow)
    ways |= {f"{n}, aligned": (n, by_flow) for n in chosen.aligned}
    ways["1, by clean DIS"] = 1, by_truth
    names = [*ways, *(["told by the exposure", "and mixed"] if mixer else [])]
    print(f"| damage | {' | '.join(names)} |\n|---|{'---|' * len(names)}")  # noqa: T201
    for name in chosen.degradation:
        damage, gains = degradation(name), []
        for sequence in folder_clips(chosen.val):
            pair = damage(read_clip(sequence.hq).float() / 255, Generator().manual_seed(0))
            lq, hq = pair.lq[: chosen.frames], pair.hq[: chosen.frames]
            coded = not name.startswith(("blur", "shutter"))
            times = range(most, len(lq) - most)
            gains.append([gain(lq, hq, n, times, align, coded) for n, align in ways.values()])
            if mixer is not None:
                gains[-1] += told(lq, hq, mixer.neighbours, times, mixer)
        means = [f"{fmean(column):+.3f}" for column in zip(*gains, strict=True)]
        print(f"| {name} | {' | '.join(means)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
