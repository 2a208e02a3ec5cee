"""Clips on disk, and pairs of low- and high-quality frames."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor


class Clip(NamedTuple):
    """A clip's high-quality file or folder, and the low-quality one where it exists."""

    name: str
    hq: Path
    lq: Path | None = None  # None: made from hq by a Degradation
    source: str = ""  # sequences of one source share a scene; sampled by source


class Pair(NamedTuple):
    """Low- and high-quality frames of one clip: (T, 3, h, w) and (T, 3, sh, sw)."""

    lq: Tensor
    hq: Tensor


Degradation = Callable[[Tensor, Generator], Pair]  # (T', 3, H, W) in [0, 1] -> Pair


def to_bytes(clip: Tensor) -> Tensor:
    """Float in [0, 1] -> uint8 codes."""
    return (clip.clamp(0, 1) * 255).round().to(torch.uint8)


def source_of(name: str) -> str:
    """The source in a clip's name: ``t009_coffee_pour`` -> ``coffee_pour``.

    A leading number and a trailing one are the clip's, not the source's; a name of digits alone is
    its own source.
    """
    return re.sub(r"^[a-z]?\d+[_-]+|[_-]+\d+$", "", name) or name


def as_float(codes: np.ndarray) -> Tensor:
    """uint8 codes -> float in [0, 1]."""
    return torch.tensor(np.ascontiguousarray(codes)).float() / 255
