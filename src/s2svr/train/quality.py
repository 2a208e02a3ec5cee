"""Training of the part of a compression network that estimates how well a frame was coded."""

import math
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..damage import degradation
from ..data import Clip, Pair
from ..losses import mostly_luma
from ..media import read_clip
from ..metrics import psnr_y
from ..models import MIDDLE, S2SVR, Quality, statistics
from ..ops import quantised, resize_to
from ..text import Say
from .launch import Run
from .network import build, without_fresh_flow
from .partial import learn_part, save_trained
from .recipes import AdamW, QualityRecipe
from .store import recipe_clips

# Clips are reduced by these in turn: what is fine in a small video is coarse in a large one.
SIZES = (1.0, 2.0, 1.5, 2.0)
SMALLEST = 128  # shorter side in pixels of a reduced clip
EXAMINED = 3  # frames of the middle: the first one's quality is its own, the last lack neighbours
NOISE = 0.1  # added to statistics of unit variance, so that few clips tell more
DROPPED = 0.4  # of the first layer's channels, for the same
FLOOR = 0.005  # of the statistics' deviation
KNEE = 0.3  # of the loss, in 10 dB: larger errors count by their size, not its square
EPS = 1e-6  # mean square: what is better counts no more
CEILING = -10 * math.log10(EPS)  # the same as PSNR: 60 dB
LOSS_COUNTS = 10.0  # times as much as a gain
FINE = (16, 26)  # QPs that leave so little to restore that a network may do harm


def codings(sequences: list[Clip], recipe: QualityRecipe, say: Say) -> Iterator[Pair]:
    """Some frames of each clip, coded several times at different sizes and qualities."""
    generator = Generator()
    generator.manual_seed(recipe.optim.seed)
    for place, sequence in enumerate(sequences):
        clip = read_clip(sequence.hq)
        for number, size in zip(range(recipe.codings + recipe.fine), cycle(SIZES), strict=False):
            room = max(len(clip) - recipe.data.frames, 0)
            first = int(torch.randint(room + 1, (), generator=generator))
            some = reduced_clip(clip[first : first + recipe.data.frames].float() / 255, size)
            damage = recipe.data.degradation
            if number >= recipe.codings:
                damage = f"hevc-{int(torch.randint(FINE[0], FINE[1] + 1, (), generator=generator))}"
            yield degradation(damage)(some, generator)
        if (place + 1) % recipe.optim.log_every == 0:
            say(f"{place + 1}/{len(sequences)} clips coded")


def examined(clips: Iterator[Pair]) -> tuple[Tensor, Tensor]:
    """Statistics of coded frames (N, COUNT), and what ``Quality.told`` should make of them (N,).

    A frame that coding left as it was has a PSNR of CEILING.
    """
    found, wanted = [], []
    for lq, hq in clips:
        lq, hq = in_the_middle(lq), in_the_middle(hq)
        found.append(statistics(lq.mean(1)))
        wanted += [min(psnr_y(*pair), CEILING) for pair in zip(lq, hq, strict=True)]
    return torch.cat(found), (torch.tensor(wanted).float() - MIDDLE) / 10


def examined_changes(clips: Iterator[Pair], model: S2SVR) -> tuple[Tensor, Tensor]:
    """Statistics of coded frames (N, COUNT), and how a network's change lies to what is right.

    The second (N, 3): means over a frame of the squared error before, of that error times the
    change, and of the squared change.
    """
    found, changes = [], []
    for lq, hq in clips:
        with torch.inference_mode():
            out = model(lq[None])[0][0]
        before, right, after = (
            mostly_luma(in_the_middle(frames).clamp(0, 1)) for frames in (lq, hq, out)
        )
        error, change = right - before, after - before
        products = (error * error, error * change, change * change)
        changes.append(torch.stack([product.mean((1, 2, 3)) for product in products], 1))
        found.append(statistics(in_the_middle(lq).mean(1)))
    return torch.cat(found), torch.cat(changes)


def in_the_middle(clip: Tensor) -> Tensor:
    """Frames (T, ...) -> the EXAMINED ones of the middle."""
    first = max(len(clip) - EXAMINED, 0) // 2
    return clip[first : first + EXAMINED]


def squared_error(share: Tensor, changes: Tensor) -> Tensor:
    """Mean squared error (N,) where a share (N,) is made of changes (N, 3) as examined."""
    before, along, size = changes.unbind(1)
    return before - 2 * share * along + share.square() * size


def reduced_clip(clip: Tensor, size: float) -> Tensor:
    """Frames (T, 3, H, W) so many times smaller; as they are if they would get too small."""
    height, width = clip.shape[-2:]
    if size == 1 or min(height, width) < SMALLEST * size:
        return clip
    return quantised(resize_to(clip, (round(height / size), round(width / size))))


