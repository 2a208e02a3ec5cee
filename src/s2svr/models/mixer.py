"""A frame with a share of what its neighbours have over it; the paper has no such path."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import pad_to_multiple
from .blurred import Blurred
from .exposure import Exposure
from .flows import Flows
from .output import AMPLIFY, detail
from .pwclite import SLOPE
from .quality import Quality, frame_beside

CELL = 4  # side in pixels of a cell, which has one share of each neighbour
BLURRED_AWAY = 8.0  # times the contrast that blur has left: a wide edge changes by more than it


class Mixer(nn.Module):
    """x + sum_k share_k (x_k - x), with shares that depend on what the frames show.

    An exposure longer than the time between two frames mixes them linearly; so a fixed share of
    each neighbour undoes it, but another one for each length. The lengths differ in what x_k - x
    looks like around a cell, and from that a small network tells the shares. With ``exposure``
    channels it adds to those that ``Exposure`` tells for the whole frame; with ``quality`` channels
    they are multiplied by what ``Quality`` tells of it. With ``confidence``, the whole frame tells
    also what share of the network's change to it is made.
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
        self.blurred = Blurred(2 * neighbours) if exposure and confidence else None
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
        for part in (self.exposure, self.quality, self.blurred):
            if part is not None:
                part.start()

    def start_share(self) -> None:
        """Let every change be made as it is."""
        if self.quality is not None:
            self.quality.start_share()
        if self.blurred is not None:
            self.blurred.start()

    def told(
        self, frames: list[Tensor], times: range, flows: Flows, down: int
    ) -> list[Tensor] | None:
        """What some of the whole frames (B, 3, H, W) tell of their shares, (B, ., 1, 1).

        ``flows`` of these, on a grid ``down`` times smaller.
        """
        if self.quality is not None:
            return [self.quality(frames[t], frame_beside(frames, t)) for t in times]
        if self.exposure is None:
            return None
        shares = self.exposure([frame.mean(1) for frame in frames], times)
        if self.blurred is None:
            return shares
        sides = zip([frames[t] for t in times], flows.before[0], flows.after[0], strict=True)
        return [
            torch.cat((few, self.blurred(frame, before, after, few, down)), 1)
            for few, (frame, before, after) in zip(shares, sides, strict=True)
        ]

    def made(self, whole: Tensor | None) -> Tensor | None:
        """Of what is ``told`` of a frame, the share (B, 1, 1, 1) of its change that is made.

        None: all of it.
        """
        confident = self.blurred is not None or (self.quality is not None and self.quality.trust)
        return whole[:, -1:] if confident and whole is not None else None

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
            whole = whole[:, : 2 * self.neighbours]
            everywhere = whole.expand(-1, -1, *cells.shape[-2:])
            shares = whole + self.shares(torch.cat((cells, everywhere), 1))
        shares = F.interpolate(shares, scale_factor=CELL, mode="bilinear")
        change = (shares[:, :, None, :height, :width] * over).sum(1)
        # Where all of them are flat, it is the light that changed, and nothing was blurred.
        bound = BLURRED_AWAY * contrast
        return frame + torch.clamp(change, -bound, bound)
