"""Muon, an optimizer that trains small networks in few steps."""

import torch
from torch import Tensor
from torch.optim import Optimizer

# Newton-Schulz iteration of https://kellerjordan.github.io/posts/muon: a quintic that drives every
# singular value to about 1.
QUINTIC = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
TINY = 1e-10  # guards divisions, far below any gradient that counts


class Muon(Optimizer):
    """Momentum with an orthogonalised update, one matrix a convolution (Jordan et al., 2024).

    A kernel (outputs, inputs, k, k) is the matrix (outputs, inputs k k). Its update is scaled to a
    root mean square of ``lr``, so that rates mean what they mean to Adam. Parameters of one
    dimension, as biases are, are Adam's, at the same rate. Shape alone decides: factors of channels
    that are stored as (C, 1, 1), as ``ConvGRU.keep``, are a matrix (C, 1). They move along their
    momentum, which is scaled as a whole, not one by one as Adam would.
    """

    def __init__(
        self,
        params: list[dict],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, all of a group by the same few calls."""
        for group in self.param_groups:
            used = [parameter for parameter in group["params"] if parameter.grad is not None]
            kernels = [parameter for parameter in used if parameter.ndim > 1]
            vectors = [parameter for parameter in used if parameter.ndim <= 1]
            if kernels:
                self.move_kernels(kernels, group["lr"], group["momentum"])
            if vectors:
                self.move_vectors(vectors, group["lr"], group["betas"])

    def move_kernels(self, kernels: list[Tensor], rate: float | Tensor, momentum: float) -> None:
        """Move kernels by Nesterov's momentum, made orthogonal; ``rate`` may be a tensor of one."""
        gradients, means = gradients_of(kernels), self.remembered(kernels, "mean")
        torch._foreach_mul_(means, momentum)
        torch._foreach_add_(means, gradients)
        mixed = torch._foreach_add(gradients, torch._foreach_mul(means, momentum))
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for kernel, update in zip(kernels, mixed, strict=True):
            matrix = update.flatten(1)  # one row an output
            alike.setdefault(matrix.shape, []).append((kernel, matrix))
        for some in alike.values():
            updates = orthogonal(torch.stack([matrix for _, matrix in some]))
            size = updates.square().mean((1, 2), keepdim=True).sqrt()
            changes = (rate * updates / (size + TINY)).unbind()
            moved = [kernel for kernel, _ in some]
            torch._foreach_sub_(moved, [c.view_as(k) for c, k in zip(changes, moved, strict=True)])

    def move_vectors(
        self, vectors: list[Tensor], rate: float | Tensor, betas: tuple[float, float]
    ) -> None:
        """Move vectors as Adam does; ``rate`` may be a tensor of one."""
        gradients, steps = gradients_of(vectors), self.remembered(vectors, "step")
        torch._foreach_add_(steps, 1)
        mean, square = (
            torch._foreach_div(self.averages(vectors, name, values, beta), shares(beta, steps))
            for name, values, beta in (
                ("mean", gradients, betas[0]),
                ("square", torch._foreach_mul(gradients, gradients), betas[1]),
            )
        )
        torch._foreach_sqrt_(square)
        torch._foreach_add_(square, TINY)
        torch._foreach_div_(mean, square)
        torch._foreach_mul_(mean, rate)
        torch._foreach_sub_(vectors, mean)

    def averages(
        self,
        vectors: list[Tensor],
        name: str,
        values: list[Tensor] | tuple[Tensor, ...],
        keep: float,
    ) -> list[Tensor]:
        """The averages of that name, with ``values`` taken in."""
        averages = self.remembered(vectors, name)
        torch._foreach_lerp_(averages, values, 1 - keep)
        return averages

    def remembered(self, parameters: list[Tensor], name: str) -> list[Tensor]:
        """What is remembered of each parameter under a name, zero at first."""
        for parameter in parameters:
            if name not in self.state[parameter]:
                like = parameter.new_zeros(()) if name == "step" else torch.zeros_like(parameter)
                self.state[parameter][name] = like
        return [self.state[parameter][name] for parameter in parameters]


def gradients_of(parameters: list[Tensor]) -> list[Tensor]:
    """Their gradients; each has one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def shares(keep: float, steps: list[Tensor]) -> list[Tensor]:
    """How much an average that began at zero has taken in after so many steps."""
    left = torch._foreach_pow(keep, steps)
    torch._foreach_neg_(left)
    torch._foreach_add_(left, 1)
    return list(left)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix to (..., m, n) whose singular values are all 1."""
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    x = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + TINY)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.mT
