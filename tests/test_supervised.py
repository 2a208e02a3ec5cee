"""Flow trained on truth: FlyingChairs as it is published, rendered pairs, and what is learned."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.data import check_dataset, read_ppm
from s2svr.data.flyingchairs import flyingchairs as read_chairs
from s2svr.data.tree import DatasetError
from s2svr.media import MediaError, write_flo
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.ops import warp
from s2svr.train import Run, load_recipe, supervised, train_supervised
from s2svr.train.recipes import FlowLoss, FlowRecipe
from s2svr.writing.images import write_png

RECIPE = Path(__file__).parent.parent / "recipes" / "flow-light-supervised.toml"
FEW = ["optim.steps=2", "data.batch=1", "data.crop=32", "optim.log_every=1"]


def scene(seed: int) -> Tensor:
    return torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(seed))


def ppm(path: Path, picture: Tensor) -> None:
    """A binary PPM, as the published ones are."""
    height, width = picture.shape[-2:]
    codes = (255 * picture).round().byte().permute(1, 2, 0).numpy()
    path.write_bytes(f"P6\n{width} {height}\n255\n".encode() + codes.tobytes())


@pytest.fixture
def chairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pairs, of which the second is for validation; 192x160, everything moves by (3, -2)."""
    module = import_module("s2svr.data.flyingchairs")
    monkeypatch.setattr(module, "COUNT", 3)
    monkeypatch.setattr(module, "SIZE", (192, 160))
    data = tmp_path / "FlyingChairs_release" / "data"
    data.mkdir(parents=True)
    (data.parent / "FlyingChairs_train_val.txt").write_text("1\n2\n1\n")
    flow = torch.tensor([3.0, -2.0]).view(2, 1, 1).expand(2, 160, 192)
    for number in (1, 2, 3):
        wide = torch.nn.functional.interpolate(scene(number)[None], size=(170, 200))[0]
        ppm(data / f"{number:05}_img1.ppm", wide[:, 4:164, 4:196])
        ppm(data / f"{number:05}_img2.ppm", wide[:, 6:166, 1:193])
        write_flo(data / f"{number:05}_flow.flo", flow)
    return tmp_path


def test_flyingchairs_are_read_as_published(chairs: Path):
    train, val = (read_chairs(chairs, split) for split in ("train", "val"))
    assert ([p.name for p in train], [p.name for p in val]) == (["00001", "00003"], ["00002"])
    assert train[1].second == chairs / "FlyingChairs_release/data/00003_img2.ppm"
    assert read_chairs(chairs / "FlyingChairs_release", "val") == val
    moved = chairs / "FlyingChairs_train_val.txt"  # it is published beside the archive
    (chairs / "FlyingChairs_release" / moved.name).rename(moved)
    assert read_chairs(chairs, "train") == train
    assert check_dataset("flyingchairs", chairs) == []


def test_faults_of_flyingchairs_are_named(chairs: Path):
    data = chairs / "FlyingChairs_release" / "data"
    (data / "00001_img2.ppm").unlink()
    (data / "00003_flow.flo").write_bytes(b"PIEH")
    (data / "00002_flow.flo").write_bytes(b"PIEH")  # of the other split
    with pytest.raises(DatasetError) as error:
        read_chairs(chairs, "train")
    assert len(error.value.faults) == 2
    assert "there is no file" in error.value.faults[0]
    assert "00003_flow.flo; it may be cut off" in error.value.faults[1]
    assert len(check_dataset("flyingchairs", chairs)) == 4  # three files, and where it is published
    (data.parent / "FlyingChairs_train_val.txt").write_text("1\n3\n")
    with pytest.raises(DatasetError, match="expected 3 lines.*got 2; expected lines of 1 or 2"):
        read_chairs(chairs, "train")
    (data.parent / "FlyingChairs_train_val.txt").unlink()
    with pytest.raises(DatasetError, match=r"there is no file .*train_val\.txt"):
        read_chairs(chairs, "train")
    with pytest.raises(ValueError, match=r"split of FlyingChairs \(train, val\), got 'test'"):
        read_chairs(chairs, "test")


def test_a_ppm_is_read_as_it_was_written(tmp_path: Path):
    picture = (255 * torch.rand(3, 5, 7)).round() / 255
    ppm(tmp_path / "a.ppm", picture)
    assert torch.equal(read_ppm(tmp_path / "a.ppm"), (255 * picture).round().byte())
    whole = (tmp_path / "a.ppm").read_bytes()
    (tmp_path / "b.ppm").write_bytes(whole.replace(b"P6", b"P6\n# by hand"))
    assert torch.equal(read_ppm(tmp_path / "b.ppm"), read_ppm(tmp_path / "a.ppm"))
    (tmp_path / "c.ppm").write_bytes(whole[:-1])
    with pytest.raises(MediaError, match="105 bytes for 7x5 pixels, .*c.ppm has 104; it may be"):
        read_ppm(tmp_path / "c.ppm")
    (tmp_path / "d.ppm").write_bytes(whole.replace(b"P6", b"P3"))
    with pytest.raises(MediaError, match="expected a binary PPM of 8 bits, .*d.ppm is none"):
        read_ppm(tmp_path / "d.ppm")


