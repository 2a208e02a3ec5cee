"""Training of the parts of a deblurring network that estimate the exposure.

From the exposure follow the shares that a frame takes of its neighbours. The error of a frame mixed
with such shares is quadratic in them. So all that the training needs of a window is the mean
products of its frames, a few hundred numbers, and it goes over tens of thousands of windows in
minutes. Beside the clips with the recipe's damage it sees their truth averaged anew, with every
frame, every second or every third kept, and left sharp; and some of all these coded.

What share of the network's change is made is learned last, from crops that it has restored.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..damage import blur_clip, degradation
from ..data import MOVING, Stored, as_float
from ..models import S2SVR, Blurred, Exposure, bands, contrasts, frames_around, sharpness
from ..ops import quantised
from ..text import Say
from .launch import Run
from .network import build, without_fresh_flow
from .partial import (
    change_moments,
    learn_from_statistics,
    learn_part,
    save_trained,
    squared_error,
)
from .recipes import AdamW, ExposureRecipe
from .store import prepare, recipe_clips

# Frames averaged, and the step from one mean to the next.
AGAIN = ((3, 1), (5, 1), (7, 1), (9, 1), (11, 1), (3, 2), (5, 2), (7, 2), (5, 3), (7, 3), (9, 3))
# Of what has no blur to undo: how often frames are shown, as films are on television, and noise.
SHARP = (((1,), 0), ((1,), 0.02), ((2,), 0), ((3,), 0), ((5,), 0), ((2, 3), 0), ((1, 1, 2), 0))
SIDES = (96, 128, 192)  # of the crops, in pixels
DRAWN = 5  # ways of AGAIN for each clip
SHORT = 0.3  # of the crops are cut to at most 9 frames, since shots can be short
CODED = 0.35  # of the crops are coded by one of the codecs, since most videos are
CODECS, QUANTISERS = ("h264", "hevc"), (16, 30)  # at CRF or QP of 16 to 29
FLOOR, SHARP_FLOOR = 3e-4, 1e-5  # mean square errors, 35 and 50 dB, below which little is gained
# Of what is restored to learn the share of the change: sides and frames of the crops, since motion
# shows in many pixels, and such errors: a change to a sharp frame below 42 dB is to be left out.
HEIGHT, WIDTH, FRAMES = 192, 256, 12
CHANGED, SHARP_CHANGED = 1e-4, 6e-5
EVEN = 0.02  # of the deviation of what is seen
SAID = 100  # crops from one line of progress to the next


class Windows(NamedTuple):
    """Windows of clips, each a frame with n neighbours on each side; missing ones are itself."""

    products: Tensor  # of the changes of grey from frame to frame, as ``Exposure`` has them
    sharp: Tensor  # as ``sharpness`` has it, (N, 4)
    square: Tensor  # of what the neighbours have over the frame, (N, 2n, 2n)
    cross: Tensor  # of that and what the truth has over it, (N, 2n)
    error: Tensor  # mean square of the latter, (N,)
    floor: Tensor  # of the error, (N,)


def clip_windows(lq: Tensor, hq: Tensor, reach: int, floor: float = FLOOR) -> Windows:
    """All windows of a clip, from its frames and their truth (T, 3, H, W)."""
    count = len(lq)
    x, truth = lq.flatten(1).double(), hq.flatten(1).double()
    grey = lq.mean(1)
    xx, xh = x @ x.T / x.shape[1], x @ truth.T / x.shape[1]
    products, sharp = products_of(grey, reach), sharpness(grey)
    found = []
    for t in range(count):
        near = frames_around(list(range(count)), t, reach)
        row = xx[near]
        square = row[:, near] - row[:, t, None] - row[:, t] + xx[t, t]
        cross = xh[near, t] - xh[t, t] - row[:, t] + xx[t, t]
        error = (truth[t] - x[t]).square().mean()
        found.append((products[t], sharp[t], square, cross, error, torch.tensor(floor)))
    return Windows(*(torch.stack(parts).float() for parts in zip(*found, strict=True)))


def products_of(grey: Tensor, reach: int) -> Tensor:
    """As ``Exposure`` makes them of all frames (T, H, W), in one go each band: (T, BANDS, P)."""
    earlier, later = torch.triu_indices(2 * reach, 2 * reach)
    found = []
    for band in zip(*map(bands, grey[:, None]), strict=True):
        light = torch.cat(band).flatten(1).double()
        changes = (light @ light.T / light.shape[1]).diff(dim=0).diff(dim=1)
        changes = F.pad(changes, (reach, reach, reach, reach))
        times = torch.arange(len(grey))[:, None]
        found.append(changes[times + earlier, times + later])
    return torch.stack(found, 1)


def error_left(shares: Tensor, of: Windows) -> Tensor:
    """Mean square error (N,) of the windows' frames when mixed with shares (N, 2n)."""
    squares = (shares[:, None] @ of.square @ shares[..., None])[:, 0, 0]
    return (of.error - 2 * (shares * of.cross).sum(1) + squares).clamp_min(0)


