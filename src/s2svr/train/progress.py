"""What a training keeps to go on from where it was stopped."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.precision import Precision
from torch import nn

from ..files import whole
from .recipes import Recipe

CHECKPOINT = "last.ckpt"
# Sections and entries that a run keeps from its first step on; others may be changed on the way.
FIXED = ("kind", "model", "data", "loss", "optim.kind", "optim.seed")


class Progress:
    """All of a training that changes with its steps, and the recipe that it follows.

    ``recipe`` is compared where both are known: None for trainings without one.
    """

    def __init__(
        self,
        model: nn.Module,
        averaged: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        recipe: Recipe | None,
    ) -> None:
        self.parts: dict[str, Any] = {
            "model": model, "averaged": averaged, "optimizer": optimizer, "precision": precision
        }  # fmt: skip
        self.optimizer = optimizer
        self.fixed = fixed_entries(recipe) if recipe else {}

    def save(self, path: Path, step: int) -> None:
        """Write everything that a resumed run needs."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with whole(path) as place:
            torch.save({**state, "step": step, "recipe": self.fixed}, place)

    def load(self, path: Path, device: torch.device) -> int:
        """Load what ``save`` wrote, if it is there; returns the step to go on from.

        Raises ValueError where the run was begun with another recipe.
        """
        if not path.exists():
            return 0
        kept = torch.load(path, map_location=device, weights_only=True)
        begun = kept.get("recipe", {})
        for entry in sorted(begun.keys() & self.fixed.keys()):
            if begun[entry] != self.fixed[entry]:
                raise ValueError(
                    f"expected {entry} = {begun[entry]!r}, which the run in {path.parent} was "
                    f"begun with, got {self.fixed[entry]!r}; give its recipe again, or another "
                    "folder by --out"
                )
        for name, part in self.parts.items():
            if kept.get(name):  # nothing of a precision that scales no gradients
                part.load_state_dict(kept[name])
        for group in self.optimizer.param_groups:  # where it goes on decides, not where it was
            if "capturable" in group:
                group["capturable"] = self.optimizer.defaults["capturable"]
        return int(kept["step"])


def fixed_entries(recipe: Recipe) -> dict[str, Any]:
    """The entries of a recipe below FIXED, by their dotted names."""
    entries = flat(recipe.model_dump(mode="json"))
    return {
        name: value for name, value in entries.items()
        if any(name == fixed or name.startswith(f"{fixed}.") for fixed in FIXED)
    }  # fmt: skip


def flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """A table of tables as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= (
            flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
        )
    return found
