"""How well a frame was coded, learned from frames whose truth is known."""

from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..checkpoint import Card, save
from ..damage import degradation
from ..data import Clip
from ..media import read_clip
from ..metrics import psnr_y
from ..models import MIDDLE, Quality, statistics
from ..ops import quantised, resize_bicubic
from .fit import Say
from .launch import sequences_of
from .network import build
from .recipes import AdamW, QualityRecipe

# Clips are reduced by these in turn: what is fine in a small video is coarse in a large one.
SIZES = (1.0, 2.0, 1.5, 2.0)
SMALLEST = 128  # shorter side in pixels of a reduced clip
SETTLED = 3  # frames after the first, whose quality is its own
NOISE = 0.1  # added to statistics of unit variance, so that few clips tell more
DROPPED = 0.4  # of the first layer's channels, for the same
FLOOR = 0.005  # of the statistics' deviation
KNEE = 0.3  # of the loss, in 10 dB: larger errors count by their size, not its square


def examined(sequences: list[Clip], recipe: QualityRecipe, say: Say) -> tuple[Tensor, Tensor]:
    """Statistics of coded frames (N, COUNT), and what ``Quality.told`` should be of them (N,)."""
    damage, generator = degradation(recipe.data.degradation), Generator()
    generator.manual_seed(recipe.optim.seed)
    found, wanted = [], []
    for place, sequence in enumerate(sequences):
        clip = read_clip(sequence.hq)
        for _, size in zip(range(recipe.codings), cycle(SIZES), strict=False):
            room = max(len(clip) - recipe.data.frames, 0)
            first = int(torch.randint(room + 1, (), generator=generator))
            some = reduced_clip(clip[first : first + recipe.data.frames].float() / 255, size)
            lq, hq = damage(some, generator)
            found.append(statistics(lq[-SETTLED:].mean(1)))
            wanted += [psnr_y(*pair) for pair in zip(lq[-SETTLED:], hq[-SETTLED:], strict=True)]
        if (place + 1) % recipe.optim.log_every == 0:
            say(f"{place + 1}/{len(sequences)} clips coded")
    return torch.cat(found), (torch.tensor(wanted).float() - MIDDLE) / 10


def reduced_clip(clip: Tensor, size: float) -> Tensor:
    """Frames (T, 3, H, W) so many times smaller, if that leaves enough of them."""
    if min(clip.shape[-2:]) < SMALLEST * size:
        return clip
    return quantised(resize_bicubic(clip, 1 / size))


def learn_quality(quality: Quality, found: Tensor, wanted: Tensor, optim: AdamW, say: Say) -> None:
    """Fit what is told to what is wanted."""
    quality.requires_grad_(True)
    quality.mean.copy_(found.mean(0))
    quality.spread.copy_(found.std(0) + FLOOR)
    nn.init.normal_(quality.tell[-1].weight, std=0.1)  # type: ignore[arg-type]
    first, slope, *rest = quality.tell
    tell = nn.Sequential(first, slope, nn.Dropout(DROPPED), *rest)
    optimizer = torch.optim.AdamW(quality.parameters(), optim.rate, weight_decay=optim.weight_decay)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, optim.steps)
    for _ in range(optim.steps):
        chosen = torch.randint(len(found), (optim.batch,))
        seen = (found[chosen] - quality.mean) / quality.spread
        told = tell(seen + NOISE * torch.randn_like(seen))[:, 0]
        loss = F.smooth_l1_loss(told, wanted[chosen], beta=KNEE)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(quality.parameters(), optim.clip)
        optimizer.step()
        rate.step()
    with torch.no_grad():
        error = 10 * (quality.told(found)[:, 0] - wanted).square().mean().sqrt()
    say(f"step {optim.steps}/{optim.steps}: told within {error:.2f} dB")


def train_quality(
    recipe: QualityRecipe,
    *,
    data: Path,
    out: Path,
    init: Path | str | None = None,
    name: str = "",
    say: Say = lambda line: None,
) -> Path:
    """Train what a network tells of how well frames were coded; returns the weights' path.

    data is the folder of high-quality clips, init the network whose quality is trained (a fresh one
    otherwise). out holds ``model.safetensors``, where everything else stays as it was. It takes
    minutes on one CPU thread, most of them to code the clips, and starts anew when it was stopped.
    Raises ValueError for a preset that tells no quality.
    """
    model = build(recipe, None, init)
    if model.mixer is None or model.mixer.quality is None:
        raise ValueError(f"expected a preset that tells a quality, got {recipe.model.preset}")
    sequences = sequences_of(recipe.data, data)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.optim.seed)
    found, wanted = examined(sequences, recipe, say)
    learn_quality(model.mixer.quality, found, wanted, recipe.optim, say)
    about = f"{len(sequences)} clips, {recipe.data.degradation}"
    target = out / "model.safetensors"
    save(target, model, Card(recipe.task, recipe=name, data=about, step=recipe.optim.steps))
    return target
