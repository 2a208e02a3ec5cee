"""Mixed damage: what it does to a clip, and that the seed decides it."""

import pytest
import torch
from torch import Generator

from s2svr.damage.realistic import random_blur, random_noise, random_reduction, realistic_damage
from s2svr.damage.table import degradation, shrinks
from s2svr.ops import resize_bicubic

CLIP = torch.rand(3, 3, 96, 128, generator=Generator().manual_seed(0))


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def test_a_pair_is_four_times_smaller_rounded_and_the_seeds():
    smooth = resize_bicubic(CLIP[..., ::8, ::8], 8).clamp(0, 1)[..., :94, :]
    found = [realistic_damage(smooth, seeded(seed)) for seed in range(6)]
    for pair in found:
        assert pair.lq.shape == (3, 3, 23, 32)
        assert pair.hq.shape == (3, 3, 92, 128)
        assert torch.equal((pair.lq * 255).round() / 255, pair.lq)
        assert (pair.lq - resize_bicubic(pair.hq, 1 / 4)).abs().mean() < 0.08  # still that clip
    assert torch.equal(realistic_damage(smooth, seeded(3)).lq, found[3].lq)
    assert not torch.equal(found[3].lq, found[4].lq)


def test_blur_keeps_brightness_and_moves_nothing():
    flat = torch.full((1, 3, 20, 20), 0.3)
    assert torch.allclose(random_blur(flat, seeded(0)), flat, atol=1e-6)
    point = torch.zeros(1, 3, 31, 31)
    point[..., 15, 15] = 1
    spread = random_blur(point, seeded(1))[0, 0]
    line = torch.arange(31.0)
    assert (spread.sum(0) * line).sum() == pytest.approx(15, abs=1e-4)
    assert (spread.sum(1) * line).sum() == pytest.approx(15, abs=1e-4)
    assert spread.max() < 0.9


@pytest.mark.parametrize("seed", range(8))
def test_every_reduction_keeps_a_ramp_in_place(seed):
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 32, 64)
    wanted = ramp.reshape(1, 3, 32, 16, 4).mean(-1)[..., ::4, :]
    found = random_reduction(ramp, seeded(seed))
    assert torch.allclose(found[..., 2:-2], wanted[..., 2:-2], atol=1e-4)


def test_noise_is_less_in_shadows_and_new_in_every_frame():
    clip = torch.zeros(2, 3, 64, 64)
    clip[..., 32:] = 1
    noise = random_noise(clip, seeded(2)) - clip
    assert 0 < noise[..., :32].std() < noise[..., 32:].std() < 0.03
    assert not torch.equal(noise[0], noise[1])


def test_damages_come_one_after_another():
    smooth = resize_bicubic(CLIP[..., ::8, ::8], 8).clamp(0, 1)
    before, after = (
        degradation(name)(smooth[..., :94, :], seeded(0))
        for name in ("h264-35+bicubic", "bicubic+h264-35")
    )
    plain = degradation("bicubic")(smooth[..., :92, :], seeded(0))
    for pair in (before, after):
        assert torch.equal(pair.hq, plain.hq)
        assert pair.lq.shape == plain.lq.shape
        assert not torch.equal(pair.lq, plain.lq)
    assert not torch.equal(before.lq, after.lq)
    assert [shrinks(name) for name in ("h264-28+bicubic", "blur-7", "gaussian")] == [4, 1, 4]
    assert [shrinks(name) for name in ("bicubic+gaussian", "mixed", "hevc-37+blur-3")] == [16, 4, 1]


def test_unknown_damages_in_a_row_are_named():
    with pytest.raises(ValueError, match="expected a degradation.*got 'jpeg'"):
        degradation("bicubic+jpeg")(CLIP, seeded(0))
