"""How coarsely a film was coded before it was coded last, as its frames and its file tell."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .pwclite import SLOPE
from .quality import COUNT, FAR, MOVED, frame_beside, movement, statistics

SEEN = COUNT + MOVED  # numbers that a frame shows
USUAL = 0.6  # a share that files ask for, and half of how far others lie from it


@dataclass(frozen=True)
class EarlierConfig:
    """Of the network that tells an earlier coding."""

    channels: int = 32

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"expected 1 channel or more, got {self.channels}")


class Earlier(nn.Module):
    """Whether a film was coded before, and more coarsely, and how coarsely it was.

    A fine coding of a coarsely coded film says that it is fine; its frames lack what it would have
    kept, and have steps that it would not have made (lab/2026-11-30-earlier-codings.md).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: EarlierConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(SEEN))
        self.register_buffer("spread", torch.ones(SEEN))
        self.tell = nn.Sequential(
            nn.Linear(SEEN + 2, config.channels),
            nn.LeakyReLU(SLOPE),
            nn.Linear(config.channels, config.channels),
            nn.LeakyReLU(SLOPE),
            nn.Linear(config.channels, 2),
        )

    def forward(self, seen: Tensor, share: Tensor, hevc: Tensor) -> Tensor:
        """What frames of films show, (B, N, SEEN), and what their files say -> (B, 2).

        share (B,): of a network's change, that a file asks for; hevc (B,): 1 where it is that, 0
        for H.264. Returned are the logit of an earlier coding, and the share that it asks for.
        """
        said = torch.stack((2 * (share - USUAL), hevc), 1)[:, None]
        normal = ((seen - self.mean) / self.spread).clamp(-FAR, FAR)
        return self.tell(torch.cat((normal, said.expand(-1, seen.shape[1], -1)), 2)).mean(1)


def signs(frames: list[Tensor]) -> Tensor:
    """What frames (B, 3, H, W) in [0, 1], one after another, show each, (B, N, SEEN)."""
    grey = [frame.mean(1) for frame in frames]
    pairs = [(frame, frame_beside(grey, t)) for t, frame in enumerate(grey)]
    seen = [torch.cat((statistics(a), movement(a - b)), 1) for a, b in pairs]
    return torch.stack(seen, 1)
