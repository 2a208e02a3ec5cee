"""Muon against the singular values that it drives to one, and against PyTorch's Adam."""

import pytest
import torch
from torch import nn

from s2svr.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (8, 8)])
def test_orthogonal_keeps_the_directions_and_evens_out_their_strengths(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    # In the basis of the matrix's own directions only the diagonal is left, near one.
    inside = u.mT @ orthogonal(matrix) @ v.mT
    assert torch.allclose(inside, inside.diag().diag(), atol=1e-4)
    assert 0.6 < inside.diag().min() < inside.diag().max() < 1.3


def test_a_kernel_moves_by_the_rate_and_the_momentum_is_nesterovs():
    kernel = nn.Parameter(torch.zeros(4, 3, 3, 3))
    optimizer = Muon([{"params": [kernel]}], lr=0.01, momentum=0.5)
    gradients = torch.randn(2, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    before, mean = kernel.detach().clone(), torch.zeros(4, 3, 3, 3)
    for gradient in gradients:
        mean = 0.5 * mean + gradient
        mixed = gradient + 0.5 * mean
        kernel.grad = gradient
        optimizer.step()
        change, before = before - kernel.detach(), kernel.detach().clone()
        assert change.square().mean().sqrt() == pytest.approx(0.01, rel=1e-4)
        wanted = orthogonal(mixed.flatten(1)).flatten()
        assert nn.functional.cosine_similarity(change.flatten(), wanted, 0) > 0.9999


def test_vectors_move_as_adam_moves_them():
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    optimizers = (
        Muon([{"params": [ours]}], lr=0.1, betas=(0.8, 0.9)),
        torch.optim.Adam([theirs], lr=0.1, betas=(0.8, 0.9)),
    )
    for step in range(5):
        for optimizer, vector in zip(optimizers, (ours, theirs), strict=True):
            vector.grad = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0]) * (1 + step)
            optimizer.step()
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_parameter_without_a_gradient_stays():
    kernel = nn.Parameter(torch.ones(2, 2))
    Muon([{"params": [kernel]}], lr=0.1).step()
    assert torch.equal(kernel.detach(), torch.ones(2, 2))
