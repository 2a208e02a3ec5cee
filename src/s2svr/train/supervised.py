"""Supervised training of a flow network, on pairs whose true flow is known (Table 4)."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset

from ..checkpoint import Card
from ..damage import blurs_motion, degradation, shrinks
from ..data import FLOW_DATASETS, FlowPair, read_ppm
from ..media import read_flo
from ..models import PWCLite
from ..ops import resize_bicubic, resize_flow
from ..render import Look, MovingPhotographs, item_seed, photographs
from .fit import Objective, batches, fit
from .flow import fitting, flow_network
from .launch import Run, start_processes
from .recipes import FlowLoss, FlowRecipe
from .rendered import check_rendered
from .step import Batch


class Labelled(NamedTuple):
    """Two frames (2, 3, H, W) in [0, 1] and the true flow of the first, (2, H, W) in pixels."""

    frames: Tensor
    flow: Tensor


class LabelledPairs(Dataset):
    """Endless pairs with the recipe's damage and their truth.

    Item i is {"lq": (2, 3, h, w), "flow": (2, H, W)} of the undamaged size, and depends on the
    seed and i alone.
    """

    def __init__(self, pair: Callable[[int], Labelled], recipe: FlowRecipe) -> None:
        self.pair, self.data, self.seed = pair, recipe.data, recipe.optim.seed
        self.degrade = degradation(recipe.data.degradation)

    def __getitem__(self, index: int) -> Batch:
        frames, flow = self.pair(index)
        generator = Generator().manual_seed(item_seed(self.seed, index))
        clean = np.random.default_rng((self.seed, index, 1)).random() < self.data.clean
        lq = frames if clean else self.degrade(frames, generator).lq
        lq = resize_bicubic(lq, 1 / self.data.reduce) if self.data.reduce > 1 else lq
        return {"lq": lq, "flow": flow}


def rendered_pairs(
    photos: list[Tensor], recipe: FlowRecipe, side: int
) -> Callable[[int], Labelled]:
    """Pairs of moving photographs, squares of ``side`` pixels."""
    look = Look(speed=(0.0, recipe.data.speed))
    scenes = MovingPhotographs(
        photos, frames=2, size=(side, side), seed=recipe.optim.seed, look=look
    )

    def pair(index: int) -> Labelled:
        clip = scenes[index]
        return Labelled(clip.frames, clip.flow_forward[0])

    return pair


def drawn_pairs(pairs: list[FlowPair], recipe: FlowRecipe, side: int) -> Callable[[int], Labelled]:
    """Squares of ``side`` pixels of pairs of files, at random places and flipped at random."""

    def pair(index: int) -> Labelled:
        rng = np.random.default_rng((recipe.optim.seed, index))
        files = pairs[rng.integers(len(pairs))]
        frames = torch.stack([read_ppm(path) for path in (files.first, files.second)])
        return cut(Labelled(frames.float() / 255, read_flo(files.flow)), side, rng)

    return pair


def cut(whole: Labelled, side: int, rng: np.random.Generator) -> Labelled:
    """A square at a random place, flipped at random: a flip turns a component's sign."""
    height, width = whole.flow.shape[-2:]
    if min(height, width) < side:
        raise ValueError(
            f"expected pairs of at least {side}x{side} pixels, got {width}x{height}; "
            "lower data.crop"
        )
    top, left = (int(rng.integers(room - side + 1)) for room in (height, width))
    frames, flow = (x[..., top : top + side, left : left + side] for x in whole)
    for axis, component in ((-2, 1), (-1, 0)):
        if rng.random() < 0.5:
            frames, flow = frames.flip(axis), flow.flip(axis).clone()
            flow[component] *= -1
    return Labelled(frames, flow)


def supervised_loss(weights: FlowLoss) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Mean distance to the truth at its size, of all levels of the pyramid by ``scales``."""

    def loss(net: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(net, PWCLite)
        scale = batch["flow"].shape[-1] // batch["lq"].shape[-1]
        lq = fitting(batch["lq"], net)
        size = (scale * lq.shape[-2], scale * lq.shape[-1])
        truth = batch["flow"][..., : size[0], : size[1]]
        total, errors = truth.new_zeros(()), []
        for flow, weight in zip(net.pyramid(*lq.unbind(1)), weights.scales, strict=False):
            errors.append((resize_flow(flow, size) - truth).norm(dim=1).mean())
            total = total + weight * errors[-1]
        return {"loss": total, "error": errors[0]}

    return loss


def train_supervised(
    recipe: FlowRecipe, run: Run, *, data: Path, init: Path | str | None = None
) -> Path:
    """Train a flow network on true flow; returns the weights' path.

    data is the folder of ``data.dataset``: FlyingChairs, or, of the data set ``folder``, any folder
    of photographs and videos, from which pairs are rendered. init are the weights to start from.
    The averaged weights are written.
    """
    name, damage = recipe.data.dataset, recipe.data.degradation
    if blurs_motion(damage):
        raise ValueError(f"expected damage that two frames can take, got {damage}")
    if recipe.data.clean and shrinks(damage) > 1:
        raise ValueError("expected data.clean = 0 where the frames differ in size")
    side = shrinks(damage) * recipe.data.crop
    check_rendered(damage, (side, side))
    fabric = start_processes(recipe.optim, run)
    net = flow_network(recipe, init)
    if name == "folder":
        pair, said = rendered_pairs(photographs(data), recipe, side), "rendered pairs"
    elif name in FLOW_DATASETS:
        pairs = FLOW_DATASETS[name](data, recipe.data.split)
        pair, said = drawn_pairs(pairs, recipe, side), f"{len(pairs)} pairs of {name}"
    else:
        known = ", ".join(("folder", *FLOW_DATASETS))
        raise ValueError(f"expected data.dataset of a supervised training ({known}), got {name!r}")
    fit(
        Objective(net, supervised_loss(recipe.loss)),
        batches(LabelledPairs(pair, recipe), recipe.data.batch, recipe.optim.workers),
        recipe.optim,
        run,
        fabric=fabric,
        recipe=recipe,
        card=Card(task="flow", recipe=run.name, data=f"{said} with true flow, {damage}"),
    )
    return run.weights
