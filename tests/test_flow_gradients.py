"""Gradients of the flow losses (Eq. 11, 13, 16) in float64, and the mask that carries none."""

import torch
from torch import Tensor
from torch.autograd import gradcheck

from s2svr import losses
from s2svr.ops import occlusion, resize_flow


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flow_between_pixels(seed: int = 2) -> Tensor:
    """A flow (1, 2, 5, 6) whose targets keep away from pixels, where bilinear sampling bends."""
    whole = (random(1, 2, 5, 6, seed=seed) * 3 - 1.5).round()
    return (whole + 0.2 + 0.6 * random(1, 2, 5, 6, seed=seed + 1)).requires_grad_()


A, B = (random(1, 3, 5, 6, seed=seed).requires_grad_() for seed in (0, 1))
VISIBLE = (random(1, 1, 5, 6, seed=5) > 0.3).double()


def test_photometric_gradients():
    flow = flow_between_pixels()
    for mask in (None, VISIBLE):
        assert gradcheck(lambda a, b, f, m=mask: losses.photometric(a, b, f, m), (A, B, flow))


def test_structural_gradients():
    flow = flow_between_pixels()
    for mask in (None, VISIBLE):
        assert gradcheck(lambda a, b, f, m=mask: losses.structural(a, b, f, m), (A, B, flow))


def test_smoothness_gradients_of_flow_and_image():
    assert gradcheck(lambda f, i: losses.smoothness(f, i, 10.0, 8), (flow_between_pixels(), A))


def test_distillation_gradients_through_the_enlargement():
    teacher, student = random(1, 2, 8, 12, seed=7), random(1, 2, 4, 6, seed=8).requires_grad_()
    assert gradcheck(lambda s: losses.distillation(teacher, resize_flow(s, (8, 12))), (student,))


def test_restoration_gradients():
    assert gradcheck(lambda a, b: losses.charbonnier(a, b, 1e-4), (A, B))
    assert gradcheck(lambda a, b: losses.negative_psnr(a, b), (A, B))
    assert gradcheck(losses.mostly_luma, (A,))


def test_the_mask_carries_no_gradient():
    forward, backward = flow_between_pixels(), flow_between_pixels(seed=9)
    assert not occlusion(forward, backward).requires_grad
