"""Smooth paths of a camera or an object, as homographies over time.

A homography is a matrix (3, 3) in float64 that acts on (right, down, 1) in pixels about the centre
of the screen or of the object.
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

# Largest excursion of zoom (log), roll and the two tilts: strong, yet still looks like a camera.
SWING = (0.3, 0.25, 0.12, 0.12)
# Beyond this many radians a frame a movement is a vibration.
SHARPEST = 0.5
ROUNDS = 40  # enough to halve from any factor to a thousandth


class Path(NamedTuple):
    """Six parameters over time, each a slow sine and a faster one, the hand's shake.

    The parameters are right, down, zoom, roll, tilt right, tilt down, all in pixels of displacement
    at ``radius`` pixels from the centre, so that one factor on ``speed`` changes a whole motion.
    """

    speed: Tensor  # (2, 6) pixels a frame
    omega: Tensor  # (2, 6) radians a frame, at least
    phase: Tensor  # (2, 6) radians at the middle
    limit: Tensor  # (6,) pixels, largest excursion
    radius: float
    middle: float  # the time in frames at which the pan is zero

    def at(self, times: Tensor) -> Tensor:
        """Matrices (N, 3, 3) from own coordinates to their place at times (N,) in frames."""
        speed = self.speed.clamp(-SHARPEST * self.limit, SHARPEST * self.limit)
        omega = torch.maximum(self.omega, speed.abs() / self.limit)
        angle = omega * (times - self.middle)[:, None, None] + self.phase
        sines = torch.sin(angle)
        sines[..., :2] -= torch.sin(self.phase[:, :2])
        p = (speed / omega * sines).sum(1)  # (N, 6)
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


def draw_path(
    generator: Generator, *, radius: float, travel: float, roll: float, frames: int
) -> Path:
    """A random path of speed about 1 pixel a frame; ``at_speed`` gives it the speed wanted.

    travel is the largest excursion of the pan in pixels, roll that of the rotation in radians.
    """
    heading = 2 * math.pi * uniform(generator, 1)
    pan = torch.cat((heading.cos(), heading.sin()))
    spread = torch.tensor([0.5, 0.5, 0.15, 0.15], dtype=torch.float64)
    turns = torch.randn(4, generator=generator, dtype=torch.float64) * spread
    shake = torch.randn(6, generator=generator, dtype=torch.float64)
    shake[2:] *= spread
    steady = uniform(generator, 2)  # many a camera only pans, or stands on a tripod
    speed = torch.stack((torch.cat((pan, turns * steady[0])), 0.3 * steady[1] ** 2 * shake))
    omega = torch.stack(
        (0.5 / max(frames, 4) * (1 + uniform(generator, 6)), 0.3 + 0.9 * uniform(generator, 6))
    )
    phase = 2 * math.pi * uniform(generator, 2, 6)
    phase[0] = (phase[0] - math.pi) / 4  # the steep part of the slow sine
    limit = torch.tensor([travel, travel, *(s * radius for s in SWING)], dtype=torch.float64)
    limit[3] = roll * radius
    return Path(speed, omega, phase, limit, radius, (frames - 1) / 2)


def at_speed(
    path: Path, speed: float, frames: int, points: Tensor, *, camera: bool = False
) -> Path:
    """The path changed so that the largest step of its points (P, 2) is ``speed`` pixels a frame.

    The points are those of an object that moves on the path. With ``camera`` it is the screen that
    moves over the world on the path, and the points are places on the screen.
    """
    low, high, factor = 0.0, math.inf, speed  # too slow, too fast, and what is tried
    for _ in range(ROUNDS):
        scaled = path._replace(speed=path.speed * factor)
        step = largest_step(scaled, frames, points, camera)
        if abs(step - speed) <= 1e-3 * speed:
            break
        low, high = (factor, high) if step < speed else (low, factor)
        # Where a path turns back, a larger factor may be slower: proportions would swing for ever.
        factor = factor * speed / max(step, 1e-9) if math.isinf(high) else (low + high) / 2
    return scaled


def largest_step(path: Path, frames: int, points: Tensor, camera: bool) -> float:
    """The largest step from frame to frame, in pixels, of the points of ``at_speed``."""
    times = torch.arange(max(frames, 2), dtype=torch.float64)
    before, after = path.at(times).unfold(0, 2, 1).unbind(-1)
    if camera:
        step = project(torch.linalg.solve(after, before), points) - points
    else:
        step = project(after, points) - project(before, points)
    return float(step.norm(dim=-1).max())


def nearer(path: Path, factor: float) -> Path:
    """The path of a camera that pans ``factor`` times as far in the same time, else as it was."""
    times = torch.ones(6, dtype=torch.float64)
    times[:2] = factor
    return path._replace(speed=path.speed * times, limit=path.limit * times)


def project(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply homographies (..., 3, 3) to points (..., P, 2)."""
    ahead = points @ matrix[..., :2].transpose(-1, -2) + matrix[..., None, :, 2]
    return ahead[..., :2] / ahead[..., 2:]


def uniform(generator: Generator, *size: int) -> Tensor:
    """Uniform float64 numbers in [0, 1)."""
    return torch.rand(*size, generator=generator, dtype=torch.float64)


def uniform_between(generator: Generator, low: float, high: float) -> float:
    """A uniform number in [low, high)."""
    return low + (high - low) * float(uniform(generator, 1))
