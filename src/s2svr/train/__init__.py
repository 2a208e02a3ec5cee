"""Recipes, and the trainings of flow networks, restoration networks and their parts.

They need the extra ``train``; without it, importing this room raises ModuleNotFoundError.
"""

try:
    import lightning_fabric  # noqa: F401
    import tensorboard  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "trainings need lightning-fabric and tensorboard: pip install 's2svr[train]' brings them"
    ) from error

from .exposure import train_exposure
from .flow import train_flow
from .further import flow_losses, learn_flow_further, learn_further
from .launch import Run
from .quality import train_quality
from .recipes import (
    ExposureRecipe,
    FlowLoss,
    FlowRecipe,
    Model,
    Optim,
    QualityRecipe,
    RestorationLoss,
    RestorationRecipe,
    load_recipe,
)
from .restoration import train_restoration
from .supervised import train_supervised

__all__ = [
    "ExposureRecipe",
    "FlowLoss",
    "FlowRecipe",
    "Model",
    "Optim",
    "QualityRecipe",
    "RestorationLoss",
    "RestorationRecipe",
    "Run",
    "flow_losses",
    "learn_flow_further",
    "learn_further",
    "load_recipe",
    "train_exposure",
    "train_flow",
    "train_quality",
    "train_restoration",
    "train_supervised",
]
