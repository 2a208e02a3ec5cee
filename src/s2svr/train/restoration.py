"""Training of whole restoration networks (Sec. 4.1) on crops."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import Card
from ..data import ClipPairs, folder_clips
from ..losses import charbonnier, harm, mostly_luma, negative_psnr
from ..models import S2SVR, Flows, State, cut_flows
from .clip_flow import FlowCrops, file_flows, with_estimated_flow, with_stored_flow
from .fit import Loss, Objective, batches, capturable, fit
from .launch import Run, start_processes
from .network import build, freeze_mixer, is_flow_folder, without_fresh_flow
from .on_device import resident
from .recipes import RestorationLoss, RestorationRecipe
from .step import Batch
from .store import Ready, check_whole, prepare, recipe_clips
from .validation import check_apart, validation


def restore_clips(model: S2SVR, x: Tensor, flows: Flows, step: int) -> tuple[Tensor, slice]:
    """All frames of clips x (B, T, 3, h, w), restored, and their places in time."""
    return model.restore(x, flows, None, 0)[0], slice(None)


def restore_frames(model: S2SVR, x: Tensor, flows: Flows, step: int) -> tuple[Tensor, slice]:
    """One restored frame of each clip, in turn from step to step; the rest are its neighbours."""
    t = step % x.shape[1]
    past, x, flows = list(x[:, :t].unbind(1)), x[:, t:], cut_flows(flows, t, None)
    return model.restore(x, flows, State.of(past), x.shape[1] - 1)[0], slice(t, t + 1)


def mix_frames(model: S2SVR, x: Tensor, flows: Flows, step: int) -> tuple[Tensor, slice]:
    """The frame of ``restore_frames``, only mixed with its neighbours, and its place in time."""
    t = step % x.shape[1]
    past, frames = list(x[:, :t].unbind(1)), list(x[:, t:].unbind(1))
    mixed, _, _ = model.mixed(frames, past, cut_flows(flows, t, None), 1)
    return torch.stack(mixed, 1), slice(t, t + 1)


# Functions that make what is compared with the truth, by RestorationLoss.scored.
SCORED = {"clips": restore_clips, "frames": restore_frames, "mixed": mix_frames}


def restoration_loss(wanted: RestorationLoss, flow_from: int) -> Loss:
    """The distance of restored from true crops, and what frames lost by it, if that has a weight.

    The flow is frozen before step ``flow_from``.
    """
    distance = {"charbonnier": charbonnier, "psnr": negative_psnr}[wanted.kind]
    restored = SCORED[wanted.scored]

    def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(model, S2SVR)
        if "crop" in batch:
            x, flows = with_estimated_flow(model, batch, step >= flow_from)
        else:
            x, flows = with_stored_flow(model, batch)
        y, times = restored(model, x, flows, step)
        pair = (y.float(), batch["hq"][:, times])
        out, truth = map(mostly_luma, pair) if wanted.luma else pair
        loss = distance(out, truth, wanted.eps)
        if not wanted.harm:
            return {"loss": loss}
        given = x[:, times]
        lost = harm(out, mostly_luma(given) if wanted.luma else given, truth)
        return {"loss": loss + wanted.harm * lost, "harm": lost}

    return loss


def train_restoration(
    recipe: RestorationRecipe,
    run: Run,
    *,
    data: Path,
    val: Path | None = None,
    flow: Path | str | None = None,
    init: Path | str | None = None,
    mixer: Path | str | None = None,
) -> Path:
    """Train a restoration network; returns the weights' path.

    data and val are the folders of high-quality clips, which share none, flow the student's
    weights, mixer a network to take the mixer from, init one for all else that is not given. The
    averaged weights are kept.

    flow may be a folder of .flo files by clip, as ``clip_flow.file_flows`` reads them: the network
    gets no flow network. ValueError for a recipe that they cannot serve, and where a flow network
    is needed that neither flow nor init brings and the recipe does not train.
    """
    files = Path(flow) if flow is not None and is_flow_folder(flow) else None
    if files is not None:
        check_files_serve(recipe, val)
    fabric = start_processes(recipe.optim, run, unused=leaves_unused(recipe))
    model = ready_to_train(recipe, flow, init, mixer).to(fabric.device)
    damage, batch, workers = recipe.data.degradation, recipe.data.batch, recipe.optim.workers
    down = model.config.flow_down
    needs_flow = model.flow is not None and recipe.data.frames > 1
    own = needs_flow and not recipe.optim.flow_rate and model.config.radius == 1
    frozen = own or files is not None
    clips, held_out = recipe_clips(recipe.data, data), folder_clips(val) if val else []
    check_apart(clips, held_out)
    with fabric.rank_zero_first():
        ready = prepare(recipe, clips, model, run.clips, workers=workers, flow=own)
        if files is not None:
            flows = file_flows(clips, ready.clips, down, files, run.clips)
            ready = ready._replace(flows=flows)
    validate = None
    if held_out and fabric.is_global_zero:
        validate = validation(held_out, damage, run.clips)
    crops = crops_of(ready, recipe, down, frozen)
    source, captured = batches(crops, batch, workers), 0
    if (frozen or not needs_flow) and capturable(fabric, recipe.optim):
        source, captured = resident(crops, batch), kinds(recipe)
    fit(
        Objective(model, restoration_loss(recipe.loss, recipe.optim.flow_from)),
        source,
        recipe.optim,
        run,
        fabric=fabric,
        recipe=recipe,
        groups=groups(model, recipe),
        kinds=captured,
        validate=validate,
        card=Card(task=recipe.task, recipe=run.name, data=f"{len(clips)} clips, {damage}"),
    )
    return run.weights


def ready_to_train(
    recipe: RestorationRecipe,
    flow: Path | str | None,
    init: Path | str | None,
    mixer: Path | str | None,
) -> S2SVR:
    """The recipe's network as ``build`` makes it, with its mixer frozen as the recipe says.

    Where frames are trained alone and nothing brings a flow network, it has none. ValueError for a
    loss that does not suit it, and for clips of several frames without a flow network that is
    brought or trains.
    """
    model = build(recipe, flow, init, mixer)
    check_harm(recipe, model)
    freeze_mixer(model, recipe.optim.keep_mixer)
    trains = recipe.optim.flow_rate > 0 and recipe.optim.flow_from < recipe.optim.steps
    if model.flow is not None and not trains:
        without_fresh_flow(model, flow, init)
        if model.flow is None and recipe.data.frames > 1:
            raise ValueError(
                "expected --flow WEIGHTS, or --init with weights that hold a flow network, since "
                "this recipe trains none (optim.flow_rate, optim.flow_from), got neither; "
                "--set model.motion=false trains without motion"
            )
    return model


def crops_of(
    ready: Ready, recipe: RestorationRecipe, down: int, frozen: bool
) -> ClipPairs | FlowCrops:
    """Crops with the flow that was made ready, or with the context that theirs is estimated on."""
    data, seed = recipe.data, recipe.optim.seed
    if frozen:
        return FlowCrops(ready.clips, ready.flows, data, seed=seed, down=down)
    return ClipPairs(ready.clips, data, seed=seed, align=down)


def leaves_unused(recipe: RestorationRecipe) -> bool:
    """True where some weights get no gradients, such as those of the feedback."""
    return recipe.data.frames == 1 or recipe.loss.scored != "clips"


def check_files_serve(recipe: RestorationRecipe, val: Path | None) -> None:
    """ValueError for a recipe or validation that needs flow which files have not."""
    data, rate = recipe.data, recipe.optim.flow_rate
    if data.skip > 1 or data.rendered or data.frames == 1 or rate or not recipe.model.motion:
        raise ValueError(
            "expected data.skip=1, data.rendered=0, optim.flow_rate=0, model.motion=true and clips "
            "of several frames for flow of files, which is fixed and of the clips' neighbouring "
            f"frames, got {data.skip}, {data.rendered:g}, {rate:g}, {recipe.model.motion} and "
            f"{data.frames} frames"
        )
    check_whole(data, "flow of files, which is of whole clips")
    if val is not None:
        raise ValueError(
            "expected no --val beside a folder of flow, which has none of those clips: score the "
            "weights by s2svr evaluate --motion"
        )


def check_harm(recipe: RestorationRecipe, model: S2SVR) -> None:
    """ValueError where nothing tells what a frame lost: input and output differ in size."""
    if recipe.loss.harm and model.scale > 1:
        raise ValueError(
            f"expected loss.harm=0 for {recipe.model.preset}, whose output is {model.scale} times "
            f"its input's size, got {recipe.loss.harm:g}: it compares each frame with what came in"
        )


def kinds(recipe: RestorationRecipe) -> int:
    """The number of kinds of steps: one for each frame that may be the one that is scored."""
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
