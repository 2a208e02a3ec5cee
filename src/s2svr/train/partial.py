"""Training of a small part of a network, whose other weights stay as they are."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoint import Card, save
from ..models import S2SVR
from .launch import Run
from .recipes import AdamW, ExposureRecipe, QualityRecipe


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


def save_trained(
    model: S2SVR, recipe: ExposureRecipe | QualityRecipe, run: Run, clips: int
) -> Path:
    """Write the network with its trained part; returns the weights' path."""
    about = f"{clips} clips, {recipe.data.degradation}"
    card = Card(recipe.task, recipe=run.name, data=about, step=recipe.optim.steps)
    save(run.weights, model, card)
    return run.weights
