"""The optical flow of training clips, estimated on whole frames."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from ..data import Stored, as_float
from ..files import write_array
from ..models import S2SVR, Flows, chain_flows, flow_on_grid
from .step import Batch

PAIRS = 8  # frames whose flow is estimated at once


def with_stored_flow(model: S2SVR, batch: Batch) -> tuple[Tensor, Flows]:
    """Crops and the flow that was estimated on their whole frames beforehand, if there is any."""
    x = batch["lq"]
    if "before" not in batch:
        none: list[list[Tensor | None]] = [[None] * x.shape[1]] * model.config.reach
        return x, Flows(none, none)
    before, after = (
        [flow_on_grid(flow, x, model.config) for flow in batch[name].unbind(1)]
        for name in ("before", "after")
    )
    flows = Flows([[None, *before[1:]]], [[*after[:-1], None]])
    return x, chain_flows(flows, model.config.reach)


def with_estimated_flow(model: S2SVR, batch: Batch, train_flow: bool) -> tuple[Tensor, Flows]:
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
        return flow_on_grid(crop(f, place // down, size // down), x, model.config)

    before, after = ([[cut(f) for f in line] for line in lines] for lines in flows[:2])
    return x, chain_flows(Flows(before, after, told), model.config.reach)


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
