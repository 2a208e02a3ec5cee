"""Evaluations whose damage is made here: of every task, kept on disk, with and without memory."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from s2svr.checkpoint import Card, load, save
from s2svr.cli.app import app
from s2svr.damage.blur import blur_clip
from s2svr.damage.table import degradation
from s2svr.data.clip import Clip, Pair
from s2svr.data.damaged import damaged_clip
from s2svr.data.folder import folder_clips
from s2svr.evaluation import run as ev
from s2svr.evaluation.settings import Scoring, Storage
from s2svr.evaluation.tables import means, side_by_side
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.config import S2SVRConfig
from s2svr.models.s2svr import S2SVR
from s2svr.writing.images import write_png


class Later(nn.Module):
    """Adds a code more with every frame since the memory began."""

    lookahead, scale = 0, 1

    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Parameter(torch.tensor(1 / 255))

    def forward(self, x, state=None, lookahead=0):
        seen = state or 0
        steps = torch.arange(seen + 1, seen + 1 + x.shape[1]).view(-1, 1, 1, 1)
        return x + self.light * steps, seen + x.shape[1]


def moving(folder: Path, count: int, height: int = 24, width: int = 32) -> Path:
    """A texture that moves by a pixel a frame, as PNGs."""
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    picture = ((0.25 + 0.5 * noise) * 255).round() / 255
    folder.mkdir(parents=True)
    for t in range(count):
        write_png(folder / f"{t:02}.png", torch.roll(picture, t, -1))
    return folder


def flat(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for t in range(count):
        write_png(folder / f"{t:02}.png", torch.full((3, 16, 16), 100 / 255))
    return folder


def same(clip, generator):
    """No damage at all."""
    return Pair(clip, clip)


def decibels(codes: float) -> float:
    return 20 * math.log10(255 / codes)


def test_a_blurred_clip_has_the_frames_that_were_asked_for(tmp_path: Path):
    source = moving(tmp_path / "a", 9)
    whole = blur_clip(read_clip(source).float() / 255, 3)
    for frames, want in ((4, 4), (7, 7), (9, 7), (None, 7)):
        found = damaged_clip(source, degradation("blur-3"), seed=0, frames=frames)
        assert np.array_equal(found.lq, (whole.lq[:want] * 255).round().byte().numpy())
        assert np.array_equal(found.hq, read_clip(source)[1 : want + 1].numpy())


def test_more_is_read_until_there_is_enough(tmp_path: Path):
    source, lengths = moving(tmp_path / "a", 40), []

    def tenth(clip, generator):
        lengths.append(len(clip))
        return Pair(clip[5::10], clip[5::10])

    found = damaged_clip(source, tenth, seed=0, frames=3)
    assert lengths == [16, 24, 36]
    assert np.array_equal(found.hq, read_clip(source)[5:26:10].numpy())
    assert len(damaged_clip(source, tenth, seed=0, frames=9).hq) == 4  # there are no more


def test_damage_is_kept_and_not_made_again(tmp_path: Path):
    source, cache, calls = moving(tmp_path / "a", 3), tmp_path / "cache", []

    def darker(clip, generator):
        calls.append(1)
        noise = torch.rand((), generator=generator)
        return Pair(clip * noise, clip)

    sequences = [Clip("a", source), Clip("again", source)]
    storage = Storage(damaged=cache, label="darker")
    first = ev.evaluate(Later(), sequences, darker, storage=storage)
    assert len(calls) == 2  # each of the sequences has noise of its own
    assert first[0].psnr != first[len(first) // 2].psnr
    assert ev.evaluate(Later(), sequences, darker, storage=storage) == first
    assert len(calls) == 2
    assert ev.evaluate(Later(), sequences, darker) == first  # as without the folder
    ev.evaluate(Later(), sequences, darker, storage=replace(storage, label="other"))
    assert len(calls) == 6
    os.utime(source / "01.png", (1, 1))  # a change within the folder, whose own time stays
    ev.evaluate(Later(), sequences, darker, storage=storage)
    assert len(calls) == 8


def test_other_networks_stand_beside_and_are_told_apart(tmp_path: Path):
    sequences, other = [Clip("flat", flat(tmp_path / "flat", 2))], Later()
    storage = Storage(scores=tmp_path / "out")
    rows = ev.evaluate(Later(), sequences, same, others={"other": other}, storage=storage)
    assert [row.method for row in rows[:3]] == ["input", "other", "ours"]
    assert rows[1].psnr == rows[2].psnr
    torch.nn.init.zeros_(other.light)
    with pytest.raises(ValueError, match="expected scores made with others = {'other': "):
        ev.evaluate(Later(), sequences, same, others={"other": other}, storage=storage)


def test_networks_beside_are_named_apart(tmp_path: Path, weights: Path):
    """Every training's weights are called model.safetensors."""
    moving(tmp_path / "clips/a", 3)
    beside = [tmp_path / name / "model.safetensors" for name in ("first", "second")]
    for path in beside:
        path.parent.mkdir()
        path.write_bytes(weights.read_bytes())
    words = [tmp_path / "clips", "--weights", weights, "--degradation", "blur-3"]
    shown = run(*words, "--beside", beside[0], "--beside", beside[1], "--beside", weights)
    assert shown.exit_code == 0, shown.output
    assert [f"  {name}  " in shown.stdout for name in (*beside, "mine")] == [True] * 3


