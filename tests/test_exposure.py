"""The training of shares by products alone, train/exposure.py."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from part_training import weights_moved
from s2svr.checkpoint import load
from s2svr.damage.blur import blur_clip
from s2svr.models.flows import frames_around
from s2svr.models.mixer import Exposure
from s2svr.render.files import write_movie
from s2svr.train import exposure as training
from s2svr.train.launch import Run
from s2svr.train.recipes import load_recipe

RECIPE = Path(__file__).parent.parent / "recipes" / "deblur-light-exposure.toml"


def clip(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(count))


def moving(count: int, side: int) -> torch.Tensor:
    """A texture that moves by three pixels a frame."""
    scene = clip(1, side // 2, side // 2).repeat_interleave(2, -1).repeat_interleave(2, -2)
    return torch.cat([scene.roll(3 * t, -1) for t in range(count)])


def test_the_error_of_shares_is_that_of_the_mixed_frames():
    reach = 3
    torch.manual_seed(0)
    pair = blur_clip(clip(14, 8, 10), 5)
    lq, hq = pair
    found = training.clip_windows(lq, hq, reach)
    exposure, grey = Exposure(reach, 4), lq.mean(1)
    shares = torch.randn(len(lq), 2 * reach)
    left = training.error_left(shares, found)
    for t in range(len(lq)):
        others = frames_around(list(lq[:, None]), t, reach)
        over = torch.cat(others) - lq[t]
        mixed = lq[t] + (shares[t].view(-1, 1, 1, 1) * over).sum(0)
        assert torch.allclose(left[t], (mixed - hq[t]).square().mean(), rtol=1e-4)
        with torch.no_grad():
            seen, known = (
                exposure(grey[t, None], frames_around(list(grey[:, None]), t, reach)),
                exposure.told(found.products[t, None], found.sharp[t, None]),
            )
        assert torch.allclose(seen, known, atol=1e-4)


@pytest.mark.slow
def test_shares_that_undo_a_blur_are_learned():
    recipe = load_recipe(RECIPE, ["optim.steps=300"])
    said: list[str] = []
    torch.manual_seed(0)
    exposure = Exposure(6, 16)
    blurred = blur_clip(moving(40, 48), 5)
    clips = training.clip_windows(*blurred, 6)
    training.learn_exposure(
        exposure, clips, torch.ones(len(clips.error)), recipe.optim, said.append
    )
    with torch.no_grad():
        left = training.error_left(exposure.told(clips.products, clips.sharp)[..., 0, 0], clips)
    assert said[-1].startswith("step 300/300: gain ")
    inside = slice(6, -6)
    assert (left / clips.error)[inside].max() < 0.7


def test_an_exposure_is_trained_and_the_rest_left_as_it_was(tmp_path: Path):
    (tmp_path / "clips").mkdir()
    for name, count in (("a", 24), ("short", 12)):
        write_movie(tmp_path / "clips" / f"{name}.mp4", list(moving(count, 96)), Fraction(25))
    moved = weights_moved(RECIPE, "deblur-light", tmp_path, "data.moving=1")
    assert "mixer.exposure.tell.0.weight" in moved
    assert all(name.startswith("mixer.exposure.tell") for name in moved)


@pytest.mark.parametrize("init", [None, "deblur-light"])
def test_a_fresh_network_gets_no_flow_that_nobody_trained(
    init: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "recipe_clips", lambda data, root: [])
    monkeypatch.setattr(training, "prepare", lambda *given: ([], {}))
    monkeypatch.setattr(training, "gathered", lambda *given: (None, torch.ones(1)))
    monkeypatch.setattr(training, "learn_exposure", lambda *given: None)
    run = Run(tmp_path / "run", "cpu")
    found = load(training.train_exposure(load_recipe(RECIPE), run, data=tmp_path, init=init))
    assert (found.flow is None) == (found.config.flow is None) == (init is None)


def test_a_preset_that_tells_no_exposure_is_refused(tmp_path: Path):
    recipe = load_recipe(RECIPE, ["model.preset=compression-light"])
    with pytest.raises(ValueError, match="expected a preset that tells an exposure, got compr"):
        training.train_exposure(recipe, Run(tmp_path / "run"), data=tmp_path)
    assert not (tmp_path / "run").exists()
