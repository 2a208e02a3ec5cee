"""The training of shares by products alone, train/exposure.py."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from part_training import weights_moved
from s2svr.checkpoint import load
from s2svr.damage.blur import blur_clip
from s2svr.data import Stored, to_bytes
from s2svr.models.exposure import Exposure, bands
from s2svr.models.flows import frames_around
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
        for times in (range(len(lq)), range(4, 6)):
            seen = torch.cat(exposure(list(grey[:, None]), times))
            at = slice(times.start, times.stop)
            assert torch.allclose(
                seen, exposure.told(found.products[at], found.sharp[at]), atol=1e-4
            )


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
    settings = ["data.moving=1", "data.context=[96, 96]"]
    moved = weights_moved(RECIPE, "deblur-light", tmp_path, *settings)
    assert "mixer.exposure.tell.0.weight" in moved
    assert {name for name in moved if not name.startswith("mixer.exposure.tell")} == {
        f"mixer.blurred.tell.4.{kind}"
        for kind in ("weight", "bias")  # all is made until learned
    }


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


def test_rendered_clips_too_short_for_a_frame_with_all_neighbours_are_refused(tmp_path: Path):
    recipe = load_recipe(RECIPE, ["data.frames=12"])
    with pytest.raises(ValueError, match="data.frames of at least 13, so that .*all 6.*got 12"):
        training.train_exposure(recipe, Run(tmp_path / "run"), data=tmp_path)
    assert not (tmp_path / "run").exists()


def test_fine_detail_and_that_of_the_frame_at_half_size_are_told_apart():
    fine = (torch.arange(32) % 2).float().expand(1, 24, 32)
    coarse = (torch.arange(32) // 2 % 2).float().expand(1, 24, 32)
    inside = (..., slice(2, -2), slice(2, -2))
    _, details, halves = bands(fine)
    assert torch.equal(details[inside], (fine - 0.5)[inside])  # all of it is the finest detail
    assert halves[inside].abs().max() < 1e-6
    _, details, halves = bands(coarse)
    assert torch.allclose(halves[inside].abs(), torch.tensor(0.25), atol=1e-6)
    whole, details, halves = bands(torch.full((1, 5, 1), 0.3))
    assert (whole.shape, halves.shape) == ((1, 5, 1), (1, 3, 1))
    assert max(details.abs().max(), halves.abs().max()) < 1e-6


def test_crops_are_coded_and_sharp_ones_stay_their_own_truth(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "CODED", 1.0)
    sharp = to_bytes(moving(13, 96)).numpy()
    clip = Stored(lq=sharp, hq=sharp, source="a", key="a")
    found, _ = training.gathered([clip], 3, {"stored": 1, "again": 1, "sharp": 1}, 0)
    still = found.floor == torch.tensor(training.SHARP_FLOOR)
    assert found.error[still].max() == 0
    assert found.error[~still].min() > 1e-6  # what stood still by its damage is coded too
