from pathlib import Path

import pytest

from s2svr.damage.table import degradation
from s2svr.data import DATASETS
from s2svr.models import PRESETS
from s2svr.train.flow import flow_network
from s2svr.train.network import build
from s2svr.train.recipes import AdamW, RecipeError, RestorationRecipe, load_recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_published_recipes_name_what_exists(path: Path):
    recipe = load_recipe(path)
    assert recipe.model.preset in PRESETS
    degradation(recipe.data.degradation)
    assert recipe.data.dataset in DATASETS
    if not isinstance(recipe.optim, AdamW):
        assert recipe.optim.decay <= recipe.optim.steps


def test_overrides_reach_their_entry_with_their_type():
    overrides = ["optim.steps=7", "data.context=[96, 128]", "model.motion=false", "task=deblur"]
    recipe = load_recipe(RECIPES[-1].parent / "sr-light.toml", overrides)
    assert isinstance(recipe, RestorationRecipe)
    assert (recipe.optim.steps, recipe.data.context) == (7, (96, 128))
    assert (recipe.model.motion, recipe.task) == (False, "deblur")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.stepz=7", "optim.stepz is not an entry; the valid ones are steps, rate"),
        ("extra=1", "extra is not an entry; the valid ones are kind"),
        ("optim.steps=0", "optim.steps: .*greater than or equal to 1, got 0"),
        ("optim.rate=fast", "optim.rate: .*number.*got 'fast'"),
        (
            "kind=verse",
            r"expected kind = one of \['flow', 'restoration', 'exposure', 'quality'\].*got 'verse'",
        ),
        ("optim.steps", "section.key=value, got 'optim.steps'"),
    ],
)
def test_wrong_entries_are_named(override: str, message: str):
    with pytest.raises(RecipeError, match=message):
        load_recipe(RECIPES[-1].parent / "sr-light.toml", [override])


def test_a_preset_of_another_kind_is_named():
    with pytest.raises(ValueError, match="to be sr-light, .*compression-base, .*got 'sr-ligth'"):
        build(
            load_recipe(RECIPES[-1].parent / "sr-light.toml", ["model.preset=sr-ligth"]), None, None
        )
    flow = load_recipe(RECIPES[-1].parent / "flow-light-teacher.toml", ["model.preset=sr-light"])
    with pytest.raises(ValueError, match="to be flow-light, flow-paper, got 'sr-light'"):
        flow_network(flow, None)


def test_a_missing_recipe_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match="expected a TOML recipe in .*none.toml"):
        load_recipe(tmp_path / "none.toml")
