"""The training loop of whole networks, which differ in their loss alone."""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter

from ..checkpoint import Card
from ..checkpoint import save as save_weights
from ..fused import few_kernels
from ..models import S2SVR
from ..text import Say
from .launch import Run
from .muon import Muon
from .progress import CHECKPOINT, Progress
from .recipes import Optim, Recipe
from .step import Batch, Captured, Update, Way, plainly

Loss = Callable[[nn.Module, Batch, int], dict[str, Tensor]]
Batches = Callable[[Fabric, int], Iterator[Batch]]


class Objective(nn.Module):
    """A model and its loss as one module, so that processes share gradients whatever it calls.

    loss(model, batch, step) returns named terms, of which "loss" is minimised.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return self.loss(self.model, batch, step)


class Endless(Sampler[int]):
    """Indices of this process's samples from step ``first`` on; the batch is split over all."""

    def __init__(self, batch: int, first: int, rank: int, processes: int) -> None:
        if batch % processes:
            raise ValueError(
                f"expected data.batch to divide by the {processes} processes, got {batch}"
            )
        self.batch, self.first, self.rank, self.processes = batch, first, rank, processes

    def __iter__(self) -> Iterator[int]:
        index = self.first * self.batch + self.rank
        while True:
            yield index
            index += self.processes


def batches(dataset: Dataset, batch: int, workers: int) -> Batches:
    """A function of the loop's Fabric and first step that yields this process's batches."""

    def start(fabric: Fabric, first: int) -> Iterator[Batch]:
        sampler = Endless(batch, first, fabric.global_rank, fabric.world_size)
        loader = DataLoader(
            dataset, batch // fabric.world_size, sampler=sampler, num_workers=workers
        )
        on_device = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
        assert not isinstance(on_device, list)
        return iter(on_device)

    return start