def test_memory_begins_again_after_every_segment(tmp_path: Path):
    sequences = [Clip("flat", flat(tmp_path / "flat", 7))]
    rows = ev.evaluate(Later(), sequences, same, Scoring(["rgb"], segments=[1, 3]))
    want = {
        "ours": [1, 2, 3, 4, 5, 6, 7],
        "ours, T=1": [1] * 7,
        "ours, T=3": [1, 2, 3, 1, 2, 3, 1],
    }
    assert [row.method for row in rows] == ["input", *want]
    for row in rows[1:]:
        values = [decibels(codes) for codes in want[row.method]]
        assert row.psnr == pytest.approx(np.mean(values), abs=1e-5)
        assert row.spread == pytest.approx(np.std(values), abs=1e-5)


def test_gains_are_of_frames_that_differ_from_the_truth(tmp_path: Path):
    """The mean of what the frames gained; where the input is perfect there is none to tell."""
    sequences = [Clip("flat", flat(tmp_path / "flat", 3))]
    perfect = ev.evaluate(Later(), sequences, same, Scoring(["rgb"]))
    assert (perfect[0].equal, perfect[1].equal) == (3, 0)
    assert [math.isnan(row.gain) for row in perfect] == [True, True]
    assert math.isnan(means(perfect)[1].gain)

    def second_and_third(clip, generator):
        wrong = torch.tensor([0, 8, 4]).view(-1, 1, 1, 1) / 255
        return Pair(clip - wrong, clip)

    rows = ev.evaluate(Later(), sequences, second_and_third, Scoring(["rgb"]))
    # The input is wrong by 0, 8 and 4 codes, ours by 1, 6 and 1.
    gains = [decibels(6) - decibels(8), decibels(1) - decibels(4)]
    assert rows[1].gain == pytest.approx(np.mean(gains), abs=1e-5)
    assert rows[0].spread == pytest.approx((decibels(4) - decibels(8)) / 2, abs=1e-5)
    (line,) = side_by_side(rows, "rgb")
    assert (line["std input"], line["std ours"]) == (rows[0].spread, rows[1].spread)
    assert line["SSIM gain"] == pytest.approx(rows[1].ssim - rows[0].ssim)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights for deblurring, which return their input."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save(path, S2SVR(S2SVRConfig(channels=4, flow=None, scale=1)), Card(task="deblur"))
    return path


def run(*words: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)], catch_exceptions=False)


