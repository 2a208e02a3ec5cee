"""The choice between a task's networks: by whom, by what, and that a resume never changes it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from media_clips import make_video
from s2svr.checkpoint import Card, save
from s2svr.cli.app import app
from s2svr.models import PRESETS, S2SVR
from s2svr.restoration import Compute, Job, choose_network, plan
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.video import restore_job
from s2svr.tasks import TASKS, Task

TASK = Task("small", "bicubic", "enlarge", best="large")


def tiny(channels: int) -> nn.Module:
    torch.manual_seed(0)
    return S2SVR(
        replace(PRESETS["sr-light"], channels=channels, feedback=4, attention=4, flow=None)
    )


def load(name: str) -> nn.Module:
    return tiny({"small": 4, "large": 8}[name])


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mkv", size=(64, 48), pts=[3003 * t for t in range(40)])


@pytest.fixture
def job(movie: Path) -> Job:
    return Job(movie, movie.with_name("out.mkv"))


def never(name: str) -> nn.Module:
    raise AssertionError(name)


def test_a_quality_that_is_named_is_taken(job: Job):
    assert choose_network(TASK, "fast", job, never) == ("small", "--quality fast", None)
    assert choose_network(TASK, "best", job, never) == ("large", "--quality best", None)
    with pytest.raises(ValueError, match="expected the quality auto, fast, best, got 'good'"):
        choose_network(TASK, "good", job, never)


@pytest.mark.parametrize("quality", ["auto", "fast", "best"])
def test_a_task_with_one_network_says_so(job: Job, quality: str):
    only = Task("small", "bicubic", "enlarge")
    found = choose_network(only, quality, job, never)
    assert found == ("small", "the task has one network only", None)
    light = (
        "deblur-light",
        "the task has one network only",
        None,
    )  # no deblur-base yet
    assert choose_network(TASKS["deblur"], quality, job, never) == light


def test_mirrored_frames_are_only_taken_where_they_are_asked_for(job: Job):
    task, words = TASKS["compression"], "--quality best takes mirrored frames too"
    for device in ("cpu", "cuda"):
        there = replace(job, compute=Compute(device=device))
        assert choose_network(task, "auto", there, never) == ("compression-light", words, None)
    assert choose_network(task, "best", job, never).network == "compression-light+"


def test_a_gpu_takes_the_best_one(job: Job):
    on_gpu = replace(job, compute=Compute(device="cuda:0"))
    assert choose_network(TASK, "auto", on_gpu, never) == ("large", "a GPU is used", None)
    assert choose_network(TASK, "fast", on_gpu, never).network == "small"


def test_what_is_not_planned_is_done_fast(job: Job):
    found = choose_network(TASK, "auto", job, never, planned=False)
    assert found == ("small", "nothing is planned", None)


@pytest.mark.parametrize(("patience", "wanted"), [(3600, "large"), (0, "small")])
def test_the_best_one_is_taken_where_it_ends_in_time(
    job: Job, monkeypatch: pytest.MonkeyPatch, patience: float, wanted: str
):
    monkeypatch.setattr("s2svr.restoration.choice.PATIENCE_BEST", patience)
    found = choose_network(TASK, "auto", job, load)
    assert found.network == wanted
    assert re.fullmatch(r"(it takes|large would take) about \d+:\d\d", found.why)
    assert (found.plan is None) is (wanted == "small")
    assert not job.target.exists()


def test_what_will_be_refused_is_not_measured(job: Job):
    job.target.write_bytes(b"")
    assert choose_network(TASK, "auto", job, never).network == "small"
    only_planned = choose_network(TASK, "auto", job, load, brief=False)
    assert only_planned.plan is not None


def test_images_without_a_duration_are_done_fast(tmp_path: Path, job: Job):
    broken = replace(job, source=make_video(tmp_path / "one.mkv", size=(64, 48), pts=[0]))
    found = choose_network(TASK, "auto", broken, load)
    assert found.network in ("small", "large")  # it is answered, whatever the header says
    assert found.why


def test_a_resume_never_changes_the_network(job: Job):
    begun = replace(job, network="small", why="it takes about 0:01")
    with pytest.raises(Stopped):
        restore_job(load("small"), begun, segment=32, stop=lambda: True)
    assert choose_network(TASK, "auto", job, never) == (
        "small", "the restoration was begun with it", None,
    )  # fmt: skip
    with pytest.raises(Exception, match="begun with network's name small, and now it is large"):
        restore_job(load("small"), replace(job, network="large"), segment=32)
    assert choose_network(TASK, "auto", replace(job, restart=True), load).network == "large"
    summary = restore_job(load("small"), begun, segment=32)
    assert (summary.resumed, summary.network) == (32, "small")


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Runs the command line with a task of two tiny networks."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("small", "large"):
        save(folder / f"{name}.safetensors", load(name), Card(task="sr"))
    monkeypatch.setattr("s2svr.checkpoint.WEIGHTS", folder)
    monkeypatch.setitem(TASKS, "sr", TASK)

    def run(*words: object) -> object:
        return CliRunner().invoke(app, ["restore", *map(str, words)], catch_exceptions=False)

    return run


def test_plan_and_summary_name_the_network_and_why(job: Job, bundled: Callable):
    words = [job.source, job.target, "--task", "sr"]
    found = json.loads(bundled(*words, "--plan", "--json").stdout)
    assert found["network"] == "large"
    assert found["why"].startswith("it takes about ")
    shown = bundled(*words, "--quality", "fast", "--plan").stdout
    assert "network: small (--quality fast)\n" in shown
    summary = bundled(*words, "--quality", "best").stdout
    assert "network: large (--quality best)\n" in summary


def test_what_was_measured_to_choose_is_not_measured_again(
    job: Job, bundled: Callable, monkeypatch: pytest.MonkeyPatch
):
    measured: list[int] = []
    measure = plan.measure

    def counting(trial, frames, target, share, patience, work):
        measured.append(frames)
        return measure(trial, frames, target, share, patience, work)

    monkeypatch.setattr(plan, "measure", counting)
    result = bundled(job.source, job.target, "--task", "sr")
    assert result.exit_code == 0
    assert measured == [40]
    assert "network: large (it takes about " in result.stdout


def test_impossible_qualities_are_refused_before_the_first_frame(job: Job, bundled: Callable):
    words = [job.source, job.target, "--task", "sr"]
    result = bundled(*words, "--quality", "great")
    assert result.exit_code == 2
    assert "expected the quality auto, fast, best, got 'great'" in result.stderr
    result = bundled(*words, "--quality", "best", "--weights", "small")
    assert result.exit_code == 2
    assert "expected --weights or --quality, a choice of the task's own, got both" in result.stderr
    assert not job.target.exists()
