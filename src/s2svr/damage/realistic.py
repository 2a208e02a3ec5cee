"""Blur, reduction, noise and compression in one, as video from phones and the web has them."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..data import Pair
from ..ops import cut_to_multiple, quantised, resize_bicubic
from .codecs import h264, hevc

FACTOR = 4
REACH = 7  # of the blur's kernel, pixels to each side


def drawn(low: float, high: float, generator: Generator) -> float:
    """A number between the two."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def chance(share: float, generator: Generator) -> bool:
    return drawn(0, 1, generator) < share


def realistic_damage(clip: Tensor, generator: Generator) -> Pair:
    """(T, 3, H, W) -> a pair reduced by 4, damaged at random but alike in all frames.

    In the order in which video gets damaged: coded before it is reduced (3 of 10 clips), blurred by
    a Gaussian that may be longer one way than the other (5 of 10), reduced by one of three kernels,
    noisy (4 of 10), coded again (8 of 10) by x264 or x265 in 4:2:0.
    """
    hq = cut_to_multiple(clip, FACTOR)
    lq = random_compression(hq, generator, softer=4) if chance(0.3, generator) else hq
    if chance(0.5, generator):
        lq = random_blur(lq, generator)
    lq = random_reduction(lq, generator).clamp(0, 1)
    if chance(0.4, generator):
        lq = random_noise(lq, generator)
    if chance(0.8, generator):
        lq = random_compression(lq.clamp(0, 1), generator)
    return Pair(quantised(lq), hq)


def random_compression(clip: Tensor, generator: Generator, *, softer: int = 0) -> Tensor:
    """A clip through x264 at CRF 18 to 33 or, for 1 of 4, through x265 at QP 22 to 37.

    The coarsest ``softer`` of these qualities are left out.
    """
    codec, low, high = (hevc, 22, 37) if chance(0.25, generator) else (h264, 18, 33)
    quality = int(drawn(low, high + 1 - softer, generator))
    return torch.stack(list(codec(clip, quality))).to(clip.device)


def random_blur(clip: Tensor, generator: Generator) -> Tensor:
    """Blur by a Gaussian of 0.4 to 2.4 pixels, each way its own, turned by any angle."""
    along, across = (drawn(0.4, 2.4, generator) for _ in range(2))
    return gaussian_blur(clip, along, across, drawn(0, math.pi, generator))


def gaussian_blur(clip: Tensor, along: float, across: float, angle: float) -> Tensor:
    """Frames (T, 3, H, W) blurred by a Gaussian of two deviations (pixels), turned by an angle."""
    line = torch.arange(-REACH, REACH + 1, dtype=clip.dtype)
    y, x = torch.meshgrid(line, line, indexing="ij")
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = torch.exp(-0.5 * ((u / along).square() + (v / across).square()))
    kernel = (kernel / kernel.sum()).expand(3, 1, -1, -1).to(clip.device)
    padded = F.pad(clip, (REACH,) * 4, mode="replicate")
    return torch.cat([F.conv2d(frame[None], kernel, groups=3) for frame in padded])


def random_reduction(clip: Tensor, generator: Generator) -> Tensor:
    """Reduction by 4: bicubic as MATLAB's (half of the clips), bilinear, or means of 4x4 pixels."""
    kind = drawn(0, 1, generator)
    if kind < 0.5:
        return resize_bicubic(clip, 1 / FACTOR)
    if kind < 0.75:
        return F.interpolate(clip, scale_factor=1 / FACTOR, mode="bilinear", antialias=True)
    return F.avg_pool2d(clip, FACTOR)


def random_noise(clip: Tensor, generator: Generator) -> Tensor:
    """Gaussian noise of a deviation up to 6 of 255 levels, less in shadows; grey or coloured."""
    level = drawn(0.5, 6, generator)
    return noisy(clip, level, 3 if chance(0.5, generator) else 1, generator)


def noisy(clip: Tensor, level: float, channels: int, generator: Generator) -> Tensor:
    """Frames (T, 3, H, W) with Gaussian noise of so many of 255 levels, less in shadows.

    One channel makes it grey. The generator is the CPU's, wherever the frames are.
    """
    noise = torch.randn(len(clip), channels, *clip.shape[-2:], generator=generator).to(clip.device)
    return clip + level / 255 * noise * (0.4 + 0.6 * clip.mean(1, keepdim=True)).sqrt()