def fit(
    objective: Objective,
    batches: Batches,
    optim: Optim,
    run: Run,
    *,
    fabric: Fabric,
    groups: list[dict] | None = None,
    kinds: int = 0,
    validate: Callable[[nn.Module, SummaryWriter, int], dict[str, float]] | None = None,
    card: Card | None = None,
    recipe: Recipe | None = None,
    going: Callable[[int], bool] = lambda step: True,
) -> None:
    """Train a model until step ``optim.steps``, going on from ``last.ckpt`` in the run's folder.

    groups are the optimizer's (all parameters at ``optim.rate`` without). With ``kinds`` above 0 a
    step is captured and replayed as a CUDA graph, one for each kind: step i is of kind i % kinds,
    and its batches are all of one shape. validate gets the averaged weights, in the first process
    only; with ``card`` they are written at each checkpoint, with step and last scores on it.
    ``going`` is told how many steps are done, and ends the training where it says no. A resumed run
    equals an unbroken one: batches and rates depend on the step alone. ValueError for a checkpoint
    that another ``recipe`` began, FloatingPointError before a loss that is not finite reaches it.
    """
    model, checkpoint = objective.model, run.out / CHECKPOINT
    place(model, fabric.device, optim, bool(kinds))
    optimizer = optimizer_of(optim, groups or [{"params": list(model.parameters())}], bool(kinds))
    peaks = [group["lr"] for group in optimizer.param_groups]
    averaged = deepcopy(model).requires_grad_(False)
    progress = Progress(model, averaged, optimizer, fabric.strategy.precision, recipe)
    step = progress.load(checkpoint, fabric.device)
    wrapped, optimizer = fabric.setup(objective, optimizer)
    check = None if kinds else check_of(optim, checkpoint)
    update = Update(wrapped, optimizer, fabric, optim.clip, way_of(model, optim), check)
    advance = Captured(update, kinds, len(peaks)) if kinds else update
    stream = batches(fabric, step)
    log = SummaryWriter(str(run.out), purge_step=step) if fabric.is_global_zero else None
    clock, scores = Clock(optim, step), dict[str, float]()
    last = step >= optim.steps
    if last and log:
        tell_finished(run, averaged, card, step)
    while not last:
        terms = advance(next(stream), step, [peak * rate_share(step, optim) for peak in peaks])
        step += 1
        average(averaged, model, min(optim.average, step / (step + 9)))
        last = step == optim.steps or not going(step)
        if step % optim.log_every == 0 or last:
            values = {name: mean_of_all(fabric, value) for name, value in terms.items()}
            if log:
                report_step(log, run.say, clock, step, values)
        if log and validate and (step % optim.validate_every == 0 or last):
            scores = validate(averaged.eval(), log, step)
            run.say(f"step {step}: " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        if log and (clock.due() or last):
            check_finite(terms["loss"], step - 1, checkpoint)
            progress.save(checkpoint, step)
            write_weights(run, averaged, card, step, scores)
    if log:
        log.close()
    fabric.barrier()


def check_of(optim: Optim, checkpoint: Path) -> Callable[[Tensor, int], None] | None:
    """What looks at each gradient; nothing where gradients are scaled.

    Then a step that is not finite is left out, which is usual.
    """
    return None if optim.precision == "16-mixed" else partial(check_finite, checkpoint=checkpoint)


def tell_finished(run: Run, averaged: nn.Module, card: Card | None, step: int) -> None:
    """Say that a run was finished before, and write its weights if they are gone."""
    run.say(f"step {step}: the run in {run.out} was finished before")
    if not run.weights.exists():
        write_weights(run, averaged, card, step, {})


def write_weights(
    run: Run, averaged: nn.Module, card: Card | None, step: int, scores: dict[str, float]
) -> None:
    """Write the averaged weights, with step and scores on their card; none without a card."""
    if card is None:
        return
    about = replace(card, step=step, psnr=scores.get("psnr"), gain_db=scores.get("gain"))
    save_weights(run.weights, averaged.eval(), about)


def check_finite(value: Tensor, step: int, checkpoint: Path) -> None:
    """Raise FloatingPointError if a step's loss, or the norm of its gradient, is not finite."""
    if not value.isfinite():
        raise FloatingPointError(
            f"the loss or its gradient is not finite at step {step + 1}; {checkpoint} holds the "
            "weights of a step before: lower optim.rate or optim.clip, and give the command again"
        )


def place(model: nn.Module, device: torch.device, optim: Optim, captured: bool) -> None:
    """Move the model to its device, with the memory order that its steps are fast with."""
    model.to(device)
    if captured or optim.precision != "32-true":  # as units for half-precision matrices read
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if captured:  # shapes never change
        torch.backends.cudnn.benchmark = True


def way_of(model: nn.Module, optim: Optim) -> Way:
    """How the recipe has steps made: plainly, or by few kernels."""
    if not optim.fused:
        return plainly
    assert isinstance(model, S2SVR)  # other recipes refuse it
    half = optim.precision == "bf16-mixed"
    dtype = torch.bfloat16 if half else next(model.parameters()).dtype
    return lambda batch: few_kernels(model, batch["lq"].shape[1], dtype)


def capturable(fabric: Fabric, optim: Optim) -> bool:
    """True if steps can be CUDA graphs: one process on a GPU, that scales no gradients."""
    alone = fabric.device.type == "cuda" and fabric.world_size == 1
    return alone and optim.precision != "16-mixed"


def optimizer_of(optim: Optim, groups: list[dict], captured: bool) -> torch.optim.Optimizer:
    """The recipe's optimizer of these groups."""
    if optim.kind == "muon":
        return Muon(groups, optim.rate, optim.betas)
    return torch.optim.Adam(
        groups, optim.rate, optim.betas, weight_decay=optim.weight_decay, capturable=captured
    )


def mean_of_all(fabric: Fabric, value: Tensor) -> float:
    """A number's mean over the processes."""
    mean = fabric.all_reduce(value.detach())
    assert isinstance(mean, Tensor)
    return mean.item()


def rate_share(step: int, optim: Optim) -> float:
    """Share of the peak rate at ``step``: linear warm-up, constant, cosine fall to the floor."""
    if step < optim.warmup:
        return (step + 1) / optim.warmup
    left = optim.steps - step
    if left >= optim.decay:
        return 1.0
    fall = 0.5 * (1 - math.cos(math.pi * left / optim.decay))
    return optim.floor + (1 - optim.floor) * fall


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    """Exponential average of the weights, in place."""
    torch._foreach_lerp_([*averaged.parameters()], [*model.parameters()], 1 - keep)


class Clock:
    """Time since the run began, and since its last checkpoint."""

    def __init__(self, optim: Optim, step: int) -> None:
        self.optim, self.first = optim, step
        self.start = self.saved = time.monotonic()

    def due(self) -> bool:
        """True once every ``checkpoint_minutes``."""
        if time.monotonic() - self.saved < 60 * self.optim.checkpoint_minutes:
            return False
        self.saved = time.monotonic()
        return True

    def speed(self, step: int) -> float:
        """Steps a second since this run began."""
        return (step - self.first) / max(time.monotonic() - self.start, 1e-9)


def report_step(
    log: SummaryWriter, say: Say, clock: Clock, step: int, values: dict[str, float]
) -> None:
    """Say one line about a step, and log a TensorBoard point for each of its terms."""
    for name, value in values.items():
        log.add_scalar(f"train/{name}", value, step)
    speed = clock.speed(step)
    left = (clock.optim.steps - step) / speed
    terms = ", ".join(f"{name} {value:.5f}" for name, value in values.items())
    say(f"step {step}/{clock.optim.steps}: {terms}, {speed:.2f} steps/s, {left / 60:.0f} min left")
