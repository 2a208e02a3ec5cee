from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from s2svr.data import store as stores
from s2svr.data.clip import Clip, Pair, source_of
from s2svr.data.clips import ClipPairs, Data
from s2svr.data.folder import folder_clips
from s2svr.data.store import Stored
from s2svr.ops import warp
from s2svr.train.clip_flow import FlowCrops

DATA = Data(frames=3, crop=8, context=(12, 16), skip=2, batch=2)


def moving(length: int = 9, height: int = 16, width: int = 20, speed: int = 2) -> Stored:
    """A pattern that moves right by ``speed`` pixels a frame; hq repeats each pixel 4x4 times."""
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (3, height, width + speed * length), dtype=np.uint8)
    lq = np.stack([wide[..., speed * (length - t) :][..., :width] for t in range(length)])
    return Stored("moving", lq, lq.repeat(4, -2).repeat(4, -1), "moving")


def moving_flow(length: int = 9, height: int = 16, width: int = 20, speed: int = 2) -> dict:
    """Its true flow for steps of 1 and 2 frames, (2, 2, T, 2, h, w), by its key."""
    flow = np.zeros((2, 2, length, 2, height, width), np.float16)
    for step in (1, 2):
        flow[step - 1, 0, step:, 0] = -speed * step  # to the earlier frame: left
        flow[step - 1, 1, :-step, 0] = speed * step
    return {"moving": flow}


def test_crops_of_both_qualities_show_the_same_place():
    pairs = ClipPairs([moving()], DATA, seed=3)
    for index in range(40):
        item = pairs[index]
        top, left = item["crop"].tolist()
        crop = item["lq"][..., top : top + 8, left : left + 8]
        assert torch.equal(item["hq"][..., 1::4, 2::4], crop)


def test_stored_flow_follows_flips_and_time():
    still = ClipPairs([moving()], DATA, seed=3)
    pairs = FlowCrops([moving()], moving_flow(), DATA, seed=3)
    seen = set()
    for index in range(40):
        item, context = pairs[index], still[index]
        top, left = context["crop"].tolist()
        assert torch.equal(item["lq"], context["lq"][..., top : top + 8, left : left + 8])
        for t in range(3):
            for other, name in ((t - 1, "before"), (t + 1, "after")):
                if 0 <= other < 3:
                    got = warp(item["lq"][other : other + 1], item[name][t : t + 1])
                    inner = (slice(None), slice(None), slice(None), slice(4, -4))
                    assert torch.allclose(got[inner], item["lq"][t : t + 1][inner], atol=1e-4)
                    seen.add(item[name][t, 0, 0, 0].item())
    assert seen == {-4.0, -2.0, 2.0, 4.0}  # both directions, both steps


def test_stored_flow_follows_transposition():
    data = DATA.model_copy(update={"transpose": True})
    plain = FlowCrops([moving()], moving_flow(), DATA, seed=3)
    pairs = FlowCrops([moving()], moving_flow(), data, seed=3)
    turned = 0
    for index in range(20):
        item, other = pairs[index], plain[index]
        if not torch.equal(item["lq"], other["lq"]):
            turned += 1
            assert torch.equal(item["lq"], other["lq"].mT)
            assert torch.equal(item["hq"], other["hq"].mT)
            for name in ("before", "after"):
                assert torch.equal(item[name][:, 1], other[name][:, 0].mT)
                assert torch.equal(item[name][:, 0], other[name][:, 1].mT)
    assert 4 < turned < 16


def test_only_square_contexts_are_transposed():
    for context, turns in (((12, 16), False), ((12, 12), True)):
        data = DATA.model_copy(update={"context": context})
        turning = data.model_copy(update={"transpose": True})
        plain, pairs = (ClipPairs([moving()], d, seed=3) for d in (data, turning))
        seen = 0
        for index in range(20):
            item = pairs[index]
            seen += not torch.equal(item["lq"], plain[index]["lq"])
            top, left = item["crop"].tolist()
            crop = item["lq"][..., top : top + 8, left : left + 8]
            assert torch.equal(item["hq"][..., 1::4, 2::4], crop)
        assert (seen > 0) == turns


def test_colours_change_alike_in_both_qualities():
    data = DATA.model_copy(update={"jitter": 0.2})
    plain, pairs = (ClipPairs([moving()], d, seed=3) for d in (DATA, data))
    item, other = pairs[0], plain[0]
    for name in ("lq", "hq"):
        unclipped = (other[name] > 0) & (item[name] < 1)
        factors = torch.where(unclipped, item[name] / other[name].clamp(min=1e-9), torch.nan)
        for channel in factors.unbind(1):
            found = channel[~channel.isnan()]
            assert found.max() - found.min() < 1e-5
            assert 0.8 <= found.mean() <= 1.2


def test_an_item_depends_on_seed_and_index_alone():
    one, two = ClipPairs([moving()], DATA, seed=3), ClipPairs([moving()], DATA, seed=3)
    two[5], two[6]
    assert torch.equal(one[7]["hq"], two[7]["hq"])
    other = ClipPairs([moving()], DATA, seed=4)
    assert any(not torch.equal(one[i]["hq"], other[i]["hq"]) for i in range(4))


def test_sources_are_drawn_equally_however_many_clips_they_have():
    many = [moving()._replace(source="a")] * 9 + [moving()._replace(source="b")]
    pairs = ClipPairs(many, DATA)
    counts = Counter(pairs.clips[pairs.draw(i).sequence].source for i in range(400))
    assert 150 < counts["a"] < 250


