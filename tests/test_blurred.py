"""The share of a change, told by blur along the motion, models/blurred.py; how it is learned."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from part_training import weights_moved
from s2svr.data import MOVING, Stored
from s2svr.models import blurred as telling
from s2svr.models.along import PLACES
from s2svr.models.blurred import COUNT, FAINT, RARE, SPEEDS, Blurred, contrasts
from s2svr.models.config import S2SVRConfig
from s2svr.models.s2svr import S2SVR
from s2svr.render.files import write_movie
from s2svr.train import exposure as training
from s2svr.train.recipes import RecipeError, load_recipe
from test_models import TINY, lively

RECIPES = Path(__file__).parent.parent / "recipes"
RECIPE = RECIPES / "deblur-light-share.toml"
BINS = len(SPEEDS) - 1
FLAT = replace(TINY, scale=1, neighbours=1, exposure=4, along=True, confidence=True)


def texture(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0))


def straight(right: float, down: float, height: int = 32, width: int = 48) -> torch.Tensor:
    """The same flow everywhere, on a grid half as large as a frame of 64x96."""
    return torch.tensor([right, down]).view(1, 2, 1, 1).expand(1, 2, height, width)


def blurred_sideways(x: torch.Tensor, length: int) -> torch.Tensor:
    """Means of so many pixels beside each other."""
    return torch.stack([x.roll(shift, -1) for shift in range(length)]).mean(0)


def ratios(found: torch.Tensor) -> torch.Tensor:
    """Logarithms of contrast along the motion over that across it, (B, 2 PLACES)."""
    return found[:, BINS : BINS + 2 * len(PLACES)]


def test_contrasts_are_those_of_pictures_sampled_on_both_sides():
    x = texture(1, 3, 64, 96)
    grey = x[0].mean(0).double().numpy()
    found = contrasts(x, straight(-1.0, 0.5), straight(1.5, -1.0), 2)[0].double().numpy()
    ways = np.array([(-2.0, 1.0), (3.0, -2.0)])  # in pixels, to the frames before and after
    fast = np.linalg.norm(ways[0] - ways[1]) / 2
    shares = [float(low < fast <= high) for low, high in zip(SPEEDS, SPEEDS[1:], strict=False)]
    assert sum(shares) == 1
    np.testing.assert_allclose(found[:BINS], np.log10(np.add(shares, RARE)) / 2 + 1, atol=1e-5)
    rows, columns = np.indices(grey.shape).astype(np.float64)

    def means(place: float, turned: bool) -> np.ndarray:
        around = []
        for right, down in ways:
            a, b = (-down, right) if turned else (right, down)
            at = [rows + place * b, columns + place * a]
            around.append(map_coordinates(grey, at, order=1, mode="nearest"))
        apart = (around[0] + around[1] - 2 * grey)[::2, ::2]  # of a pixel a cell
        measured = np.array([np.square(apart).mean(), np.abs(apart).mean()])
        return np.log10(measured + (1 + RARE) * np.array(FAINT))

    along = np.concatenate([means(place, False) for place in PLACES])
    across = np.concatenate([means(place, True) for place in PLACES])
    np.testing.assert_allclose(found[BINS:], [*along - across, *across / 2 + 2], atol=1e-4)


def test_blur_along_the_motion_shows_and_softness_does_not():
    sharp = texture(1, 3, 64, 96)
    smeared = blurred_sideways(sharp, 5)
    soft = blurred_sideways(smeared.transpose(-1, -2), 5).transpose(-1, -2)
    sideways, down = straight(2.0, 0.0), straight(0.0, 2.0)
    first = 0  # the smallest of the places, mean squares
    assert abs(ratios(contrasts(sharp, -sideways, sideways, 2))[0, first]) < 0.1
    assert ratios(contrasts(smeared, -sideways, sideways, 2))[0, first] < -0.5
    assert ratios(contrasts(smeared, -down, down, 2))[0, first] > 0.5
    assert abs(ratios(contrasts(soft, -sideways, sideways, 2))[0, first]) < 0.1


def test_frames_at_the_ends_of_a_clip_and_frames_at_rest():
    x, o = texture(1, 3, 64, 96), straight(1.0, -0.5)
    whole = contrasts(x, -o, o, 2)
    assert torch.equal(contrasts(x, None, o, 2), whole)
    assert torch.equal(contrasts(x, -o, None, 2), whole)
    still = contrasts(x, None, None, 2)
    assert still.shape == (1, COUNT)
    assert torch.equal(contrasts(x, 0 * o, 0 * o, 2), still)
    assert not ratios(still).any()
    assert torch.isfinite(still).all()
    far = contrasts(x, straight(-20.0, 0.0), straight(20.0, 0.0), 2)  # faster than SPEEDS
    assert torch.equal(far, still)


def test_a_fresh_share_and_one_in_training_is_all():
    part, x, o = Blurred(2), texture(1, 3, 64, 96), straight(1.0, -0.5)
    shares = torch.zeros(1, 2, 1, 1)
    with torch.no_grad():
        part.start()
        assert torch.equal(part.eval()(x, -o, o, shares, 2), torch.ones(1, 1, 1, 1))
        part.tell[-1].bias.zero_()
        assert torch.equal(part(x, -o, o, shares, 2), torch.full((1, 1, 1, 1), 0.5))
        assert torch.equal(part.train()(x, -o, o, shares, 2), torch.ones(1, 1, 1, 1))


def test_the_share_of_the_change_is_made():
    net, x = lively(FLAT), texture(1, 4, 3, 24, 32)
    tell = net.mixer.blurred.tell
    with torch.no_grad():
        tell[-1].weight.zero_()
        outputs = []
        for bias in (telling.ALL, 0.0, -2 * telling.ALL):
            tell[-1].bias.fill_(bias)
            outputs.append(net(x)[0])
    whole, half, none = outputs
    torch.testing.assert_close(none, x, rtol=0, atol=1e-6)
    assert (whole - x).abs().max() > 0.01
    first = (slice(None), 0)  # later frames see what was made of it
    torch.testing.assert_close(half[first], (whole + x)[first] / 2, rtol=0, atol=1e-6)


def test_confidence_needs_something_that_tells_it():
    with pytest.raises(ValueError, match="confidence with quality, or with along and exposure"):
        S2SVRConfig(scale=1, neighbours=1, exposure=4, confidence=True)
    assert S2SVR(FLAT).mixer.blurred is not None
    assert S2SVR(replace(FLAT, confidence=False)).mixer.blurred is None


def of_blurred_and_sharp(count: int) -> tuple[training.Restored, torch.Tensor]:
    """Frames of which every other one is blurred: a change mends these, and harms the others."""
    generator = torch.Generator().manual_seed(1)
    found = torch.randn(count, COUNT + 2, generator=generator)
    is_blurred = found[:, BINS] < 0
    good = torch.tensor([4e-3, 3e-3, 3e-3])  # an error of which the change takes 3/4
    harm = torch.tensor([0.0, 0.0, 1e-3])
    floor = torch.where(is_blurred, training.CHANGED, training.SHARP_CHANGED)
    return training.Restored(found, torch.where(is_blurred[:, None], good, harm), floor), is_blurred


def test_a_share_is_learned_where_changes_help():
    seen, is_blurred = of_blurred_and_sharp(400)
    torch.manual_seed(0)
    part, said = Blurred(2), []
    part.start()
    optim = load_recipe(RECIPE, ["optim.steps=500", "optim.rate=3e-3"]).optim
    training.learn_share(part, seen, optim, said.append)
    with torch.no_grad():
        made = part.made(seen.found)[:, 0]
    assert made[is_blurred].mean() > 0.8
    assert made[~is_blurred].mean() < 0.1
    assert said[-1].startswith("step 500/500: gain ")


def stored(source: str, key: str) -> Stored:
    rng = np.random.default_rng(len(key))
    lq, hq = rng.integers(0, 256, (2, 20, 3, 200, 280), dtype=np.uint8)
    return Stored(lq=lq, hq=hq, source=source, key=key)


def test_crops_are_of_both_kinds_of_clips_each_damaged_and_sharp(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "CODED", 0.0)
    clips = [stored("a", "real"), stored(MOVING, "rendered")]
    crops = list(training.restored_crops(clips, 20, 0))
    assert len(crops) == 40
    for (lq, hq), (sharp, same) in zip(crops[::2], crops[1::2], strict=True):
        assert sharp is same
        assert torch.equal(sharp, hq)
        assert not torch.equal(lq, hq)
        assert lq.shape[1:] == (3, training.HEIGHT, training.WIDTH)
    lengths = {len(lq) for lq, _ in crops}
    assert max(lengths) == training.FRAMES
    assert min(lengths) < training.FRAMES


def test_what_is_seen_of_restored_crops(monkeypatch: pytest.MonkeyPatch):
    net = lively(FLAT)
    net.mixer.start_share()
    lq, hq = texture(2, 4, 3, 24, 32)
    said: list[str] = []
    monkeypatch.setattr(training, "SAID", 2)
    seen = training.examined_crops(iter([(lq, hq), (hq, hq)]), net, said.append)
    assert said == ["2 crops restored"]
    with torch.no_grad():
        out = net(lq[None])[0][0].clamp(0, 1)
        flows = net.flows(list(lq[:, None]), 4)
    left = (lq + 0.3 * (out - lq) - hq).square().mean((1, 2, 3))
    torch.testing.assert_close(
        training.squared_error(torch.full((4,), 0.3), seen.products[:4]), left, atol=1e-6, rtol=0
    )
    known = contrasts(lq[1:2], flows.before[0][1], flows.after[0][1], 1)
    torch.testing.assert_close(seen.found[1:2, :COUNT], known)
    assert torch.equal(seen.found[1, COUNT:], flows.told[1][0, :-1, 0, 0])
    floors = [training.CHANGED] * 4 + [training.SHARP_CHANGED] * 4
    assert torch.equal(seen.floor, torch.tensor(floors))
    assert not seen.products[4:, :2].any()


def test_a_share_is_trained_and_the_rest_left_as_it_was(tmp_path: Path):
    (tmp_path / "clips").mkdir()
    scene = texture(1, 3, 80, 96)[0]
    write_movie(
        tmp_path / "clips" / "a.mp4", [scene.roll(3 * t, -1) for t in range(14)], Fraction(25)
    )
    settings = ["data.moving=1", "data.context=[64, 64]", "data.copies=1", "restored=2"]
    moved = weights_moved(RECIPE, "deblur-light", tmp_path, *settings)
    parts = ("mean", "spread", "tell.0.weight", "tell.4.bias")
    assert {f"mixer.blurred.{part}" for part in parts} <= moved
    assert all(name.startswith("mixer.blurred.") for name in moved)


def test_a_recipe_that_trains_nothing_is_refused():
    with pytest.raises(RecipeError, match="estimate=true, or restored above 0"):
        load_recipe(RECIPE, ["restored=0"])
