"""The network that a recipe trains, and what it starts from."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import load
from ..models import PRESETS, S2SVR, PWCLite, S2SVRConfig
from .recipes import ExposureRecipe, QualityRecipe, RestorationRecipe


def build(
    recipe: RestorationRecipe | ExposureRecipe | QualityRecipe,
    flow: Path | str | None,
    init: Path | str | None,
) -> S2SVR:
    """The recipe's network, started from the weights given."""
    config = PRESETS[recipe.model.preset]
    assert isinstance(config, S2SVRConfig)
    if recipe.model.channels:
        config = replace(config, channels=recipe.model.channels)
    if not recipe.model.motion:
        config = replace(config, flow=None)
    torch.manual_seed(recipe.optim.seed)
    model = S2SVR(config)
    if init is not None:
        start_from(model, load(init))
    if flow is not None and model.flow is not None:
        student = load(flow)
        if not isinstance(student, PWCLite) or student.config != config.flow:
            raise ValueError(f"expected a flow network as {config.flow}, {flow} holds another")
        model.flow.load_state_dict(student.state_dict())
    return model


def freeze_mixer(model: S2SVR, whole: bool) -> None:
    """Leave the mixer's weights as they are: all, or those that trainings of their own make."""
    if model.mixer is not None:
        model.mixer.requires_grad_(not whole)
        for part in (model.mixer.exposure, model.mixer.quality):
            if part is not None:
                part.requires_grad_(False)


def start_from(model: S2SVR, other: nn.Module) -> None:
    """Take over the weights of another task's network.

    An input layer of another size stays as it is, as do a flow network and a mixer that the other
    has not; a network without motion leaves the other's flow behind.
    """
    given, own = other.state_dict(), model.state_dict()
    if model.flow is None:
        given = {name: value for name, value in given.items() if not name.startswith("flow.")}
    parts = ("flow.", "mixer.")
    given |= {name: own[name] for name in own.keys() - given.keys() if name.startswith(parts)}
    for name in ("encoder.first.weight", "encoder.first.bias"):
        if name in given and given[name].shape != own[name].shape:
            given[name] = own[name]
    for name in given.keys() | own.keys():
        a, b = (list(part[name].shape) if name in part else None for part in (own, given))
        if a != b:
            raise ValueError(
                f"expected to start from {name} of {a}, got {b}: weights of another size"
            )
    model.load_state_dict(given)
