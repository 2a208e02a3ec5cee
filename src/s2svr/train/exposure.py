"""Training of the part of a deblurring network that estimates the exposure.

From the exposure follow the shares that a frame takes of its neighbours. The error of a frame mixed
with such shares is quadratic in them. So all that the training needs of a window is the mean
products of its frames, a few hundred numbers, and it goes over tens of thousands of windows in
minutes. Beside the clips with the recipe's damage it sees their truth averaged anew, with every
frame, every second or every third kept, and left sharp; and some of all these coded.
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
from ..models import Exposure, bands, frames_around, sharpness
from ..ops import quantised
from ..text import Say
from .launch import Run
from .network import build, without_fresh_flow
from .partial import learn_part, save_trained
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
    yield "rendered" if clip.source == MOVING else "stored", *cropped(clip, rng)
    if clip.source == MOVING:
        return
    ways = [way for way in AGAIN if way[0] <= len(clip.hq)]
    for index in rng.permutation(len(ways))[:DRAWN]:
        averaged, step = ways[index]
        yield "again", *blur_clip(cropped(clip, rng)[1], averaged, step=step)
    for shown, noise in SHARP:
        hq = cropped(clip, rng)[1]
        times = np.resize(rng.permutation(shown), len(hq))
        same = quantised(hq[np.repeat(np.arange(len(hq)), times)[: len(hq)]])
        if noise:
            same = quantised(same + noise * torch.from_numpy(rng.normal(size=same.shape)))
        yield "sharp", same.float(), same.float()


def cropped(clip: Stored, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A crop at a random place of the damaged clip, and the same of its truth."""
    height, width = clip.hq.shape[-2:]
    side = min(int(rng.choice(SIDES)), height, width)
    top, begin = rng.integers(height - side + 1), rng.integers(width - side + 1)
    place = (..., slice(top, top + side), slice(begin, begin + side))
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


def train_exposure(
    recipe: ExposureRecipe, run: Run, *, data: Path, init: Path | str | None = None
) -> Path:
    """Train the part that estimates the exposure; returns the weights' path.

    data is the folder of high-quality clips, init the network whose part is trained (a fresh one
    otherwise, which has no flow network); all its other weights stay as they are. It takes minutes
    on one CPU thread, and starts anew when it was stopped. Raises ValueError for a preset that
    estimates no exposure, and for rendered clips too short to hold a frame with all neighbours.
    """
    model = build(recipe, None, init)
    without_fresh_flow(model, None, init)
    if model.mixer is None or model.mixer.exposure is None:
        raise ValueError(f"expected a preset that tells an exposure, got {recipe.model.preset}")
    least = 2 * model.config.neighbours + 1
    if recipe.data.rendered and recipe.data.frames < least:
        # A frame with all its neighbours would pass for one of another kind than rendered ones.
        raise ValueError(
            f"expected data.frames of at least {least}, so that some frames of rendered clips have "
            f"all {model.config.neighbours} neighbours on each side, got {recipe.data.frames}"
        )
    clips = recipe_clips(recipe.data, data)
    run.out.mkdir(parents=True, exist_ok=True)
    stored, _ = prepare(recipe, clips, model, run.clips)
    shares = recipe.shares.model_dump()
    found, often = gathered(stored, model.config.neighbours, shares, recipe.optim.seed)
    run.say(f"{len(often)} windows of {len(stored)} clips")
    torch.manual_seed(recipe.optim.seed)
    learn_exposure(model.mixer.exposure, found, often, recipe.optim, run.say)
    return save_trained(model, recipe, run, len(clips))
