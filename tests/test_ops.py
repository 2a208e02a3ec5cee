import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from s2svr import ops


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_zero_flow_returns_the_image():
    image = random(2, 3, 7, 9)
    assert torch.allclose(ops.warp(image, torch.zeros(2, 2, 7, 9)), image, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 3), (-1, 2)])
def test_integer_flow_is_a_roll_inside_the_frame(right: int, down: int):
    image = random(1, 2, 10, 12)
    flow = torch.tensor([float(right), float(down)]).view(1, 2, 1, 1).expand(1, 2, 10, 12)
    rolled = torch.roll(image, (-down, -right), (-2, -1))
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    assert torch.allclose(ops.warp(image, flow)[inner], rolled[inner], atol=1e-5)


def test_warp_repeats_the_border():
    image = random(1, 1, 4, 5)
    far = torch.full((1, 2, 4, 5), 100.0)
    assert torch.allclose(ops.warp(image, far), image[..., -1:, -1:].expand_as(image), atol=1e-6)


def test_warp_is_that_of_a_runtime_which_repeats_the_border():
    """To the last bit inside the frame; beyond it within the rounding of the grid there."""
    image, flow = random(2, 3, 45, 80), random(2, 2, 45, 80, seed=1) * 30 - 15
    x, y = ops.flow_targets(flow)
    grid = torch.stack(((2 * x + 1) / 80 - 1, (2 * y + 1) / 45 - 1), dim=-1)
    want = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    got = ops.warp(image, flow)
    inside = ops.targets_inside(flow).expand_as(image)
    assert 0.1 < inside.float().mean() < 0.9
    assert torch.equal(got[inside], want[inside])
    assert (got - want).abs().max() <= 80 * 2**-23


def test_warp_equals_a_loop():
    image, flow = random(1, 2, 5, 6), random(1, 2, 5, 6, seed=1) * 4 - 2
    want = torch.zeros_like(image)
    for i in range(5):
        for j in range(6):
            x = min(max(j + flow[0, 0, i, j].item(), 0), 5)
            y = min(max(i + flow[0, 1, i, j].item(), 0), 4)
            x0, y0 = min(int(x), 4), min(int(y), 3)
            fx, fy = x - x0, y - y0
            top = image[0, :, y0, x0] * (1 - fx) + image[0, :, y0, x0 + 1] * fx
            low = image[0, :, y0 + 1, x0] * (1 - fx) + image[0, :, y0 + 1, x0 + 1] * fx
            want[0, :, i, j] = top * (1 - fy) + low * fy
    assert torch.allclose(ops.warp(image, flow), want, atol=1e-5)


def test_half_precision_keeps_sub_pixel_motion_in_wide_frames():
    image = torch.linspace(0, 1, 4096).expand(1, 1, 2, 4096)
    flow = torch.full((1, 2, 2, 4096), 0.25)
    want = ops.warp(image, flow)
    got = ops.warp(image.half(), flow.half())
    assert got.dtype == torch.float16
    assert (got.float() - want).abs().max() < 6e-4  # float16's own step near 1


def test_warp_keeps_the_order_in_memory():
    torch.manual_seed(0)
    image, flow = torch.rand(2, 3, 4, 5), torch.randn(2, 2, 4, 5)
    wanted = ops.warp(image, flow)
    assert wanted.is_contiguous()
    found = ops.warp(image.contiguous(memory_format=torch.channels_last), flow)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, wanted)


