"""Banding and mosquito noise of a frame's luma, in codes of 8 bits, beside its truth."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH, SPAN = 7, 4  # smooth: Y spans at most so many codes within so many pixels' squares
WINDOW = 63  # side of the square in which bands are looked for, in pixels
CONTRASTS = (1, 2, 3, 4)  # codes
STRONG = 16  # codes a pixel: the slope of a strong edge
FLAT = 5  # side of the squares that span at most SPAN codes beside it
NEAR = 8  # pixels from an edge, a block of the transform


def banding(codes: Tensor, truth: Tensor, window: int = WINDOW) -> float:
    """False contours where the truth is smooth; 0 without any, NaN where nothing is smooth.

    codes and truth (H, W) in whole codes. The contrast measure of CAMBI (Tandon et al. 2021,
    https://github.com/Netflix/vmaf/blob/master/resource/doc/cambi.md) at the frame's own size: with
    p(k) the share of the smooth pixels in the window that differ from this one by k, a pixel has

        max over k = -4 .. 4 but 0 of |k| p(0) p(k) / (p(0) + p(k)),

    largest on the border of two even bands. The mean over the smooth pixels is returned. What is
    smooth the truth says here, for all pictures alike, and there is one scale.
    """
    smooth = span(truth, SMOOTH) <= SPAN
    if not smooth.any():
        return math.nan
    within = box(smooth, window)
    counts = {
        int(level): box(smooth & (codes == level), window) for level in codes[smooth].unique()
    }
    total = 0.0
    for level, count in counts.items():
        here = smooth & (codes == level)
        own, best = count[here], torch.zeros(int(here.sum()), dtype=torch.float64)
        for k in CONTRASTS:
            for other in (counts[near][here] for near in (level - k, level + k) if near in counts):
                best = torch.maximum(best, k * own / within[here] * other / (own + other))
        total += float(best.sum())
    return total / int(smooth.sum())


def mosquito(codes: Tensor, truth: Tensor) -> float:
    """Root mean square error in flat pixels near strong edges; NaN where there are none.

    codes and truth (H, W). ITU-T P.930 gives the name to noise that surrounds edges of objects.
    Where such edges are, and what is flat beside them, the truth says.
    """
    beside = near_edges(truth) & (span(truth, FLAT) <= SPAN)
    if not beside.any():
        return math.nan
    return math.sqrt(float((codes - truth)[beside].double().square().mean()))


def near_edges(truth: Tensor) -> Tensor:
    """True within NEAR pixels of slopes above STRONG by Sobel's operator; (H, W)."""
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    padded = F.pad(truth.float()[None, None], (1, 1, 1, 1), mode="replicate")
    slope = F.conv2d(padded, torch.stack((sobel, sobel.T))[:, None]).norm(dim=1)
    return F.max_pool2d((slope > STRONG).float(), 2 * NEAR + 1, 1, NEAR)[0] > 0


def span(codes: Tensor, side: int) -> Tensor:
    """Largest less least code within squares around each pixel, (H, W)."""
    x = codes.float()[None]
    most, least = (F.max_pool2d(value, side, 1, side // 2) for value in (x, -x))
    return (most + least)[0]


def box(mask: Tensor, side: int) -> Tensor:
    """The number of true pixels in the square around each, (H, W) in float64."""
    reach = side // 2
    for axis in (0, 1):
        before = [0, 0, 0, 0]
        before[2 * (1 - axis) : 2 * (1 - axis) + 2] = reach + 1, reach
        total = F.pad(mask.double(), before).cumsum(axis)
        length = mask.shape[axis]
        mask = total.narrow(axis, side, length) - total.narrow(axis, 0, length)
    return mask
