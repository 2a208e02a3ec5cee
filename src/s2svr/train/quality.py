"""Training of the part of a compression network that estimates how well a frame was coded."""

from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..damage import degradation
from ..data import Clip
from ..media import read_clip
from ..metrics import psnr_y
from ..models import MIDDLE, Quality, statistics
from ..ops import quantised, resize_bicubic
from ..text import Say
from .launch import Run
from .network import build
from .partial import learn_part, save_trained
from .recipes import AdamW, QualityRecipe
from .store import recipe_clips

# Clips are reduced by these in turn: what is fine in a small video is coarse in a large one.
SIZES = (1.0, 2.0, 1.5, 2.0)
SMALLEST = 128  # shorter side in pixels of a reduced clip
SETTLED = 3  # frames after the first, whose quality is its own
NOISE = 0.1  # added to statistics of unit variance, so that few clips tell more
DROPPED = 0.4  # of the first layer's channels, for the same
FLOOR = 0.005  # of the statistics' deviation
KNEE = 0.3  # of the loss, in 10 dB: larger errors count by their size, not its square


def examined(sequences: list[Clip], recipe: QualityRecipe, say: Say) -> tuple[Tensor, Tensor]:
    """Statistics of coded frames (N, COUNT), and what ``Quality.told`` should make of them (N,)."""
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
    """Frames (T, 3, H, W) so many times smaller; as they are if they would get too small."""
    if min(clip.shape[-2:]) < SMALLEST * size:
        return clip
    return quantised(resize_bicubic(clip, 1 / size))


def learn_quality(quality: Quality, found: Tensor, wanted: Tensor, optim: AdamW, say: Say) -> None:
    """Train a network on statistics of frames (N, COUNT) and what it should make of them (N,)."""
    quality.mean.copy_(found.mean(0))
    quality.spread.copy_(found.std(0) + FLOOR)
    nn.init.normal_(quality.tell[-1].weight, std=0.1)  # type: ignore[arg-type]
    first, slope, *rest = quality.tell
    tell = nn.Sequential(first, slope, nn.Dropout(DROPPED), *rest)

    def loss() -> Tensor:
        chosen = torch.randint(len(found), (optim.batch,))
        seen = (found[chosen] - quality.mean) / quality.spread
        told = tell(seen + NOISE * torch.randn_like(seen))[:, 0]
        return F.smooth_l1_loss(told, wanted[chosen], beta=KNEE)

    learn_part(quality, loss, optim)
    with torch.no_grad():
        error = 10 * (quality.told(found)[:, 0] - wanted).square().mean().sqrt()
    say(f"step {optim.steps}/{optim.steps}: told within {error:.2f} dB")


def train_quality(
    recipe: QualityRecipe, run: Run, *, data: Path, init: Path | str | None = None
) -> Path:
    """Train the part that estimates how well frames were coded; returns the weights' path.

    data is the folder of high-quality clips, init the network whose part is trained (a fresh one
    otherwise); all its other weights stay as they are. It takes minutes on one CPU thread, most of
    them to code the clips, and starts anew when it was stopped. Raises ValueError for a preset that
    estimates no quality.
    """
    model = build(recipe, None, init)
    if model.mixer is None or model.mixer.quality is None:
        raise ValueError(f"expected a preset that tells a quality, got {recipe.model.preset}")
    clips = recipe_clips(recipe.data, data)
    run.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.optim.seed)
    found, wanted = examined(clips, recipe, run.say)
    learn_quality(model.mixer.quality, found, wanted, recipe.optim, run.say)
    return save_trained(model, recipe, run, len(clips))
