"""Training steps a second on made-up clips, plain and by few kernels (optim.fused) in turn.

    python benchmarks/product/step_time.py --preset sr-base --device cuda
    python benchmarks/product/step_time.py --device cpu --frames 3 --crop 16 --batch 1

On a GPU a step is a CUDA graph, as in a training, and its kernels are listed by name with their
time and the number of their launches.
"""

import argparse
import sys
import time
from dataclasses import replace

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from s2svr.devices import machine_name
from s2svr.models import PRESETS, S2SVR, S2SVRConfig
from s2svr.train.fit import Objective, capturable, optimizer_of, place, way_of
from s2svr.train.launch import number_format
from s2svr.train.network import freeze_mixer
from s2svr.train.recipes import Optim, RestorationLoss
from s2svr.train.restoration import restoration_loss
from s2svr.train.step import Batch, Captured, Update

WAYS = {"plain": False, "fused": True}
WARM_UP = 2  # a step as it is, then the one that is captured
RATE = 1e-5  # of learning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {name: made for name, made in PRESETS.items() if isinstance(made, S2SVRConfig)}
    parser.add_argument("--preset", choices=list(known), default="sr-base")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="bf16-mixed")
    parser.add_argument("--frames", type=int, default=12, help="of a clip")
    parser.add_argument("--crop", type=int, default=56, help="side of a frame, in pixels")
    parser.add_argument("--batch", type=int, default=16, help="clips a step")
    parser.add_argument("--steps", type=int, default=10, help="of each way in a round")
    parser.add_argument("--rounds", type=int, default=3, help="the fastest counts")
    parser.add_argument("--kernels", type=int, default=30, help="how many are listed")
    chosen = parser.parse_args()
    kind = "gpu" if chosen.device.startswith("cuda") else chosen.device
    plugins = number_format(chosen.precision, chosen.device)
    fabric = Fabric(accelerator=kind, devices=1, plugins=plugins)
    config = replace(known[chosen.preset], flow=None)
    batch = made_up(config, chosen.batch, chosen.frames, chosen.crop, fabric.device)
    say(
        f"{chosen.preset}, {chosen.precision}, {chosen.batch} clips of {chosen.frames} frames "
        f"{chosen.crop}x{chosen.crop}, on {machine_name(fabric.device)}, "
        f"PyTorch {torch.__version__}"
    )
    steps = {
        name: stepper(config, fabric, Optim(**settings(chosen.precision, fused)))
        for name, fused in WAYS.items()
    }
    for name, advance in steps.items():
        say(f"{name}: {warm_up(advance, batch, fabric.device)}")
    best = dict.fromkeys(steps, 0.0)
    for _ in range(chosen.rounds):
        for name, advance in steps.items():
            best[name] = max(best[name], speed(advance, batch, chosen.steps))
    for name, found in best.items():
        say(f"{name}: {found:.3g} steps/s, {found / best['plain']:.3f} times the plain way's")
    if fabric.device.type == "cuda":
        for name, advance in steps.items():
            print_kernels(name, advance, batch, chosen.kernels)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def settings(precision: str, fused: bool) -> dict:
    """Entries of a recipe's [optim]."""
    return {"kind": "muon", "steps": 1, "rate": RATE, "precision": precision, "fused": fused}


def made_up(config: S2SVRConfig, batch: int, frames: int, side: int, device: torch.device) -> Batch:
    """Noise as clips, and as their flow."""
    generator, large = torch.Generator().manual_seed(0), config.scale * side
    grid = side // config.flow_down
    shapes = {
        "lq": (batch, frames, 3, side, side), "hq": (batch, frames, 3, large, large),
        "before": (batch, frames, 2, grid, grid), "after": (batch, frames, 2, grid, grid),
    }  # fmt: skip
    return {
        name: torch.rand(shape, generator=generator).to(device) for name, shape in shapes.items()
    }


def stepper(config: S2SVRConfig, fabric: Fabric, optim: Optim) -> Update | Captured:
    """Steps of a fresh network, made as a training makes them there."""
    torch.manual_seed(0)
    model, captured = S2SVR(config), capturable(fabric, optim)
    freeze_mixer(model, optim.keep_mixer)
    place(model, fabric.device, optim, captured)
    optimizer = optimizer_of(optim, [{"params": model.body_parameters()}], captured)
    loss = restoration_loss(RestorationLoss(eps=1e-6), 0)
    objective, optimizer = fabric.setup(Objective(model, loss), optimizer)
    way = way_of(model, optim)
    update = Update(objective, optimizer, fabric, optim.clip, way)
    return Captured(update, 1, 1) if captured else update


def warm_up(advance: Update | Captured, batch: Batch, device: torch.device) -> str:
    """The losses of the first steps, and what they took, as words."""
    begun = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    losses = [loss_of(advance, batch) for _ in range(WARM_UP)]
    said = "losses " + ", ".join(f"{float(loss):.6f}" for loss in losses)
    said += f" after {time.perf_counter() - begun:.1f} s"
    if device.type == "cuda":
        said += f", peak memory {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB"
    return said


def loss_of(advance: Update | Captured, batch: Batch) -> Tensor:
    """Make one step; the loss before it."""
    return advance(batch, 0, [RATE])["loss"].clone()


def speed(advance: Update | Captured, batch: Batch, steps: int) -> float:
    """Steps a second."""
    begun = time.perf_counter()
    for _ in range(steps):
        last = loss_of(advance, batch)
    float(last)  # waits for the GPU
    return steps / (time.perf_counter() - begun)


def print_kernels(name: str, advance: Update | Captured, batch: Batch, count: int) -> None:
    """Kernels of a step, those that take the longest first."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        float(loss_of(advance, batch))
    rows = sorted(found.key_averages(), key=lambda row: -row.self_device_time_total)
    total, launches = (
        sum(values)
        for values in zip(*((row.self_device_time_total, row.count) for row in rows), strict=True)
    )
    say(f"\n{name}: {total / 1e3:.2f} ms of kernels a step, {launches} launches")
    for row in rows[:count]:
        milliseconds = row.self_device_time_total / 1e3
        say(f"{milliseconds:9.3f} ms {row.count:6d} x  {row.key[:110]}")


if __name__ == "__main__":
    main()
