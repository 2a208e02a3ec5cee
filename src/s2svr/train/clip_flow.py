"""Optical flow of training clips, estimated on whole frames and cut to crops."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data import Clip, ClipPairs, Data, Draw, Stored, as_float, kept_arrays, key_of
from ..files import network_fingerprint
from ..media import flow_folder, read_known_flow
from ..models import S2SVR, Flows, chain_flows, flow_on_grid
from ..ops import divided_up, resize_flow
from .step import Batch

# Frames whose flow to both sides is estimated at once: a GPU is fastest with many.
TOGETHER = {"cpu": 8, "cuda": 20}

ClipFlows = dict[str, np.ndarray]  # by the clip's key, as ``clip_flow`` makes them


def with_stored_flow(model: S2SVR, batch: Batch) -> tuple[Tensor, Flows]:
    """Crops, and the flow in the batch that was estimated beforehand, if there is any."""
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
    """Crops, and the flow and the mixer's shares, estimated on the context around them."""
    with torch.set_grad_enabled(train_flow and trains(model)):
        flows = context_flows(model, batch["lq"])
        context = list(batch["lq"].unbind(1))
        whole = each_flow(flows, lambda flow: flow_on_grid(flow, context[0], model.config))
        told = model.told(context, range(len(context)), whole)
    down, place = model.config.flow_down, batch["crop"]
    size = batch["hq"].shape[-1] // model.scale
    x = crop(batch["lq"], place, size)

    def cut(flow: Tensor) -> Tensor:
        return flow_on_grid(crop(flow, place // down, size // down), x, model.config)

    return x, chain_flows(each_flow(flows, cut)._replace(told=told), model.config.reach)


def each_flow(flows: Flows, change: Callable[[Tensor], Tensor]) -> Flows:
    """All flows, changed; where there is no frame there stays none."""
    before, after = (
        [[None if flow is None else change(flow) for flow in line] for line in lines]
        for lines in flows[:2]
    )
    return Flows(before, after)


def trains(model: S2SVR) -> bool:
    """True if the flow network has weights that are optimised."""
    return model.flow is not None and next(model.flow.parameters()).requires_grad


def context_flows(model: S2SVR, x: Tensor) -> Flows:
    """Flows of whole clips (B, T, 3, H, W), estimated for all pairs of one distance at once."""
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
    """Squares (B, ..., size, size) of each sample at its own place (B, 2): top, left."""
    rows = [
        sample[..., top : top + size, left : left + size]
        for sample, (top, left) in zip(x, place.tolist(), strict=True)
    ]
    return torch.stack(rows)


def clip_flows(clips: list[Stored], model: S2SVR, skip: int, folder: Path) -> ClipFlows:
    """Every clip's flow by the frozen network, estimated once and kept in ``folder``."""
    assert model.flow is not None
    facts = (network_fingerprint(model.flow), model.config.flow_down, skip)

    def kept(clip: Stored) -> np.ndarray:
        key = key_of(clip.key, *facts)
        return kept_arrays(folder, key, ["flow"], lambda: [clip_flow(clip, model, skip)])[0]

    return {clip.key: kept(clip) for clip in clips}


def file_flows(
    clips: list[Clip], stored: list[Stored], down: int, root: Path, folder: Path
) -> ClipFlows:
    """Every clip's flow by the .flo files below ``root``, read once and kept in ``folder``.

    It is brought to the grid of frames that are ``down`` times smaller. ValueError where files are
    missing, or are of frames of another size or count.
    """

    def kept(clip: Clip, frames: Stored) -> np.ndarray:
        place = root / clip.name
        times = [[path.stat().st_mtime_ns for path in line] for line in flow_folder(place)]
        key = key_of(frames.key, str(place), times, down)
        return kept_arrays(folder, key, ["flow"], lambda: [file_flow(place, frames, down)])[0]

    return {b.key: kept(a, b) for a, b in zip(clips, stored, strict=True)}


def file_flow(place: Path, clip: Stored, down: int) -> np.ndarray:
    """The flow of a clip as ``clip_flow`` has it, of the files of ``media.flow_folder``."""
    forward, backward = flow_folder(place)
    count, _, *size = clip.lq.shape
    if len(forward) != count - 1:
        raise ValueError(
            f"expected {count - 1} .flo files in each direction of {place}, whose clip has {count} "
            f"frames, got {len(forward)}"
        )
    small = [divided_up(side, down) for side in size]
    out = np.zeros((1, 2, count, 2, *small), np.float16)
    for t, pair in enumerate(zip(backward, forward, strict=True)):
        for way, path in enumerate(pair):  # of the later frame to the earlier one, and back
            flow = read_known_flow(path, (size[0], size[1]))[None]
            out[0, way, t + 1 - way] = resize_flow(flow, (small[0], small[1]))[0]
    return out


@torch.no_grad()
def clip_flow(clip: Stored, model: S2SVR, skip: int) -> np.ndarray:
    """The flow of a clip's whole frames, (skip, 2, T, 2, h, w) in half precision.

    For each step up to ``skip`` between frames: every frame's flow to the earlier and to the later
    one, zero where there is no such frame.
    """
    assert model.flow is not None
    device = next(model.parameters()).device
    small = torch.cat([model.reduce(as_float(frame)[None].to(device)) for frame in clip.lq])
    out = np.zeros((skip, 2, len(small), 2, *small.shape[-2:]), np.float16)
    most = TOGETHER[device.type]
    for step in range(1, skip + 1):
        for first in range(step, len(small), most):
            count = min(most, len(small) - first)
            times = slice(first, first + count)
            those_before = slice(first - step, first - step + count)
            earlier, later = small[those_before], small[times]
            flow = model.flow(torch.cat((later, earlier)), torch.cat((earlier, later)))
            before, after = flow.cpu().numpy().reshape(2, count, *flow.shape[1:])
            out[step - 1, 0, times], out[step - 1, 1, those_before] = before, after
    return out


class FlowCrops(Dataset):
    """Crops alone, as ``ClipPairs`` draws them, with their flow to the neighbouring frames.

    An item has "before" and "after" beside "lq" and "hq": (T, 2, crop / down, crop / down), zero
    where there is no neighbour. Crops begin on the grid of the flow, which is ``down`` times
    coarser than the frames'.
    """

    def __init__(
        self, clips: list[Stored], flows: ClipFlows, data: Data, *, seed: int = 0, down: int = 1
    ) -> None:
        self.pairs = ClipPairs(clips, data, seed=seed, align=down, alone=True)
        self.flows = [flows[clip.key] for clip in self.pairs.clips]
        self.down = down

    def __getitem__(self, index: int) -> Batch:
        d = self.pairs.draw(index)
        flow, size = self.flows[d.sequence], self.pairs.data.crop // self.down
        before, after = (cut_flow(flow, d, neighbour, size, self.down) for neighbour in (-1, 1))
        return {**self.pairs.cut(d), "before": before, "after": after}


def cut_flow(flow: np.ndarray, d: Draw, neighbour: int, size: int, down: int) -> Tensor:
    """A draw's flow to the frame ``neighbour`` (-1 or 1) places on, (T, 2, size, size).

    ``flow`` is of the whole clip, as ``clip_flow`` has it. A flip turns a component's sign, and a
    transposition swaps both components.
    """
    top, left = (d.top + d.crop_top) // down, (d.left + d.crop_left) // down
    out = torch.zeros(len(d.frames), 2, size, size)
    sign = torch.tensor([-1.0 if d.flip[1] else 1.0, -1.0 if d.flip[0] else 1.0]).view(2, 1, 1)
    for i, (t, line) in enumerate(zip(d.frames, flow_lines(d, neighbour), strict=True)):
        if line is not None:
            cut = flow[*line, t, :, top : top + size, left : left + size]
            out[i] = sign * torch.from_numpy(cut.astype(np.float32))
    out = out.flip([axis for axis, flips in zip((-2, -1), d.flip, strict=True) if flips])
    return out.mT.flip(1) if d.transposed else out


def flow_lines(d: Draw, neighbour: int) -> list[tuple[int, int] | None]:
    """For each frame of a draw the line of its clip's flow to the frame ``neighbour`` places on.

    A line is an index of the flow's first two axes; None where there is no other frame. A clip
    that is drawn backward in time swaps earlier and later.
    """
    lines: list[tuple[int, int] | None] = []
    for i, t in enumerate(d.frames):
        other = d.frames[i + neighbour] if 0 <= i + neighbour < len(d.frames) else t
        lines.append(None if other == t else (abs(other - t) - 1, int(other > t)))
    return lines
