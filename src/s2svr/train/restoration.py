"""Training of the whole model (Sec. 4.1): Charbonnier on crops, flow estimated on their context."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from ..checkpoint import Card, load
from ..checkpoint import save as save_model
from ..data.clips import ClipPairs, Stored, as_float, store
from ..data.folder import folder
from ..degrade import DEGRADATIONS
from ..losses import charbonnier
from ..metrics import psnr
from ..models import PRESETS, S2SVR, PWCLite, S2SVRConfig
from ..models.s2svr import Flows
from ..recipes import RestorationRecipe
from .fit import Batch, Say, batches, fit
from .setup import launch, sequences_of

VALIDATION_FRAMES = 8


def restoration_loss(
    eps: float, flow_from: int
) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Charbonnier between restored and true crops; the flow is frozen before ``flow_from``."""

    def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(model, S2SVR)
        with torch.set_grad_enabled(trains(model) and step >= flow_from):
            flows = context_flows(model, batch["lq"])
        down, size = model.config.down, batch["hq"].shape[-1] // model.scale
        x = crop(batch["lq"], batch["crop"], size)
        cut = Flows(*([[cropped(f, batch["crop"] // down, size // down) for f in line]
                       for line in lines] for lines in flows))
        y, _ = model.restore(x, cut, None, 0)
        return {"loss": charbonnier(y, batch["hq"], eps)}

    return loss


def trains(model: S2SVR) -> bool:
    """Whether the flow network is among what is optimised."""
    return model.flow is not None and next(model.flow.parameters()).requires_grad


def context_flows(model: S2SVR, x: Tensor) -> Flows:
    """``S2SVR.flows`` of whole clips (B, T, 3, H, W), all pairs of one distance in one batch."""
    batch, count = x.shape[:2]
    lines: tuple[list[list[Tensor | None]], list[list[Tensor | None]]] = ([], [])
    if model.flow is not None:
        small = torch.stack([model.reduce(frame) for frame in x.unbind(1)], 1)
    for d in range(1, max(model.config.radius, 1) + 1):
        none: list[Tensor | None] = [None] * min(d, count)
        if model.flow is None or count <= d:
            for line in lines:
                line.append([None] * count)
            continue
        earlier, later = small[:, :-d].flatten(0, 1), small[:, d:].flatten(0, 1)
        flow = model.flow(torch.cat((later, earlier)), torch.cat((earlier, later)))
        before, after = (f.unflatten(0, (batch, -1)).unbind(1) for f in flow.chunk(2))
        lines[0].append([*none, *before])
        lines[1].append([*after, *none])
    return Flows(*lines)


def crop(x: Tensor, place: Tensor, size: int) -> Tensor:
    """Cut (B, ..., size, size) at each sample's own place (B, 2)."""
    rows = [
        sample[..., top : top + size, left : left + size]
        for sample, (top, left) in zip(x, place.tolist(), strict=True)
    ]
    return torch.stack(rows)


def cropped(flow: Tensor | None, place: Tensor, size: int) -> Tensor | None:
    """``crop`` of a flow that may be missing."""
    return None if flow is None else crop(flow, place, size)


def validation(
    clips: list[Stored], names: list[str], out: Path
) -> Callable[[nn.Module, SummaryWriter, int], dict[str, float]]:
    """Mean PSNR (RGB, rounded) over the first frames of each clip, and one picture a clip."""

    @torch.no_grad()
    def validate(model: nn.Module, log: SummaryWriter, step: int) -> dict[str, float]:
        ours, bases = [], []
        for name, clip in zip(names, clips, strict=True):
            lq, hq = (as_float(array[:VALIDATION_FRAMES]) for array in (clip.lq, clip.hq))
            device = next(model.parameters()).device
            y = model(lq[None].to(device))[0][0].clamp(0, 1).to("cpu")
            base = model.base(lq).clamp(0, 1)  # type: ignore[operator]
            ours.append(sum(psnr(a, b) for a, b in zip(y, hq, strict=True)) / len(y))
            bases.append(sum(psnr(a, b) for a, b in zip(base, hq, strict=True)) / len(y))
            log.add_scalar(f"psnr/{name}", ours[-1], step)
            middle = len(y) // 2
            log.add_image(name, torch.cat((base[middle], y[middle], hq[middle]), -1), step)
        mean, base_mean = sum(ours) / len(ours), sum(bases) / len(bases)
        log.add_scalar("psnr/mean", mean, step)
        return {"psnr": mean, "gain": mean - base_mean}

    return validate


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
    fabric = launch(recipe.optim, out, device, processes)
    model = build(recipe, flow, init)
    clips = sequences_of(recipe.data, data)
    degrade, cache = DEGRADATIONS[recipe.data.degradation], cache or out / "clips"
    stored = store(clips, degrade, recipe.data.degradation, cache)
    validate = None
    if val is not None and fabric.is_global_zero:
        wanted = folder(val)
        names = [sequence.name for sequence in wanted]
        validate = validation(store(wanted, degrade, recipe.data.degradation, cache), names, out)
    path = out / "model.safetensors"

    def export(averaged: nn.Module, step: int, scores: dict[str, float]) -> None:
        card = Card(
            task=recipe.task,
            recipe=name,
            data=f"{len(clips)} clips, {recipe.data.degradation}",
            step=step,
            psnr=scores.get("psnr"),
            gain_db=scores.get("gain"),
            clips=f"{len(names)} validation clips, first {VALIDATION_FRAMES} frames" if val else "",
        )
        save_model(path, averaged, card)

    fit(
        model,
        restoration_loss(recipe.loss.eps, recipe.optim.flow_from),
        batches(
            ClipPairs(stored, recipe.data, seed=recipe.optim.seed),
            recipe.data.batch,
            recipe.optim.workers,
        ),
        recipe.optim,
        out,
        fabric=fabric,
        groups=groups(model, recipe),
        validate=validate,
        export=export,
        say=say,
    )
    return path


def build(recipe: RestorationRecipe, flow: Path | str | None, init: Path | str | None) -> S2SVR:
    """The recipe's network, started from the weights given."""
    config = PRESETS[recipe.model.preset]
    assert isinstance(config, S2SVRConfig)
    if recipe.model.channels:
        config = replace(config, channels=recipe.model.channels)
    if not recipe.model.motion:
        config = replace(config, flow=None)
    torch.manual_seed(recipe.optim.seed)
    model = S2SVR(config)
    if init is not None:
        trunk = load(init)
        model.load_state_dict(trunk.state_dict())
    if flow is not None and model.flow is not None:
        student = load(flow)
        if not isinstance(student, PWCLite) or student.config != config.flow:
            raise ValueError(f"expected a flow network as {config.flow}, {flow} holds another")
        model.flow.load_state_dict(student.state_dict())
    return model


def groups(model: S2SVR, recipe: RestorationRecipe) -> list[dict]:
    """The optimizer's groups: the body, and the flow network at a rate of its own if it trains."""
    parts: list[dict] = [{"params": model.body_parameters(), "lr": recipe.optim.rate}]
    if model.flow is not None:
        trains = recipe.optim.flow_rate > 0
        model.flow.requires_grad_(trains)
        if trains:
            parts.append({"params": list(model.flow.parameters()), "lr": recipe.optim.flow_rate})
    return parts
