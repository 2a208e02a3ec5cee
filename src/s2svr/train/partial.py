"""Training of a small part of a network, whose other weights stay as they are."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import Card, save
from ..models import S2SVR
from .launch import Run
from .recipes import AdamW, ExposureRecipe, QualityRecipe

NOISE = 0.1  # added to statistics of unit variance, so that few clips tell more
DROPPED = 0.4  # of the first layer's channels, for the same


def learn_part(
    part: nn.Module,
    loss: Callable[[], Tensor],
    optim: AdamW,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Minimise what ``loss`` returns, over samples that it draws anew at each step.

    ``report`` gets step and loss every ``optim.log_every`` steps, and of the last one.
    """
    part.requires_grad_(True)
    optimizer = torch.optim.AdamW(part.parameters(), optim.rate, weight_decay=optim.weight_decay)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, optim.steps)
    for step in range(1, optim.steps + 1):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(part.parameters(), optim.clip)
        optimizer.step()
        rate.step()
        if step % optim.log_every == 0 or step == optim.steps:
            report(step, value.item())


def learn_from_statistics(
    part: nn.Module,
    first: Callable[[Tensor], Tensor],
    rest: Iterable[nn.Module],
    seen: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    optim: AdamW,
) -> None:
    """Train a part that tells a number of frames, of which it sees so much (N, .), with noise.

    Its first layer, and the rest. ``loss`` of what they tell (B,) of some frames, and the places of
    those (B,).
    """
    slope, *others = rest
    nn.init.normal_(others[-1].weight, std=0.1)  # type: ignore[arg-type]
    noisy = nn.Sequential(slope, nn.Dropout(DROPPED), *others)

    def of_some() -> Tensor:
        chosen = torch.randint(len(seen), (optim.batch,))
        some = seen[chosen]
        return loss(noisy(first(some + NOISE * torch.randn_like(some)))[:, 0], chosen)

    learn_part(part, of_some, optim)


def change_moments(before: Tensor, right: Tensor, after: Tensor) -> Tensor:
    """How a change to frames (N, C, H, W) lies to what is right, (N, 3).

    Means over a frame of the squared error before, of that error times the change, and of the
    squared change.
    """
    error, change = right - before, after - before
    products = (error * error, error * change, change * change)
    return torch.stack([product.mean((1, 2, 3)) for product in products], 1)


def squared_error(share: Tensor, products: Tensor) -> Tensor:
    """Mean squared error (N,) where a share (N,) is made of changes with ``change_moments``."""
    before, along, size = products.unbind(1)
    return before - 2 * share * along + share.square() * size


def save_trained(
    model: S2SVR, recipe: ExposureRecipe | QualityRecipe, run: Run, clips: int
) -> Path:
    """Write the network with its trained part; returns the weights' path."""
    about = f"{clips} clips, {recipe.data.degradation}"
    card = Card(recipe.task, recipe=run.name, data=about, step=recipe.optim.steps)
    save(run.weights, model, card)
    return run.weights
