"""Pure tensor functions: warping, flow resizing, correlation, occlusion, bicubic resizing, padding.

Flow is (B, 2, H, W) in pixels of its own grid, channel 0 = right, 1 = down, and
``warp(b, flow(a, b)) ~ a``.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample ``image`` where ``flow`` points (F_w of Eq. 8): bilinear, border repeated.

    image (B, C, H, W), flow (B, 2, H, W) in pixels; returns (B, C, H, W). Half precision is
    sampled in float32: in float16 a coordinate beyond 1,000 has no fraction left. Targets beyond
    the border are moved onto it, since not every runtime can repeat it by itself. The result has
    the image's memory order, of which sampling knows only the plain one.
    """
    wide = image.dtype if image.dtype == torch.float64 else torch.float32
    return sampled(image, *flow_targets(flow.type(wide)))


def sampled(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample an image (B, C, H, W) at columns x and rows y, (B, h, w), as ``warp`` does."""
    height, width = image.shape[-2:]
    wide = image.dtype if image.dtype == torch.float64 else torch.float32
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    found = F.grid_sample(
        image.type(wide), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    ).type_as(image)
    if image.is_contiguous() or not image.is_contiguous(memory_format=torch.channels_last):
        return found
    return found.contiguous(memory_format=torch.channels_last)


def flow_targets(flow: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Column and row that each pixel's flow (B, 2, H, W) leads to: (B, H, W) each, in pixels.

    With a ``step``, the flow is that of every so many pixels.
    """
    height, width = flow.shape[-2:]
    x = step * torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = step * torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    return x, y


def resize_flow(flow: Tensor, size: tuple[int, int], *, corners: bool = False) -> Tensor:
    """Bilinear resize of flow (B, 2, H, W) to ``size`` (height, width); its values are rescaled.

    This is F_u of Eq. 16. Pixels are areas, or with ``corners`` points whose outermost stay
    outermost.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    x, y = F.interpolate(flow, size=size, mode="bilinear", align_corners=corners).unbind(1)
    return torch.stack((x * (size[1] / width), y * (size[0] / height)), 1)


def enlarge_flow(flow: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Enlarge the flow of a frame that was padded and reduced by ``factor`` to ``size`` (h, w)."""
    enlarged = resize_flow(flow, (factor * flow.shape[-2], factor * flow.shape[-1]))
    return enlarged[..., : size[0], : size[1]]


def correlation(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """Cost volume: mean over channels of ``a`` times ``b``, shifted by up to ``radius`` pixels.

    a, b (B, C, H, W); returns (B, (2 radius + 1)^2, H, W), shifts in row-major order (down, right),
    zero outside the frame. PWC-Net, https://arxiv.org/abs/1709.02371.
    """
    side, (height, width) = 2 * radius + 1, a.shape[-2:]
    padded, share = F.pad(b.contiguous(), (radius,) * 4), (a / a.shape[1]).contiguous()
    rows = [padded[..., dy : dy + height, :] for dy in range(side)]
    costs = [(share * row[..., dx : dx + width]).sum(1) for row in rows for dx in range(side)]
    return torch.stack(costs, dim=1)


def columnwise_correlation(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """``correlation`` by few large operations, all shifts down at once."""
    side, width = 2 * radius + 1, a.shape[-1]
    padded = F.pad(b, (radius,) * 4)
    columns = []
    for dx in range(side):
        shifted = padded[..., dx : dx + width].unfold(2, side, 1).movedim(-1, 1)
        columns.append((a[:, None] * shifted).mean(2))  # (B, side, H, W)
    return torch.stack(columns, 2).flatten(1, 2)


def occlusion(forward: Tensor, backward: Tensor) -> Tensor:
    """Visibility O of Eq. 11 by a check of both directions, without gradient.

    forward F12 and backward F21 (B, 2, H, W); returns (B, 1, H, W), 1 where the pixel of frame 1
    is seen in frame 2, 0 where |F12 + warp(F21)|^2 exceeds 0.01 (|F12|^2 + |warp(F21)|^2) + 0.5
    or where the target lies outside the frame.
    """
    forward, backward = forward.detach(), backward.detach()
    back = warp(backward, forward)
    gap = (forward + back).square().sum(1, keepdim=True)
    scale = forward.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return ((gap < 0.01 * scale + 0.5) & targets_inside(forward)).type_as(forward)


def targets_inside(flow: Tensor) -> Tensor:
    """Mask of the pixels whose target lies inside the frame: (B, 2, H, W) -> (B, 1, H, W) bool."""
    height, width = flow.shape[-2:]
    x, y = flow_targets(flow)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]


def pad_symmetric(x: Tensor, pad: int) -> Tensor:
    """Mirror the last two dimensions with the edge repeated, by ``pad`` pixels on every side.

    Unlike torch's own modes it works for any size from 1x1 up.
    """
    return mirror(mirror(x, -2, pad), -1, pad)


def mirror(x: Tensor, dim: int, pad: int) -> Tensor:
    """``pad_symmetric`` along one dimension."""
    size = x.shape[dim]
    index = torch.arange(-pad, size + pad, device=x.device) % (2 * size)
    return x.index_select(dim, torch.minimum(index, 2 * size - 1 - index))


def divided_up(side: int, down: int) -> int:
    """``side / down``, rounded up; of positive numbers, since ONNX divides others otherwise."""
    return (side + down - 1) // down


def gaps(x: Tensor, dim: int, distance: int = 1) -> Tensor:
    """Each value less the one ``distance`` before it along ``dim``; that is so much shorter."""
    length = x.shape[dim] - distance
    return x.narrow(dim, distance, length) - x.narrow(dim, 0, length)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the right and lower edge of (B, C, H, W) until both sides divide by ``multiple``."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def cut_to_multiple(clip: Tensor, multiple: int) -> Tensor:
    """Cut (..., H, W) to its upper left part whose sides divide by ``multiple``."""
    height, width = (side - side % multiple for side in clip.shape[-2:])
    return clip[..., :height, :width]


def quantised(clip: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to the 256 levels that a file holds."""
    return (clip.clamp(0, 1) * 255).round() / 255


def resize_bicubic(x: Tensor, factor: float) -> Tensor:
    """Resize as MATLAB's ``imresize(x, factor, 'bicubic')``: float (..., C, H, W), antialiased.

    Output sides are rounded up, as MATLAB does. It is made of products with single weights: no
    precision is lost under reduced ones, and any runtime has them. Raises ValueError for a factor
    that is neither a whole number nor one over it; ``resize_to`` takes any size.
    """
    times = max(factor, 1 / factor)
    if abs(times - round(times)) > 1e-9:
        raise ValueError(
            f"expected a factor that is a whole number or one over it, got {factor:.4g}; "
            "resize_to takes any size"
        )
    return resize_line(resize_line(x, -2, factor), -1, factor)


def resize_line(x: Tensor, dim: int, factor: float) -> Tensor:
    """``resize_bicubic`` along one dimension, -2 or -1."""
    step, phases = max(1, round(1 / factor)), max(1, round(factor))
    pad, count = 3 * step, divided_up(x.shape[dim], step)
    padded = mirror(x, dim, pad)
    lines: list[Tensor] = []
    for phase in range(phases):
        line: Tensor | None = None
        for place, weight in bicubic_taps(factor, phase):
            taken = slice(pad + place, pad + place + step * (count - 1) + 1, step)
            seen = padded[..., taken, :] if dim == -2 else padded[..., taken]
            line = seen * weight if line is None else line.add_(seen, alpha=weight)
        assert line is not None
        lines.append(line)
    if phases == 1:
        return lines[0]
    return torch.stack(lines, dim).flatten(dim - 1, dim)


def bicubic_taps(factor: float, phase: int) -> list[tuple[int, float]]:
    """Places of the input, from the first pixel on, and their weights in output pixel ``phase``."""
    stretch = max(1, 1 / factor)
    center = (phase + 0.5) / factor - 0.5
    places = range(math.floor(center - 2 * stretch), math.ceil(center + 2 * stretch) + 1)
    weights = [cubic(abs(place - center) / stretch) for place in places]
    return [(p, w / sum(weights)) for p, w in zip(places, weights, strict=True) if w]


def cubic(distance: float) -> float:
    """The bicubic kernel of MATLAB and of Keys, 1981."""
    if distance < 1:
        return 1.5 * distance**3 - 2.5 * distance**2 + 1
    return -0.5 * (distance - 1) * (distance - 2) ** 2 if distance < 2 else 0.0


def resize_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as MATLAB's ``imresize(x, size, 'bicubic')``: float (..., C, H, W), antialiased.

    Each side is mirrored by a number of pixels that the ratio turns into whole ones, so that the
    phase stays; where both sides share no divisor that is the whole side.
    """
    lead, (channels, height, width), edges = x.shape[:-3], x.shape[-3:], []
    x = x.reshape(-1, channels, height, width)
    for dim, length, target in ((-2, height, size[0]), (-1, width, size[1])):
        unit = length // math.gcd(length, target)
        pad = unit * math.ceil((2 * max(1, length / target) + 1) / unit)
        x = mirror(x, dim, pad)
        edges.append(pad * target // length)
    top, left = edges
    padded = (size[0] + 2 * top, size[1] + 2 * left)
    y = F.interpolate(x, size=padded, mode="bicubic", antialias=True, align_corners=False)
    y = y[..., top : top + size[0], left : left + size[1]]
    return y.reshape(*lead, channels, *size)
