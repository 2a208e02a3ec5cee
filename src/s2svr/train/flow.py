"""Unsupervised training of flow networks (Sec. 3.3, Algorithm 1), teacher and student."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..checkpoint import Card, load
from ..damage import shrinks
from ..data import ClipPairs, Pair, Stored
from ..losses import distillation, photometric, smoothness, structural
from ..models import PWCLite, PWCLiteConfig
from ..ops import occlusion, resize_bicubic, resize_flow
from .fit import Objective, batches, fit
from .launch import Run, start_processes
from .network import preset_named
from .recipes import FlowLoss, FlowRecipe
from .rendered import check_rendered, moving_pair
from .step import Batch
from .store import recipe_clips, store_damaged


class FlowPairs(Dataset):
    """Endless pairs of frames, some of them rendered; their true flow is not used.

    Item i is {"hq": (2, 3, H, W), "lq": (2, 3, h, w)} and depends on the seed and i alone.
    """

    def __init__(self, clips: list[Stored], recipe: FlowRecipe) -> None:
        self.data, self.seed = recipe.data, recipe.optim.seed
        self.real = ClipPairs(clips, recipe.data, seed=self.seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if np.random.default_rng((self.seed, index, 1)).random() >= self.data.rendered:
            item, size = self.real[index], self.data.crop
            top, left = item["crop"].tolist()
            pair = Pair(item["lq"][..., top : top + size, left : left + size], item["hq"])
        else:
            rng = np.random.default_rng((self.seed, index, 2))
            side = self.data.crop * self.real.scale
            pair = moving_pair(self.real, rng, frames=2, size=(side, side))
        lq = resize_bicubic(pair.lq, 1 / self.data.reduce) if self.data.reduce > 1 else pair.lq
        return {"lq": lq, "hq": pair.hq}


def unsupervised(
    net: PWCLite, a: Tensor, b: Tensor, weights: FlowLoss, step: int
) -> tuple[dict[str, Tensor], Tensor]:
    """L_ph and L_sm over the pyramid (Eq. 11, 13, 14), means of both directions; the finest flows.

    a, b (B, 3, H, W), sides divisible by the network's coarsest stride; the flows are those from a
    to b and from b to a, (2B, 2, H, W).
    """
    size = (a.shape[-2], a.shape[-1])
    ahead, back = (judged(net.pyramid(*pair), size, weights.enlarged) for pair in ((a, b), (b, a)))
    finest = torch.cat((ahead[0], back[0]))
    terms = {name: a.new_zeros(()) for name in ("photometric", "structural", "smooth")}
    masks: Sequence[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(ahead)
    if step >= weights.mask_from:
        masks = visibility(ahead, back, weights.enlarged)
    levels = zip(ahead, back, masks, weights.scales, weights.smooth_scales, strict=False)
    for f12, f21, (seen1, seen2), scale, smooth_scale in levels:
        one, two = shrink(a, f12), shrink(b, f12)
        for x, y, flow, visible in ((one, two, f12, seen1), (two, one, f21, seen2)):
            term = photometric(x, y, flow, visible)
            terms["photometric"] = terms["photometric"] + scale * term
            if weights.structural:
                term = structural(x, y, flow, visible)
                terms["structural"] = terms["structural"] + scale * term
            if smooth_scale:
                term = smoothness(flow, x, weights.edge, min(size))
                terms["smooth"] = terms["smooth"] + smooth_scale * term
    terms = {name: total / 2 for name, total in terms.items()}
    total = (
        weights.photometric * terms["photometric"]
        + weights.structural * terms["structural"]
        + weights.smooth * terms["smooth"]
    )
    return {"loss": total, **{k: v for k, v in terms.items() if k != "structural"}}, finest


def judged(flows: list[Tensor], size: tuple[int, int], enlarged: bool) -> list[Tensor]:
    """A pyramid of flows, finest first, as its losses see it: the finest at the frames' size.

    With ``enlarged`` the others are enlarged by the same factor, as in ARFlow.
    """
    factor = size[0] // flows[0].shape[-2]
    return [
        resize_flow(flow, (factor * flow.shape[-2], factor * flow.shape[-1]))
        if enlarged or level == 0
        else flow
        for level, flow in enumerate(flows)
    ]


def visibility(
    ahead: list[Tensor], back: list[Tensor], enlarged: bool
) -> list[tuple[Tensor, Tensor]]:
    """The masks O of both frames at every level of a pyramid of flows.

    Each level's own; with ``enlarged`` the finest's, of which the others take every n-th pixel.
    """
    if not enlarged:
        return [(occlusion(f, g), occlusion(g, f)) for f, g in zip(ahead, back, strict=True)]
    one, two = occlusion(ahead[0], back[0]), occlusion(back[0], ahead[0])
    sizes = [(flow.shape[-2], flow.shape[-1]) for flow in ahead]
    return [
        (nn.functional.interpolate(one, size), nn.functional.interpolate(two, size))
        for size in sizes
    ]


def shrink(image: Tensor, flow: Tensor) -> Tensor:
    """The image at the flow's size, by the mean over each cell."""
    return nn.functional.adaptive_avg_pool2d(image, (flow.shape[-2], flow.shape[-1]))


