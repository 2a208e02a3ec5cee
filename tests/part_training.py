"""Trainings that change one part of a bundled network, by the command line."""

from pathlib import Path

import torch
from typer.testing import CliRunner

from s2svr.checkpoint import load, read_card
from s2svr.cli.app import app
from s2svr.train.recipes import load_recipe


def weights_moved(recipe: Path, init: str, folder: Path, *changes: str) -> set[str]:
    """Five steps of a recipe on ``folder / "clips"`` -> names of the weights that they moved."""
    kind, run = load_recipe(recipe), folder / "run"
    words = ["train", kind.kind, str(recipe), "--data", str(folder / "clips"), "--out", str(run)]
    for change in ("optim.steps=5", *changes):
        words += ["--set", change]
    result = CliRunner().invoke(app, [*words, "--init", init])
    assert result.exit_code == 0, result.output
    path = run / "model.safetensors"
    before, after = load(init).state_dict(), load(path).state_dict()
    card = read_card(path)
    assert (card.task, card.recipe, card.step) == (kind.task, recipe.name, 5)
    return {name for name in after if not torch.equal(after[name], before[name])}
