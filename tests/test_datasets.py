"""Trees in each published layout: read when whole, and every fault named when not."""

import os
import shutil
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest
import torch

from s2svr.data import DATASETS, FLOW_DATASETS, SPLITS, check_dataset, named_dataset
from s2svr.data.gopro import gopro
from s2svr.data.mfqev2 import mfqev2
from s2svr.data.reds import reds
from s2svr.data.tree import DatasetError
from s2svr.data.vid4 import vid4
from s2svr.data.vimeo90k import vimeo90k
from s2svr.writing.images import write_png

# The modules; in the package their names mean the functions.
REDS, VIMEO, GOPRO, MFQE = (
    import_module(f"s2svr.data.{name}") for name in ("reds", "vimeo90k", "gopro", "mfqev2")
)


def image(path: Path, size: tuple[int, int]) -> Path:
    """A black PNG of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, torch.zeros(3, size[1], size[0]))
    return path


def clip(folder: Path, names: Iterable[str], picture: Path) -> None:
    """A folder that holds one picture under many names."""
    folder.mkdir(parents=True)
    for name in names:
        os.link(picture, folder / name)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    root = tmp_path_factory.mktemp("pictures")
    sizes = [(1280, 720), (320, 180), (448, 256)]
    sizes += [(720, 576), (704, 576), (720, 480), (180, 144), (176, 144), (180, 120)]
    return {size: image(root / f"{size}.png", size) for size in sizes}


def reds_clips(root: Path, names: Iterable[str], pictures: dict, part: str = "train") -> None:
    for name in names:
        clip(root / part / f"{part}_sharp" / name, REDS.FRAMES, pictures[1280, 720])
        coarse = root / part / f"{part}_sharp_bicubic" / "X4" / name
        clip(coarse, REDS.FRAMES, pictures[320, 180])


def test_reds4_is_four_clips_of_the_training_set(tmp_path: Path, pictures: dict):
    reds_clips(tmp_path, REDS.TEST, pictures)
    found = reds(tmp_path, "test")
    assert [s.name for s in found] == ["000", "011", "015", "020"]
    assert found[1].hq == tmp_path / "train/train_sharp/011"
    assert found[1].lq == tmp_path / "train/train_sharp_bicubic/X4/011"


def test_reds_trains_on_the_other_266_clips():
    assert len(REDS.TRAIN) == 266
    assert set(REDS.TRAIN) | set(REDS.TEST) == {f"{n:03d}" for n in range(270)}


@pytest.mark.parametrize("merged", [False, True])
def test_reds_validation_clips_count_from_240(
    tmp_path: Path, pictures: dict, merged: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(REDS, "TRAIN", ("001", "241"))
    reds_clips(tmp_path, ("001", "241") if merged else ("001",), pictures)
    if not merged:
        reds_clips(tmp_path, ("001",), pictures, "val")
    place = "train/train_sharp/241" if merged else "val/val_sharp/001"
    assert [s.hq for s in reds(tmp_path, "train")] == [
        tmp_path / "train/train_sharp/001",
        tmp_path / place,
    ]


def test_reds_names_missing_and_short_clips_and_wrong_sizes(tmp_path: Path, pictures: dict):
    reds_clips(tmp_path, ("000", "015", "020"), pictures)
    sharp = tmp_path / "train/train_sharp"
    (sharp / "000/00000007.png").unlink()
    (sharp / "015/00000042.png").unlink()
    os.link(pictures[320, 180], sharp / "015/00000042.png")
    (sharp / "020/00000099.png").unlink()
    (sharp / "020/00000099.png").write_bytes(pictures[1280, 720].read_bytes()[:-20])
    (sharp / "020/00000000.png").unlink()
    (sharp / "020/00000000.png").write_text("not found")
    with pytest.raises(DatasetError) as error:
        reds(tmp_path, "test")
    assert error.value.faults == [
        f"expected 100 frames in {sharp}/000, got 99; 00000007.png missing",
        f"there is no folder {sharp}/011",
        f"there is no folder {tmp_path}/train/train_sharp_bicubic/X4/011",
        f"expected 1280x720 pixels in {sharp}/015/00000042.png, got 320x180",
        f"expected a PNG image, {sharp}/020/00000000.png is none",
        f"the image {sharp}/020/00000099.png is cut off",
    ]
    assert "and 3 more. It is published at https://seungjunnah" in str(error.value)


def test_a_benchmark_is_checked_alone(tmp_path: Path, pictures: dict):
    reds_clips(tmp_path, REDS.TEST, pictures)
    assert check_dataset("reds4", tmp_path) == []
    assert check_dataset("reds", tmp_path) != []
    assert named_dataset("reds4") == named_dataset("reds") == ("reds", "test")
    assert named_dataset("reds", "train") == ("reds", "train")
    assert named_dataset("folder") == ("folder", "")
    shutil.rmtree(tmp_path / "train/train_sharp/015")
    assert (
        check_dataset("reds4", tmp_path)[0]
        == f"test: there is no folder {tmp_path}/train/train_sharp/015"
    )


def test_a_missing_tree_is_one_fault(tmp_path: Path):
    assert check_dataset("reds", tmp_path) == [
        f"{split}: there is no folder {tmp_path}/{part}"
        for split, part in (("train", "train"), ("train", "val"), ("test", "train"))
    ] + [f"it is published at {REDS.PUBLISHED}"]


@pytest.fixture
def few_septuplets(tmp_path: Path, pictures: dict, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training septuplets and a test one."""
    monkeypatch.setattr(VIMEO, "COUNTS", {"train": 2, "test": 1})
    (tmp_path / "sep_trainlist.txt").write_text("00001/0001\n00001/0002\n")
    (tmp_path / "sep_testlist.txt").write_text("00001/0266\n\n")
    for name in ("00001/0001", "00001/0002", "00001/0266", "00002/0001"):
        clip(tmp_path / "sequences" / name, VIMEO.FRAMES, pictures[448, 256])
    return tmp_path


