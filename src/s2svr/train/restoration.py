"""Training of the whole model (Sec. 4.1) on crops, with flow estimated on their context."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import Card
from ..data import ClipPairs, folder_clips
from ..losses import charbonnier, mostly_luma, negative_psnr
from ..models import S2SVR, State, cut_flows
from .clip_flow import with_estimated_flow, with_flow, with_stored_flow
from .fit import Say, batches, capturable, exporter, fit
from .launch import prepared, sequences_of, start_processes
from .network import build, freeze_mixer
from .on_device import resident
from .recipes import RestorationLoss, RestorationRecipe
from .rendered import with_moving
from .step import Batch
from .validation import validation


def restoration_loss(
    wanted: RestorationLoss, flow_from: int
) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Distance between restored and true crops; the flow is frozen before ``flow_from``."""
    distance = {"charbonnier": charbonnier, "psnr": negative_psnr}[wanted.kind]

    def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(model, S2SVR)
        if "crop" in batch:
            x, flows = with_estimated_flow(model, batch, step >= flow_from)
        else:
            x, flows = with_stored_flow(model, batch)
        hq = batch["hq"]
        if wanted.scored == "clips":
            y, _ = model.restore(x, flows, None, 0)
        else:
            t = step % x.shape[1]
            past, x, flows = list(x[:, :t].unbind(1)), x[:, t:], cut_flows(flows, t, None)
            hq = hq[:, t : t + 1]
            if wanted.scored == "mixed":
                y = torch.stack(model.mixed(list(x.unbind(1)), past, flows, 1)[0], 1)
            else:
                y, _ = model.restore(x, flows, State.of(past), x.shape[1] - 1)
        pair = (y.float(), hq)
        a, b = map(mostly_luma, pair) if wanted.luma else pair
        return {"loss": distance(a, b, wanted.eps)}

    return loss


def train_restoration(
    recipe: RestorationRecipe,
    *,
    data: Path,
    out: Path,
    val: Path | None = None,
    flow: Path | str | None = None,
    init: Path | str | None = None,
    device: str = "auto",
    processes: int = 1,
    cache: Path | None = None,
    name: str = "",
    say: Say = lambda line: None,
) -> Path:
    """Train a restoration model; returns the weights' path.

    data and val are the folders of high-quality clips, flow the student's weights, init a model
    whose trunk to start from (its flow network included, unless flow is given). out holds the
    checkpoint, the TensorBoard log, the decoded clips and ``model.safetensors`` (averaged weights).
    A run found there goes on; runs that share ``cache`` decode the clips once.
    """
    fabric = start_processes(recipe.optim, out, device, processes)
    cache = cache or out / "clips"
    model = build(recipe, flow, init).to(fabric.device)
    freeze_mixer(model, recipe.optim.keep_mixer)
    damage, down = recipe.data.degradation, model.config.flow_down
    clips = sequences_of(recipe.data, data)
    stored = prepared(fabric, clips, damage, cache, recipe.optim.workers)
    needs_flow = model.flow is not None and recipe.data.frames > 1
    with fabric.rank_zero_first():
        stored = with_moving(stored, recipe.data, cache, recipe.optim.seed, down, fabric.device)
        if needs_flow and not recipe.optim.flow_rate and model.config.radius == 1:
            stored = with_flow(stored, model, recipe.data.skip)
    validate = None
    if val is not None and fabric.is_global_zero:
        validate = validation(folder_clips(val), damage, cache)
    about = Card(task=recipe.task, recipe=name, data=f"{len(clips)} clips, {damage}")
    pairs = ClipPairs(stored, recipe.data, seed=recipe.optim.seed, down=down)
    ready_made = stored[0].flow is not None or not needs_flow
    source = batches(pairs, recipe.data.batch, recipe.optim.workers)
    captured = 0  # kinds of steps
    if ready_made and capturable(fabric, recipe.optim):
        source, captured = resident(pairs, recipe.data.batch), kinds(recipe)
    fit(
        model,
        restoration_loss(recipe.loss, recipe.optim.flow_from),
        source,
        recipe.optim,
        out,
        fabric=fabric,
        groups=groups(model, recipe),
        kinds=captured,
        validate=validate,
        export=exporter(out / "model.safetensors", about),
        say=say,
    )
    return out / "model.safetensors"


def kinds(recipe: RestorationRecipe) -> int:
    """Kinds of steps, in turn: one for each frame that may be the one that is scored."""
    return 1 if recipe.loss.scored == "clips" else recipe.data.frames


def groups(model: S2SVR, recipe: RestorationRecipe) -> list[dict]:
    """The optimizer's groups: the body, and the flow network at a rate of its own if it trains."""
    parts: list[dict] = [{"params": model.body_parameters(), "lr": recipe.optim.rate}]
    if model.flow is not None:
        trains = recipe.optim.flow_rate > 0
        model.flow.requires_grad_(trains)
        if trains:
            parts.append({"params": list(model.flow.parameters()), "lr": recipe.optim.flow_rate})
    return parts
