"""Residual stacked ConvGRUs (Eq. 9), of which encoder and decoder are made."""

import torch
from torch import Tensor, nn

# Bias of a fresh unit's update gate: it starts nearly without a memory, as a network for single
# frames does. From an even start it learned slower (lab/2026-11-25-sr-light-design.md).
FRESH = 2.0
DEEP = 2.0  # what a deep layer's memory is clamped to


class ConvGRU(nn.Module):
    """F_g of Eq. 9: a convolutional gated recurrent unit; the gates' kernels are ``gate`` wide.

    With ``fading``, what the update gate keeps of the state is multiplied by a factor a channel.
    The state is clamped to [-bound, bound] where it enters.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        gate: int = 3,
        *,
        fading: bool = False,
        bound: float = 1.0,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.keep = nn.Parameter(torch.ones(channels, 1, 1)) if fading else None
        self.gates = nn.Conv2d(inputs + channels, 2 * channels, gate, padding=gate // 2)
        self.candidate = nn.Conv2d(inputs + channels, channels, 3, padding=1)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """State (B, C, h, w) and input (B, inputs, h, w) -> new state (B, C, h, w) within bound.

        A unit fed with its own output stays in [-1, 1]; with the sums of Eq. 9, which hold that
        output, it would run away in a long video, so they are clamped to where it is at home.
        """
        h = h.clamp(-self.bound, self.bound)
        update, reset = self.gates(torch.cat((x, h), 1)).sigmoid_().chunk(2, 1)
        candidate = self.candidate(torch.cat((x, reset * h), 1)).tanh_()
        kept = h if self.keep is None else self.keep.type_as(h) * h
        return kept + update * (candidate - kept)

    def start(self) -> None:
        """Let a fresh unit see nothing of its memory, and keep little or nothing of it."""
        for layer in (self.gates, self.candidate):
            layer.weight[:, -self.candidate.out_channels :].zero_()
        self.gates.bias.chunk(2)[0].fill_(FRESH)  # type: ignore[union-attr]
        if self.keep is not None:
            self.keep.zero_()


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x).relu_())


class ResConvGRU(nn.Module):
    """One layer of Eq. 9: z^l_t = z^{l-1}_t + F_b(F_g(z^l_{t-1}, z^{l-1}_t)).

    ``inputs`` counts the channels that the unit sees; the residual path is their first ``channels``
    (the decoder's first layer sees y_{i-1}'s features beside c_i, Eq. 4). Three kinds of layers
    differ in the memory that z^l_{t-1} stands for, which the next frame's F_g reads:

        paper   z^l = z^{l-1} + F_b(F_g)   the sum, as Eq. 9 says
        slim    F_g                        what the unit chose to keep
        deep    F_b(F_g)                   what the blocks made of it: the sum without z^{l-1}

    A ``slim`` layer leaves the paper in two more ways, which pay in small networks
    (lab/2026-11-26-sr-light-study.md): its gates are 1x1 convolutions, and how much they keep of
    the memory is learned from zero. A network for single frames uses the update gate to weaken
    features; without that factor, old ones would come up in their place among many.

    A ``deep`` layer is a slim one whose memory passes all its blocks at every frame; with it other
    frames are worth more (lab/2026-11-29-memory-study.md). F_b adds to F_g, which lies in
    [-1, 1], and no tanh bounds what it adds. In trained networks that is less than as much again:
    a clamp to [-2, 2] takes nothing from them, and still keeps the memory from running away.
    """

    def __init__(
        self, inputs: int, channels: int, blocks: int, *, slim: bool = False, deep: bool = False
    ) -> None:
        super().__init__()
        self.channels, self.slim, self.deep = channels, slim, deep
        bound = DEEP if deep else 1.0
        self.gru = ConvGRU(inputs, channels, 1 if slim else 3, fading=slim, bound=bound)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, memory: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """z^l_{t-1}, already warped, and z^{l-1}_t -> what is remembered of z^l_t, and z^l_t."""
        h = self.gru(memory, below)
        made = self.blocks(h)
        z = below[:, : self.channels] + made
        return (made if self.deep else h if self.slim else z), z
