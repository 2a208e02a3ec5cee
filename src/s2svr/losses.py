"""Training losses: Charbonnier for restoration, Eq. 11-17 for optical flow.

The paper writes sums over pixels; its weights 0.15 and 50 belong to ARFlow's normalisation
(https://github.com/lliuz/ARFlow), which is followed here: means over the visible pixels, and
smoothness of the flow divided by the shorter side of the frames, halved on each axis.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .ops import warp

ROUNDING = 1 / (12 * 255**2)  # mean square error of values that are rounded to 8-bit codes


def charbonnier(a: Tensor, b: Tensor, eps: float = 1e-12) -> Tensor:
    """Mean of sqrt((a - b)^2 + eps), a smooth l1, over all elements of two equal shapes."""
    return ((a - b).square() + eps).sqrt().mean()


def negative_psnr(a: Tensor, b: Tensor, eps: float = 1e-12) -> Tensor:
    """Minus the mean PSNR of frames (..., C, H, W) in [0, 1], in hundreds of dB.

    Charbonnier weighs the worst frames most; here the relative gain of a clean frame counts as much
    as that of a bad one. As NAFNet's training does (https://arxiv.org/abs/2204.04676).
    """
    return ((a - b).square().mean((-3, -2, -1)) + eps).log10().mean() / 10


def harm(out: Tensor, given: Tensor, truth: Tensor) -> Tensor:
    """Mean loss of PSNR of frames (..., C, H, W) from ``given`` to ``out``, in hundreds of dB.

    A frame that gains counts as 0, so that gains elsewhere do not make up for it. What rounding to
    8 bits costs is added to both errors: below it a loss is none.
    """
    before, after = (
        ((x - truth).square().mean((-3, -2, -1)) + ROUNDING).log10() for x in (given, out)
    )
    return (after - before).relu().mean() / 10


def mostly_luma(rgb: Tensor) -> Tensor:
    """Y and a fifth of Cb and Cr (BT.601) of RGB (..., 3, H, W), to train for scores on Y."""
    y = 0.299 * rgb[..., 0, :, :] + 0.587 * rgb[..., 1, :, :] + 0.114 * rgb[..., 2, :, :]
    cb, cr = (rgb[..., 2, :, :] - y) / 1.772, (rgb[..., 0, :, :] - y) / 1.402
    return torch.stack((y, 0.2 * cb, 0.2 * cr), -3)


def photometric(a: Tensor, b: Tensor, flow: Tensor, visible: Tensor | None) -> Tensor:
    """L_ph of Eq. 11 with the l1 distance: mean over visible pixels of |a(p) - b(p + flow(p))|.

    a, b (B, 3, H, W) in [0, 1]; flow (B, 2, H, W); visible (B, 1, H, W) or None for all pixels.
    """
    return masked_mean((a - warp(b, flow)).abs().mean(1, keepdim=True), visible)


def structural(a: Tensor, b: Tensor, flow: Tensor, visible: Tensor | None) -> Tensor:
    """Half of 1 - SSIM over 3x3 windows between a and the warped b, a term that ARFlow adds.

    Shapes as in ``photometric``.
    """
    w = warp(b, flow)
    mean_a, mean_w = F.avg_pool2d(a, 3, 1, 1), F.avg_pool2d(w, 3, 1, 1)
    var_a = F.avg_pool2d(a * a, 3, 1, 1) - mean_a * mean_a
    var_w = F.avg_pool2d(w * w, 3, 1, 1) - mean_w * mean_w
    cov = F.avg_pool2d(a * w, 3, 1, 1) - mean_a * mean_w
    c1, c2 = 0.01**2, 0.03**2
    ssim = ((2 * mean_a * mean_w + c1) * (2 * cov + c2)) / (
        (mean_a * mean_a + mean_w * mean_w + c1) * (var_a + var_w + c2)
    )
    return masked_mean(((1 - ssim) / 2).clamp(0, 1).mean(1, keepdim=True), visible)


def smoothness(flow: Tensor, image: Tensor, edge: float, side: int) -> Tensor:
    """L_sm of Eq. 13: first-order gradient of the flow, less where the image has an edge.

    flow (B, 2, H, W) in pixels, divided here by ``side``, the shorter one of the pyramid's finest
    level; image (B, 3, H, W) in [0, 1]. The weight is exp(-edge |dI|) with |dI| the mean over
    channels. As ARFlow has it: half the steps on each axis, and the mean of both axes.
    """
    flow = flow / side
    total = flow.new_zeros(())
    for dim in (-1, -2):
        if flow.shape[dim] > 1:
            weight = torch.exp(-edge * image.diff(dim=dim).abs().mean(1, keepdim=True))
            total = total + (weight * flow.diff(dim=dim).abs()).mean() / 2
    return total / 2


def distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """L_dis of Eq. 16: mean |teacher - student| in pixels of the high-quality grid.

    Both (B, 2, H, W); the student's flow has been through ``ops.resize_flow`` (F_u).
    """
    return (teacher - student).abs().mean()


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of (B, 1, H, W) over the pixels where ``mask`` is 1; over all if it is None."""
    return x.mean() if mask is None else (x * mask).sum() / mask.sum().clamp(min=1)
