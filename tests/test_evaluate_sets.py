"""Every published layout, small and flat, through its protocol: scores that paper and pencil give.

A flat frame that is wrong by d codes has a PSNR of 20 log10(255 / d).
"""

from importlib import import_module
from math import log10
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from s2svr.checkpoint import Card, save
from s2svr.cli.app import app
from s2svr.damage.reduce import bicubic_down
from s2svr.data import DATASETS, about
from s2svr.evaluation.paper import paper_tables
from s2svr.evaluation.protocols import PROTOCOLS, USUAL
from s2svr.evaluation.run import evaluate
from s2svr.evaluation.scores import ScoreRow
from s2svr.evaluation.tables import Origin, means
from s2svr.models.config import S2SVRConfig
from s2svr.models.s2svr import S2SVR
from s2svr.writing.images import write_png

WIDTH, HEIGHT = 48, 32
LUMA = 219 / 255  # codes of Y for each code of grey


class Lighter(nn.Module):
    """Enlarges and adds ``codes`` to every frame; with ``growing`` that much more each frame."""

    lookahead = 0

    def __init__(self, scale: int, codes: float, growing: bool = False) -> None:
        super().__init__()
        self.codes, self.scale, self.growing = (
            nn.Parameter(torch.tensor(float(codes))),
            scale,
            growing,
        )

    def forward(self, x, state=None, lookahead=0):
        seen = 0 if state is None else state
        steps = torch.arange(seen + 1, seen + 1 + x.shape[1]) if self.growing else torch.ones(1)
        larger = x.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        return larger + steps.view(-1, 1, 1, 1) * self.codes / 255, seen + x.shape[1]


def decibels(codes: float) -> float:
    return 20 * log10(255 / codes)


