"""The ConvGRU as one function of autograd."""

from typing import Any

import torch
from torch import Tensor

from ..models import ConvGRU
from .kept import Frames, Gradients, Late, channels_last
from .pointwise import clamp_back, open_gates, renew, renew_back, reset_back


class Unit:
    """A unit within one step: what its two convolutions saw, and gradients of their outputs."""

    def __init__(self, layer: ConvGRU, most: int, dtype: torch.dtype) -> None:
        self.layer, self.bound, self.keep = layer, layer.bound, layer.keep
        self.gates, self.candidate = Late(layer.gates, dtype), Late(layer.candidate, dtype)
        self.frames = Frames(most, dtype)
        self.kept: tuple[Tensor, ...] = ()

    def __call__(self, h: Tensor, x: Tensor) -> Tensor:
        """State (B, C, h, w) and input (B, inputs, h, w) -> new state.

        In the wider one of the state's format and the convolutions'.
        """
        if not self.kept:
            c, width = h.shape[1], h.shape[1] + x.shape[1]
            widths = (width, width, 2 * c, c, c)
            self.kept = tuple(self.frames.room(h, channels) for channels in widths)
        out: Tensor = Recurrent.apply(h, x, self.layer.gates.weight, self)
        return out

    def gradients(self) -> Gradients:
        """Those of all weights."""
        frames = self.frames
        if len(frames.open) == frames.count:
            return []
        seen, reset_seen = (frames.joined(maps) for maps in self.kept[:2])
        dgates, dz, dkeep = (frames.joined_gradients(maps) for maps in self.kept[2:])
        self.gates.pairs, self.candidate.pairs = [(seen, dgates)], [(reset_seen, dz)]
        found = [*self.gates.gradients(), *self.candidate.gradients()]
        if self.keep is not None:
            total = dkeep.sum((0, 2, 3), dtype=self.keep.dtype)
            found.append((self.keep, total.view_as(self.keep)))
        return found


class Recurrent(torch.autograd.Function):
    """A unit at one frame. A weight is among the inputs so that there is a backward pass."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, x: Tensor, weight: Tensor, unit: Unit) -> Tensor:
        ctx.unit, ctx.t, ctx.like = unit, unit.frames.next(), x.dtype
        h, c, keep = channels_last(h), x.shape[1], unit.keep
        seen, reset_seen = (maps[ctx.t] for maps in unit.kept[:2])
        seen[:, :c].copy_(x)
        seen[:, c:].copy_(h).clamp_(-unit.bound, unit.bound)
        reset_seen[:, :c].copy_(x)
        update, reset, candidate = (torch.empty_like(h, dtype=seen.dtype) for _ in range(3))
        gates, new = unit.gates, unit.candidate
        open_gates(gates.made(seen), gates.bias, h, unit.bound, update, reset, reset_seen)
        out = torch.empty_like(h, dtype=torch.promote_types(h.dtype, seen.dtype))
        renew(new.made(reset_seen), new.bias, h, unit.bound, update, keep, candidate, out)
        ctx.save_for_backward(h, update, reset, candidate)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        unit, t, bound = ctx.unit, ctx.t, ctx.unit.bound
        unit.frames.open.remove(t)
        h, update, reset, candidate = ctx.saved_tensors
        seen, reset_seen, dgates, dz, dkeep = (maps[t] for maps in unit.kept)
        gradient, c = channels_last(gradient), seen.shape[1] - h.shape[1]
        dh = torch.empty_like(h, dtype=unit.gates.bias.dtype)
        renew_back(gradient, h, bound, update, unit.keep, candidate, dz, dgates, dh, dkeep)
        dreset_seen = unit.candidate.back(dz, reset_seen)
        reset_back(dreset_seen, h, bound, reset, dgates, dh)
        dseen = unit.gates.back(dgates, seen)
        dx = torch.empty_like(seen[:, :c], dtype=ctx.like, memory_format=torch.channels_last)
        torch.add(dreset_seen[:, :c], dseen[:, :c], out=dx)
        if not ctx.needs_input_grad[0]:
            return None, dx, None, None
        dmemory = torch.empty_like(h)
        clamp_back(dh, dseen, h, bound, dmemory)
        return dmemory, dx, None, None
