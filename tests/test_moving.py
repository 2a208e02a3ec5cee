import numpy as np
import pytest
import torch

from s2svr.damage import blur_clip
from s2svr.data.clips import ClipPairs, Data, bounced
from s2svr.data.store import MOVING, Stored
from s2svr.metrics import psnr_rgb
from s2svr.ops import quantised
from s2svr.render import film_batch
from s2svr.train import rendered
from s2svr.train.rendered import moving_pair, with_moving


@pytest.fixture
def clips():
    """Two sources of noise pictures, unharmed."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (4, 3, 48, 64), dtype=np.uint8) for _ in range(2)]
    return [Stored(f"source {i}", a, a, str(i)) for i, a in enumerate(arrays)]


def sizes(**entries) -> Data:
    return Data(frames=3, crop=16, context=(32, 48), **entries)


@pytest.mark.parametrize("degradation", ["blur", "shutter", "exposure"])
def test_a_moving_pair_is_blurred_by_its_own_motion(clips, degradation):
    real = ClipPairs(clips, sizes(degradation=degradation, speed=8.0))
    rng = np.random.default_rng(1)
    pairs = [moving_pair(real, rng, frames=2, size=(32, 48)) for _ in range(4)]
    for lq, hq in pairs:
        assert lq.shape == hq.shape == (2, 3, 32, 48)
        assert torch.equal(lq, (lq * 255).round() / 255)
    contrast = [(pair.lq.std() / pair.hq.std()).item() for pair in pairs]
    assert max(contrast) < 1
    assert min(contrast) < 0.9


def test_a_moving_pair_of_a_named_blur_averages_the_frames_that_it_names(clips):
    def pair(degradation: str, frames: int):
        real = ClipPairs(clips, sizes(degradation=degradation, speed=4.0))
        return moving_pair(real, np.random.default_rng(1), frames=frames, size=(32, 48))

    for damage in ("blur-5", "shutter-2"):
        lq, hq = pair(damage, 2)  # flow is trained on two
        assert lq.shape == hq.shape == (2, 3, 32, 48)
        assert (lq - hq).abs().mean() > 0.01
    lq, hq = pair("blur-5", 9)
    torch.testing.assert_close(lq[2:-2], blur_clip(hq, 5).lq, rtol=0, atol=1.1 / 255)
    lq, hq = pair("blur-1", 2)
    assert torch.equal(lq, quantised(hq))


@pytest.mark.parametrize(
    ("damage", "subframes", "shutter"),
    [("blur-7", 7, 7.0), ("shutter-2", 17, 17 / 8), ("hevc-37", 1, 0.5), ("mixed", 1, 0.5)],
)
def test_sub_frames_are_those_that_the_damage_names(damage, subframes, shutter):
    assert rendered.exposed(damage, np.random.default_rng(0)) == (subframes, shutter)


@pytest.mark.parametrize(
    ("damage", "side", "message"),
    [
        (
            "blur-7+bicubic",
            256,
            r"a blur alone for rendered clips, got blur-7\+bicubic: set data.re",
        ),
        ("hevc-32", 64, "at least 68x68 pixels for hevc-32, got 64x64: raise data.crop"),
        ("bicubic+ldp-32", 256, r"at least 260x260 pixels for bicubic\+ldp-32, got 256x256"),
        ("mixed", 192, "at least 260x260 pixels for mixed, got 192x192"),
    ],
)
def test_damage_that_rendered_clips_cannot_have_is_refused(damage, side, message):
    with pytest.raises(ValueError, match=message):
        rendered.check_rendered(damage, (side, side))
    for fine in ("blur-7", "shutter", "bicubic", "h264-28+bicubic"):
        rendered.check_rendered(fine, (side, side))
    rendered.check_rendered("mixed", (260, 300))


def test_moving_pairs_have_the_shutter_and_depth_of_their_recipe(clips, tmp_path):
    def made(**entries) -> set[str]:
        data = sizes(degradation="blur", rendered=0.5, moving=1, **entries)
        with_moving(clips, data, tmp_path, seed=4)
        return {path.name for path in tmp_path.iterdir()}

    plain = made()
    assert made(text=0, rolling=0.0, parallax=1.0, defocus=0.0) == plain
    assert made(rolling=0.8) > plain
    real = ClipPairs(clips, sizes(degradation="blur", rolling=0.8, parallax=3.0, defocus=4.0))
    pair = moving_pair(real, np.random.default_rng(1), frames=2, size=(32, 48))
    assert pair.lq.shape == pair.hq.shape == (2, 3, 32, 48)


def test_a_moving_pair_is_filmed_as_its_recipe_says(clips, monkeypatch):
    looks = []

    def filmed(photos, *, look, **given):
        looks.append(look)
        return film_batch(photos, look=look, **given)

    monkeypatch.setattr(rendered, "film_batch", filmed)
    asked = {"text": 2, "rolling": 0.8, "parallax": 3.0, "defocus": 4.0}
    for entries in ({}, asked):
        real = ClipPairs(clips, sizes(degradation="blur", **entries))
        for seed in range(3):
            moving_pair(real, np.random.default_rng(seed), frames=2, size=(32, 48))
    plain, shot = looks[:3], looks[3:]
    assert {(look.rolling, look.parallax, look.defocus) for look in plain} == {(0.0, 1.0, 0.0)}
    assert {(look.parallax, look.defocus) for look in shot} == {(3.0, 4.0)}
    assert [{look.text for look in part} for part in (plain, shot)] == [{(0, 0)}, {(0, 2)}]
    skews = {look.rolling for look in shot}
    assert len(skews) == 3
    assert 0 < min(skews) <= max(skews) < 0.8


def test_a_moving_pair_of_another_damage_has_that_damage(clips):
    real = ClipPairs([c._replace(lq=c.hq[..., ::4, ::4]) for c in clips],
                     Data(frames=3, crop=8, context=(12, 16)))  # fmt: skip
    pair = moving_pair(real, np.random.default_rng(2), frames=2, size=(48, 64))
    assert pair.lq.shape == (2, 3, 12, 16)
    assert pair.hq.shape == (2, 3, 48, 64)


def test_rendered_clips_are_drawn_as_often_as_told_and_kept(clips, tmp_path):
    data = sizes(degradation="blur", rendered=0.5, moving=3)
    whole = with_moving(clips, data, tmp_path, seed=4)
    assert [clip.source for clip in whole].count(MOVING) == 3
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = with_moving(clips, data, tmp_path, seed=4)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    assert all(np.array_equal(a.lq, b.lq) for a, b in zip(whole, again, strict=True))
    draws = [ClipPairs(whole, data).draw(i).sequence >= len(clips) for i in range(400)]
    assert 0.42 < sum(draws) / 400 < 0.58
    assert with_moving(clips, sizes(), tmp_path, seed=4) == clips
    blurred = whole[-1]
    lq, hq = (torch.tensor(a).float() / 255 for a in (blurred.lq[1], blurred.hq[1]))
    assert psnr_rgb(lq, hq) < 40


def test_clean_clips_are_drawn_as_often_as_told(clips):
    damaged = [clip._replace(lq=clip.hq // 2) for clip in clips]
    pairs = ClipPairs(damaged, sizes(clean=0.3))
    items = [pairs[i] for i in range(200)]
    share = sum(bool((item["lq"].max() > 0.6).item()) for item in items) / 200
    assert 0.2 < share < 0.4
    small = [clip._replace(lq=clip.hq[..., ::2, ::2]) for clip in clips]
    with pytest.raises(ValueError, match="data.clean = 0 where the frames differ in size"):
        ClipPairs(small, Data(crop=8, context=(16, 24), clean=0.3))


def test_a_clip_that_is_too_short_is_played_to_and_fro(clips):
    pairs = ClipPairs(clips, Data(frames=9, crop=16, context=(32, 48), reverse=False))
    assert {pairs.draw(i).frames for i in range(5)} == {(0, 1, 2, 3, 2, 1, 0, 1, 2)}
    assert [bounced(t, 1) for t in range(3)] == [0, 0, 0]
