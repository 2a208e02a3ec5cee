"""A frame with a share of what its neighbours have over it; the paper has no such path."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import pad_to_multiple
from .output import AMPLIFY, detail
from .pwclite import SLOPE

CELL = 4  # side in pixels of a cell, which has one share of each neighbour


class Mixer(nn.Module):
    """x + sum_k share_k (x_k - x), with shares that depend on what the frames show.

    An exposure longer than the time between two frames mixes them linearly; so a fixed share of
    each neighbour undoes it, but another one for each length. The lengths differ in what x_k - x
    looks like around a cell, and from that a small network tells the shares.
    """

    def __init__(self, neighbours: int, channels: int) -> None:
        super().__init__()
        signals = (1 + 2 * neighbours) * CELL**2
        self.shares = nn.Sequential(
            nn.Conv2d(signals, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, 2 * neighbours, 3, padding=1),
        )

    def start(self) -> None:
        """Let a fresh one return the frame as it is."""
        for parameter in self.shares[-1].parameters():
            parameter.zero_()

    def forward(self, frame: Tensor, others: list[Tensor]) -> Tensor:
        """The frame (B, 3, H, W) and its neighbours in the order of ``around`` -> (B, 3, H, W)."""
        height, width = frame.shape[-2:]
        over = torch.stack(others, 1) - frame[:, None]
        seen = (detail(frame.mean(1, keepdim=True)), AMPLIFY * over.mean(2))
        cells = F.pixel_unshuffle(pad_to_multiple(torch.cat(seen, 1), CELL), CELL)
        shares = F.interpolate(self.shares(cells), scale_factor=CELL, mode="bilinear")
        return frame + (shares[:, :, None, :height, :width] * over).sum(1)
