"""A network's body by few kernels, for one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..models import S2SVR, ResConvGRU
from .blocks import Blocks
from .convolution import Alone
from .kept import Gradients
from .unit import Unit
from .warping import align_by_kernels

Part = Blocks | Unit | Alone


@contextmanager
def few_kernels(model: S2SVR, frames: int, dtype: torch.dtype) -> Iterator[None]:
    """Let the model's body be run by fewer and larger kernels, here and in the backward pass.

    For one call of clips of at most ``frames`` frames and one backward pass, both inside the block.
    At its end each weight gets its gradient, made of all frames together; then the model is as it
    was. ``dtype`` is the format of convolutions and of what is between them in a stack of blocks.
    Losses and gradients are those of the plain step but for rounding; maps of all frames and their
    gradients are kept until the end, which takes more memory. RuntimeError for more frames.
    """
    parts, aligning = stand_ins(model, frames, dtype), (model, model.encoder)
    for part in parts:
        part.layer.forward = part  # type: ignore[method-assign]
    for net in aligning:
        net.align = align_by_kernels
    try:
        yield
    finally:
        for part in parts:
            del part.layer.forward
        for net in aligning:
            del net.align
    give([found for part in parts for found in part.gradients()])


def stand_ins(model: S2SVR, frames: int, dtype: torch.dtype) -> list[Part]:
    """What stands for the layers of the body that learn."""
    body = [part for part in (model.encoder, model.decoder, model.mixer) if part is not None]
    layers = [layer for part in body for layer in part.modules()]
    parts: list[Part] = []
    inside: set[nn.Module] = set()
    for layer in layers:
        if isinstance(layer, ResConvGRU) and learns(layer):
            inside |= {*layer.modules()}
            parts.append(Unit(layer.gru, frames, dtype))
            if len(layer.blocks):
                parts.append(Blocks(layer.blocks, frames, dtype))
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer not in inside and learns(layer):
            parts += [Alone(layer, dtype)] if is_usual(layer) else []
    return parts


def is_usual(layer: nn.Conv2d) -> bool:
    """True for a convolution of every pixel and all channels with its neighbours, and zeros."""
    shape = (*layer.stride, *layer.dilation, layer.groups)
    return set(shape) == {1} and layer.padding_mode == "zeros"


def learns(layer: nn.Module) -> bool:
    """True if all of its parameters have gradients."""
    return all(parameter.requires_grad for parameter in layer.parameters())


@torch.no_grad()
def give(gradients: Gradients) -> None:
    """Add gradients to those that the parameters have, in the parameters' type and order."""
    made = [torch.empty_like(parameter) for parameter, _ in gradients]
    if made:
        torch._foreach_copy_(made, [gradient for _, gradient in gradients])
    for new, (parameter, _) in zip(made, gradients, strict=True):
        parameter.grad = new if parameter.grad is None else parameter.grad.add_(new)
