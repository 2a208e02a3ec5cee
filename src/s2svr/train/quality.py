"""Training of the part of a compression network that estimates how well a frame was coded."""

import math
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..damage import degradation
from ..data import Clip, Pair
from ..losses import mostly_luma
from ..media import read_clip
from ..metrics import psnr_y
from ..models import MIDDLE, S2SVR, Quality, frame_beside, movement, statistics
from ..text import Say
from .launch import Run
from .network import build, without_fresh_flow
from .partial import change_moments, learn_from_statistics, save_trained, squared_error
from .recipes import AdamW, QualityRecipe
from .store import SMALLEST, random_part, recipe_clips, reduced_clip

EXAMINED = 3  # frames of the middle: the first one's quality is its own, the last lack neighbours
FLOOR = 0.005  # of the statistics' deviation
KNEE = 0.3  # of the loss, in 10 dB: larger errors count by their size, not its square
EPS = 1e-6  # mean square: what is better counts no more
CEILING = -10 * math.log10(EPS)  # the same as PSNR: 60 dB
LOSS_COUNTS = 10.0  # times as much as a gain
TOO_MUCH = 8.0  # times as much counts a share that is too large as one that is too small
MOST_MADE = 1.3  # the largest share that is aimed at; 1 is the largest that is made
STILL = 10  # every tenth frame is learned from again as if nothing had moved
NO_CHANGE = 1e-9  # mean square of a change, so that no share of it is aimed at
# Qualities that leave so little to restore that a network may do harm, and those of x264 beside
# them, whose pictures a share learned of x265 alone takes for worse ones
# (lab/2026-11-29-shares-over-time.md).
FINE = (("hevc", 16, 26), ("h264", 16, 36))


def codings(sequences: list[Clip], recipe: QualityRecipe, say: Say) -> Iterator[Pair]:
    """Some frames of each clip, coded several times at different sizes and qualities."""
    generator = Generator()
    generator.manual_seed(recipe.optim.seed)
    for place, sequence in enumerate(sequences):
        clip = read_clip(sequence.hq)
        sizes = cycle(recipe.data.sizes)
        for number, size in zip(range(recipe.codings + recipe.fine), sizes, strict=False):
            some = random_part(clip, 0, recipe.data.frames, generator).float() / 255
            some = reduced_clip(some, size)
            damage = recipe.data.degradation
            if number >= recipe.codings:
                codec, finest, coarsest = FINE[(number - recipe.codings) % len(FINE)]
                quality = torch.randint(finest, coarsest + 1, (), generator=generator)
                damage = f"{codec}-{int(quality)}"
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


class Changes(NamedTuple):
    """Coded frames, and how a network's change to each lies to what is right."""

    found: Tensor  # ``statistics``, (N, COUNT)
    moved: Tensor  # ``movement`` from the frame beside, (N, MOVED)
    products: Tensor  # as ``change_moments`` has them, (N, 3)


def examined_changes(clips: Iterator[Pair], model: S2SVR) -> Changes:
    """What a network changes in coded frames."""
    each = []
    for lq, hq in clips:
        with torch.inference_mode():
            out = model(lq[None])[0][0]
        before, right, after = (
            mostly_luma(in_the_middle(frames).clamp(0, 1)) for frames in (lq, hq, out)
        )
        means = change_moments(before, right, after)
        grey = list(lq.mean(1))
        moved = torch.stack([frame - frame_beside(grey, t) for t, frame in enumerate(grey)])
        seen = statistics(in_the_middle(lq).mean(1)), movement(in_the_middle(moved))
        each.append(Changes(*seen, means))
    return Changes(*map(torch.cat, zip(*each, strict=True)))


def in_the_middle(clip: Tensor) -> Tensor:
    """Frames (T, ...) -> the EXAMINED ones of the middle."""
    first = max(len(clip) - EXAMINED, 0) // 2
    return clip[first : first + EXAMINED]


def gained(share: Tensor, products: Tensor) -> Tensor:
    """What frames gain where a share (N,) of their change is made, in dB (N,)."""
    left = squared_error(share, products) + EPS
    return -10 * (left / (products[:, 0] + EPS)).log10()


def learn_quality(quality: Quality, found: Tensor, wanted: Tensor, optim: AdamW, say: Say) -> None:
    """Train a network on statistics of frames (N, COUNT) and what it should make of them (N,)."""
    quality.mean.copy_(found.mean(0))
    quality.spread.copy_(found.std(0) + FLOOR)

    def apart(told: Tensor, chosen: Tensor) -> Tensor:
        return F.smooth_l1_loss(told, wanted[chosen], beta=KNEE)

    first, *rest = quality.tell
    learn_from_statistics(quality.tell, first, rest, quality.normalised(found), apart, optim)
    with torch.no_grad():
        error = 10 * (quality.told(found)[:, 0] - wanted).square().mean().sqrt()
    say(f"step {optim.steps}/{optim.steps}: told within {error:.2f} dB")


def learn_confidence(quality: Quality, seen: Changes, optim: AdamW, say: Say) -> None:
    """Train what share of a change is made.

    The aims are the share that leaves the smallest error, and the gain in dB: the first follows
    from how coarsely a frame was coded, and hardly from what it shows, and the second says how much
    it matters. In both, what does harm counts more.
    """
    trust = quality.trust
    assert trust is not None
    begin_as_estimate(quality, seen.moved)
    # Where nothing moves, as in a still picture, the frame alone has to tell.
    again = Changes(*(part[::STILL] for part in seen))
    still = movement(torch.zeros(1, SMALLEST, SMALLEST)).expand_as(again.moved)
    found, moved, products = map(torch.cat, zip(seen, again._replace(moved=still), strict=True))
    best = (products[:, 1] / (products[:, 2] + NO_CHANGE)).clamp(0, MOST_MADE)
    with torch.no_grad():
        known = quality.tell[0](quality.normalised(found))
    channels = known.shape[1]

    def first(some: Tensor) -> Tensor:
        return some[:, :channels] + trust.moved(some[:, channels:])

    def loss(told: Tensor, chosen: Tensor) -> Tensor:
        share = 1 + told
        over = share - best[chosen]
        apart = over.square() + (TOO_MUCH - 1) * over.relu().square()
        lost = -gained(share.clamp(0, 1), products[chosen])
        return (apart + lost + (LOSS_COUNTS - 1) * lost.relu()).mean()

    inputs = torch.cat((known, trust.normalised(moved)), 1)
    learn_from_statistics(trust, first, trust.tell, inputs, loss, optim)
    with torch.no_grad():
        share = quality.made(seen.found, seen.moved)[:, 0]
        held, whole = (gained(s, seen.products) for s in (share, torch.ones_like(share)))
    say(
        f"step {optim.steps}/{optim.steps}: {held.mean():+.3f} dB, {(held < 0).float().mean():.0%} "
        f"of frames lose; {whole.mean():+.3f} dB, {(whole < 0).float().mean():.0%} with all made"
    )


@torch.no_grad()
def begin_as_estimate(quality: Quality, moved: Tensor) -> None:
    """Let the share be told as the PSNR is, but for the last layer; nothing of ``movement`` yet."""
    trust = quality.trust
    assert trust is not None
    trust.mean.copy_(moved.mean(0))
    trust.spread.copy_(moved.std(0) + FLOOR)
    trust.moved.weight.zero_()
    trust.tell[1].load_state_dict(quality.tell[2].state_dict())
    quality.start_share()


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
        changes = examined_changes(codings(clips, recipe, run.say), model.eval())
        learn_confidence(quality, changes, recipe.optim, run.say)
    return save_trained(model, recipe, run, len(clips))
