"""A stack of residual blocks as one function of autograd."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .kept import Frames, Gradients, Late, channels_last
from .pointwise import bias_add, bias_relu


class Block(NamedTuple):
    """A residual block x + second(a), a = ReLU(first(x)), and what is kept of all frames."""

    first: Late
    second: Late
    x: Tensor
    a: Tensor
    da: Tensor  # the gradient of first(x)
    dy: Tensor  # the gradient of the block's output, which is also that of second(a)


class Blocks:
    """A stack within one step; its residual path has the format of that step."""

    def __init__(self, layer: nn.Sequential, most: int, dtype: torch.dtype) -> None:
        self.layer = layer
        blocks: Any = layer
        self.pairs = [(Late(b.first, dtype), Late(b.second, dtype)) for b in blocks]
        self.frames = Frames(most, dtype)
        self.blocks: list[Block] = []

    def __call__(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w), in the format of h."""
        if not self.blocks:
            c = h.shape[1]
            self.blocks = [
                Block(*pair, *(self.frames.room(h, c) for _ in range(4))) for pair in self.pairs
            ]
        out: Tensor = Stacked.apply(h, self.pairs[0][0].layer.weight, self)
        return out

    def gradients(self) -> Gradients:
        """Those of all weights."""
        frames = self.frames
        if len(frames.open) == frames.count:
            return []
        for block in self.blocks:
            block.first.pairs = [(frames.joined(block.x), frames.joined_gradients(block.da))]
            block.second.pairs = [(frames.joined(block.a), frames.joined_gradients(block.dy))]
        return [found for pair in self.pairs for late in pair for found in late.gradients()]


class Stacked(torch.autograd.Function):
    """The blocks of one frame. A weight is among the inputs so that there is a backward pass."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, stack: Blocks) -> Tensor:
        ctx.stack, ctx.t, ctx.like = stack, stack.frames.next(), h.dtype
        t, blocks = ctx.t, stack.blocks
        blocks[0].x[t].copy_(h)
        outs = [*(block.x[t] for block in blocks[1:]), torch.empty_like(channels_last(h))]
        for block, out in zip(blocks, outs, strict=True):
            x, a = block.x[t], block.a[t]
            bias_relu(block.first.made(x), block.first.bias, a)
            bias_add(x, block.second.made(a), block.second.bias, out)
        return outs[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        stack, t, blocks = ctx.stack, ctx.t, ctx.stack.blocks
        stack.frames.open.remove(t)
        blocks[-1].dy[t].copy_(gradient)
        dh = torch.empty_like(blocks[0].x[t], dtype=ctx.like)
        outs = [dh, *(block.dy[t] for block in blocks[:-1])]
        for block, out in zip(reversed(blocks), reversed(outs), strict=True):
            x, a, da, dy = (kept[t] for kept in block[2:])
            through = block.second.back(dy, a)
            torch.ops.aten.threshold_backward.grad_input(through, a, 0, grad_input=da)
            torch.add(dy, block.first.back(da, x), out=out)
        return dh, None, None