def test_vimeo_is_what_its_lists_name(few_septuplets: Path):
    train = vimeo90k(few_septuplets, "train")
    assert [s.name for s in train] == ["00001/0001", "00001/0002"]
    assert {s.source for s in train} == {"00001"}
    (test,) = vimeo90k(few_septuplets, "test")
    assert test.hq == few_septuplets / "sequences/00001/0266"
    assert test.lq is None
    few_septuplets.rename(few_septuplets.parent / "vimeo_septuplet")
    above = vimeo90k(few_septuplets.parent, "test")
    assert above[0].hq.parent.parent.parent.name == "vimeo_septuplet"


def test_vimeo_names_what_its_lists_miss(few_septuplets: Path):
    (few_septuplets / "sequences/00001/0002/im4.png").unlink()
    (few_septuplets / "sep_testlist.txt").unlink()
    assert check_dataset("vimeo90k", few_septuplets) == [
        f"train: expected 7 frames in {few_septuplets}/sequences/00001/0002, got 6; "
        "im4.png missing",
        f"test: there is no file {few_septuplets}/sep_testlist.txt",
        f"it is published at {VIMEO.PUBLISHED}",
    ]
    (few_septuplets / "sep_trainlist.txt").write_text("00001/0001\n")
    with pytest.raises(DatasetError, match=r"expected 2 septuplets in .*trainlist.txt, got 1"):
        vimeo90k(few_septuplets, "train")


def gopro_clip(folder: Path, frames: int, pictures: dict) -> None:
    for kind in ("sharp", "blur", "blur_gamma"):
        clip(folder / kind, [f"{n:06d}.png" for n in range(1, frames + 1)], pictures[1280, 720])


def test_gopro_has_its_1111_test_frames(tmp_path: Path, pictures: dict):
    for name, frames in GOPRO.TEST.items():
        gopro_clip(tmp_path / "test" / name, frames, pictures)
    found = gopro(tmp_path, "test")
    assert sum(GOPRO.TEST.values()) == 1111
    assert sorted(GOPRO.TEST.values()) == [77, *[100] * 9, 134]
    assert len(found) == 11
    assert found[4].name == "GOPR0410_11_00"
    assert (found[4].hq.name, found[4].lq and found[4].lq.name) == ("sharp", "blur")
    (tmp_path / "test/GOPR0862_11_00/sharp/000003.png").unlink()
    (tmp_path / "test/GOPR0862_11_00/blur/000005.png").unlink()
    (tmp_path / "test/GOPR0862_11_00/blur/000006.png").unlink()
    with pytest.raises(DatasetError) as error:
        gopro(tmp_path, "test")
    clip_ = tmp_path / "test/GOPR0862_11_00"
    assert error.value.faults == [
        f"expected 77 frames in {clip_}/sharp, got 76",
        f"expected 76 frames in {clip_}/blur, got 75; 000005.png, 000006.png missing",
    ]


