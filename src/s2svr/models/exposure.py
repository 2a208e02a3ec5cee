"""Shares of a whole frame's neighbours, told by how its light changes over time."""

from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import gaps, pad_to_multiple
from .pwclite import SLOPE

BANDS = 3  # of a frame, as ``bands`` has them
STILL = 1e-6  # mean square of a change that says nothing


class Exposure(nn.Module):
    """Shares of a whole frame's neighbours, told by how its light changes over time.

    An exposure longer than the time between two frames adds up the same light in several of them,
    so that changes which lie an exposure apart have opposite signs. The products of all changes in
    a window, averaged over the frame, show that; slow motion to and fro looks alike, but leaves the
    frame sharp. They are told apart best by detail, which motion soon replaces: what is large
    changes for longer than an exposure.
    """

    pairs: Tensor  # of changes, each once: their places in a window, the earlier first
    squares: Tensor  # which of the pairs are a change with itself

    def __init__(self, neighbours: int, channels: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        steps = 2 * neighbours
        pairs = torch.triu_indices(steps, steps)
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("squares", (pairs[0] == pairs[1]).nonzero()[:, 0], persistent=False)
        self.tell = nn.Sequential(
            nn.Conv2d(BANDS * (pairs.shape[1] + 1) + 4, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, steps, 1),
        )

    def start(self) -> None:
        """Let a fresh one tell no shares."""
        for parameter in self.tell[-1].parameters():
            parameter.zero_()

    def forward(self, grey: list[Tensor], times: range) -> list[Tensor]:
        """Grey frames (B, H, W) -> shares (B, 2n, 1, 1) of the neighbours of those at ``times``.

        Neighbours are in the order of ``frames_around``.
        """
        n = self.neighbours
        first = max(times.start - n, 0)
        products = change_products(grey[first : times.stop + n], 2 * n)
        products = F.pad(products, (0, 0, n, n))  # a change that nobody saw is none
        earlier, later = self.pairs
        return [
            self.told(products[:, :, t - first + later, later - earlier], sharpness(grey[t]))
            for t in times
        ]

    def told(self, products: Tensor, sharp: Tensor) -> Tensor:
        """Mean products of the ``pairs`` of changes (B, BANDS, P) -> shares (B, 2n, 1, 1).

        ``sharp``: what ``sharpness`` makes of the frame, (B, 4).
        """
        energy = products[..., self.squares].mean(2, keepdim=True) + STILL
        signs = torch.cat((products / energy, energy.log10() + 4), 2)  # all of them near 0
        return self.tell(torch.cat((signs.flatten(1), sharp), 1)[..., None, None])


def bands(grey: Tensor) -> list[Tensor]:
    """A grey frame (B, H, W), its finest detail, and that of the frame at half its size."""
    whole = grey[:, None]
    soft = softened(whole)
    half = F.avg_pool2d(pad_to_multiple(soft, 2), 2)
    return [band[:, 0] for band in (whole, whole - soft, half - softened(half))]


def softened(x: Tensor) -> Tensor:
    """Binomial means of 3x3 pixels, (B, C, H, W)."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)


def change_products(grey: list[Tensor], span: int) -> Tensor:
    """Mean products of changes between K + 1 grey frames (B, H, W): (B, BANDS, K, span).

    Those of the k-th change with the one d before it, in each band; 0 where there is none.
    """
    latest: deque[list[Tensor]] = deque(maxlen=span)  # changes of each band, the last one first
    rows = [grey[0].new_zeros(len(grey[0]), BANDS, 0, span)]
    before = bands(grey[0])
    for frame in grey[1:]:
        after = bands(frame)
        latest.appendleft([b - a for a, b in zip(before, after, strict=True)])
        before = after
        # One by one: a product of matrices would be made in half precision where that is asked for.
        row = [
            torch.stack([(a * b).mean((1, 2)) for a, b in zip(latest[0], old, strict=True)], 1)
            for old in latest
        ]
        rows.append(F.pad(torch.stack(row, 2), (0, span - len(row)))[:, :, None])
    return torch.cat(rows, 2)


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
