"""Runs Triton's kernels on CPU tensors, by its interpreter, and compares them with their twins.

It ends with an error where they differ.

TRITON_INTERPRET=1 python tests/triton_twins.py
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from s2svr.fused import pointwise
from s2svr.fused.warping import align_by_kernels
from s2svr.ops import warp
from test_fused import DEEP, clips, error, network, step

C, INPUTS, BOUND = 5, 3, 1.0  # channels that are no power of two
LAST = torch.channels_last
Call = tuple[
    Callable[..., None], tuple[Any, ...], int
]  # function, arguments, last ones are results


def maps(channels: int, dtype: torch.dtype, batch: int = 2) -> Tensor:
    """Noise, partly beyond BOUND and partly on it; more values than one program has."""
    x = torch.randn(batch, channels, 16, 13).mul(4).round().div(4)
    return x.to(dtype, memory_format=LAST)


def calls(low: torch.dtype, fading: bool) -> list[Call]:
    """Each function, and how many of its last arguments are results."""
    wide = torch.float32
    keep = torch.rand(C, 1, 1) if fading else None
    h, bias, gate, both = maps(C, wide), torch.randn(C), maps(C, low).sigmoid(), INPUTS + C
    dkeep = maps(C, low) if fading else None
    new = maps(C, low).tanh()
    return [
        (pointwise.bias_relu, (maps(C, low), bias, maps(C, low)), 1),
        (pointwise.bias_add, (maps(C, low), maps(C, low), bias, maps(C, wide)), 1),
        (
            pointwise.open_gates,
            (maps(2 * C, low), torch.randn(2 * C), h, BOUND, gate, gate.clone(), maps(both, low)),
            3,
        ),
        (pointwise.renew, (maps(C, low), bias, h, BOUND, gate, keep, new, maps(C, wide)), 2),
        (
            pointwise.renew_back,
            (
                maps(C, wide), h, BOUND, gate, keep, new,
                maps(C, low), maps(2 * C, low), maps(C, wide), dkeep,
            ),
            4,
        ),
        (
            pointwise.reset_back,
            (maps(both, low), h, BOUND, gate, maps(2 * C, low), maps(C, wide)),
            2,
        ),
        (pointwise.clamp_back, (maps(C, wide), maps(both, low), h, BOUND, maps(C, low)), 1),
    ]  # fmt: skip


def compare(call: Call, tolerance: float) -> None:
    """Raise AssertionError where kernel and twin differ by more, relative to what is above 1."""
    function, given, results = call
    made = []
    for by_triton in (False, True):
        pointwise.by_triton = lambda x, answer=by_triton: answer
        own = [x.clone() if isinstance(x, Tensor) else x for x in given]
        function(*own)
        made.append(own[-results:])
    before = given[-results:]
    for old, wanted, found in zip(before, *made, strict=True):
        if wanted is not None:
            assert not torch.equal(wanted, old), function.__name__
            torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def compare_warps(dtype: torch.dtype, tolerance: float) -> None:
    """The same of warps and their gradients, by flow that partly leaves the frame."""
    flow, wanted, made = 5 * torch.randn(2, 2, 16, 13), maps(C, dtype), []
    flow[:, :, ::2] = flow[:, :, ::2].round()
    image = maps(C, dtype).requires_grad_()
    pointwise.by_triton = lambda x: True
    for function in (warp, align_by_kernels):
        out = function(image, flow)
        made.append((out, *torch.autograd.grad((out * wanted).sum(), image)))
    for theirs, ours in zip(*made, strict=True):
        assert ours.is_contiguous(memory_format=LAST)
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


if __name__ == "__main__":
    torch.manual_seed(0)
    assert pointwise.kernels is not None
    for low, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 1e-2)):
        for fading in (True, False):
            for call in calls(low, fading):
                compare(call, tolerance)
        compare_warps(low, max(tolerance, 1e-5))  # coordinates are rounded in other places
    model, batch = network(DEEP), clips(DEEP)
    pointwise.by_triton = lambda x: True
    plain, by_kernels = step(model, batch, None), step(model, batch, torch.float32)
    assert abs(plain[0] - by_kernels[0]) < 1e-6
    assert error(by_kernels[1], plain[1]) < 1e-5
