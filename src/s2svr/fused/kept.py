"""What a step keeps until its backward pass is over: then each weight gets its gradient at once."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Gradients = list[tuple[Tensor, Tensor]]  # parameters, and what comes to theirs


class Frames:
    """Maps of all frames of a step side by side, and how many frames there were.

    Maps of C channels are (T, B, C, h, w), each frame's with its channels last.
    """

    def __init__(self, most: int, dtype: torch.dtype) -> None:
        self.most, self.dtype = most, dtype
        self.count = 0
        self.open: set[int] = set()  # frames without a backward pass so far

    def room(self, like: Tensor, channels: int) -> Tensor:
        """Uninitialised maps of all frames, for maps of the batch and size of ``like``."""
        shape = (self.most * like.shape[0], channels, *like.shape[-2:])
        maps = torch.empty(
            shape, dtype=self.dtype, device=like.device, memory_format=torch.channels_last
        )
        return maps.unflatten(0, (self.most, -1))

    def next(self) -> int:
        """The place of one more frame. Raises RuntimeError if there is none left."""
        if self.count == self.most:
            raise RuntimeError(f"expected at most {self.most} frames a step, got another one")
        self.open.add(self.count)
        self.count += 1
        return self.count - 1

    def joined(self, maps: Tensor) -> Tensor:
        """What was kept of the frames that there were, as one batch."""
        return maps[: self.count].flatten(0, 1)

    def joined_gradients(self, maps: Tensor) -> Tensor:
        """The same of gradients: zero for frames that the loss did not depend on."""
        for t in self.open:
            maps[t].zero_()
        return self.joined(maps)


class Late:
    """A convolution within one step, whose weights get their gradient at the step's end."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self.layer = layer
        self.bias: Any = layer.bias  # None in some layers that stand alone
        self.weight = layer.weight.detach().to(dtype, memory_format=torch.channels_last)
        self.pairs: list[tuple[Tensor, Tensor]] = []  # of inputs and their outputs' gradients

    def made(self, x: Tensor) -> Tensor:
        """The convolution of x without its bias."""
        return channels_last(F.conv2d(x, self.weight, None, padding=self.layer.padding))

    def back(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient of the output -> that of the input x."""
        return channels_last(self.derived(gradient, x, 0))

    def gradients(self) -> Gradients:
        """Those of weight and bias, from all pairs together."""
        if not self.pairs:
            return []
        x, gradient = map(one_batch, zip(*self.pairs, strict=True))
        found: Gradients = [(self.layer.weight, self.derived(gradient, x, 1))]
        if self.bias is not None:
            found.append((self.bias, gradient.sum((0, 2, 3), dtype=self.bias.dtype)))
        return found

    def derived(self, gradient: Tensor, x: Tensor, of: int) -> Tensor:
        """The gradient of the input (0) or of the weight (1)."""
        padding, wanted = list(self.layer.padding), [of == 0, of == 1, False]
        return torch.ops.aten.convolution_backward(
            gradient, x, self.weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
        )[of]


def channels_last(x: Tensor) -> Tensor:
    """The maps x in the order of memory that everything here has."""
    return x.contiguous(memory_format=torch.channels_last)


def one_batch(parts: tuple[Tensor, ...]) -> Tensor:
    """The parts joined; a lone one as it is."""
    return torch.cat(parts) if len(parts) > 1 else parts[0]
