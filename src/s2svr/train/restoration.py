"""Training of the whole model (Sec. 4.1) on crops, with flow estimated on their context."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from ..checkpoint import Card, load
from ..data.clips import ClipPairs, Sequence, Stored, as_float, write_array
from ..data.folder import folder
from ..losses import charbonnier, mostly_luma, negative_psnr
from ..metrics import psnr_rgb
from ..models import PRESETS, S2SVR, PWCLite, S2SVRConfig
from ..models.alignment import Flows, chained, part
from ..models.s2svr import State, on_grid
from ..recipes import ExposureRecipe, QualityRecipe, RestorationLoss, RestorationRecipe
from .fit import Say, batches, capturable, exporter, fit
from .moving import with_moving
from .resident import resident
from .setup import launch, prepared, sequences_of, stored_with
from .step import Batch

VALIDATION_FRAMES = 8
PAIRS = 8  # frames whose flow is estimated at once


def restoration_loss(
    wanted: RestorationLoss, flow_from: int
) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """Distance between restored and true crops; the flow is frozen before ``flow_from``."""
    distance = {"charbonnier": charbonnier, "psnr": negative_psnr}[wanted.kind]

    def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(model, S2SVR)
        if "crop" in batch:
            x, flows = estimated(model, batch, step >= flow_from)
        else:
            x, flows = ready(model, batch)
        hq = batch["hq"]
        if wanted.scored == "clips":
            y, _ = model.restore(x, flows, None, 0)
        else:
            t = step % x.shape[1]
            past, x, flows = list(x[:, :t].unbind(1)), x[:, t:], part(flows, t, None)
            hq = hq[:, t : t + 1]
            if wanted.scored == "mixed":
                y = torch.stack(model.mixed(list(x.unbind(1)), past, flows, 1)[0], 1)
            else:
                y, _ = model.restore(x, flows, State.of(past), x.shape[1] - 1)
        pair = (y.float(), hq)
        a, b = map(mostly_luma, pair) if wanted.luma else pair
        return {"loss": distance(a, b, wanted.eps)}

    return loss


def ready(model: S2SVR, batch: Batch) -> tuple[Tensor, Flows]:
    """Crops and the flow that was estimated on their whole frames beforehand, if there is any."""
    x = batch["lq"]
    if "before" not in batch:
        none: list[list[Tensor | None]] = [[None] * x.shape[1]] * model.config.reach
        return x, Flows(none, none)
    before, after = (
        [on_grid(flow, x, model.config) for flow in batch[name].unbind(1)]
        for name in ("before", "after")
    )
    flows = Flows([[None, *before[1:]]], [[*after[:-1], None]])
    return x, chained(flows, model.config.reach)


def estimated(model: S2SVR, batch: Batch, train_flow: bool) -> tuple[Tensor, Flows]:
    """Crops, and what the context around them tells: flow and the mixer's shares."""
    with torch.set_grad_enabled(train_flow and trains(model)):
        flows = context_flows(model, batch["lq"])
        context = list(batch["lq"].unbind(1))
        told = model.told(context, range(len(context)))
    down, place = model.config.flow_down, batch["crop"]
    size = batch["hq"].shape[-1] // model.scale
    x = crop(batch["lq"], place, size)

    def cut(f: Tensor | None) -> Tensor | None:
        if f is None:
            return None
        return on_grid(crop(f, place // down, size // down), x, model.config)

    before, after = ([[cut(f) for f in line] for line in lines] for lines in flows[:2])
    return x, chained(Flows(before, after, told), model.config.reach)


def trains(model: S2SVR) -> bool:
    """Whether the flow network is among what is optimised."""
    return model.flow is not None and next(model.flow.parameters()).requires_grad


def context_flows(model: S2SVR, x: Tensor) -> Flows:
    """Flows of whole clips (B, T, 3, H, W) as estimated, all pairs of one distance in a batch."""
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


def with_flow(clips: list[Stored], model: S2SVR, skip: int) -> list[Stored]:
    """The clips with the frozen network's flow, estimated once on whole frames and kept on disk.

    For each step up to ``skip`` between frames: every frame's flow to the earlier and the later
    one, (skip, 2, T, 2, h, w), zero where there is no such frame.
    """
    assert model.flow is not None
    digest = hashlib.sha256(bytes([model.config.flow_down]))
    for tensor in model.flow.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    with_it = []
    for clip in clips:
        path = clip.path.with_name(f"{clip.path.stem}-{digest.hexdigest()[:12]}-flow{skip}.npy")
        if not path.exists():
            write_array(path, clip_flow(clip, model, skip))
        with_it.append(clip._replace(flow=np.load(path, mmap_mode="r")))
    return with_it


@torch.no_grad()
def clip_flow(clip: Stored, model: S2SVR, skip: int) -> np.ndarray:
    """One clip of ``with_flow``."""
    assert model.flow is not None
    device = next(model.parameters()).device
    small = torch.cat([model.reduce(as_float(frame)[None].to(device)) for frame in clip.lq])
    out = np.zeros((skip, 2, len(small), 2, *small.shape[-2:]), np.float16)
    for step in range(1, skip + 1):
        for first in range(step, len(small), PAIRS):
            count = min(PAIRS, len(small) - first)
            times = slice(first, first + count)
            those_before = slice(first - step, first - step + count)
            earlier, later = small[those_before], small[times]
            flow = model.flow(torch.cat((later, earlier)), torch.cat((earlier, later)))
            before, after = flow.cpu().numpy().reshape(2, count, *flow.shape[1:])
            out[step - 1, 0, times], out[step - 1, 1, those_before] = before, after
    return out


def validation(
    sequences: list[Sequence], damage: str, cache: Path
) -> Callable[[nn.Module, SummaryWriter, int], dict[str, float]]:
    """Mean PSNR (RGB, rounded) over the first frames of each clip, and one picture a clip."""
    clips = stored_with(sequences, damage, cache)
    names = [sequence.name for sequence in sequences]

    @torch.no_grad()
    def validate(model: nn.Module, log: SummaryWriter, step: int) -> dict[str, float]:
        ours, bases = [], []
        for name, clip in zip(names, clips, strict=True):
            lq, hq = (as_float(array[:VALIDATION_FRAMES]) for array in (clip.lq, clip.hq))
            device = next(model.parameters()).device
            y = model(lq[None].to(device))[0][0].clamp(0, 1).to("cpu")
            base = model.base(lq).clamp(0, 1)  # type: ignore[operator]
            ours.append(sum(psnr_rgb(a, b) for a, b in zip(y, hq, strict=True)) / len(y))
            bases.append(sum(psnr_rgb(a, b) for a, b in zip(base, hq, strict=True)) / len(y))
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
        validate = validation(folder(val), damage, cache)
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


def build(
    recipe: RestorationRecipe | ExposureRecipe | QualityRecipe,
    flow: Path | str | None,
    init: Path | str | None,
) -> S2SVR:
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
        start_from(model, load(init))
    if flow is not None and model.flow is not None:
        student = load(flow)
        if not isinstance(student, PWCLite) or student.config != config.flow:
            raise ValueError(f"expected a flow network as {config.flow}, {flow} holds another")
        model.flow.load_state_dict(student.state_dict())
    return model


def freeze_mixer(model: S2SVR, whole: bool) -> None:
    """Leave the mixer's weights as they are: all, or those that trainings of their own make."""
    if model.mixer is not None:
        model.mixer.requires_grad_(not whole)
        for part in (model.mixer.exposure, model.mixer.quality):
            if part is not None:
                part.requires_grad_(False)


def start_from(model: S2SVR, other: nn.Module) -> None:
    """Take over the weights of another task's network.

    An input layer of another size stays as it is, as do a flow network and a mixer that the other
    has not; a network without motion leaves the other's flow behind.
    """
    given, own = other.state_dict(), model.state_dict()
    if model.flow is None:
        given = {name: value for name, value in given.items() if not name.startswith("flow.")}
    parts = ("flow.", "mixer.")
    given |= {name: own[name] for name in own.keys() - given.keys() if name.startswith(parts)}
    for name in ("encoder.first.weight", "encoder.first.bias"):
        if name in given and given[name].shape != own[name].shape:
            given[name] = own[name]
    for name in given.keys() | own.keys():
        a, b = (list(part[name].shape) if name in part else None for part in (own, given))
        if a != b:
            raise ValueError(
                f"expected to start from {name} of {a}, got {b}: weights of another size"
            )
    model.load_state_dict(given)


def groups(model: S2SVR, recipe: RestorationRecipe) -> list[dict]:
    """The optimizer's groups: the body, and the flow network at a rate of its own if it trains."""
    parts: list[dict] = [{"params": model.body_parameters(), "lr": recipe.optim.rate}]
    if model.flow is not None:
        trains = recipe.optim.flow_rate > 0
        model.flow.requires_grad_(trains)
        if trains:
            parts.append({"params": list(model.flow.parameters()), "lr": recipe.optim.flow_rate})
    return parts
