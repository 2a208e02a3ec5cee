"""What the exposure of a clip says of its neighbours' shares, learned from products of frames.

    OMP_NUM_THREADS=1 python benchmarks/exposure.py CLIPS OUT [--init WEIGHTS] [--cache FOLDER] \
        [--set data.moving=100] [--steps 6000]

The error of a frame mixed with shares of its neighbours is quadratic in the shares. So all that
their training needs of a window is the mean products of its frames, a few hundred numbers, and it
goes over tens of thousands of windows in a minute. The clips are those of ``deblur-light-mixer``:
with their damage, and their truth averaged again, of which every frame, every second or every third
is kept. Writes the weights of INIT, or fresh ones, with what was learned; that recipe goes on.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from s2svr.blur import blur
from s2svr.checkpoint import Card, save
from s2svr.data.clips import MOVING, Stored, as_float, store
from s2svr.data.folder import folder
from s2svr.degrade import degradation
from s2svr.models.mixing import Exposure
from s2svr.recipes import RestorationRecipe, load_recipe
from s2svr.train.moving import with_moving
from s2svr.train.restoration import build

ROOT = Path(__file__).parent.parent
AGAIN = ((3, 1), (5, 1), (7, 1), (9, 1), (11, 1), (3, 2), (5, 2), (7, 2), (5, 3), (7, 3), (9, 3))
SHARP = ((1, 1), (1, 2))  # frames averaged, and the step from one to the next
SIDES = (96, 128, 192)  # of the crops, in pixels
DRAWN = 5  # of these for each clip
BATCH = 512
KINDS = {"stored": 0.4, "again": 0.4, "rendered": 0.15, "sharp": 0.05}  # of a batch


class Windows(NamedTuple):
    """Windows of clips, each a frame with n neighbours on each side; missing ones are itself."""

    products: Tensor  # of the changes of grey from frame to frame in time, (N, 2n, 2n)
    square: Tensor  # of what the neighbours have over the frame, (N, 2n, 2n)
    cross: Tensor  # of that and what the truth has over it, (N, 2n)
    error: Tensor  # mean square of the latter, (N,)


def windows(lq: Tensor, hq: Tensor, reach: int) -> Windows:
    """All windows of a clip and its truth (T, 3, H, W)."""
    count = len(lq)
    x, truth = lq.flatten(1).double(), hq.flatten(1).double()
    grey = lq.mean(1).flatten(1).double()
    xx, xh, gg = x @ x.T / x.shape[1], x @ truth.T / x.shape[1], grey @ grey.T / grey.shape[1]
    steps = [sign * d for d in range(1, reach + 1) for sign in (-1, 1)]  # as in ``around``
    found = []
    for t in range(count):
        near = [t + d if 0 <= t + d < count else t for d in steps]
        row, line = xx[near], gg[[*near[-2::-2], t, *near[1::2]]]
        line = line[:, [*near[-2::-2], t, *near[1::2]]].diff(dim=0).diff(dim=1)
        square = row[:, near] - row[:, t, None] - row[:, t] + xx[t, t]
        cross = xh[near, t] - xh[t, t] - row[:, t] + xx[t, t]
        error = (truth[t] - x[t]).square().mean()
        found.append((line, square, cross, error))
    return Windows(*(torch.stack(parts).float() for parts in zip(*found, strict=True)))


def left(shares: Tensor, of: Windows) -> Tensor:
    """Mean square error of the frames mixed with shares (N, 2n)."""
    squares = (shares[:, None] @ of.square @ shares[..., None])[:, 0, 0]
    return (of.error - 2 * (shares * of.cross).sum(1) + squares).clamp_min(0)


def damaged(clip: Stored, rng: np.random.Generator) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Crops of a clip with each of the damages it is trained on, and of its truth."""
    rendered = clip.source == MOVING
    height, width = clip.hq.shape[-2:]
    again = () if rendered else (*(AGAIN[i] for i in rng.permutation(len(AGAIN))[:DRAWN]), *SHARP)
    for averaged, step in ((0, 0), *again):
        side = min(int(rng.choice(SIDES)), height, width)
        top, begin = rng.integers(height - side + 1), rng.integers(width - side + 1)
        place = (..., slice(top, top + side), slice(begin, begin + side))
        lq, hq = as_float(clip.lq[place]), as_float(clip.hq[place])
        if not averaged:
            yield "rendered" if rendered else "stored", lq, hq
        else:
            yield "sharp" if averaged == 1 else "again", *blur(hq, averaged, step=step)


def gathered(clips: list[Stored], reach: int, seed: int) -> tuple[Windows, Tensor]:
    """The windows of all clips, and how often each is drawn."""
    rng = np.random.default_rng(seed)
    parts, kinds = [], []
    for clip in clips:
        for kind, lq, hq in damaged(clip, rng):
            parts.append(windows(lq, hq, reach))
            kinds += [kind] * len(parts[-1].error)
    each = {kind: share / kinds.count(kind) for kind, share in KINDS.items() if kind in kinds}
    return Windows(*map(torch.cat, zip(*parts, strict=True))), torch.tensor(
        [each[kind] for kind in kinds], dtype=torch.float64
    )


def learn(exposure: Exposure, clips: Windows, often: Tensor, steps: int, eps: float) -> None:
    """Train on the logarithm of the error that is left, as the recipe's ``psnr`` loss does."""
    exposure.requires_grad_(True)
    nn.init.normal_(exposure.tell[-1].weight, std=0.01)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(exposure.parameters(), 2e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        chosen = torch.multinomial(often, BATCH, replacement=True)
        some = Windows(*(part[chosen] for part in clips))
        error = left(exposure.told(some.products)[..., 0, 0], some)
        loss = ((error + eps).log() - (some.error + eps).log()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(exposure.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if step % (steps // 10) == 0:
            print(f"step {step}/{steps}: {-4.3429 * loss.item():.3f} dB", flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--init")
    parser.add_argument("--cache", type=Path, default=Path("runs/clips"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--eps", type=float, default=1e-4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    recipe = load_recipe(ROOT / "recipes" / "deblur-light-mixer.toml", chosen.set)
    assert isinstance(recipe, RestorationRecipe)
    model = build(recipe, None, chosen.init)
    assert model.mixer is not None
    assert model.mixer.exposure is not None
    damage = recipe.data.degradation
    clips = store(folder(chosen.clips), degradation(damage), damage, chosen.cache)
    clips = with_moving(clips, recipe.data, chosen.cache, recipe.optim.seed, model.config.flow_down)
    windows_, often = gathered(clips, model.config.neighbours, recipe.optim.seed)
    print(f"{len(often)} windows of {len(clips)} clips", flush=True)  # noqa: T201
    torch.manual_seed(recipe.optim.seed)
    learn(model.mixer.exposure, windows_, often, chosen.steps, chosen.eps)
    save(chosen.out, model, Card(task="deblur", recipe="exposure"))


if __name__ == "__main__":
    main()
