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


def test_factors_of_channels_move_along_their_momentum_as_a_whole():
    factors = nn.Parameter(torch.ones(4, 1, 1))
    factors.grad = torch.tensor([3.0, -1.0, 0.5, 0.0]).view(4, 1, 1)
    Muon([{"params": [factors]}], lr=0.1).step()
    change = (1 - factors.detach()).flatten()
    wanted = 0.1 * factors.grad.flatten() / factors.grad.square().mean().sqrt()
    torch.testing.assert_close(change, wanted)  # Adam's would be 0.1, -0.1, 0.1, 0


def test_a_parameter_without_a_gradient_stays():
    kernel = nn.Parameter(torch.ones(2, 2))
    Muon([{"params": [kernel]}], lr=0.1).step()
    assert torch.equal(kernel.detach(), torch.ones(2, 2))


def test_parameters_of_a_group_move_as_each_would_alone():
    """Bit by bit; one of them gets a gradient every other step, so its average is younger."""
    shapes = [(4, 3, 3, 3), (4, 27), (5, 2, 1, 1), (4,), (7,), (5,), (4, 3, 3, 3)]
    together = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    alone = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizer = Muon([{"params": together[:4]}, {"params": together[4:], "lr": 0.2}], lr=0.1)
    others = [Muon([{"params": [x]}], lr=0.1 if i < 4 else 0.2) for i, x in enumerate(alone)]
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        for index, (ours, theirs) in enumerate(zip(together, alone, strict=True)):
            ours.grad = theirs.grad = torch.randn(ours.shape, generator=generator)
            if step % 2 and index in (1, 5):
                ours.grad = theirs.grad = None
        for each in (optimizer, *others):
            each.step()
        assert all(map(torch.equal, together, alone))
    assert not torch.equal(together[0].detach(), torch.ones(shapes[0]))


def test_a_rate_may_be_a_tensor_as_captured_steps_have_it():
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in ((4, 3), (5,))] for _ in range(2))
    for parameters, rate in ((ours, 0.1), (theirs, torch.tensor(0.1))):
        for parameter in parameters:
            parameter.grad = torch.linspace(-1, 2, parameter.numel()).view_as(parameter)
        optimizer = Muon([{"params": parameters}], lr=1.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-7)
        assert not torch.equal(a.detach(), torch.ones(a.shape))
