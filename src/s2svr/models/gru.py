"""Residual stacked ConvGRUs (Eq. 9), of which encoder and decoder are made."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Bias of a fresh unit's update gate: it starts nearly without a memory, as a network for single
# frames does. From an even start it learned slower (lab/2026-11-25-sr-light-design.md).
FRESH = 2.0


class ConvGRU(nn.Module):
    """F_g of Eq. 9: a convolutional gated recurrent unit; the gates' kernels are ``gate`` wide.

    With ``fading``, what the update gate keeps of the state is multiplied by a factor a channel.
    """

    def __init__(self, inputs: int, channels: int, gate: int = 3, *, fading: bool = False) -> None:
        super().__init__()
        self.keep = nn.Parameter(torch.ones(channels, 1, 1)) if fading else None
        self.gates = nn.Conv2d(inputs + channels, 2 * channels, gate, padding=gate // 2)
        self.candidate = nn.Conv2d(inputs + channels, channels, 3, padding=1)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """State (B, C, h, w) and input (B, inputs, h, w) -> new state (B, C, h, w) in [-1, 1].

        A unit fed with its own output stays in [-1, 1]; with the sums of Eq. 9, which hold that
        output, it would run away in a long video, so they are clamped to where it is at home.
        """
        h = h.clamp(-1, 1)
        update, reset = torch.sigmoid(self.gates(torch.cat((x, h), 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat((x, reset * h), 1)))
        kept = h if self.keep is None else self.keep * h
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
        return x + self.second(F.relu(self.first(x)))


class ResConvGRU(nn.Module):
    """One layer of Eq. 9: z^l_t = z^{l-1}_t + F_b(F_g(z^l_{t-1}, z^{l-1}_t)).

    ``inputs`` counts the channels that the unit sees; the residual path is their first ``channels``
    (the decoder's first layer sees y_{i-1}'s features beside c_i, Eq. 4).

    A ``slim`` layer leaves the paper in three ways, which pay in small networks
    (lab/2026-11-26-sr-light-study.md):
    its gates are 1x1 convolutions, what it remembers is F_g's output in place of the sum z^l_t, and
    how much of that it keeps is learned from zero. A network for single frames uses the update gate
    to weaken features; without that factor, old ones would come up in their place among many.
    """

    def __init__(self, inputs: int, channels: int, blocks: int, *, slim: bool = False) -> None:
        super().__init__()
        self.channels, self.slim = channels, slim
        self.gru = ConvGRU(inputs, channels, 1 if slim else 3, fading=slim)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, memory: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """z^l_{t-1}, already warped, and z^{l-1}_t -> what is remembered of z^l_t, and z^l_t."""
        h = self.gru(memory, below)
        z = below[:, : self.channels] + self.blocks(h)
        return (h if self.slim else z), z