def test_mirrored_clips_run_back():
    pairs = ClipPairs([moving()], Data(frames=6, mirrored=True, crop=8, context=(12, 16)))
    frames = pairs.draw(0).frames
    assert len(frames) == 6
    assert frames == frames[::-1]


def test_a_short_sequence_is_played_to_and_fro():
    pairs = ClipPairs([moving(length=2)], DATA)
    assert {tuple(pairs.draw(i).frames) for i in range(20)} == {(0, 1, 0)}


def test_places_are_multiples_of_what_is_asked_for():
    pairs = ClipPairs([moving()], DATA, align=4)
    draws = [pairs.draw(i) for i in range(50)]
    assert all((d.top % 4, d.left % 4, d.crop_top % 4, d.crop_left % 4) == (0,) * 4 for d in draws)
    assert len({(d.crop_top, d.crop_left) for d in draws}) > 2


def test_sequences_too_small_are_refused_with_their_number():
    with pytest.raises(ValueError, match="at least 30x16 pixels .* got 1 sequences, 0 of them"):
        ClipPairs([moving()], Data(crop=8, context=(30, 16)))


@pytest.mark.parametrize(
    ("name", "source"),
    [("t009_coffee_pour", "coffee_pour"), ("000", "000"), ("walk_12", "walk"), ("dog", "dog")],
)
def test_source_of_a_name(name: str, source: str):
    assert source_of(name) == source


def test_store_decodes_and_degrades_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hq = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    path, calls = tmp_path / "clip.mp4", []
    path.write_bytes(b"")
    monkeypatch.setattr(stores, "read_clip", lambda p: calls.append(p) or hq)

    def halve(clip: torch.Tensor, generator: torch.Generator) -> Pair:
        return Pair(clip[..., ::2, ::2], clip)

    for _ in range(2):
        (stored,) = stores.store_clips([Clip("clip", path)], halve, "halve", tmp_path / "store")
        assert np.array_equal(stored.hq, hq.numpy())
        assert np.array_equal(stored.lq, hq.numpy()[..., ::2, ::2])
    assert calls == [path]
    assert not list((tmp_path / "store").glob("*.tmp"))


def test_a_store_knows_low_quality_that_has_changed(tmp_path: Path):
    clip = Clip("clip", tmp_path / "hq.mp4", tmp_path / "lq")
    clip.hq.write_bytes(b"high")
    clip.lq.mkdir()
    (clip.lq / "0.png").write_bytes(b"low")
    before = stores.clip_key(clip, "none")
    assert stores.clip_key(clip, "none") == before
    (clip.lq / "0.png").write_bytes(b"other")
    assert stores.clip_key(clip, "none") != before


def test_a_store_knows_an_image_that_has_changed(tmp_path: Path):
    clip = Clip("clip", tmp_path / "clip")
    clip.hq.mkdir()
    picture = clip.hq / "0.png"
    picture.write_bytes(b"high")
    stamp, before = clip.hq.stat().st_mtime_ns, stores.clip_key(clip, "none")
    picture.write_bytes(b"higher")  # the folder's own time stays as it is
    assert clip.hq.stat().st_mtime_ns == stamp
    assert stores.clip_key(clip, "none") != before


def test_a_copy_of_the_clips_is_damaged_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = []

    def random(clip: torch.Tensor, generator: torch.Generator) -> Pair:
        drawn.append(int(torch.randint(2**40, (), generator=generator)))
        return Pair(clip, clip)

    monkeypatch.setattr(
        stores, "read_clip", lambda path: torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    )
    for place, name, damage in (
        ("here", "a.mp4", "noise"),
        ("there", "a.mp4", "noise"),
        ("here", "b.mp4", "noise"),
        ("here", "a.mp4", "rain"),
    ):
        path = tmp_path / place / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(place.encode())
        stores.store_clips([Clip(name, path)], random, damage, tmp_path / "cache")
    assert len(drawn) == 4
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    seed = int(stores.key_of("a.mp4", "noise")[:15], 16)
    generator = torch.Generator().manual_seed(seed)
    assert drawn[0] == int(torch.randint(2**40, (), generator=generator))


def test_a_key_and_with_it_the_damage_stay_what_they_were():
    assert stores.key_of("a.mp4", "None", "hevc-37", 7) == "0e445dbad09b9c3d"


def test_arrays_are_made_again_if_one_of_them_is_missing(tmp_path: Path):
    calls = []

    def make() -> list[np.ndarray]:
        calls.append(1)
        return [np.arange(3), np.ones(2)]

    for lost in ("", "key-b.npy", "key-a.npy"):
        (tmp_path / (lost or "none")).unlink(missing_ok=True)
        first, second = stores.kept_arrays(tmp_path, "key", ["a", "b"], make)
        assert first.tolist() == [0, 1, 2]
        assert second.tolist() == [1, 1]
        stores.kept_arrays(tmp_path, "key", ["a", "b"], make)
    assert len(calls) == 3


def test_folder_finds_videos_and_image_folders(tmp_path: Path):
    for name in ("a/001_cat.mp4", "b/0.png", "b/1.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = folder_clips(tmp_path)
    assert [(s.name, s.source) for s in found] == [("a/001_cat.mp4", "cat"), ("b", "b")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected videos .* or image folders in .*empty"):
        folder_clips(tmp_path / "empty")
    with pytest.raises(ValueError, match="is none"):
        folder_clips(tmp_path / "nowhere")
