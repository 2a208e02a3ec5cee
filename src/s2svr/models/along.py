"""What a frame has further along its motion; the paper has no such path.

A shutter that stays open mixes each point with those before and behind it on its way. So the
differences of a frame from itself, moved by parts of the optical flow, show how far it is blurred
and in which direction; shares of them, added to it, sharpen it in that direction alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import enlarge_flow, pad_to_multiple, warp
from .config import S2SVRConfig
from .flows import Flows
from .output import AMPLIFY

PLACES = (0.25, 0.5, 1.0, 1.5)  # of the way to the frame after, and before
COUNT = 2 * len(PLACES)

# Where a frame holds the light of several and things move far, copies of a thing stand side by
# side: what lies along the motion is the thing once more, not blur (lab/2026-11-30-far-along.md).
LONG = 0.5  # from this sum of the sizes of its neighbours' shares on, a frame holds several
FAR = 4.0  # pixels to the next frame, beyond which what lies along the motion counts less there


class AlongMotion(nn.Module):
    """From the decoder's state to what is added of a frame's differences along its motion.

    Each cell of the states' grid has its shares of them, others for each colour.
    """

    def __init__(self, channels: int, down: int) -> None:
        super().__init__()
        self.down = down
        self.shares = nn.Conv2d(channels, 3 * COUNT, 3, padding=1)

    def start(self) -> None:
        """Let a fresh one add nothing."""
        for parameter in self.shares.parameters():
            nn.init.zeros_(parameter)

    def forward(self, below: Tensor, apart: Tensor) -> Tensor:
        """State (B, C, h, w), ``along_motion`` of the frame -> change (B, 3, H, W)."""
        cells = apart.unflatten(1, (COUNT, -1))
        colours = self.shares(below).split(COUNT, 1)
        changes = [(shares[:, :, None] * cells).sum(1) for shares in colours]
        return F.pixel_shuffle(torch.cat(changes, 1), self.down)


def along_channels(config: S2SVRConfig) -> int:
    """How many channels a frame's ``along_motion`` adds to what the encoder sees of it."""
    return COUNT * config.down**2 if config.along else 0


def with_motion(
    cells: list[Tensor],
    frames: list[Tensor],
    flows: Flows,
    config: S2SVRConfig,
    whole: list[Tensor | None],
) -> tuple[list[Tensor], list[Tensor | None]]:
    """What the encoder sees of frames (B, 3, H, W), with their ``along_motion``; and that alone.

    ``whole``: what whole frames tell the mixer, (B, ., 1, 1). Nothing is added, and each is None,
    for a network that does not look along motion.
    """
    if not config.along:
        return cells, [None] * len(cells)
    apart: list[Tensor | None] = []
    new = []
    for cell, frame, told, *ways in zip(
        cells, frames, whole, flows.before[0], flows.after[0], strict=True
    ):
        before, after = both_sides(*ways)
        over = along_motion(frame, before, after, config.down)
        if told is not None and config.exposure and before is not None and after is not None:
            shares = told[:, : 2 * config.neighbours]
            over = over * counted(shares, config.down * before, config.down * after)
        apart.append(over)
        new.append(torch.cat((cell, over), 1))
    return new, apart


def counted(shares: Tensor, *ways: Tensor) -> Tensor:
    """How far it counts what a frame has along its motion, (B, 1, h, w), from 1 to 0.

    shares (B, ., 1, 1) of its neighbours, as the whole frame tells them; ways (B, 2, h, w): flow to
    the frames on both sides, in pixels of the frame.
    """
    several = (shares.abs().sum(1, keepdim=True) - LONG).clamp(0, 1)
    moved = torch.cat([way.norm(dim=1, keepdim=True) for way in ways], 1).amax(1, keepdim=True)
    return 1 - several * (moved / FAR - 1).clamp(0, 1)


def along_motion(frame: Tensor, before: Tensor | None, after: Tensor | None, down: int) -> Tensor:
    """What a grey frame has over itself further along its motion, amplified.

    frame (B, 3, H, W); before, after (B, 2, h, w): flow to the frames on both sides, on a grid
    ``down`` times smaller. Where there is no frame on one side, motion is taken to be straight.
    Returns (B, COUNT down^2, h, w), pixel-unshuffled; 0 without any flow.
    """
    grey = pad_to_multiple(frame.mean(1, keepdim=True), down)
    size = (grey.shape[-2], grey.shape[-1])
    before, after = both_sides(before, after)
    if before is None or after is None:
        return F.pixel_unshuffle(grey.new_zeros(len(grey), COUNT, *size), down)
    ways = [enlarge_flow(o, down, size) for o in (after, before)]
    # One by one: what fits into a processor's cache is twice as fast.
    apart = [AMPLIFY * (warp(grey, place * way) - grey) for way in ways for place in PLACES]
    return torch.cat([F.pixel_unshuffle(part, down) for part in apart], 1)


def both_sides(
    before: Tensor | None, after: Tensor | None
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Flow to the frames on both sides; straight on where one is missing, None where both are."""
    if before is None:
        return (None, None) if after is None else (-after, after)
    return before, -before if after is None else after