def damaged_crops(clip: Stored, rng: np.random.Generator) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Crops of a clip, as kind of damage (a name of ``Shares``), damaged frames, true frames."""
    yield "rendered" if clip.source == MOVING else "stored", *square(clip, rng)
    if clip.source == MOVING:
        return
    ways = [way for way in AGAIN if way[0] <= len(clip.hq)]
    for index in rng.permutation(len(ways))[:DRAWN]:
        averaged, step = ways[index]
        yield "again", *blur_clip(square(clip, rng)[1], averaged, step=step)
    for shown, noise in SHARP:
        hq = square(clip, rng)[1]
        times = np.resize(rng.permutation(shown), len(hq))
        same = quantised(hq[np.repeat(np.arange(len(hq)), times)[: len(hq)]])
        if noise:
            same = quantised(same + noise * torch.from_numpy(rng.normal(size=same.shape)))
        yield "sharp", same.float(), same.float()


def square(clip: Stored, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A square crop, as ``cropped`` says, of one of the SIDES or as large as the clip."""
    side = min(int(rng.choice(SIDES)), *clip.hq.shape[-2:])
    return cropped(clip, rng, side, side)


def cropped(
    clip: Stored, rng: np.random.Generator, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """A crop at a random place of the damaged clip, at most so large, and the same of its truth."""
    rows, columns = clip.hq.shape[-2:]
    height, width = min(height, rows), min(width, columns)
    top, begin = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
    place = (..., slice(top, top + height), slice(begin, begin + width))
    return as_float(clip.lq[place]), as_float(clip.hq[place])


def coded_as_video(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames (T, 3, H, W) as a video of high or middling quality shows them."""
    damage = f"{rng.choice(CODECS)}-{rng.integers(*QUANTISERS)}"
    return degradation(damage)(frames, Generator()).lq


def gathered(
    clips: list[Stored], reach: int, shares: dict[str, float], seed: int
) -> tuple[Windows, Tensor]:
    """The windows of all clips, and a weight (N,) by which each is drawn: the share of its kind."""
    rng = np.random.default_rng(seed)
    parts, kinds = [], []
    for clip in clips:
        for kind, lq, hq in damaged_crops(clip, rng):
            if rng.random() < SHORT:
                first = int(rng.integers(len(lq)))
                last = first + int(rng.integers(1, 10))
                lq, hq = lq[first:last], hq[first:last]
            if rng.random() < CODED:
                lq = coded_as_video(lq, rng)
                hq = lq if kind == "sharp" else hq  # what coding spoils is another task
            parts.append(clip_windows(lq, hq, reach, SHARP_FLOOR if kind == "sharp" else FLOOR))
            kinds += [kind] * len(parts[-1].error)
    each = {kind: share / kinds.count(kind) for kind, share in shares.items() if kind in kinds}
    return Windows(*map(torch.cat, zip(*parts, strict=True))), torch.tensor(
        [each[kind] for kind in kinds], dtype=torch.float64
    )


def learn_exposure(
    exposure: Exposure, clips: Windows, often: Tensor, optim: AdamW, say: Say
) -> None:
    """Train on the logarithm of the error that is left, as the recipes' ``psnr`` loss does."""
    last = exposure.tell[-1]
    assert isinstance(last, nn.Conv2d)
    if not last.weight.any():  # a fresh one
        nn.init.normal_(last.weight, std=0.01)

    def loss() -> Tensor:
        chosen = torch.multinomial(often, optim.batch, replacement=True)
        some = Windows(*(part[chosen] for part in clips))
        error = error_left(exposure.told(some.products, some.sharp)[..., 0, 0], some)
        return ((error + some.floor).log() - (some.error + some.floor).log()).mean()

    def report(step: int, value: float) -> None:
        say(f"step {step}/{optim.steps}: gain {-10 * value / math.log(10):.3f} dB")

    learn_part(exposure, loss, optim, report)


class Restored(NamedTuple):
    """Frames, and how a network's change to each lies to what is right."""

    found: Tensor  # ``contrasts``, and the shares of their neighbours, (N, .)
    products: Tensor  # as ``change_moments`` has them, (N, 3)
    floor: Tensor  # of the error, (N,)


def restored_crops(clips: list[Stored], count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops of clips, every second one of a rendered clip if there are any, and their truth.

    Each comes with the recipe's damage, and sharp, as its own truth.
    """
    rng = np.random.default_rng(seed)
    kinds = [[clip for clip in clips if (clip.source == MOVING) == moving] for moving in (0, 1)]
    kinds = [kind for kind in kinds if kind]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        lq, hq = cropped(kind[int(rng.integers(len(kind)))], rng, HEIGHT, WIDTH)
        frames = int(rng.integers(1, 10)) if rng.random() < SHORT else FRAMES
        first = int(rng.integers(max(len(lq) - frames, 0) + 1))
        lq, hq = (part[first : first + frames] for part in (lq, hq))
        if rng.random() < CODED:
            lq, sharp = (coded_as_video(part, rng) for part in (lq, hq))
            yield lq, hq
            yield sharp, sharp
        else:
            yield lq, hq
            yield hq, hq


@torch.inference_mode()
def examined_crops(crops: Iterator[tuple[Tensor, Tensor]], model: S2SVR, say: Say) -> Restored:
    """What a network changes in crops and their truth."""
    each = []
    for number, (lq, hq) in enumerate(crops, 1):
        frames = list(lq[:, None])
        flows = model.flows(frames, len(frames))
        out = model.restore(lq[None], flows, None, 0)[0][0].clamp(0, 1)
        sides = zip(frames, flows.before[0], flows.after[0], strict=True)
        found = torch.cat([contrasts(*some, model.config.down) for some in sides])
        shares = torch.cat([told[:, :-1, 0, 0] for told in flows.told or []])
        floor = SHARP_CHANGED if lq is hq else CHANGED
        moments = change_moments(lq, hq, out)
        each.append((torch.cat((found, shares), 1), moments, torch.full((len(lq),), floor)))
        if number % SAID == 0:
            say(f"{number} crops restored")
    return Restored(*map(torch.cat, zip(*each, strict=True)))


def learn_share(blurred: Blurred, seen: Restored, optim: AdamW, say: Say) -> None:
    """Train what share of a change is made, on the logarithm of the error that is left."""
    blurred.mean.copy_(seen.found.mean(0))
    blurred.spread.copy_(seen.found.std(0) + EVEN)
    nn.init.zeros_(blurred.tell[-1].bias)  # type: ignore[arg-type]
    before = (seen.products[:, 0] + seen.floor).log()

    def fall(share: Tensor, of: Tensor) -> Tensor:
        left = squared_error(share, seen.products[of]).clamp_min(0) + seen.floor[of]
        return (left.log() - before[of]).mean()

    def loss(told: Tensor, chosen: Tensor) -> Tensor:
        return fall(told.sigmoid(), chosen)

    first, *rest = blurred.tell
    learn_from_statistics(blurred.tell, first, rest, blurred.normalised(seen.found), loss, optim)
    with torch.no_grad():
        share, all_of_them = blurred.made(seen.found)[:, 0], torch.arange(len(before))
        held, whole = (fall(s, all_of_them).item() for s in (share, torch.ones_like(share)))
    in_db = -10 / math.log(10)
    say(
        f"step {optim.steps}/{optim.steps}: gain {in_db * held:.3f} dB, "
        f"{in_db * whole:.3f} dB with all of every change"
    )


def train_exposure(
    recipe: ExposureRecipe, run: Run, *, data: Path, init: Path | str | None = None
) -> Path:
    """Train the parts that estimate the exposure; returns the weights' path.

    data is the folder of high-quality clips, init the network whose parts are trained (a fresh one
    otherwise, which has no flow network); all its other weights stay as they are, but where no
    crops are restored all of every change is made, since the share of it follows from the
    exposure. It takes minutes on one CPU thread, and a second or two for each crop that is
    restored; it starts anew when it was stopped. Raises ValueError for a preset that has no such
    part, and for rendered clips too short to hold a frame with all neighbours.
    """
    model = build(recipe, None, init)
    without_fresh_flow(model, None, init)
    mixer = model.mixer
    if mixer is None or mixer.exposure is None or mixer.blurred is None:
        raise ValueError(f"expected a preset that tells an exposure, got {recipe.model.preset}")
    least = 2 * model.config.neighbours + 1
    if recipe.estimate and recipe.data.rendered and recipe.data.frames < least:
        # A frame with all its neighbours would pass for one of another kind than rendered ones.
        raise ValueError(
            f"expected data.frames of at least {least}, so that some frames of rendered clips have "
            f"all {model.config.neighbours} neighbours on each side, got {recipe.data.frames}"
        )
    clips = recipe_clips(recipe.data, data)
    run.out.mkdir(parents=True, exist_ok=True)
    stored, _ = prepare(recipe, clips, model, run.clips)
    seed = recipe.optim.seed
    torch.manual_seed(seed)
    if recipe.estimate:
        shares = recipe.shares.model_dump()
        found, often = gathered(stored, model.config.neighbours, shares, seed)
        run.say(f"{len(often)} windows of {len(stored)} clips")
        learn_exposure(mixer.exposure, found, often, recipe.optim, run.say)
    if recipe.restored:
        # The exposure decides what is mixed, so the crops are restored after it is trained.
        crops = restored_crops(stored, recipe.restored, seed)
        seen = examined_crops(crops, model.eval(), run.say)
        learn_share(mixer.blurred, seen, recipe.optim, run.say)
    return save_trained(model, recipe, run, len(clips))
