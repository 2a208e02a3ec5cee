"""PSNR, SSIM and flow errors, in the exact variants of the published benchmarks.

Each variant is named by the protocol that uses it; their numbers cannot be compared.
"""

import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .color import rgb_to_y
from .ops import warp


def rounded(x: Tensor) -> Tensor:
    """Clamped and rounded 8-bit codes, as float64, of values in [0, 1]."""
    return (x.clamp(0, 1) * 255).round().double()


def psnr(a: Tensor, b: Tensor, *, peak: float = 255.0) -> float:
    """PSNR in dB of two arrays of codes or values with the given peak; infinite where equal."""
    if a.shape != b.shape:
        raise ValueError(f"expected frames of one size, got {tuple(a.shape)} and {tuple(b.shape)}")
    error = (a.double() - b.double()).square().mean().item()
    return 10 * math.log10(peak**2 / error) if error else math.inf


def psnr_rgb(a: Tensor, b: Tensor) -> float:
    """PSNR (dB) as in mmedit: rounded 8-bit RGB (3, H, W), the channels jointly, no border crop."""
    return psnr(rounded(a), rounded(b))


def psnr_float(a: Tensor, b: Tensor) -> float:
    """PSNR (dB) as in MFQEv2: values in [0, 1] (a Y plane there), neither clamped nor rounded."""
    return psnr(a, b, peak=1.0)


def luma(x: Tensor) -> Tensor:
    """Y as in mmedit of RGB (3, H, W) in [0, 1]: BT.601, 16-235, of rounded RGB; float64."""
    return rgb_to_y(rounded(x) / 255) * 255


def psnr_y(a: Tensor, b: Tensor) -> float:
    """PSNR (dB) of Y as in mmedit: from rounded RGB, Y itself not rounded again."""
    return psnr(luma(a), luma(b))


def chroma(x: Tensor) -> Tensor:
    """Cb and Cr (2, H, W) of an RGB frame in [0, 1]: BT.601, 16-240, of rounded RGB; float64."""
    r, g, b = rounded(x) / 255
    cb = -37.797 * r - 74.203 * g + 112.0 * b
    cr = 112.0 * r - 93.786 * g - 18.214 * b
    return 128 + torch.stack((cb, cr))


def psnr_chroma(a: Tensor, b: Tensor) -> float:
    """PSNR (dB) of Cb and Cr jointly, from rounded RGB, not rounded again."""
    return psnr(chroma(a), chroma(b))


def ssim_chroma(a: Tensor, b: Tensor) -> float:
    """SSIM of Cb and Cr, the mean of both."""
    return ssim(chroma(a), chroma(b))


def ssim_rgb(a: Tensor, b: Tensor) -> float:
    """SSIM as in mmedit: rounded 8-bit RGB, 11x11 Gaussian, by channel, then the mean."""
    return ssim(rounded(a), rounded(b))


def ssim_y(a: Tensor, b: Tensor) -> float:
    """SSIM of Y as in mmedit, otherwise as ``ssim_rgb``."""
    return ssim(luma(a), luma(b))


def ssim(a: Tensor, b: Tensor, *, peak: float = 255.0) -> float:
    """SSIM with an 11x11 Gaussian window of sigma 1.5, valid region, of (C, H, W), float64.

    Wang et al., 2004. Raises ValueError for frames of less than 11x11.
    """
    return ssim_windowed(a, b, gaussian_line(11, 1.5), peak)


def ssim_uniform(a: Tensor, b: Tensor, *, peak: float = 1.0) -> float:
    """SSIM as in MFQEv2: 7x7 uniform window, sample covariance (as scikit-image), (C, H, W)."""
    line = torch.full((7,), 1 / 7, dtype=torch.float64)
    return ssim_windowed(a, b, line, peak, covariance=49 / 48)


def ssim_volume(a: Tensor, b: Tensor) -> float:
    """SSIM as in some deblurring papers: the Gaussian extends over the colour channels too.

    Rounded 8-bit RGB (3, H, W) as a volume, 11x11x11 Gaussian of sigma 1.5, edges repeated on all
    three axes, mean over the whole frame. Not comparable with ``ssim_rgb``.
    """
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"expected frames of one size, got {tuple(a.shape)} and {tuple(b.shape)}")

    def mean(v: Tensor) -> Tensor:
        v = F.pad(v[None, None], (5,) * 6, mode="replicate")[0, 0]
        return windowed(v, gaussian_line(11, 1.5), 3)

    return similarity(rounded(a), rounded(b), mean, 255.0)