def test_warp_gradients():
    image = random(1, 2, 4, 5, dtype=torch.float64).requires_grad_()
    flow = (random(1, 2, 4, 5, seed=1, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(ops.warp, (image, flow))


def test_resized_constant_flow_is_constant_and_rescaled():
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
    resized = ops.resize_flow(flow, (12, 32))
    assert torch.allclose(resized[:, 0], torch.full((1, 12, 32), 12.0))
    assert torch.allclose(resized[:, 1], torch.full((1, 12, 32), -4.0))


def test_correlation_equals_a_loop():
    a, b, radius = random(1, 3, 5, 6), random(1, 3, 5, 6, seed=1), 2
    got = ops.correlation(a, b, radius)
    index = 0
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            for i in range(5):
                for j in range(6):
                    inside = 0 <= i + dy < 5 and 0 <= j + dx < 6
                    want = (a[0, :, i, j] * b[0, :, i + dy, j + dx]).mean() if inside else 0.0
                    assert abs(got[0, index, i, j] - want) < 1e-6
            index += 1


def test_correlation_gradients():
    a = random(1, 2, 3, 4, dtype=torch.float64).requires_grad_()
    b = random(1, 2, 3, 4, seed=1, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: ops.correlation(x, y, 1), (a, b))


def test_consistent_flow_is_visible_and_opposed_flow_is_not():
    forward = torch.full((1, 2, 8, 8), 1.0)
    inner = (slice(None), slice(None), slice(1, -2), slice(1, -2))
    assert ops.occlusion(forward, -forward)[inner].all()
    assert not ops.occlusion(3 * forward, 3 * forward).any()


def test_targets_outside_the_frame_count_as_occluded():
    forward = torch.zeros(1, 2, 4, 6)
    forward[:, 0] = 2.0
    assert ops.occlusion(forward, -forward)[0, 0, 0].tolist() == [1, 1, 1, 1, 0, 0]


def matlab_bicubic(line: np.ndarray, factor: float) -> np.ndarray:
    """MATLAB's imresize along one axis, weight by weight."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    stretch = max(1.0, 1 / factor)
    length, out = len(line), []
    for i in range(int(np.ceil(length * factor - 1e-9))):
        center = (i + 0.5) / factor - 0.5
        taps = range(int(np.floor(center - 2 * stretch)), int(np.ceil(center + 2 * stretch)) + 1)
        weights = np.array([kernel((center - t) / stretch) for t in taps])
        mirrored = [t % (2 * length) for t in taps]
        values = [line[min(t, 2 * length - 1 - t)] for t in mirrored]
        out.append(np.dot(weights / weights.sum(), values))
    return np.array(out)


@pytest.mark.parametrize("factor", [0.25, 1 / 3, 0.5, 1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 12), (21, 30), (3, 1)])
def test_bicubic_equals_matlab_with_borders(factor: float, size: tuple[int, int]):
    image = random(2, *size, dtype=torch.float64)
    rows = np.apply_along_axis(matlab_bicubic, 1, image.numpy(), factor)
    want = np.apply_along_axis(matlab_bicubic, 2, rows, factor)
    got = ops.resize_bicubic(image, factor)
    assert got.shape == want.shape
    assert np.abs(got.numpy() - want).max() < 1e-6


@pytest.mark.parametrize("factor", [1 / 1.5, 1.5, 0.3])
def test_factors_that_are_no_whole_numbers_are_refused(factor: float):
    with pytest.raises(ValueError, match=r"expected a factor .* got .*resize_to takes any size"):
        ops.resize_bicubic(random(3, 6, 6), factor)


@pytest.mark.parametrize(
    ("size", "target"),
    [((40, 64), (30, 48)), ((21, 30), (17, 23)), ((12, 9), (13, 20)), ((1, 1), (3, 2))],
)
def test_resizing_to_any_size_equals_matlab(size: tuple[int, int], target: tuple[int, int]):
    image = random(2, *size, dtype=torch.float64)
    rows = np.apply_along_axis(matlab_bicubic, 1, image.numpy(), target[0] / size[0])
    want = np.apply_along_axis(matlab_bicubic, 2, rows, target[1] / size[1])
    got = ops.resize_to(image[None], target)[0]
    assert got.shape == want.shape
    assert np.abs(got.numpy() - want).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 20))
def test_symmetric_padding_equals_numpy(height: int, width: int, pad: int):
    image = random(1, height, width)
    want = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    assert np.array_equal(ops.pad_symmetric(image, pad).numpy(), want)


def test_correlation_by_columns_is_that_by_shifts():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 5, 9, 11, generator=generator, dtype=torch.float64)
    assert torch.allclose(ops.columnwise_correlation(a, b, 3), ops.correlation(a, b, 3), atol=1e-12)
