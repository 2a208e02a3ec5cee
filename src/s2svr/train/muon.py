"""Muon, an optimizer that trains small networks in few steps."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Newton-Schulz iteration of https://kellerjordan.github.io/posts/muon: a quintic that drives every
# singular value to about 1.
QUINTIC = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
TINY = 1e-10  # guards divisions, far below any gradient that counts


class Muon(Optimizer):
    """Momentum with an orthogonalised update, one matrix a convolution (Jordan et al., 2024).

    A kernel (outputs, inputs, k, k) is the matrix (outputs, inputs k k). Its update is scaled to a
    root mean square of ``lr``, so that rates mean what they mean to Adam; biases and other vectors
    are Adam's, at the same rate.
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
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            rate = group["lr"]  # a number, or a tensor of one
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.ndim > 1:
                    alike.setdefault(parameter.flatten(1).shape, []).append(parameter)
                else:
                    parameter.sub_(self.vector(parameter, group) * rate)
            for parameters in alike.values():
                updates = torch.stack([self.matrix(p, group["momentum"]) for p in parameters])
                updates = orthogonal(updates)
                size = updates.square().mean((1, 2), keepdim=True).sqrt()
                for parameter, change in zip(
                    parameters, rate * updates / (size + TINY), strict=True
                ):
                    parameter.sub_(change.view_as(parameter))

    def matrix(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum of a kernel as a matrix, one row an output."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"].mul_(momentum).add_(gradient)
        return (gradient + momentum * mean).flatten(1)

    def vector(self, parameter: Tensor, group: dict) -> Tensor:
        """Adam's update of a vector."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["mean"], state["square"] = (torch.zeros_like(parameter) for _ in range(2))
        first, second = group["betas"]
        count = state["step"].add_(1)
        mean = state["mean"].lerp_(gradient, 1 - first) / (1 - first**count)
        square = state["square"].lerp_(gradient.square(), 1 - second) / (1 - second**count)
        return mean / (square.sqrt() + TINY)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix to (..., m, n) whose singular values are all 1."""
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    x = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + TINY)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.mT
