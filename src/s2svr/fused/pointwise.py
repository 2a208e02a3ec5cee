"""What lies between convolutions, in one pass over memory each: by Triton, or by PyTorch.

Maps are (B, C, h, w) with their channels last, C those of the memory h. Results are written into
tensors that are given, of any type; what is computed has at least the type of the biases. Triton is
taken on GPUs where it is installed, as PyTorch for CUDA brings it.
"""

import torch
from torch import Tensor

try:
    from . import kernels
except ModuleNotFoundError:
    kernels = None  # type: ignore[assignment]

SIZE = 1024  # values of a program


def by_triton(x: Tensor) -> bool:
    """True if there are kernels for such tensors."""
    return kernels is not None and x.is_cuda and x.dtype != torch.float64


def grid(x: Tensor) -> tuple[int]:
    """How many programs it takes for all values of x."""
    return (-(-x.numel() // SIZE),)


def bias_relu(z: Tensor, bias: Tensor, out: Tensor) -> None:
    """ReLU(z + bias)."""
    if by_triton(z):
        count, channels = z.numel(), z.shape[1]
        kernels.bias_relu_kernel[grid(z)](z, bias, out, count, channels, SIZE)
    else:
        out.copy_(torch.relu(z + bias[:, None, None]))


def bias_add(x: Tensor, z: Tensor, bias: Tensor, out: Tensor) -> None:
    """x + z + bias."""
    if by_triton(z):
        count, channels = z.numel(), z.shape[1]
        kernels.bias_add_kernel[grid(z)](x, z, bias, out, count, channels, SIZE)
    else:
        out.copy_(x + (z + bias[:, None, None]))


def open_gates(
    z: Tensor, bias: Tensor, h: Tensor, bound: float, update: Tensor, reset: Tensor, seen: Tensor
) -> None:
    """sigmoid(z + bias), (B, 2C, h, w), into both gates; the last C channels of ``seen`` get r h.

    Here and below h is clamped to [-bound, bound] first.
    """
    channels, width = h.shape[1], seen.shape[1]
    if by_triton(z):
        kernels.gates_kernel[grid(h)](
            z, bias, h, update, reset, seen, bound, h.numel(), channels, width, SIZE
        )
        return
    u, r = torch.sigmoid(z + bias[:, None, None]).chunk(2, 1)
    update.copy_(u)
    reset.copy_(r)
    seen[:, -channels:].copy_(r * h.clamp(-bound, bound))


def renew(
    z: Tensor, bias: Tensor, h: Tensor, bound: float, update: Tensor, keep: Tensor | None,
    candidate: Tensor, out: Tensor,
) -> None:  # fmt: skip
    """The candidate tanh(z + bias), and what the update gate makes of it and ``keep`` h."""
    if by_triton(z):
        kernels.memory_kernel[grid(h)](
            z, bias, h, update, keep, candidate, out, bound, h.numel(), h.shape[1], SIZE
        )
        return
    new, kept = torch.tanh(z + bias[:, None, None]), h.clamp(-bound, bound)
    kept = kept if keep is None else keep * kept
    candidate.copy_(new)
    out.copy_(kept + update * (new - kept))


def renew_back(
    gradient: Tensor, h: Tensor, bound: float, update: Tensor, keep: Tensor | None,
    candidate: Tensor, dz: Tensor, dgates: Tensor, dh: Tensor, dkeep: Tensor | None,
) -> None:  # fmt: skip
    """Gradients of ``renew``: of z, of the update gate's z (the first C of ``dgates``), of h so
    far, and of ``keep`` before it is summed up.
    """
    channels = h.shape[1]
    if by_triton(h):
        kernels.memory_back_kernel[grid(h)](
            gradient, h, update, keep, candidate, dz, dgates, dh, dkeep, bound, h.numel(),
            channels, SIZE,
        )  # fmt: skip
        return
    old, share = h.clamp(-bound, bound), gradient * (1 - update.type_as(dh))
    kept = old if keep is None else keep * old
    new, u = candidate.type_as(dh), update.type_as(dh)
    dz.copy_(gradient * u * (1 - new * new))
    dgates[:, :channels].copy_(gradient * (new - kept) * u * (1 - u))
    dh.copy_(share if keep is None else keep * share)
    if dkeep is not None:
        dkeep.copy_(share * old)


def reset_back(
    dseen: Tensor, h: Tensor, bound: float, reset: Tensor, dgates: Tensor, dh: Tensor
) -> None:
    """Gradients of r h: of the reset gate's z (the last C of ``dgates``), and added to that of h.

    ``dseen``: the gradient of what the candidate saw, whose last C channels are r h.
    """
    channels, width = h.shape[1], dseen.shape[1]
    if by_triton(h):
        kernels.reset_back_kernel[grid(h)](
            dseen, h, reset, dgates, dh, bound, h.numel(), channels, width, SIZE
        )
        return
    d, r = dseen[:, -channels:].type_as(dh), reset.type_as(dh)
    dgates[:, channels:].copy_(d * h.clamp(-bound, bound) * r * (1 - r))
    dh.add_(d * r)


def clamp_back(dh: Tensor, dseen: Tensor, h: Tensor, bound: float, out: Tensor) -> None:
    """The gradient of h before it was clamped.

    ``dseen``: the gradient of what the gates saw, whose last C channels are h.
    """
    channels, width = h.shape[1], dseen.shape[1]
    if by_triton(h):
        kernels.clamp_back_kernel[grid(h)](
            dh, dseen, h, out, bound, h.numel(), channels, width, SIZE
        )
        return
    out.copy_(torch.where(h.abs() <= bound, dh + dseen[:, -channels:], 0.0))