@pytest.mark.parametrize("damage", ["blur-3", "h264-32", "hevc-37"])
def test_every_damage_from_the_command_line(tmp_path: Path, weights: Path, damage: str):
    side = 72 if damage == "hevc-37" else 32
    moving(tmp_path / "clips/a", 5, side, side)
    words = [tmp_path / "clips", "--weights", weights, "--frames", 3, "--segment", 1]
    words += ["--beside", weights, "--cache", tmp_path / "cache", "--degradation", damage]
    tables = [tmp_path / f"t.{kind}" for kind in ("md", "json", "csv")]
    shown = run(*words, *(word for path in tables for word in ("--table", path)))
    assert shown.exit_code == 0, shown.output
    assert f"low quality: {damage}, made here" in shown.stdout
    pair = degradation(damage)(
        read_clip(tmp_path / "clips/a").float() / 255, torch.Generator().manual_seed(0)
    )
    want = np.mean([psnr_rgb(a, b) for a, b in zip(pair.lq[:3], pair.hq[:3], strict=True)])
    assert f"{want:.3f}" in shown.stdout
    rows = json.loads(tables[1].read_text())["rows"]
    methods = ["input", "mine", "ours", "ours, T=1"]
    assert [row["method"] for row in rows if row["clip"] == "a"] == 2 * methods
    assert rows[0]["psnr"] == pytest.approx(want, abs=0.02 if damage == "hevc-37" else 1e-6)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert all(path.stat().st_size for path in tables)


def test_the_table_grows_on_a_terminal(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("first", "second"):
        moving(tmp_path / "clips" / name, 3)
    shown = run(tmp_path / "clips", "--weights", weights, "--degradation", "blur-3")
    pictures = re.split("mean ", shown.stderr)  # the last line of each
    assert "second" not in pictures[0]
    assert re.search("first .*second ", pictures[-2], re.DOTALL)


def test_damage_is_that_of_the_weights_task(tmp_path: Path, weights: Path):
    moving(tmp_path / "clips/a", 8)
    shown = run(tmp_path / "clips", "--weights", weights, "--protocol", "rgb")
    assert "low quality: blur-7, made here" in shown.stdout
    wrong = run(tmp_path / "clips", "--weights", weights, "--dataset", "imagenet")
    assert wrong.exit_code == 2
    assert "expected a data set (folder, pairs, reds" in wrong.stderr


WORKER = """
import os, signal, sys
from pathlib import Path
from s2svr.checkpoint import load
from s2svr.data import folder_clips
from s2svr.damage import degradation
from s2svr.evaluation import Storage, evaluate
clips, weights, out, part, most = sys.argv[1:]
seen = []

def done(rows):
    seen.append(rows)
    if len(seen) == int(most):
        os.kill(os.getpid(), signal.SIGKILL)

evaluate(
    load(weights), folder_clips(Path(clips)), degradation("blur-3"),
    storage=Storage(Path(out), label="blur-3"), part=(int(part), 2), done=done,
)
"""


@pytest.mark.slow
def test_processes_share_the_clips_and_one_that_was_killed_goes_on(tmp_path: Path, weights: Path):
    for index in range(5):
        moving(tmp_path / f"clips/{index}", 4 + index)
    words = [sys.executable, "-c", WORKER, tmp_path / "clips", weights, tmp_path / "out"]
    # The first is killed after two of its three clips.
    workers = [
        subprocess.Popen([*map(str, words), part, most]) for part, most in (("0", "2"), ("1", "9"))
    ]
    assert [worker.wait(300) for worker in workers] == [-signal.SIGKILL, 0]
    sequences, calls = folder_clips(tmp_path / "clips"), []

    def counted(clip, generator):
        calls.append(len(clip))
        return degradation("blur-3")(clip, generator)

    model = load(weights)
    storage = Storage(tmp_path / "out", label="blur-3")
    rows = ev.evaluate(model, sequences, counted, storage=storage)
    assert calls == [8]  # the one that is left
    assert rows == ev.evaluate(model, sequences, degradation("blur-3"))
    assert [row.clip for row in rows[::4]] == ["0", "1", "2", "3", "4"]
