"""One step of a training, plainly or as a CUDA graph."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

Batch = dict[str, Tensor]
Way = Callable[[Batch], AbstractContextManager[None]]


def plainly(batch: Batch) -> AbstractContextManager[None]:
    """The loss and its gradients as PyTorch makes them."""
    return nullcontext()


class Update:
    """One step: gradients of the loss, clipped, and the optimizer's update.

    ``check`` is told the gradient's norm and the step before the weights change, and may refuse;
    to know the norm, the CPU waits for the GPU. ``way`` encloses the loss and its gradients, which
    are whole when it ends.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: Any,
        fabric: Fabric,
        clip: float,
        way: Way = plainly,
        check: Callable[[Tensor, int], None] | None = None,
    ) -> None:
        self.objective, self.optimizer, self.way = objective, optimizer, way
        self.fabric, self.clip, self.check = fabric, clip, check

    def __call__(self, batch: Batch, step: int, rates: Sequence) -> dict[str, Tensor]:
        """Make the step at the groups' ``rates``, numbers or tensors of one; returns the terms."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with self.way(batch):
            terms = self.objective(batch, step)
            self.fabric.backward(terms["loss"])
        norm = self.fabric.clip_gradients(
            self.objective, self.optimizer, max_norm=self.clip, error_if_nonfinite=False
        )
        if self.check is not None and norm is not None:
            self.check(norm, step)
        self.optimizer.step()
        return {name: value.detach() for name, value in terms.items()}


class Captured:
    """Steps captured as CUDA graphs, since small networks wait for launches most of the time.

    The first step of each kind runs as it is, which makes what the optimizer remembers.
    """

    def __init__(self, update: Update, kinds: int, groups: int) -> None:
        self.update, self.kinds = update, kinds
        self.batch: Batch = {}
        self.rates = [torch.zeros((), device=update.fabric.device) for _ in range(groups)]
        self.ran: set[int] = set()
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]] = {}
        self.aside, self.pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def __call__(self, batch: Batch, step: int, rates: list[float]) -> dict[str, Tensor]:
        """Make the step; the next one of its kind overwrites the terms that are returned."""
        kind = step % self.kinds
        if not self.batch:
            self.batch = {name: torch.empty_like(value) for name, value in batch.items()}
        for name, value in batch.items():
            self.batch[name].copy_(value)
        for now, rate in zip(self.rates, rates, strict=True):
            now.fill_(rate)
        if kind not in self.ran:
            self.ran.add(kind)
            self.aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.aside):
                terms = self.update(self.batch, step, self.rates)
            torch.cuda.current_stream().wait_stream(self.aside)
            return terms
        if kind not in self.graphs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                terms = self.update(self.batch, step, self.rates)
            self.graphs[kind] = graph, terms
        graph, terms = self.graphs[kind]
        graph.replay()
        return terms
