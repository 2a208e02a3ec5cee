"""Settings of an adaptation, as one value."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..restoration import Excerpt

FEWEST = 50  # frames of a film that can be learned from


# Rows and columns of frames, in pixels, that are learned from: the sharpest part of larger ones.
LARGEST = {4: (144, 256), 1: (288, 512)}  # by the scale of the network


@dataclass(frozen=True)
class Adaptation:
    """A film, the weights file that is made of it, and what that may take."""

    source: Path
    target: Path
    minutes: float = 20.0  # of the clock, from the first look to the last word
    steps: int = 1000  # of the restoration network, at most
    excerpt: Excerpt = field(default_factory=Excerpt)
    device: torch.device | str | None = None  # None: where the network is
    threads: int | None = None  # of the CPU; None: as they are
    overwrite: bool = False  # a target that is there is replaced
    restart: bool = False  # what an earlier try has left is not gone on with
    network: str = ""  # the network's name, or the path of its weights
    fewest: int = FEWEST  # frames; a shorter film is refused
