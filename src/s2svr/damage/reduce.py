"""Reduction by four, as the benchmarks make it."""

import torch.nn.functional as F
from torch import Generator, Tensor

from ..data import Pair
from ..metrics import gaussian_line
from ..ops import cut_to_multiple, quantised, resize_bicubic


def bicubic_down(clip: Tensor, generator: Generator | None = None) -> Pair:
    """MATLAB's bicubic reduction by 4 (BI), rounded; (T, 3, H, W), cut to sides divisible by 4."""
    hq = cut_to_multiple(clip, 4)
    return Pair(quantised(resize_bicubic(hq, 1 / 4)), hq)


def gaussian_down(clip: Tensor, generator: Generator | None = None) -> Pair:
    """Blur and reduction by 4 (BD), rounded: 12x12 Gaussian of sigma 1.6, each 4th pixel from 1.

    The kernel is even, so the result lies in the middle of its 4x4 pixels; edges are repeated.
    (T, 3, H, W), cut to sides divisible by 4.
    """
    hq = cut_to_multiple(clip, 4)
    line = gaussian_line(12, 1.6).to(hq)
    x = F.pad(hq, (4, 5, 4, 5), mode="replicate")  # the first window spans pixels -4 to 7
    x = x.reshape(-1, 1, *x.shape[-2:])
    x = F.conv2d(x, line.view(1, 1, -1, 1), stride=(4, 1))
    x = F.conv2d(x, line.view(1, 1, 1, -1), stride=(1, 4))
    return Pair(quantised(x.view(*hq.shape[:2], *x.shape[-2:])), hq)
