import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
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


def test_chroma_variants_equal_scikit_image(pair):
    colors = [rgb2ycbcr(np.moveaxis(codes(x), 0, -1) / 255) for x in pair]
    planes = [np.moveaxis(color[..., 1:], -1, 0) for color in colors]
    assert np.abs(metrics.chroma(pair[0]).numpy() - planes[0]).max() < 1e-9
    want = peak_signal_noise_ratio(*planes, data_range=255)
    assert metrics.psnr_chroma(*pair) == pytest.approx(want, abs=1e-9)
    want = structural_similarity(
        *planes, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255,
    )  # fmt: skip
    assert metrics.ssim_chroma(*pair) == pytest.approx(want, abs=1e-9)


def test_ssim_equals_a_loop_over_its_windows(pair):
    a, b = (codes(x)[:, :14, :13] for x in pair)
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for channel in range(3):
        for top in range(4):
            for left in range(3):
                place = (channel, slice(top, top + 11), slice(left, left + 11))
                values.append(ssim_of(a[place], b[place], window))
    have = metrics.ssim_rgb(pair[0][:, :14, :13], pair[1][:, :14, :13])
    assert have == pytest.approx(np.mean(values), abs=1e-9)


def ssim_of(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """SSIM of one window by the definition."""
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
    cov = (weight * (x - mx) * (y - my)).sum()
    c1, c2 = 2.55**2, 7.65**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def test_ssim_across_the_colours_equals_a_loop_and_scipy(pair):
    a, b = (codes(x)[:, :7, :6] for x in pair)
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weight = np.einsum("i,j,k->ijk", line, line, line) / line.sum() ** 3
    x, y = (np.pad(v, 5, mode="edge") for v in (a, b))
    values = [
        ssim_of(
            x[c : c + 11, i : i + 11, j : j + 11], y[c : c + 11, i : i + 11, j : j + 11], weight
        )
        for c in range(3)
        for i in range(7)
        for j in range(6)
    ]
    have = metrics.ssim_volume(pair[0][:, :7, :6], pair[1][:, :7, :6])
    assert have == pytest.approx(np.mean(values), abs=1e-9)

    a, b = codes(pair[0]), codes(pair[1])
    mx, my, xx, yy, xy = (
        gaussian_filter(v, 1.5, mode="nearest", truncate=5 / 1.5)
        for v in (a, b, a * a, b * b, a * b)
    )
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    c1, c2 = 2.55**2, 7.65**2
    want = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert metrics.ssim_volume(*pair) == pytest.approx(want.mean(), abs=1e-9)


def test_float_variants_equal_scikit_image(pair):
    a, b = pair[0][:1], pair[1][:1]
    want = peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1.0)
    assert metrics.psnr_float(a, b) == pytest.approx(want, abs=1e-9)
    assert b.max() > 1  # not clamped
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


def test_speed_buckets_part_the_frame():
    truth = torch.zeros(1, 2, 1, 4)
    truth[0, 0, 0] = torch.tensor([1.9, 2.0, 9.9, 10.0])
    masks = metrics.speed_masks(truth)
    assert {name: mask.flatten().tolist() for name, mask in masks.items()} == {
        "0-2": [True, False, False, False],
        "2-10": [False, True, True, False],
        "10+": [False, False, False, True],
    }
    nowhere = torch.zeros(1, 1, 1, 4)
    assert math.isnan(metrics.end_point_error(truth, truth, nowhere))


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