def test_gopro_counts_its_training_frames(
    tmp_path: Path, pictures: dict, monkeypatch: pytest.MonkeyPatch
):
    assert len(GOPRO.TRAIN) == 22
    assert not set(GOPRO.TRAIN) & set(GOPRO.TEST)
    monkeypatch.setattr(GOPRO, "TRAIN", {"GOPR0372_07_00": None, "GOPR0372_07_01": None})
    monkeypatch.setattr(GOPRO, "TRAIN_FRAMES", 6)
    for name, frames in (("GOPR0372_07_00", 2), ("GOPR0372_07_01", 3)):
        gopro_clip(tmp_path / "train" / name, frames, pictures)
    with pytest.raises(DatasetError, match=r"expected 6 frames in .*train, got 5"):
        gopro(tmp_path, "train")
    monkeypatch.setattr(GOPRO, "TRAIN_FRAMES", 5)
    assert {s.source for s in gopro(tmp_path, "train")} == {"GOPR0372"}


def yuv(path: Path, size: int) -> None:
    """A file of zeros that takes no space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def yuv_size(name: str) -> int:
    width, height = (int(side) for side in name.split("_")[1].split("x"))
    return width * height * 3 // 2 * int(name.split("_")[2])


def test_mfqev2_has_the_18_test_sequences(tmp_path: Path):
    for place in ("raw", "HM16.5_LDP/QP37"):
        for name in MFQE.TEST:
            yuv(tmp_path / "test_18" / place / f"{name}.yuv", yuv_size(name))
    found = mfqev2(tmp_path, "test")
    assert len(found) == 18
    assert found[12].name == "BQSquare_416x240_600"
    assert found[12].lq == tmp_path / "test_18/HM16.5_LDP/QP37/BQSquare_416x240_600.yuv"
    assert {s.source for s in found if s.name.startswith("RaceHorses")} == {"RaceHorses"}


def test_mfqev2_names_truncated_and_missing_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MFQE, "TRAIN", 3)
    raw, coded = tmp_path / "train_108/raw", tmp_path / "train_108/HM16.5_LDP/QP37"
    for name in ("a_32x16_4", "b_15x17_2", "c_16x16_1"):
        width, height, frames = (int(n) for n in name.replace("x", "_").split("_")[1:])
        chroma = ((width + 1) // 2) * ((height + 1) // 2)
        yuv(raw / f"{name}.yuv", frames * (width * height + 2 * chroma))
        yuv(coded / f"{name}.yuv", frames * (width * height + 2 * chroma))
    assert [s.name for s in mfqev2(tmp_path, "train")] == ["a_32x16_4", "b_15x17_2", "c_16x16_1"]
    os.truncate(coded / "a_32x16_4.yuv", 2000)
    (coded / "c_16x16_1.yuv").unlink()
    (raw / "d.yuv").touch()
    with pytest.raises(DatasetError) as error:
        mfqev2(tmp_path, "train")
    assert error.value.faults == [
        f"expected 3 videos in {raw}, got 4",
        f"expected a name like BQSquare_416x240_600.yuv, got {raw}/d.yuv",
        f"expected 3072 bytes (4 frames of 32x16) in {coded}/a_32x16_4.yuv, got 2000 (2.60 frames)",
        f"there is no file {coded}/c_16x16_1.yuv",
        f"expected a name like BQSquare_416x240_600.yuv, got {coded}/d.yuv",
    ]
    assert check_dataset("mfqev2", tmp_path)[-2] == f"test: there is no folder {tmp_path}/test_18"


def test_vid4_in_both_degradations(tmp_path: Path, pictures: dict):
    sizes = {"calendar": (41, 720, 576), "city": (34, 704, 576)}
    sizes |= {"foliage": (49, 720, 480), "walk": (47, 720, 480)}
    for name, (frames, width, height) in sizes.items():
        names = [f"{n:08d}.png" for n in range(frames)]
        clip(tmp_path / "GT" / name, names, pictures[width, height])
        for degraded in ("BIx4", "BDx4"):
            clip(tmp_path / degraded / name, names, pictures[width // 4, height // 4])
    assert check_dataset("vid4", tmp_path) == []
    assert [s.name for s in vid4(tmp_path, "test")] == ["calendar", "city", "foliage", "walk"]
    assert vid4(tmp_path, "bd")[3].lq == tmp_path / "BDx4/walk"
    (tmp_path / "BIx4/city/00000033.png").unlink()
    fault = f"test: expected 34 frames in {tmp_path}/BIx4/city, got 33"
    assert check_dataset("vid4", tmp_path)[0] == fault


def test_wrong_names_list_the_right_ones(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected a split of REDS \(train, test\), got 'val'"):
        reds(tmp_path, "val")
    with pytest.raises(ValueError, match="expected a data set .folder, pairs, reds, .*got 'davis'"):
        check_dataset("davis", tmp_path)
    assert "expected videos" in check_dataset("folder", tmp_path)[0]


def test_every_data_set_has_its_splits():
    assert SPLITS.keys() == DATASETS.keys() | FLOW_DATASETS.keys()
