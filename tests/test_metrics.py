import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from s2svr import metrics


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(3, 24, 31, generator=generator, dtype=torch.float64)
    return a, (a + 0.1 * torch.randn(3, 24, 31, generator=generator)).double()


def codes(x: torch.Tensor) -> np.ndarray:
    return (x.clamp(0, 1) * 255).round().numpy()


def test_psnr_of_a_hand_computed_pair():
    a = torch.zeros(3, 2, 2)
    b = a.clone()
    b[0, 0, 0] = 10 / 255  # squared error 100 over 12 values
    assert metrics.psnr_rgb(a, b) == pytest.approx(10 * math.log10(255**2 / (100 / 12)))
    assert metrics.psnr_rgb(a, a) == math.inf


def test_rgb_variants_equal_scikit_image(pair):
    a, b = codes(pair[0]), codes(pair[1])
    want = peak_signal_noise_ratio(a, b, data_range=255)
    assert metrics.psnr_rgb(*pair) == pytest.approx(want, abs=1e-9)
    want = structural_similarity(
        a,
        b,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert metrics.ssim_rgb(*pair) == pytest.approx(want, abs=1e-9)


def test_y_variants_equal_scikit_image(pair):
    y = [rgb2ycbcr(np.moveaxis(codes(x), 0, -1) / 255)[..., 0] for x in pair]
    assert np.abs(metrics.luma(pair[0])[0].numpy() - y[0]).max() < 1e-9
    want = peak_signal_noise_ratio(*y, data_range=255)
    assert metrics.psnr_y(*pair) == pytest.approx(want, abs=1e-9)
    want = structural_similarity(
        *y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert metrics.ssim_y(*pair) == pytest.approx(want, abs=1e-9)


def test_uniform_ssim_equals_scikit_image(pair):
    a, b = pair[0][:1], pair[1][:1]
    want = structural_similarity(a[0].numpy(), b[0].numpy(), data_range=1.0)
    assert metrics.ssim_uniform(a, b) == pytest.approx(want, abs=1e-9)


def test_sizes_must_agree_and_hold_the_window(pair):
    with pytest.raises(ValueError, match=r"expected frames of one size.*\(3, 24, 31\)"):
        metrics.psnr_rgb(pair[0], pair[1][..., :-1])
    with pytest.raises(ValueError, match="at least 11x11"):
        metrics.ssim_rgb(pair[0][..., :5], pair[1][..., :5])


def test_equal_frames_are_counted_and_left_out():
    assert metrics.mean_finite([30.0, math.inf, 40.0]) == (35.0, 1)


def test_end_point_error_and_outliers():
    truth = torch.zeros(1, 2, 2, 2)
    truth[:, 0] = 100.0
    flow = truth.clone()
    flow[0, :, 0, 0] += torch.tensor([3.0, 4.0])  # 5 px, exactly 5 %: not an outlier
    flow[0, :, 0, 1] += torch.tensor([6.0, 8.0])
    assert metrics.end_point_error(flow, truth) == pytest.approx(15 / 4)
    mask = torch.tensor([[True, False], [False, False]])[None, None]
    assert metrics.end_point_error(flow, truth, mask) == pytest.approx(5)
    assert metrics.outliers(flow, truth) == pytest.approx(0.25)


def test_flicker_is_seen_and_motion_is_not():
    frames = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    moved = torch.roll(frames, 1, -1)
    flow = torch.zeros(1, 2, 8, 12)
    flow[:, 0] = 1.0
    visible = torch.ones(1, 1, 8, 12)
    visible[..., -1] = 0
    clip = torch.cat((frames, moved))
    assert metrics.warping_error(clip, flow, visible) == pytest.approx(0, abs=1e-5)
    clip[1] += 0.1
    assert metrics.warping_error(clip, flow, visible) == pytest.approx(0.1, abs=1e-5)
