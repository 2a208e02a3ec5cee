import math

import pytest
import torch
from torch import Generator, Tensor

from s2svr.damage import blur


def wave(place: float, height: int = 24, width: int = 64) -> Tensor:
    """A smooth pattern (3, H, W), ``place`` pixels further right."""
    x = torch.arange(width) - place
    row = 0.5 + 0.3 * torch.sin(2 * math.pi * x / 16)
    return row.expand(3, height, width).clone()


def steady(speed: float):
    """A flow network that knows the pattern's motion, asked forward first, then backward."""
    signs = []

    def flow(a: Tensor, b: Tensor) -> Tensor:
        signs.append(1 if len(signs) % 2 == 0 else -1)
        field = torch.zeros(1, 2, *a.shape[-2:])
        field[:, 0] = signs[-1] * speed / 2  # on the half-size grid
        return field

    return flow


def test_opened_is_the_mean_of_the_moving_pattern_over_the_opening():
    clip = torch.stack([wave(2.0 * t) for t in range(7)])
    pair = blur.blur_by_shutter(clip, 2.0, steady(2.0))
    assert torch.equal(pair.hq, clip[1:6])
    moments = [3 + k / blur.SUBFRAMES for k in range(-8, 9)]
    light = torch.stack([wave(2.0 * t) ** 2.2 for t in moments]).mean(0) ** (1 / 2.2)
    inner = slice(12, -12)  # away from what enters at the sides
    error = (pair.lq[2] - light)[..., inner].abs().max()
    still = (clip[3] - light)[..., inner].abs().max()
    assert error < 0.01 < 0.04 < still
    assert torch.equal(pair.lq, (pair.lq * 255).round() / 255)


def test_between_keeps_the_real_frames_in_their_places():
    clip = torch.rand(3, 3, 8, 10, generator=Generator().manual_seed(0))
    frames = list(blur.interpolated(clip, lambda a, b: torch.zeros(1, 2, *a.shape[-2:])))
    assert len(frames) == 2 * blur.SUBFRAMES + 1
    assert torch.equal(torch.stack(frames[:: blur.SUBFRAMES]), clip)
    quarter = frames[blur.SUBFRAMES // 4]
    assert torch.allclose(quarter, 0.75 * clip[0] + 0.25 * clip[1], atol=1e-6)


def test_opened_says_how_many_frames_it_wants():
    with pytest.raises(ValueError, match="expected at least 5 frames .* got 4 frames"):
        blur.blur_by_shutter(torch.zeros(4, 3, 8, 8), 3.0, steady(0.0))


def test_shutter_draws_both_kinds():
    clip = torch.stack([wave(3.0 * t, 32, 64) for t in range(12)])
    lengths = {len(blur.shutter(clip, Generator().manual_seed(seed)).hq) for seed in range(8)}
    assert lengths & {12 - 2, 12 - 4}
    assert lengths & {12 - 6, 12 - 8, 12 - 10}
