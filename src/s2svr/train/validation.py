"""PSNR of held-out clips during a training."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from ..data import Clip, Data, as_float
from ..metrics import psnr_rgb
from .store import store_damaged

VALIDATION_FRAMES = 8


def check_apart(trained: list[Clip], held_out: list[Clip]) -> None:
    """ValueError where a clip is in both, whatever path leads to it."""
    places = {clip.hq.resolve() for clip in trained}
    for clip in held_out:
        if clip.hq.resolve() in places:
            raise ValueError(
                f"expected clips to validate on that are not trained on, got {clip.hq} in both: "
                "move them out of the folder of training clips, or leave their sources out by "
                "data.without"
            )


def validation(
    held_out: list[Clip], damage: str, cache: Path
) -> Callable[[nn.Module, SummaryWriter, int], dict[str, float]]:
    """A function that restores the first frames of each clip, and logs scores and pictures.

    It returns mean PSNR (RGB, rounded, dB) and the gain over the network's base.
    """
    clips = store_damaged(held_out, Data(degradation=damage), cache)
    names = [clip.name for clip in held_out]

    @torch.no_grad()
    def validate(model: nn.Module, log: SummaryWriter, step: int) -> dict[str, float]:
        ours, bases = [], []
        for name, clip in zip(names, clips, strict=True):
            lq, hq = (as_float(array[:VALIDATION_FRAMES]) for array in (clip.lq, clip.hq))
            device = next(model.parameters()).device
            y = model(lq[None].to(device))[0][0].clamp(0, 1).to("cpu")
            base = model.base(lq).clamp(0, 1)  # type: ignore[operator]
            ours.append(sum(psnr_rgb(a, b) for a, b in zip(y, hq, strict=True)) / len(y))
            bases.append(sum(psnr_rgb(a, b) for a, b in zip(base, hq, strict=True)) / len(y))
            log.add_scalar(f"psnr/{name}", ours[-1], step)
            middle = len(y) // 2
            log.add_image(name, torch.cat((base[middle], y[middle], hq[middle]), -1), step)
        mean, base_mean = sum(ours) / len(ours), sum(bases) / len(bases)
        log.add_scalar("psnr/mean", mean, step)
        return {"psnr": mean, "gain": mean - base_mean}

    return validate
