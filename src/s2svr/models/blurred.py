"""What share of a network's change to a frame is made, told by blur along the frame's motion."""

import torch
from torch import Tensor, nn

from ..ops import divided_up, flow_targets, sampled
from .along import PLACES, both_sides
from .quality import FAR, of_statistics

SPEEDS = (1.0, 3.0, 6.0, 12.0, 24.0)  # pixels from frame to frame: edges of what counts alike
FAINT = (2e-5, 2e-3)  # mean square and mean size of a contrast that says nothing
RARE = 1e-3  # share of pixels
COUNT = len(SPEEDS) - 1 + 4 * len(PLACES)  # numbers that ``contrasts`` finds
ALL = 20.0  # of which the sigmoid is 1
CHANNELS = 64  # of the network that tells the share


class Blurred(nn.Module):
    """What share of the change to a frame is made, told by how it is blurred along its motion.

    A shutter that stays open takes contrast along the motion and leaves that across it; a picture
    that is only soft lacks both. A few pixels hardly tell one from the other, the whole frame does
    (lab/2026-11-30-share-by-blur.md). It also sees the shares of neighbours that ``Exposure`` tells
    of longer exposures.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, shares: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(COUNT + shares))
        self.register_buffer("spread", torch.ones(COUNT + shares))
        self.tell = of_statistics(COUNT + shares, CHANNELS)

    def start(self) -> None:
        """Let a fresh one make all of every change."""
        last = self.tell[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, ALL)

    def forward(
        self, frame: Tensor, before: Tensor | None, after: Tensor | None, shares: Tensor, down: int
    ) -> Tensor:
        """A frame (B, 3, H, W) and its neighbours' shares (B, 2n, 1, 1) -> share (B, 1, 1, 1).

        before, after and ``down`` as in ``along_motion``. In training all of a change is made.
        """
        if self.training:
            return torch.ones_like(shares[:, :1])
        found = contrasts(frame, before, after, down)
        return self.made(torch.cat((found, shares[..., 0, 0]), 1))[..., None, None]

    def made(self, found: Tensor) -> Tensor:
        """``contrasts`` of frames and the shares of their neighbours (B, .) -> share (B, 1)."""
        return self.tell(self.normalised(found)).sigmoid()

    def normalised(self, found: Tensor) -> Tensor:
        """What is seen of frames (B, .), about 0 and of about unit variance, never beyond FAR."""
        return ((found - self.mean) / self.spread).clamp(-FAR, FAR)


def contrasts(frame: Tensor, before: Tensor | None, after: Tensor | None, down: int) -> Tensor:
    """What a grey frame has along its motion and across it, (B, COUNT), of a pixel a cell.

    Arguments as ``along_motion`` has them; without any flow nothing moves. Logarithms, near 0: how
    many pixels move how fast; their ``strengths`` along the motion over those across it; and the
    latter alone.
    """
    grey = frame.mean(1, keepdim=True)
    cells = [divided_up(side, down) for side in grey.shape[-2:]]
    still = grey.new_zeros(len(grey), 2, *cells)
    ways = [still if o is None else down * o for o in both_sides(before, after)]
    speed = (ways[0] - ways[1]).square().sum(1, keepdim=True).sqrt() / 2
    edges = zip(SPEEDS, SPEEDS[1:], strict=False)
    fast = torch.cat([((speed > low) & (speed <= high)).type_as(grey) for low, high in edges], 1)
    moving = fast.sum(1, keepdim=True)
    along = strengths(grey, ways, moving, down)
    across = strengths(grey, [torch.stack((-o[:, 1], o[:, 0]), 1) for o in ways], moving, down)
    many = (fast.mean((2, 3)) + RARE).log10()
    return torch.cat((many / 2 + 1, along - across, across / 2 + 2), 1)


def strengths(grey: Tensor, ways: list[Tensor], moving: Tensor, down: int) -> Tensor:
    """How far pixels are apart from what lies on both sides, at each of the PLACES of the ways.

    grey (B, 1, H, W); ways (B, 2, h, w) from the first pixel of each cell, in pixels, to both
    sides; moving (B, 1, h, w), 1 where it counts. Logarithms of mean squares and mean sizes,
    (B, 2 len(PLACES)).
    """
    here = grey[..., ::down, ::down]
    many = moving.mean((2, 3)) + RARE
    found = []
    for place in PLACES:
        one, other = (sampled(grey, *flow_targets(place * o, down)) for o in ways)
        apart = (one + other - 2 * here) * moving
        found.append((apart.square().mean((2, 3)) + FAINT[0] * many).log10())
        found.append((apart.abs().mean((2, 3)) + FAINT[1] * many).log10())
    return torch.cat(found, 1)
