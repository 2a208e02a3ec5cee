"""Smooth paths of a camera or an object, as homographies over time."""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

# Largest excursion of zoom (log), roll and the two tilts: strong, yet still looks like a camera.
SWING = (0.3, 0.25, 0.12, 0.12)


class Path(NamedTuple):
    """Sums of sines of six parameters: right, down, zoom, roll, tilt right, tilt down.

    All are in pixels of displacement at ``radius`` pixels from the centre, so that one number
    scales a whole motion. amplitude, omega (radians per frame) and phase are (K, 6) float64.
    """

    amplitude: Tensor
    omega: Tensor
    phase: Tensor
    limit: Tensor  # (6,), largest amplitude
    radius: float

    def at(self, times: Tensor) -> Tensor:
        """Motion matrices (N, 3, 3) at times (N,) in frames: own coordinates -> screen, centred."""
        p = (self.amplitude * torch.sin(self.omega * times[:, None, None] + self.phase)).sum(1)
        zoom, roll = torch.exp(p[:, 2] / self.radius), p[:, 3] / self.radius
        matrix = torch.zeros(len(p), 3, 3, dtype=p.dtype)
        matrix[:, 0, 0] = matrix[:, 1, 1] = zoom * torch.cos(roll)
        matrix[:, 1, 0] = zoom * torch.sin(roll)
        matrix[:, 0, 1] = -matrix[:, 1, 0]
        matrix[:, :2, 2] = p[:, :2]
        matrix[:, 2, 2] = 1
        tilt = torch.eye(3, dtype=p.dtype).repeat(len(p), 1, 1)
        tilt[:, 2, :2] = p[:, 4:] / self.radius**2
        return matrix @ tilt


def draw_path(generator: Generator, radius: float, travel: float, frames: int) -> Path:
    """A random path of speed about 1 pixel a frame: a slow movement and a hand's shake.

    ``travel`` is the largest excursion of the pan in pixels.
    """
    share = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.15, 0.15], dtype=torch.float64)
    speed = torch.randn(2, 6, generator=generator, dtype=torch.float64) * share
    speed[1] *= 0.3 * torch.rand(1, generator=generator, dtype=torch.float64)
    slow = 0.3 / max(frames, 4) * (1 + uniform(generator, 6))
    omega = torch.stack((slow, 0.3 + 0.9 * uniform(generator, 6)))
    phase = 2 * math.pi * uniform(generator, 2, 6)
    phase[0] = (uniform(generator, 6) - 0.5) * math.pi / 2  # on the steep part of the sine
    limit = torch.tensor([travel, travel, *(s * radius for s in SWING)], dtype=torch.float64)
    return Path((speed / omega).clamp(-limit, limit), omega, phase, limit, radius)


def uniform(generator: Generator, *size: int) -> Tensor:
    """Uniform float64 numbers in [0, 1)."""
    return torch.rand(*size, generator=generator, dtype=torch.float64)


def project(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply homographies (..., 3, 3) to points (..., P, 2)."""
    ahead = matrix[..., None, :, :2] @ points[..., None]  # (..., P, 3, 1)
    ahead = ahead.squeeze(-1) + matrix[..., None, :, 2]
    return ahead[..., :2] / ahead[..., 2:]


def fastest(matrix: Tensor, points: Tensor) -> float:
    """Largest step in pixels of screen points (P, 2) that ride on matrices (T, 3, 3)."""
    if len(matrix) < 2:
        return 0.0
    moved = project(matrix[1:] @ torch.linalg.inv(matrix[:-1]), points)
    return float((moved - points).norm(dim=-1).max())


def at_speed(path: Path, speed: float, frames: int, points: Tensor) -> Path:
    """The path scaled until its largest step at the screen's points (P, 2) is ``speed`` pixels."""
    times = torch.arange(frames, dtype=torch.float64)
    for _ in range(3):
        step = fastest(path.at(times), points)
        amplitude = path.amplitude * min(speed / max(step, 1e-6), 100.0)
        path = path._replace(amplitude=amplitude.clamp(-path.limit, path.limit))
    return path
