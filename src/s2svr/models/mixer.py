"""A frame with a share of what its neighbours have over it; the paper has no such path."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import gaps, pad_to_multiple
from .flows import Item, frames_around
from .output import AMPLIFY, detail
from .pwclite import SLOPE
from .quality import Quality, frame_beside

CELL = 4  # side in pixels of a cell, which has one share of each neighbour
BLURRED_AWAY = 8.0  # times the contrast that blur has left: a wide edge changes by more than it
STILL = 1e-6  # mean square of a change that says nothing


class Exposure(nn.Module):
    """Shares of a whole frame's neighbours, told by how its light changes over time.

    An exposure longer than the time between two frames adds up the same light in several of them,
    so that changes which lie an exposure apart have opposite signs. The products of all changes in
    a window, averaged over the frame, show that; slow motion to and fro looks alike, but leaves the
    frame sharp.
    """

    pairs: Tensor  # of changes, each once: their places in the matrix of products

    def __init__(self, neighbours: int, channels: int) -> None:
        super().__init__()
        steps = 2 * neighbours
        self.register_buffer("pairs", torch.triu_indices(steps, steps), persistent=False)
        self.tell = nn.Sequential(
            nn.Conv2d(steps * (steps + 1) // 2 + 1 + 4, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, steps, 1),
        )

    def start(self) -> None:
        """Let a fresh one tell no shares."""
        for parameter in self.tell[-1].parameters():
            parameter.zero_()

    def forward(self, grey: Tensor, others: list[Tensor]) -> Tensor:
        """Grey frame (B, H, W) and its neighbours in the order of ``around`` -> (B, 2n, 1, 1)."""
        change = gaps(torch.stack(in_time(grey, others), 1), 1).flatten(2)
        # Row by row: a product of matrices would be made in half precision where that is asked for.
        rows = [(change * row[:, None]).mean(2) for row in change.unbind(1)]
        return self.told(torch.stack(rows, 1), sharpness(grey))

    def told(self, products: Tensor, sharp: Tensor) -> Tensor:
        """Mean products of the changes from frame to frame (B, 2n, 2n) -> shares (B, 2n, 1, 1).

        ``sharp``: what ``sharpness`` makes of the frame, (B, 4).
        """
        energy = products.diagonal(dim1=1, dim2=2).mean(1)[:, None] + STILL
        relative = products[:, self.pairs[0], self.pairs[1]] / energy
        signs = torch.cat((relative, energy.log10() + 4, sharp), 1)  # all of them near 0
        return self.tell(signs[..., None, None])


def in_time(frame: Item, others: list[Item]) -> list[Item]:
    """A frame and its neighbours in the order of ``around``, in the order of time."""
    return [*others[-2::-2], frame, *others[1::2]]


def sharpness(grey: Tensor) -> Tensor:
    """How much a grey frame (B, H, W) changes from pixel to pixel, and how much that changes.

    Near 0: log10 of the mean squares, down and to the right, (B, 4).
    """
    found = []
    for axis in (1, 2):
        for order in (1, 2):
            step = grey * 0
            if grey.shape[axis] > order:
                step = gaps(grey, axis) if order == 1 else gaps(gaps(grey, axis), axis)
            found.append((step.square().mean((1, 2)) + STILL).log10() + 3)
    return torch.stack(found, 1)


class Mixer(nn.Module):
    """x + sum_k share_k (x_k - x), with shares that depend on what the frames show.

    An exposure longer than the time between two frames mixes them linearly; so a fixed share of
    each neighbour undoes it, but another one for each length. The lengths differ in what x_k - x
    looks like around a cell, and from that a small network tells the shares. With ``exposure``
    channels it adds to those that ``Exposure`` tells for the whole frame; with ``quality`` channels
    they are multiplied by what ``Quality`` tells of it.
    """

    def __init__(
        self,
        neighbours: int,
        channels: int,
        exposure: int = 0,
        quality: int = 0,
        confidence: bool = False,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.exposure = Exposure(neighbours, exposure) if exposure else None
        self.quality = Quality(quality, confidence) if quality else None
        signals = (1 + 2 * neighbours) * CELL**2 + (2 * neighbours if exposure else 0)
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

    def told(self, frames: list[Tensor], times: range) -> list[Tensor] | None:
        """What some of the whole frames (B, 3, H, W) tell of their shares, (B, ., 1, 1)."""
        if self.quality is not None:
            return [self.quality(frames[t], frame_beside(frames, t)) for t in times]
        if self.exposure is None:
            return None
        grey = [frame.mean(1) for frame in frames]
        return [self.exposure(grey[t], frames_around(grey, t, self.neighbours)) for t in times]

    def made(self, whole: Tensor | None) -> Tensor | None:
        """Of what is ``told`` of a frame, the share (B, 1, 1, 1) of its change that is made.

        None: all of it.
        """
        confident = self.quality is not None and self.quality.trust is not None
        return whole[:, 1:] if confident and whole is not None else None

    def forward(
        self, frame: Tensor, others: list[Tensor], contrast: Tensor, whole: Tensor | None = None
    ) -> Tensor:
        """The frame (B, 3, H, W) and its neighbours in the order of ``around`` -> (B, 3, H, W).

        ``contrast`` (B, 1, H, W): the most that ``output.contrast`` finds in any of them.
        ``whole``: what is ``told`` of the frame that this one is, or is a part of.
        """
        height, width = frame.shape[-2:]
        over = torch.stack(others, 1) - frame[:, None]
        seen = (detail(frame.mean(1, keepdim=True)), AMPLIFY * over.mean(2))
        cells = F.pixel_unshuffle(pad_to_multiple(torch.cat(seen, 1), CELL), CELL)
        if whole is None:
            shares = self.shares(cells)
        elif self.quality is not None:
            shares = whole[:, :1] * self.shares(cells)
        else:
            everywhere = whole.expand(-1, -1, *cells.shape[-2:])
            shares = whole + self.shares(torch.cat((cells, everywhere), 1))
        shares = F.interpolate(shares, scale_factor=CELL, mode="bilinear")
        change = (shares[:, :, None, :height, :width] * over).sum(1)
        # Where all of them are flat, it is the light that changed, and nothing was blurred.
        bound = BLURRED_AWAY * contrast
        return frame + torch.clamp(change, -bound, bound)
