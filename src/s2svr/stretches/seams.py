"""Seams between stretches: the last frame of one, restored again at the begin of the next."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..files import lasting_folder
from ..metrics import psnr
from ..restoration import CHECKPOINT, SEAM, Stretch


class Seam(NamedTuple):
    """A border of two stretches, and how well the second knew the shot; inf where it is exact."""

    frame: int
    psnr: float  # dB between the frame before, restored by the one and by the other


def seams_of(stretches: Sequence[Stretch], parts: Sequence[Path]) -> list[Seam]:
    """All borders of finished stretches that lie within a shot."""
    found = []
    for number, stretch in enumerate(stretches):
        if number == 0 or stretch.warm == 0:
            continue
        before = torch.load(lasting_folder(parts[number - 1]) / CHECKPOINT, weights_only=True)[5]
        bits, again = torch.load(lasting_folder(parts[number]) / SEAM, weights_only=True)
        found.append(Seam(stretch.first, planes_psnr(before, again, bits)))
    return found


def planes_psnr(a: Sequence[Tensor], b: Sequence[Tensor], bits: int) -> float:
    """PSNR in dB over all codes of two frames' planes; inf where they are equal."""
    codes = [torch.cat([plane.flatten().int() for plane in planes]) for planes in (a, b)]
    return psnr(*codes, peak=2**bits - 1)