def ssim_windowed(
    a: Tensor, b: Tensor, line: Tensor, peak: float, *, covariance: float = 1.0
) -> float:
    """SSIM over a separable window, mean over the valid region and the channels."""
    size = len(line)
    if a.shape != b.shape or min(a.shape[-2:]) < size:
        raise ValueError(
            f"expected frames of one size, at least {size}x{size}, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )

    def mean(v: Tensor) -> Tensor:
        return windowed(v, line, 2)

    # Channel by channel, so that the arrays fit into a processor's cache.
    pairs = zip(a.double(), b.double(), strict=True)
    return fmean(similarity(x, y, mean, peak, covariance) for x, y in pairs)


def windowed(v: Tensor, line: Tensor, axes: int) -> Tensor:
    """Sums weighted by ``line`` along each of the last ``axes``, valid region.

    Shifted sums: torch's float64 convolution would write every window out first.
    """
    first, *rest = line.tolist()
    for axis in range(-axes, 0):
        count = v.shape[axis] - len(rest)
        total = first * v.narrow(axis, 0, count)
        for place, weight in enumerate(rest, 1):
            total.add_(v.narrow(axis, place, count), alpha=weight)
        v = total
    return v


def similarity(
    x: Tensor,
    y: Tensor,
    mean: Callable[[Tensor], Tensor],
    peak: float,
    covariance: float = 1.0,
) -> float:
    """Mean SSIM with a local ``mean``; ``covariance`` is the factor that makes it unbiased."""
    mx, my = mean(x), mean(y)
    vx = covariance * (mean(x * x) - mx * mx)
    vy = covariance * (mean(y * y) - my * my)
    cov = covariance * (mean(x * y) - mx * my)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    similar = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return similar.mean().item()


def gaussian_line(size: int, sigma: float) -> Tensor:
    """One axis of a Gaussian window, float64, of sum 1."""
    line = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = torch.exp(-line.square() / (2 * sigma**2))
    return line / line.sum()


def mean_finite(values: list[float]) -> tuple[float, int]:
    """Mean of the finite values, and how many were infinite (frames equal to their reference)."""
    finite = [value for value in values if math.isfinite(value)]
    mean = sum(finite) / len(finite) if finite else math.inf
    return mean, len(values) - len(finite)


def finite_or_none(value: Any) -> Any:
    """The value with None for each number that is infinite or NaN, which JSON cannot hold.

    Dicts, lists and tuples are searched; a tuple comes back as a list.
    """
    if isinstance(value, dict):
        return {name: finite_or_none(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def end_point_error(flow: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Mean distance in pixels of flow (B, 2, H, W) from the truth, where ``mask`` (B, 1, H, W).

    NaN where the mask is empty.
    """
    error = (flow - truth).norm(dim=1, keepdim=True)
    return error.mean().item() if mask is None else error[mask.bool()].mean().item()


def speed_masks(truth: Tensor) -> dict[str, Tensor]:
    """Masks (B, 1, H, W) of slow, medium and fast true motion, in pixels a frame."""
    speed = truth.norm(dim=1, keepdim=True)
    return {"0-2": speed < 2, "2-10": (speed >= 2) & (speed < 10), "10+": speed >= 10}


def outliers(flow: Tensor, truth: Tensor) -> float:
    """KITTI's Fl: share of pixels whose error exceeds both 3 pixels and 5 % of the true motion."""
    error, speed = (flow - truth).norm(dim=1), truth.norm(dim=1)
    return ((error > 3) & (error > 0.05 * speed)).double().mean().item()


def warping_error(frames: Tensor, flow: Tensor, visible: Tensor | None = None) -> float:
    """Flicker: mean |frame t + 1, warped along the truth's flow, - frame t| in [0, 1].

    frames (T, 3, H, W), flow (T - 1, 2, H, W) from t to t + 1, visible (T - 1, 1, H, W).
    """
    gap = (warp(frames[1:], flow) - frames[:-1]).abs().mean(1, keepdim=True)
    return gap.mean().item() if visible is None else gap[visible.bool()].mean().item()