def teacher_loss(weights: FlowLoss) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Step 1 of Algorithm 1: Eq. 14 on high-quality frames."""

    def loss(net: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(net, PWCLite)
        a, b = fitting(batch["hq"], net).unbind(1)
        return unsupervised(net, a, b, weights, step)[0]

    return loss


def student_loss(
    teacher: PWCLite, weights: FlowLoss
) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Step 2 of Algorithm 1: Eq. 17 on low-quality frames against the frozen teacher (Eq. 15)."""
    teacher.requires_grad_(False).eval()

    def loss(net: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(net, PWCLite)
        lq = fitting(batch["lq"], net)
        scale = batch["hq"].shape[-1] // batch["lq"].shape[-1]
        hq = batch["hq"][..., : lq.shape[-2] * scale, : lq.shape[-1] * scale]
        a, b = lq.unbind(1)
        terms, flow = unsupervised(net, a, b, weights, step)
        one, two = hq.unbind(1)
        with torch.no_grad():
            wanted = teacher(torch.cat((one, two)), torch.cat((two, one)))
        size = (wanted.shape[-2], wanted.shape[-1])
        distill = distillation(wanted, resize_flow(flow, size))  # Eq. 16
        return {
            **terms,
            "loss": terms["loss"] + weights.distill * distill,
            "distill": distill,
        }

    return loss


def fitting(frames: Tensor, net: PWCLite) -> Tensor:
    """Frames (B, 2, 3, H, W) cut to sides that divide by the network's coarsest stride."""
    multiple = 2 ** len(net.config.channels)
    height, width = (side - side % multiple for side in frames.shape[-2:])
    if not height or not width:
        raise ValueError(
            f"expected training frames of at least {multiple}x{multiple} pixels for this flow "
            f"network, got {frames.shape[-2]}x{frames.shape[-1]}; raise data.crop"
        )
    return frames[..., :height, :width]


def flow_network(recipe: FlowRecipe, init: Path | str | None) -> PWCLite:
    """The recipe's network, with the weights of ``init`` if there are any."""
    config = preset_named(recipe.model.preset, PWCLiteConfig)
    torch.manual_seed(recipe.optim.seed)
    net = PWCLite(config)
    if init is not None:
        start = load(init)
        if not isinstance(start, PWCLite) or start.config != config:
            raise ValueError(f"expected a network as {config} to start from, {init} holds another")
        net.load_state_dict(start.state_dict())
    return net


def train_flow(
    recipe: FlowRecipe,
    run: Run,
    *,
    data: Path,
    teacher: Path | str | None = None,
    init: Path | str | None = None,
) -> Path:
    """Train a teacher, or with ``teacher`` given a student of it; returns the weights' path.

    data is the folder of high-quality clips, init the weights to start from (a student may start as
    its teacher). The averaged weights are written. Raises ValueError for damage that the recipe's
    rendered pairs cannot have.
    """
    damage = recipe.data.degradation
    if recipe.data.rendered:
        side = shrinks(damage) * recipe.data.crop
        check_rendered(damage, (side, side))
    fabric = start_processes(recipe.optim, run)
    net = flow_network(recipe, init)
    clips = recipe_clips(recipe.data, data)
    if teacher is None:
        loss = teacher_loss(recipe.loss)
    else:
        wanted = load(teacher)
        if not isinstance(wanted, PWCLite):
            raise ValueError(f"expected a flow network as teacher, {teacher} is another model")
        loss = student_loss(wanted.to(fabric.device), recipe.loss)
    with fabric.rank_zero_first():
        stored = store_damaged(clips, recipe.data, run.clips, recipe.optim.workers)
    fit(
        Objective(net, loss),
        batches(FlowPairs(stored, recipe), recipe.data.batch, recipe.optim.workers),
        recipe.optim,
        run,
        fabric=fabric,
        recipe=recipe,
        card=Card(task="flow", recipe=run.name, data=f"{len(clips)} clips, {damage}"),
    )
    return run.weights
