"""Further training of networks on clips that are ready, held near the weights that they have."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import Card
from ..data import Stored
from ..models import S2SVR, PWCLite
from .clip_flow import ClipFlows, FlowCrops, clip_flows
from .fit import Loss, Objective, batches, fit
from .flow import FlowPairs, student_loss
from .launch import Run, start_processes
from .network import freeze_mixer
from .recipes import FlowRecipe, RestorationRecipe
from .restoration import groups, restoration_loss
from .step import Batch

Going = Callable[[int], bool]  # told the steps that are done: whether another one may follow


def learn_flow_further(
    net: PWCLite, teacher: PWCLite, clips: list[Stored], recipe: FlowRecipe, run: Run, going: Going
) -> Path:
    """Let a student learn on (Eq. 17), on clips and their high quality; returns the weights' path.

    The recipe's data and numbers are taken, not its network's name. Goes on where ``run`` was.
    """
    fabric = start_processes(recipe.optim, run)
    net.requires_grad_(True).train()
    fit(
        Objective(net, student_loss(teacher.to(fabric.device), recipe.loss)),
        batches(FlowPairs(clips, recipe), recipe.data.batch, 0),
        recipe.optim,
        run,
        fabric=fabric,
        recipe=recipe,
        card=Card(task="flow", recipe=run.name),
        going=going,
    )
    return run.weights


@torch.no_grad()
def flow_losses(
    nets: list[PWCLite], teacher: PWCLite, clips: list[Stored], recipe: FlowRecipe
) -> Iterator[list[float]]:
    """Yield the student's loss (Eq. 17) of each network on one pair of frames after another."""
    loss, pairs = student_loss(teacher, recipe.loss), FlowPairs(clips, recipe)
    for index in count():
        device = next(teacher.parameters()).device
        batch = {name: value[None].to(device) for name, value in pairs[index].items()}
        yield [float(loss(net.to(device), batch, 0)["loss"]) for net in nets]


def learn_further(
    model: S2SVR,
    clips: list[Stored],
    recipe: RestorationRecipe,
    run: Run,
    going: Going,
    *,
    hold: float,
    card: Card,
    tell: Callable[[], None] = lambda: None,
) -> Path:
    """Let a restoration network learn on, on pairs of clips; returns the weights' path.

    Its flow network and the parts that have trainings of their own stay as they are. ``hold``
    weighs the squared distance to the first weights, relative to their size. The recipe's data and
    numbers are taken, not its network's name. Goes on where ``run`` was. ``tell`` is called before
    the flow of each clip is estimated.
    """
    fabric = start_processes(recipe.optim, run)
    model.to(fabric.device).train()
    freeze_mixer(model, recipe.optim.keep_mixer)
    parts = groups(model, recipe)
    flows: ClipFlows = {}
    for clip in clips if model.flow is not None else []:
        tell()
        flows |= clip_flows([clip], model, recipe.data.skip, run.clips)
    down = model.config.flow_down
    crops = FlowCrops(clips, flows, recipe.data, seed=recipe.optim.seed, down=down)
    loss = held_near(model, restoration_loss(recipe.loss, recipe.optim.flow_from), hold)
    fit(
        Objective(model, loss),
        batches(crops, recipe.data.batch, 0),
        recipe.optim,
        run,
        fabric=fabric,
        recipe=recipe,
        groups=parts,
        card=card,
        going=going,
    )
    return run.weights


def held_near(first: nn.Module, loss: Loss, weight: float) -> Loss:
    """A loss and ``weight`` times the squared distance of the weights from those of ``first``.

    The distance is relative: 1 where the weights have moved as far as they are from zero. Weights
    that are not trained do not count.
    """
    start = [value.detach().clone() for value in first.parameters() if value.requires_grad]
    size = sum(value.square().sum() for value in start)

    def both(model: nn.Module, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        terms = loss(model, batch, step)
        now = [value for value in model.parameters() if value.requires_grad]
        pairs = zip(now, start, strict=True)
        distance = torch.stack([(a - b).square().sum() for a, b in pairs]).sum() / size
        return {**terms, "loss": terms["loss"] + weight * distance, "distance": distance}

    return both