def greys(folder: Path, codes: dict[str, int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A folder of flat PNGs of (width, height), by their names."""
    folder.mkdir(parents=True)
    for name, code in codes.items():
        write_png(folder / name, torch.full((3, size[1], size[0]), code / 255))


def module(name: str):
    return import_module(f"s2svr.data.{name}")


def scores(name: str, root: Path, model: nn.Module, split: str = "test") -> list[ScoreRow]:
    """The data set's own protocol, with the mean of the clips."""
    sequences = DATASETS[name](root, split)
    rows = evaluate(model, sequences, bicubic_down, protocols=USUAL[name])
    return rows + means(rows)


def psnr(rows: list[ScoreRow], clip: str, method: str) -> float:
    (row,) = [row for row in rows if (row.clip, row.method) == (clip, method)]
    return row.psnr


def test_reds4_is_scored_in_rgb_on_its_own_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module("reds"), "SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(module("reds"), "FRAMES", ["0.png", "1.png"])
    wrong = {"000": (4, 8), "011": (2, 2), "015": (8, 8), "020": (16, 4)}
    for name, (a, b) in wrong.items():
        greys(tmp_path / "train/train_sharp" / name, {"0.png": 100, "1.png": 120})
        coarse = tmp_path / "train/train_sharp_bicubic/X4" / name
        greys(coarse, {"0.png": 100 + a, "1.png": 120 + b}, (WIDTH // 4, HEIGHT // 4))
    rows = scores("reds", tmp_path, Lighter(4, -1))
    clips = [(decibels(a) + decibels(b)) / 2 for a, b in wrong.values()]
    ours = [(decibels(a - 1) + decibels(b - 1)) / 2 for a, b in wrong.values()]
    assert [psnr(rows, name, "bicubic") for name in wrong] == pytest.approx(clips)
    assert psnr(rows, "mean", "bicubic") == pytest.approx(sum(clips) / 4)
    assert psnr(rows, "mean", "lanczos") == pytest.approx(sum(clips) / 4)
    assert psnr(rows, "mean", "ours") == pytest.approx(sum(ours) / 4)
    assert "REDS4" in PROTOCOLS[rows[0].protocol].text


@pytest.mark.parametrize(("split", "wrong"), [("test", 5), ("bd", 9)])
def test_vid4_is_scored_on_y(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, wrong: int
):
    clips = {"calendar": (1, (WIDTH, HEIGHT)), "walk": (3, (HEIGHT, WIDTH))}
    monkeypatch.setattr(module("vid4"), "CLIPS", clips)
    for name, (frames, (width, height)) in clips.items():
        for part, code, size in (
            ("GT", 90, (width, height)),
            ("BIx4", 95, (width // 4, height // 4)),
            ("BDx4", 99, (width // 4, height // 4)),
        ):
            greys(tmp_path / part / name, {f"{t}.png": code for t in range(frames)}, size)
    rows = scores("vid4", tmp_path, Lighter(4, 2), split)
    assert psnr(rows, "mean", "bicubic") == pytest.approx(decibels(wrong * LUMA))
    assert psnr(rows, "walk", "ours") == pytest.approx(decibels((wrong + 2) * LUMA))


def test_vimeo90k_is_scored_on_y_of_the_fourth_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module("vimeo90k"), "SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(module("vimeo90k"), "COUNTS", {"test": 1})
    (tmp_path / "sep_testlist.txt").write_text("00001/0001\n")
    greys(tmp_path / "sequences/00001/0001", {f"im{n}.png": 100 + n for n in range(1, 8)})
    rows = scores("vimeo90k", tmp_path, Lighter(4, 2.0, growing=True))
    # Two codes more with every frame: 8 at the fourth, 22 at the eleventh, its mirror image.
    assert psnr(rows, "mean", "ours") == pytest.approx(decibels(8 * LUMA))
    assert psnr(rows, "mean", "ours, mirrored") == pytest.approx(decibels((8 + 22) / 2 * LUMA))
    assert {row.frames for row in rows} == {1}
    assert {row.equal for row in rows if row.method == "bicubic"} == {1}


def test_gopros_clips_count_alike_however_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module("gopro"), "SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(module("gopro"), "TEST", {"GOPR1": 1, "GOPR2": 3})
    names = ["000001.png", "000002.png", "000003.png"]
    for clip, blurred in (("GOPR1", [104]), ("GOPR2", [110, 120, 110])):
        place, used = tmp_path / "test" / clip, names[: len(blurred)]
        greys(place / "sharp", dict.fromkeys(used, 100))
        greys(place / "blur", dict(zip(used, blurred, strict=True)))
        greys(place / "blur_gamma", dict.fromkeys(used, 100))  # not the one that is scored
    rows = scores("gopro", tmp_path, Lighter(1, -2))
    assert psnr(rows, "GOPR2", "input") == pytest.approx((2 * decibels(10) + decibels(20)) / 3)
    both = (decibels(4) + (2 * decibels(10) + decibels(20)) / 3) / 2
    assert psnr(rows, "mean", "input") == pytest.approx(both)
    ours = (decibels(2) + (2 * decibels(8) + decibels(18)) / 3) / 2
    assert psnr(rows, "mean", "ours") == pytest.approx(ours)
    (mean,) = [row for row in rows if (row.clip, row.method) == ("mean", "ours")]
    assert (mean.frames, mean.gain) == (4, pytest.approx(ours - both))


def test_mfqev2_counts_gains_on_coded_luma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module("mfqev2"), "TEST", ("a_32x16_1", "b_16x24_3"))

    def yuv(folder: str, name: str, lumas: list[int]) -> None:
        width, height = (int(side) for side in name.split("_")[1].split("x"))
        colour = bytes([128]) * (width * height // 2)
        place = tmp_path / "test_18" / folder
        place.mkdir(parents=True, exist_ok=True)
        frames = [bytes([luma]) * (width * height) + colour for luma in lumas]
        (place / f"{name}.yuv").write_bytes(b"".join(frames))

    yuv("raw", "a_32x16_1", [100])
    yuv("raw", "b_16x24_3", [100, 110, 120])
    yuv("HM16.5_LDP/QP37", "a_32x16_1", [90])
    yuv("HM16.5_LDP/QP37", "b_16x24_3", [80, 106, 112])
    # Three codes of luma are 3 / 219 of the way from black to white.
    rows = scores("mfqev2", tmp_path, Lighter(1, 3 * 255 / 219))
    coded = [[10], [20, 4, 8]]
    better = [[7], [17, 1, 5]]
    for method, errors in (("input", coded), ("ours", better)):
        videos = [sum(map(decibels, codes)) / len(codes) for codes in errors]
        assert psnr(rows, "mean", method) == pytest.approx(sum(videos) / 2, abs=1e-4)
    (row,) = [r for r in rows if (r.clip, r.method) == ("a_32x16_1", "ours")]
    assert row.gain == pytest.approx(decibels(7) - decibels(10), abs=1e-4)
    # SSIM of flat windows has only its term of means, with a data range of 1.
    x, y, z = (code / 255 for code in (100, 90, 93))
    flat = [(2 * x * v + 1e-4) / (x * x + v * v + 1e-4) for v in (y, z)]
    assert row.ssim == pytest.approx(flat[1], abs=1e-6)
    assert row.ssim_gain == pytest.approx(flat[1] - flat[0], abs=1e-6)


def test_numbers_say_what_they_are_of():
    bicubic = "bicubic, made here"
    assert about("vid4", "bd", bicubic).startswith("vid4 bd; low quality: BDx4, Gaussian blur")
    assert about("gopro", "train", bicubic) == "gopro train; low quality: blur, not blur_gamma"
    made = "vimeo90k test; low quality: bicubic, made here; every listed septuplet, black ones too"
    assert about("vimeo90k", "test", bicubic) == made
    assert Origin("folder", "", "hevc-37", 24, (1, 3), "mine").text() == (
        "folder; low quality: hevc-37, made here by x265, which is not HM; "
        "the first 24 frames of each clip; share 1/3 of the clips; ours: mine"
    )


def run(*words: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)], catch_exceptions=False)


def test_the_test_split_is_evaluated_if_none_is_named(tmp_path: Path):
    for words in (
        (tmp_path, "--dataset", "reds"),
        (tmp_path, "--dataset", "reds4"),
        ("--dataset", "reds4", "--root", tmp_path, "--weights", "sr-light"),
    ):
        result = run(*words)
        assert result.exit_code == 2
        assert f"the test split of REDS below {tmp_path} is incomplete" in result.stderr
    wrong = run(tmp_path, "--dataset", "reds4", "--split", "train")
    assert "expected the split test of a benchmark, got 'train'" in wrong.stderr
    assert "once: as DATA or with --root" in run(tmp_path, "--root", tmp_path).stderr
    assert "expected a name with .json or" in run(tmp_path, "--table", tmp_path / "x").stderr


def test_a_published_tree_from_the_command_line_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module("reds"), "SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(module("reds"), "FRAMES", ["0.png", "1.png"])
    for name in ("000", "011", "015", "020"):
        codes = {"0.png": 100, "1.png": 120}
        greys(tmp_path / "train/train_sharp" / name, codes)
        coarse = {"0.png": 104, "1.png": 116}
        small = (WIDTH // 4, HEIGHT // 4)
        greys(tmp_path / "train/train_sharp_bicubic/X4" / name, coarse, small)
    torch.manual_seed(0)
    weights = tmp_path / "mine.safetensors"  # untrained: they return bicubic
    save(weights, S2SVR(S2SVRConfig(channels=4, flow=None)), Card(task="sr"))
    json, text = tmp_path / "a.json", tmp_path / "a.md"
    words = ["--dataset", "reds4", "--root", tmp_path, "--weights", weights]
    shown = run(*words, "--segment", 5, "--table", json, "--table", text)
    assert shown.exit_code == 0, shown.output
    what = f"reds test; low quality: REDS's own bicubic x4; ours: {weights}"
    assert shown.stdout.splitlines()[:2] == [what, f"rgb: {PROTOCOLS['rgb'].text}"]
    assert what in text.read_text()
    cell = f"{decibels(4):.2f} / "
    tables = paper_tables({"reds": json})
    assert f"| ours, measured here |  | {cell}" in tables
    assert f"28.10 (+0.05) | {cell}" in tables
    # Neither a part of it nor another data set stands in for a benchmark.
    run(*words, "--frames", 1, "--table", json)
    fault = (
        "expected an evaluation of all of reds test in .*a.json, it is of reds test; .*the first 1"
    )
    with pytest.raises(ValueError, match=fault):
        paper_tables({"reds": json})
    run(*words, "--part", "1/2", "--table", json)
    with pytest.raises(ValueError, match="it is of reds test; .*share 1/2 of the clips"):
        paper_tables({"flow-supervised": json})
    run(tmp_path / "train/train_sharp", "--weights", weights, "--table", json)
    with pytest.raises(ValueError, match="it is of folder; low quality: bicubic, made here"):
        paper_tables({"reds": json})
    assert "4 clips that holds any" in run(*words, "--part", "4/5").stderr