def learn_from_statistics(
    quality: Quality,
    tell: nn.Sequential,
    found: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    optim: AdamW,
) -> None:
    """Train one of a ``Quality``'s networks on statistics of frames (N, COUNT).

    ``loss`` of what it tells (B,) of some of the frames, and their places (B,).
    """
    nn.init.normal_(tell[-1].weight, std=0.1)  # type: ignore[arg-type]
    first, slope, *rest = tell
    noisy = nn.Sequential(first, slope, nn.Dropout(DROPPED), *rest)

    def of_some() -> Tensor:
        chosen = torch.randint(len(found), (optim.batch,))
        seen = quality.normalised(found[chosen])
        return loss(noisy(seen + NOISE * torch.randn_like(seen))[:, 0], chosen)

    learn_part(tell, of_some, optim)


def learn_quality(quality: Quality, found: Tensor, wanted: Tensor, optim: AdamW, say: Say) -> None:
    """Train a network on statistics of frames (N, COUNT) and what it should make of them (N,)."""
    quality.mean.copy_(found.mean(0))
    quality.spread.copy_(found.std(0) + FLOOR)

    def apart(told: Tensor, chosen: Tensor) -> Tensor:
        return F.smooth_l1_loss(told, wanted[chosen], beta=KNEE)

    learn_from_statistics(quality, quality.tell, found, apart, optim)
    with torch.no_grad():
        error = 10 * (quality.told(found)[:, 0] - wanted).square().mean().sqrt()
    say(f"step {optim.steps}/{optim.steps}: told within {error:.2f} dB")


def learn_confidence(
    quality: Quality, found: Tensor, changes: Tensor, optim: AdamW, say: Say
) -> None:
    """Train what share of a change is made, on statistics and ``examined_changes``.

    The mean gain in dB is the aim; a frame that loses counts LOSS_COUNTS times as much.
    """
    assert quality.trust is not None

    def lost(share: Tensor, changes: Tensor) -> Tensor:
        return 10 * ((squared_error(share, changes) + EPS) / (changes[:, 0] + EPS)).log10()

    def loss(told: Tensor, chosen: Tensor) -> Tensor:
        each = lost(1 + told, changes[chosen])
        return (each + (LOSS_COUNTS - 1) * each.relu()).mean()

    learn_from_statistics(quality, quality.trust, found, loss, optim)
    with torch.no_grad():
        share = quality.made(found)[:, 0]
        held, whole = -lost(share, changes), -lost(torch.ones_like(share), changes)
    say(
        f"step {optim.steps}/{optim.steps}: {held.mean():+.3f} dB, {(held < 0).float().mean():.0%} "
        f"of frames lose; {whole.mean():+.3f} dB, {(whole < 0).float().mean():.0%} with all made"
    )


def train_quality(
    recipe: QualityRecipe, run: Run, *, data: Path, init: Path | str | None = None
) -> Path:
    """Train the part that estimates how well frames were coded; returns the weights' path.

    data is the folder of high-quality clips, init the network whose part is trained (a fresh one
    otherwise, which has no flow network); all its other weights stay as they are. The clips are
    coded, and for the share of the change coded again and restored, which takes most of an hour for
    a hundred clips on one CPU thread; it starts anew when it was stopped. Raises ValueError for a
    preset that estimates no quality, where neither part is to be trained, or the share alone beside
    a fresh estimate.
    """
    model = build(recipe, None, init)
    without_fresh_flow(model, None, init)
    if model.mixer is None or model.mixer.quality is None:
        raise ValueError(f"expected a preset that tells a quality, got {recipe.model.preset}")
    if model.mixer.quality.trust is None and not recipe.estimate:
        raise ValueError(
            f"expected estimate=true for {recipe.model.preset}, which has no share of the change "
            "to train, got estimate=false"
        )
    if not recipe.estimate and bool((model.mixer.quality.spread == 1).all()):
        raise ValueError(
            "expected estimate=true, or --init with weights whose estimate of the PSNR is trained, "
            "got estimate=false and a fresh one"
        )
    clips = recipe_clips(recipe.data, data)
    run.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.optim.seed)
    quality = model.mixer.quality
    if recipe.estimate:
        learn_quality(quality, *examined(codings(clips, recipe, run.say)), recipe.optim, run.say)
    if quality.trust is not None:
        # The estimate decides what is mixed, so the clips are restored after it is trained.
        found, changes = examined_changes(codings(clips, recipe, run.say), model.eval())
        learn_confidence(quality, found, changes, recipe.optim, run.say)
    return save_trained(model, recipe, run, len(clips))
