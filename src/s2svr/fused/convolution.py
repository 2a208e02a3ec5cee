"""A convolution alone, whose weights get their gradient at the step's end."""

from typing import Any

import torch
from torch import Tensor, nn

from .kept import Gradients, Late, channels_last


class Alone:
    """A convolution within one step."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self.layer, self.late = layer, Late(layer, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w), in the format of the step."""
        out: Tensor = Convolved.apply(x, self.layer.weight, self.late)
        return out

    def gradients(self) -> Gradients:
        """Those of all weights."""
        return self.late.gradients()


class Convolved(torch.autograd.Function):
    """The convolution of one map. The weight is an input so that there is a backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, late: Late) -> Tensor:
        ctx.late, ctx.like = late, x.dtype
        x = x.to(late.weight.dtype, memory_format=torch.channels_last)
        ctx.save_for_backward(x)
        out = late.made(x)
        return out if late.bias is None else out.add_(late.bias[:, None, None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (x,), late = ctx.saved_tensors, ctx.late
        gradient = channels_last(gradient)
        late.pairs.append((x, gradient))
        dx = late.back(gradient, x).to(ctx.like) if ctx.needs_input_grad[0] else None
        return dx, None, None
