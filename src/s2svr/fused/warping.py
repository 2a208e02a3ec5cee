"""Warping (F_w of Eq. 8) by one kernel, and one of its backward pass; ``ops.warp`` is its twin."""

from typing import Any

import torch
from torch import Tensor

from ..ops import warp
from . import pointwise
from .kept import channels_last

PIXELS = 32  # of a program


def align_by_kernels(state: Tensor, o: Tensor | None) -> Tensor:
    """``models.flows.align``; where there are kernels by them, unless the flow has a gradient."""
    if o is None:
        return state
    if o.requires_grad or not pointwise.by_triton(state):
        return warp(state, o)
    out: Tensor = Warped.apply(channels_last(state), o.float().contiguous())
    return out


class Warped(torch.autograd.Function):
    """A map (B, C, h, w) with its channels last, sampled where a flow without gradient points."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, flow: Tensor) -> Tensor:
        ctx.save_for_backward(flow)
        out = torch.empty_like(image)
        over_pixels(pointwise.kernels.warp_kernel, image, flow, out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (flow,) = ctx.saved_tensors
        gradient = channels_last(gradient)
        dimage = torch.zeros_like(gradient, dtype=torch.float32)
        over_pixels(pointwise.kernels.warp_back_kernel, gradient, flow, dimage)
        return dimage.type_as(gradient), None


def over_pixels(kernel: Any, source: Tensor, flow: Tensor, out: Tensor) -> None:
    """Run a kernel over the pixels of a map."""
    _, channels, height, width = source.shape
    count, lanes = flow.numel() // 2, 1 << (channels - 1).bit_length()
    programs = (-(-count // PIXELS),)
    kernel[programs](source, flow, out, height, width, count, channels, lanes, PIXELS)
