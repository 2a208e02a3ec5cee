import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from s2svr import losses


def test_charbonnier_of_known_values():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])
    assert losses.charbonnier(a, b, eps=16.0).item() == pytest.approx((5 + 4) / 2)


def test_negative_psnr_is_the_mean_over_frames():
    a, b = (torch.rand(2, 3, 3, 8, 9, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    wanted = [
        peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1.0)
        for x, y in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)
    ]
    assert losses.negative_psnr(a, b).item() == pytest.approx(-sum(wanted) / 6 / 100, rel=1e-5)
    assert losses.negative_psnr(a, a, eps=1e-5).item() == pytest.approx(-0.5)  # 50 dB


def test_harm_is_what_frames_lose_and_no_gain_makes_up_for():
    truth = torch.full((2, 2, 3, 4, 5), 0.5)
    given, out = truth.clone(), truth.clone()
    given[0], out[0] = 0.6, 0.51  # gains 20 dB
    given[1, 0], out[1, 0] = 0.51, 0.6  # loses 20 dB
    given[1, 1], out[1, 1] = 0.5, 0.5001  # by less than rounding to codes costs
    assert losses.harm(out, given, truth).item() == pytest.approx(0.2 / 4, rel=0.01)
    assert losses.harm(given, given, truth).item() == 0
    out.requires_grad_(True)
    losses.harm(out, given, truth).backward()
    assert out.grad is not None
    assert (out.grad[0] == 0).all()
    assert (out.grad[1, 0] > 0).all()


def test_mostly_luma_is_bt601_with_a_fifth_of_the_chroma():
    rgb = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    full = rgb2ycbcr(rgb.movedim(-3, -1).numpy())  # studio range
    want = [(full[..., 0] - 16) / 219, (full[..., 1] - 128) / 1120, (full[..., 2] - 128) / 1120]
    for mine, theirs in zip(losses.mostly_luma(rgb).unbind(-3), want, strict=True):
        assert abs(mine.numpy() - theirs).max() < 1e-4  # skimage's matrix is rounded


def test_photometric_is_zero_along_the_true_flow_and_ignores_hidden_pixels():
    b = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    a = torch.roll(b, -1, -1)
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0] = 1.0
    visible = torch.ones(1, 1, 6, 8)
    visible[..., -1] = 0  # the target lies outside
    assert losses.photometric(a, b, flow, visible).item() == pytest.approx(0, abs=1e-5)
    assert losses.photometric(a, b, torch.zeros_like(flow), visible).item() > 0.1
    a[..., -1] += 100
    assert losses.photometric(a, b, flow, visible).item() == pytest.approx(0, abs=1e-5)


def test_smoothness_equals_a_loop():
    flow = torch.rand(1, 2, 4, 5, generator=torch.Generator().manual_seed(1))
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    sums = []
    for dy, dx in ((0, 1), (1, 0)):
        terms = []
        for i in range(4 - dy):
            for j in range(5 - dx):
                edge = (image[0, :, i + dy, j + dx] - image[0, :, i, j]).abs().mean().item()
                for c in range(2):
                    step = (flow[0, c, i + dy, j + dx] - flow[0, c, i, j]).abs().item() / 7
                    terms.append(step * math.exp(-10 * edge))
        sums.append(sum(terms) / len(terms))
    got = losses.smoothness(flow, image, edge=10.0, side=7).item()
    assert got == pytest.approx(sum(sums) / 2 / 2, rel=1e-5)


def test_constant_flow_is_smooth():
    image = torch.rand(1, 3, 4, 5)
    assert losses.smoothness(torch.full((1, 2, 4, 5), 7.0), image, edge=10.0, side=4).item() == 0


def test_structural_term_against_scikit_image():
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.rand(1, 3, 12, 14, generator=generator, dtype=torch.float64) for _ in "ab")
    got = losses.structural(a, b, torch.zeros(1, 2, 12, 14, dtype=torch.float64), None)
    inner = []
    for c in range(3):
        _, ssim = structural_similarity(
            a[0, c].numpy(),
            b[0, c].numpy(),
            win_size=3,
            data_range=1.0,
            use_sample_covariance=False,
            full=True,
        )
        inner.append(ssim[1:-1, 1:-1])
    mask = torch.zeros(1, 1, 12, 14, dtype=torch.float64)
    mask[..., 1:-1, 1:-1] = 1
    got = losses.structural(a, b, torch.zeros(1, 2, 12, 14, dtype=torch.float64), mask)
    want = sum(((1 - s) / 2).clip(0, 1).mean() for s in inner) / 3
    assert got.item() == pytest.approx(want, abs=1e-9)


def test_distillation_is_the_mean_difference_in_pixels():
    random = np.random.default_rng(5)
    a, b = random.normal(0, 3, (2, 2, 2, 5, 7))
    found = losses.distillation(torch.from_numpy(a), torch.from_numpy(b)).item()
    assert found == pytest.approx(np.abs(a - b).mean(), rel=1e-12)
