"""Tasks: the table, and a task that is added as docs/develop/add-a-task.md says."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from typer.testing import CliRunner

import s2svr
from media_clips import make_video
from s2svr.checkpoint import bundled, load, read_card
from s2svr.cli.app import app
from s2svr.cli.options import either, task_help
from s2svr.damage.table import DAMAGES, Damage, degradation
from s2svr.data import Pair, to_bytes
from s2svr.evaluation import CLIPS
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.ops import quantised
from s2svr.tasks import LOSSY_TASK, TASKS, USUAL_TASK, Task, task_named
from s2svr.writing.images import write_png

PAGE = Path(__file__).parent.parent / "docs" / "develop" / "add-a-task.md"


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_names_what_exists(name: str):
    task = TASKS[name]
    assert task.weights in bundled()
    assert read_card(name).task == name
    degradation(task.damage)
    assert f"{name} ({task.help})" in task_help()
    assert f"clips-{name}" in CLIPS


def test_tasks_that_are_taken_without_a_name():
    assert (USUAL_TASK, LOSSY_TASK) == ("sr", "upscale")
    assert task_help().endswith(
        "restore picks sr or upscale by how the input is coded; other commands take sr."
    )


def test_an_unknown_task_is_refused_with_all_names(tmp_path: Path):
    known = "expected the task sr, upscale, deblur, compression, got 'paint'"
    with pytest.raises(ValueError, match=known):
        task_named("paint")
    for words in (["restore", "in.mp4", "out.mp4"], ["benchmark"], ["evaluate", tmp_path]):
        if words[0] == "evaluate":
            make_video(tmp_path / "a.mp4", pts=[0, 3003])
        for more in ([], ["--weights", "sr-light"]):
            result = run(*words, "--task", "paint", *more)
            assert result.exit_code == 2
            assert known in " ".join(result.stderr.split())


def test_words_are_joined():
    assert either(["a"]) == "a"
    assert either(["a", "b", "a", "c"]) == "a, b or c"


def blocks(kind: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def denoise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The page carried out: its function, entries, and weights that its recipe trained a step."""
    names: dict[str, Any] = {
        "torch": torch, "Tensor": Tensor, "Generator": Generator, "Pair": Pair,
        "quantised": quantised, "Damage": Damage, "Task": Task,
    }  # fmt: skip
    function, damage, task = blocks("python")
    exec(function, names)
    for table, entry in ((DAMAGES, damage), (TASKS, task)):
        for name, value in eval(f"{{{entry}}}", names).items():
            assert name not in table
            monkeypatch.setitem(table, name, value)
    (recipe,) = blocks("toml")
    (tmp_path / "denoise.toml").write_text(recipe)
    (tmp_path / "clips").mkdir()
    make_video(tmp_path / "clips" / "a.mp4", size=(96, 80), pts=[0, 3003, 6006])
    words = ["--data", tmp_path / "clips", "--out", tmp_path / "run", "--device", "cpu"]
    words += ["--flow", "flow-light-student-compression"]
    for change in (
        "data.frames=2", "data.crop=16", "data.context=[32, 32]", "data.batch=1",
        "model.channels=4", "optim.steps=1",
    ):  # fmt: skip
        words += ["--set", change]
    trained = run("train", "restoration", tmp_path / "denoise.toml", *words)
    assert trained.exit_code == 0, trained.output
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(trained.stdout.strip(), folder / f"{TASKS['denoise'].weights}.safetensors")
    monkeypatch.setattr("s2svr.checkpoint.WEIGHTS", folder)
    return names


def test_a_task_is_added_as_the_page_says(tmp_path: Path, denoise: dict[str, Any]):
    assert read_card("denoise").task == "denoise"
    table = tmp_path / "t.json"
    words = ("--task", "denoise", "--device", "cpu")
    shown = run("evaluate", tmp_path / "clips", *words, "--protocol", "rgb", "--table", table)
    assert shown.exit_code == 0, shown.output
    assert "low quality: noise, made here; ours: denoise-light" in shown.stdout
    clip = read_clip(tmp_path / "clips" / "a.mp4").float() / 255
    lq, hq = denoise["sensor_damage"](clip, Generator().manual_seed(0))
    rows = {row["method"]: row for row in json.loads(table.read_text())["rows"]}
    for method, frames in (("input", lq), ("ours", s2svr.restore(load("denoise"), iter(lq)))):
        want = sum(psnr_rgb(a, b) for a, b in zip(frames, hq, strict=True)) / 3
        assert rows[method]["psnr"] == pytest.approx(want, abs=1e-4)
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index, frame in enumerate(lq):
        write_png(source / f"{index}.png", frame)
    restored = run("restore", source, target, *words)
    assert restored.exit_code == 0, restored.output
    frames = torch.stack(list(s2svr.restore(load("denoise"), iter(lq))))
    assert torch.equal(read_clip(target), to_bytes(frames))
    assert "denoise (remove noise)" in task_help()
    wrong = run("restore", source, target, "--task", "denoize")
    assert "compression, denoise, got 'denoize'" in " ".join(wrong.stderr.split())
    wrong = run("evaluate", tmp_path / "clips", *words, "--degradation", "noize")
    assert "coded, mixed, noise, or at one strength" in " ".join(wrong.stderr.split())