def recipe_with(*entries: str) -> FlowRecipe:
    recipe = load_recipe(RECIPE, [*FEW, *entries])
    assert isinstance(recipe, FlowRecipe)
    return recipe


def test_a_cut_and_flipped_pair_still_fits_its_flow():
    wide = torch.rand(3, 40, 60)
    frames = torch.stack((wide[:, 4:36, 4:52], wide[:, 6:38, 1:49]))
    flow = torch.tensor([3.0, -2.0]).view(2, 1, 1).expand(2, 32, 48)
    seen = set()
    for seed in range(12):
        found = supervised.cut(supervised.Labelled(frames, flow), 24, np.random.default_rng(seed))
        back = warp(found.frames[1:], found.flow[None])[0]
        inner = slice(3, -3)
        assert torch.allclose(back[:, inner, inner], found.frames[0][:, inner, inner], atol=1e-5)
        seen.add(tuple(found.flow[:, 0, 0].tolist()))
    assert seen == {(3, -2), (-3, -2), (3, 2), (-3, 2)}
    with pytest.raises(ValueError, match="pairs of at least 33x33 pixels, got 48x32; lower data"):
        supervised.cut(supervised.Labelled(frames, flow), 33, np.random.default_rng(0))


def test_pairs_have_the_recipes_damage_and_the_truth_of_the_full_size(chairs: Path):
    recipe = recipe_with("data.dataset=flyingchairs")
    pair = supervised.drawn_pairs(read_chairs(chairs, "train"), recipe, 128)
    item = supervised.LabelledPairs(pair, recipe)[5]
    assert (item["lq"].shape, item["flow"].shape) == ((2, 3, 32, 32), (2, 128, 128))
    assert item["flow"].abs().amax((1, 2)).tolist() == [3, 2]
    again = supervised.LabelledPairs(pair, recipe)[5]
    assert all(torch.equal(again[name], item[name]) for name in item)
    clean = recipe_with("data.degradation=hevc", "data.clean=1")
    whole = supervised.LabelledPairs(pair, clean)[5]
    assert whole["lq"].shape == (2, 3, 128, 128)


class Guess(PWCLite):
    """Two levels at strides 2 and 4 that answer with one flow each."""

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        height, width = a.shape[-2:]
        return [torch.full((len(a), 2, height // n, width // n), 1 / n) for n in (2, 4)]


def test_the_supervised_loss_is_the_end_point_error_of_every_level():
    config = PWCLiteConfig((4, 4), features=4, search=1, estimator=(4, 4), context=(4,), finest=0)
    truth = torch.zeros(1, 2, 32, 48)
    truth[:, 0], truth[:, 1] = 4 + 3.0, 4 + 4.0  # both levels say (1, 1) a pixel, (4, 4) at x4
    weights = FlowLoss(scales=(1.0, 0.25), smooth_scales=(0.0, 0.0))
    batch = {"lq": torch.rand(1, 2, 3, 8, 12), "flow": truth}
    terms = supervised.supervised_loss(weights)(Guess(config), batch, 0)
    assert terms["error"].item() == pytest.approx(5)
    assert terms["loss"].item() == pytest.approx(5 * 1.25)


@pytest.mark.parametrize("dataset", ["folder", "flyingchairs"])
def test_a_network_learns_from_truth(dataset: str, chairs: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for seed in range(4):
        write_png(tmp_path / "photos" / f"{seed}.png", resize_picture(scene(seed)))
    lines: list[str] = []
    data = chairs if dataset == "flyingchairs" else tmp_path / "photos"
    out = train_supervised(
        recipe_with(f"data.dataset={dataset}"), Run(tmp_path / "run", "cpu", say=lines.append),
        data=data, init="flow-light-teacher",
    )  # fmt: skip
    assert isinstance(load(out), PWCLite)
    assert any(line.startswith("step 2/2") and "error" in line for line in lines)


def resize_picture(picture: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(picture[None], size=(120, 160))[0]


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path):
    for entry, message in (
        ("data.dataset=reds", r"supervised training \(folder, flyingchairs\), got 'reds'"),
        ("data.degradation=blur", "damage that two frames can take, got blur"),
    ):
        with pytest.raises(ValueError, match=message):
            train_supervised(recipe_with(entry), Run(tmp_path / "run", "cpu"), data=tmp_path)
