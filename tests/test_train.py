"""The trainings: resume equals unbroken, two processes equal one, and losses fall."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from shutil import copytree
from typing import Any
from unittest import mock

import av
import numpy as np
import pytest
import torch
from lightning_fabric.plugins.precision import Precision
from torch import nn
from torch.utils.data import default_collate
from typer.testing import CliRunner

from s2svr.checkpoint import Card, load, read_card, save
from s2svr.cli.app import app
from s2svr.data.clips import Data
from s2svr.data.folder import folder_clips
from s2svr.data.store import clip_key
from s2svr.metrics import psnr_float
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie
from s2svr.train import fit as fit_module
from s2svr.train import launch
from s2svr.train.clip_flow import FlowCrops, clip_flows, context_flows, with_stored_flow
from s2svr.train.fit import Loss, Objective, fit, optimizer_of, rate_share
from s2svr.train.flow import train_flow
from s2svr.train.launch import Run
from s2svr.train.network import build
from s2svr.train.progress import Progress
from s2svr.train.recipes import Optim, load_recipe
from s2svr.train.restoration import ready_to_train, restoration_loss, train_restoration
from s2svr.train.store import recipe_clips, store_damaged
from s2svr.train.validation import check_apart

RECIPES = Path(__file__).parent.parent / "recipes"
SMALL = [
    "data.crop=16",
    "data.context=[32, 32]",
    "data.batch=2",
    "data.frames=3",
    "data.moving=3",
    "optim.decay=0",
    "optim.warmup=0",
    "optim.log_every=1",
    "optim.checkpoint_minutes=0.0001",
]
WEIGHTS = ("weight", "bias")
FLOW = [*SMALL, "data.frames=2", "data.crop=32", "data.rendered=0"]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short lossless clips of a smooth pattern that drifts."""
    root = tmp_path_factory.mktemp("footage")
    y, x = np.mgrid[:128, :144].astype(np.float32)
    for name, speed in (("one", 2.0), ("two", -1.0)):
        with av.open(str(root / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 144, 128, "bgr0"
            stream.codec_context.time_base = Fraction(1, 25)
            for t in range(5):
                phase = x - speed * t
                rgb = [np.sin(phase / 3) * np.cos(y / k) for k in (2, 5, 9)]
                codes = np.stack([(c + 1) * 127 for c in rgb], -1).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="bgr0")
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return root


@pytest.fixture(scope="module")
def teacher(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    recipe = load_recipe(RECIPES / "flow-light-teacher.toml", [*FLOW, "optim.steps=2"])
    return train_flow(recipe, Run(out, "cpu"), data=footage)


class KillError(Exception):
    """Stands for the end of the process."""


def kill_at(step: int):
    def say(line: str) -> None:
        if line.startswith(f"step {step}/"):
            raise KillError

    return say


def sr(steps: int, *more: str):
    return load_recipe(RECIPES / "sr-light.toml", [*SMALL, f"optim.steps={steps}", *more])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path).state_dict()


def test_a_resumed_run_equals_an_unbroken_one(footage: Path, teacher: Path, tmp_path: Path):
    given = {"data": footage, "flow": teacher}
    lines: dict[str, list[str]] = {"whole": [], "broken": []}
    unbroken = Run(tmp_path / "whole", "cpu", say=lines["whole"].append)
    whole = train_restoration(sr(5), unbroken, **given)
    killed = Run(tmp_path / "broken", "cpu", say=kill_at(4))
    with pytest.raises(KillError):
        train_restoration(sr(5), killed, **given)
    broken = train_restoration(sr(5), replace(killed, say=lines["broken"].append), **given)
    losses = {run: [line.split(",")[0] for line in said] for run, said in lines.items()}
    assert losses["broken"] == losses["whole"][3:]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(broken)[name])


@pytest.mark.slow
def test_two_processes_train_as_one(footage: Path, teacher: Path, tmp_path: Path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from s2svr.train import Run, load_recipe, train_restoration\n"
        "from s2svr.data import store\n"
        "read = store.read_clip\n"
        "store.read_clip = lambda path: print('read', path.name, flush=True) or read(path)\n"
        "data, flow, recipe, out, processes, *overrides = sys.argv[1:]\n"
        "run = Run(Path(out), 'cpu', int(processes), say=print)\n"
        "recipe = load_recipe(Path(recipe), overrides)\n"
        "train_restoration(recipe, run, data=Path(data), flow=Path(flow))\n"
    )
    losses = []
    for processes in (1, 2):
        arguments = [footage, teacher, RECIPES / "sr-light.toml", tmp_path / str(processes)]
        overrides = [*SMALL, "optim.steps=4", "optim.rate=1e-4"]
        command = [str(part) for part in (sys.executable, script, *arguments, processes)]
        run = subprocess.run(
            [*command, *overrides], check=True, timeout=200, capture_output=True, text=True
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith("step")]
        # Each clip is decoded by one process, for which the other waits.
        assert sorted(re.findall("read (\\S+)", run.stdout)) == ["one.mkv", "two.mkv"]
        losses.append([float(line.split("loss ")[1].split(",")[0]) for line in lines])
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)
    one, two = (weights(tmp_path / n / "model.safetensors") for n in "12")
    assert all(torch.allclose(one[name], two[name], atol=5e-4) for name in one)


def test_torchrun_says_how_many_processes_on_how_many_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started = []

    class Started:
        def __init__(self, devices, num_nodes, strategy, **others):
            started.append((devices, num_nodes, strategy))

        def launch(self):
            pass

        def seed_everything(self, seed, verbose):
            pass

    monkeypatch.setattr(launch, "Fabric", Started)
    optim = Optim(steps=1, rate=1e-4)
    launch.start_processes(optim, Run(tmp_path, "cpu"))
    launch.start_processes(optim, Run(tmp_path, "cpu", 4))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    launch.start_processes(optim, Run(tmp_path, "cuda"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    launch.start_processes(optim, Run(tmp_path, "cuda"))
    launch.start_processes(optim, Run(tmp_path, "cuda"), unused=True)
    ddp = "ddp_find_unused_parameters_true"
    assert started == [(1, 1, "auto"), (4, 1, "ddp"), (8, 3, "ddp"), (1, 3, "ddp"), (1, 3, ddp)]


def test_processes_must_divide_the_batch(footage: Path, tmp_path: Path):
    from s2svr.train.fit import Endless

    with pytest.raises(ValueError, match="data.batch to divide by the 2 processes, got 3"):
        Endless(3, 0, 0, 2)


@pytest.mark.slow
def test_one_clip_is_learnt(footage: Path, teacher: Path, tmp_path: Path):
    recipe = sr(60, "optim.rate=1e-3", "optim.average=0.9", "data.crop=24")
    said: list[str] = []
    run = Run(tmp_path, "cpu", say=said.append)
    seen = copytree(footage, tmp_path / "seen")  # validated on what it learns
    train_restoration(recipe, run, data=footage, val=seen, flow=teacher)
    gain = float(said[-1].split("gain ")[1])
    assert gain > 0.3


def test_clips_to_validate_on_are_not_trained_on(footage: Path, teacher: Path, tmp_path: Path):
    both = copytree(footage, tmp_path / "both")
    (both / "val").mkdir()
    (both / "two.mkv").rename(both / "val" / "two.mkv")
    (tmp_path / "link").symlink_to(both / "val")
    run = Run(tmp_path / "run", "cpu")
    for val in (both / "val", tmp_path / "link"):
        with pytest.raises(ValueError, match=r"not trained on, got .*two.mkv in both: move them"):
            train_restoration(sr(1), run, data=both, val=val, flow=teacher)
    assert not (tmp_path / "run" / "clips").exists()  # nothing was decoded before
    (both / "train").mkdir()
    (both / "one.mkv").rename(both / "train" / "one.mkv")
    check_apart(recipe_clips(sr(1).data, both), folder_clips(both / "val"))
    without = sr(1, "data.without=['two']", "data.split=''").data
    check_apart(recipe_clips(without, both), folder_clips(both / "val"))


def test_a_frozen_flow_network_stays_and_a_trained_one_moves(
    footage: Path, teacher: Path, tmp_path: Path
):
    before = weights(teacher)
    for rate_, moves in ((0.0, False), (1e-3, True)):
        path = train_restoration(
            sr(2, f"optim.flow_rate={rate_}", "optim.average=0.0"),
            Run(tmp_path / str(rate_), "cpu"),
            data=footage,
            flow=teacher,
        )
        model = load(path)
        assert isinstance(model, S2SVR)
        assert model.flow is not None
        after = model.flow.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before) is not moves


def test_flow_comes_from_somewhere(footage: Path, teacher: Path, tmp_path: Path):
    alone = ["data.context=[16, 16]", "data.frames=1", "optim.steps=1"]
    recipe = load_recipe(RECIPES / "sr-light-start.toml", [*SMALL, *alone])
    start = train_restoration(recipe, Run(tmp_path, "cpu"), data=footage)
    assert load(start).flow is None  # frames alone need none, and a fresh one is not kept
    assert load(start).config.flow is None
    later = ["optim.flow_rate=1e-4", "optim.flow_from=1"]  # never, of one step
    for init, entries in ((None, []), (start, []), (start, later)):
        with pytest.raises(ValueError, match="expected --flow WEIGHTS, or --init .* got neither"):
            ready_to_train(sr(1, *entries), None, init, None)
    for flow, init, wanted in (
        (teacher, start, load(teacher)),
        (teacher, "sr-light", load(teacher)),
        (None, "sr-light", load("sr-light").flow),
    ):
        model = ready_to_train(sr(1), flow, init, None)
        assert model.flow is not None
        for name, value in wanted.state_dict().items():
            assert torch.equal(model.flow.state_dict()[name], value)
    assert ready_to_train(sr(2, *later), None, start, None).flow is not None
    assert ready_to_train(sr(1, "model.motion=false"), None, start, None).flow is None


def test_a_twin_without_motion_starts_from_the_rest_of_a_networks_weights():
    without = build(sr(1, "model.motion=false"), None, "sr-light")
    given = load("sr-light").state_dict()
    assert without.flow is None
    for name, value in without.state_dict().items():
        assert torch.equal(value, given.pop(name))
    assert given
    assert all(name.startswith("flow.") for name in given)


def test_a_network_that_mixes_neighbours_starts_from_one_that_does_not(tmp_path: Path):
    recipe, path = load_recipe(RECIPES / "deblur-light.toml"), tmp_path / "plain.safetensors"
    without = {"neighbours": 0, "exposure": 0, "confidence": False, "flow": None}
    plain = S2SVR(replace(PRESETS["deblur-light"], **without))
    save(path, plain, Card(task="deblur"))
    own, given = build(recipe, None, path).state_dict(), load(path).state_dict()
    fresh = {name for name in own if name.startswith(("mixer.", "flow."))}
    fresh |= {"encoder.first.weight"}
    assert own.keys() == given.keys() | fresh
    assert all(torch.equal(own[name], given[name]) for name in own.keys() - fresh)


def test_a_base_network_starts_from_anothers_trunk_and_the_light_ones_mixer():
    recipe = load_recipe(RECIPES / "deblur-base-start.toml")
    model = build(recipe, None, "sr-base", "deblur-light")
    own = model.state_dict()
    trunk, light = load("sr-base").state_dict(), load("deblur-light").state_dict()
    fresh = {"encoder.first.weight"}
    fresh |= {f"decoder.{part}.{kind}" for part in ("feedback", "output.0") for kind in WEIGHTS}
    mixer = {name for name in own if name.startswith("mixer.")}
    along = {f"decoder.along.shares.{kind}" for kind in WEIGHTS}
    share = {f"mixer.blurred.tell.4.{kind}" for kind in WEIGHTS}  # is learned last
    assert own.keys() == trunk.keys() | mixer | along
    assert not any(own[name].any() for name in along)
    assert all(torch.equal(own[name], trunk[name]) for name in trunk.keys() - fresh)
    assert all(torch.equal(own[name], light[name]) for name in mixer - share)
    assert own["decoder.output.0.weight"].shape == (12, 64, 3, 3)  # 3 colours on the half grid
    x = torch.rand(1, 3, 3, 16, 24)
    with torch.no_grad():  # it begins with what the mixer makes
        flows = model.flows(list(x.unbind(1)), 3)
        mixed, *_ = model.mixed(list(x.unbind(1)), [], flows, 3)
        assert (mixed[1] - x[:, 1]).abs().max() > 0.01
        assert torch.equal(model(x)[0], torch.stack(mixed, 1))


@pytest.mark.parametrize(
    ("phase", "mixer", "message"),
    [
        ("sr-light", "deblur-light", "no --mixer for sr-light, which mixes no neighbours"),
        ("deblur-base", "compression-light", "mixes neighbours as deblur-base does"),
        ("deblur-base", "sr-light", "mixes neighbours as deblur-base does"),
        ("deblur-base", "flow-light-teacher", "mixes neighbours as deblur-base does"),
    ],
)
def test_a_mixer_of_another_kind_is_refused(phase: str, mixer: str, message: str):
    with pytest.raises(ValueError, match=message):
        build(load_recipe(RECIPES / f"{phase}.toml"), None, None, mixer)


def test_a_network_of_both_ways_starts_with_what_one_of_one_way_computes(tmp_path: Path):
    recipe, path = load_recipe(RECIPES / "sr-light.toml"), tmp_path / "one-way.safetensors"
    one_way = replace(PRESETS["sr-light"], bidirectional=False)
    torch.manual_seed(0)
    other = S2SVR(one_way)
    for parameter in other.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)  # else the output is the base
    save(path, other, Card(task="sr"))
    model = build(recipe, None, path)
    x = torch.rand(1, 4, 3, 24, 32)
    with torch.no_grad():
        expected, got = load(path)(x)[0], model(x)[0]
    assert (expected - resize_bicubic(x[0], 4)).abs().max() > 0.01
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert model.encoder.fuse.weight.requires_grad


@pytest.mark.parametrize("task", ["compression", "deblur"])
def test_a_base_network_starts_with_what_the_light_one_computes(tmp_path: Path, task: str):
    recipe, path = load_recipe(RECIPES / f"{task}-base-start.toml"), tmp_path / "light.safetensors"
    torch.manual_seed(0)
    light = S2SVR(PRESETS[f"{task}-light"])
    for parameter in light.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)  # else the output is the base
    light.mixer.start_share()
    save(path, light, Card(task=task))
    model = build(recipe, None, path).eval()
    x = resize_bicubic(torch.rand(5, 3, 24, 32), 2).clamp(0, 1)[None]
    with torch.no_grad():
        expected, got = load(path).eval()(x)[0], model(x)[0]
    assert (expected - x).abs().max() > 0.01
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_a_start_from_a_network_of_another_size_is_refused(tmp_path: Path):
    recipe, path = load_recipe(RECIPES / "deblur-light.toml"), tmp_path / "narrow.safetensors"
    save(path, S2SVR(replace(PRESETS["deblur-light"], neighbours=4)), Card(task="deblur"))
    with pytest.raises(ValueError, match=r"start from mixer.*of \[.*, got \[.*another size"):
        build(recipe, None, path)


def test_a_restoration_does_not_start_from_a_flow_network():
    recipe = load_recipe(RECIPES / "deblur-light.toml")
    with pytest.raises(ValueError, match="expected a restoration network .* got a PWCLite"):
        build(recipe, None, "flow-light-teacher")


def test_a_frame_alone_is_restored_as_in_a_clip_without_a_memory():
    recipe = load_recipe(RECIPES / "deblur-light-start.toml")
    model, alone = build(recipe, None, None), restoration_loss(recipe.loss, 0)
    assert model.mixer is not None
    with torch.no_grad():
        model.mixer.shares[-1].weight.normal_(0, 0.3)
    whole = restoration_loss(recipe.loss.model_copy(update={"scored": "clips"}), 0)
    lq, hq = torch.rand(2, 1, 12, 3, 16, 16)
    batch = {"lq": lq, "hq": hq, "crop": torch.zeros(1, 2, dtype=torch.long)}
    # A fresh network has no memory, so that frame by frame it loses what it loses as a whole.
    one_by_one = [alone(model, batch, step)["loss"] for step in range(12)]
    torch.testing.assert_close(torch.stack(one_by_one).mean(), whole(model, batch, 0)["loss"])


def test_what_frames_lose_is_added_to_the_distance():
    plain = load_recipe(RECIPES / "compression-light.toml", ["loss.luma=false"])
    weighed = load_recipe(RECIPES / "compression-light.toml", ["loss.luma=false", "loss.harm=3"])
    model = build(plain, None, None)
    for parameter in model.decoder.output.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)  # a fresh network changes nothing
    hq = torch.rand(1, 4, 3, 32, 32)
    batch = {"lq": hq + 0.02, "hq": hq, "crop": torch.zeros(1, 2, dtype=torch.long)}
    with torch.no_grad():
        distance = restoration_loss(plain.loss, 0)(model, batch, 0)
        terms = restoration_loss(weighed.loss, 0)(model, batch, 0)
        y = model(batch["lq"])[0]
    frames = zip(batch["lq"][0], y[0], hq[0], strict=True)
    lost = [psnr_float(a, truth) - psnr_float(b, truth) for a, b, truth in frames]
    assert min(lost) > 1
    assert terms["harm"].item() == pytest.approx(sum(lost) / 400, abs=2e-4)
    assert distance.keys() == {"loss"}
    assert terms["loss"].item() == pytest.approx(distance["loss"].item() + 3 * terms["harm"].item())


def test_harm_is_refused_where_output_and_input_differ_in_size(footage: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="loss.harm=0 for sr-light, whose output is 4 times"):
        train_restoration(sr(1, "loss.harm=1"), Run(tmp_path, "cpu"), data=footage)


@pytest.mark.parametrize("phase", ["mixer", "start"])
def test_each_phase_of_deblurring_trains_its_part(footage: Path, tmp_path: Path, phase: str):
    small = [*SMALL, "data.rendered=0", "data.clean=0", "data.degradation=blur-3", "optim.steps=2"]
    recipe = load_recipe(RECIPES / f"deblur-light-{phase}.toml", [*small, "optim.average=0.0"])
    before = build(recipe, None, None).state_dict()
    path = train_restoration(recipe, Run(tmp_path, "cpu"), data=footage)
    after = weights(path)
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    moved = {name.split(".")[0] for name in changed}
    assert moved == ({"mixer"} if phase == "mixer" else {"encoder", "decoder"})
    assert not any(name.startswith("mixer.exposure") for name in changed)


def test_teacher_then_student(footage: Path, teacher: Path, tmp_path: Path):
    recipe = load_recipe(RECIPES / "flow-light-student-sr.toml", [*FLOW, "optim.steps=2"])
    said: list[str] = []
    run = Run(tmp_path, "cpu", say=said.append)
    path = train_flow(recipe, run, data=footage, teacher=teacher)
    assert "distill" in said[0]
    assert isinstance(load(path), PWCLite)


def test_a_students_damage_is_named_on_the_command_line(
    footage: Path, teacher: Path, tmp_path: Path
):
    words = ["train", "flow", RECIPES / "flow-light-student-sr.toml", "--stage", "student"]
    words += ["--data", footage, "--teacher", teacher, "--out", tmp_path, "--device", "cpu"]
    words += ["--degradation", "hevc-37"]
    words += [word for entry in (*FLOW, "optim.steps=1") for word in ("--set", entry)]
    run = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert run.exit_code == 0, run.output
    assert read_card(tmp_path / "model.safetensors").data == "2 clips, hevc-37"


def test_a_named_blur_trains_flow_on_rendered_pairs_too(
    footage: Path, teacher: Path, tmp_path: Path
):
    entries = [*FLOW, "optim.steps=1", "data.rendered=1", "data.degradation=blur-3"]
    recipe = load_recipe(RECIPES / "flow-light-student-sr.toml", entries)
    path = train_flow(recipe, Run(tmp_path / "run", "cpu"), data=footage, teacher=teacher)
    assert read_card(path).data == "2 clips, blur-3"


@pytest.mark.parametrize("damage", ["blur-3+bicubic", "hevc-32"])
def test_flow_is_not_begun_with_damage_that_rendered_pairs_cannot_have(damage: str, tmp_path: Path):
    entries = [*FLOW, "data.rendered=0.5", f"data.degradation={damage}"]
    recipe = load_recipe(RECIPES / "flow-light-teacher.toml", entries)
    with pytest.raises(ValueError, match="expected .*rendered clips"):
        train_flow(recipe, Run(tmp_path / "run", "cpu"), data=tmp_path)
    assert not (tmp_path / "run").exists()


def test_sources_that_flow_is_tested_on_are_left_out(tmp_path: Path):
    for name in ("t132_sintel.mkv", "t133_sintel.mkv", "t134_forest.mkv"):
        (tmp_path / name).touch()
    for stage in ("teacher", "student-sr", "student-deblur", "student-compression"):
        recipe = load_recipe(RECIPES / f"flow-light-{stage}.toml")
        assert [c.name for c in recipe_clips(recipe.data, tmp_path)] == ["t134_forest.mkv"]
    whole = load_recipe(RECIPES / "flow-light-teacher.toml", ["data.without=[]"])
    assert len(recipe_clips(whole.data, tmp_path)) == 3


def test_a_restoration_model_is_no_teacher(footage: Path, teacher: Path, tmp_path: Path):
    model = train_restoration(sr(1), Run(tmp_path / "m", "cpu"), data=footage, flow=teacher)
    recipe = load_recipe(RECIPES / "flow-light-student-sr.toml", [*FLOW, "optim.steps=1"])
    with pytest.raises(ValueError, match="expected a flow network as teacher"):
        train_flow(recipe, Run(tmp_path / "s", "cpu"), data=footage, teacher=model)


def test_batched_flow_equals_flow_pair_by_pair(teacher: Path):
    torch.manual_seed(0)
    for radius in (1, 2):
        # Fresh weights make large flows of small differences: only in double are they the same.
        model = S2SVR(replace(PRESETS["sr-light"], radius=radius)).eval().double()
        x = torch.rand(2, 4, 3, 32, 40, dtype=torch.float64)
        with torch.inference_mode():
            batched, single = context_flows(model, x), model.flows([*x.unbind(1)], 4)
        for mine, theirs in zip(batched[:2], single[:2], strict=True):
            for a, b in zip(mine, theirs, strict=True):
                for f, g in zip(a, b, strict=True):
                    assert (f is None) == (g is None)
                    assert f is None or torch.allclose(f, g, atol=1e-9)


def test_kept_flow_is_that_of_the_size_it_was_estimated_at(footage: Path, tmp_path: Path):
    (clip,) = store_damaged(folder_clips(footage)[:1], Data(degradation="hevc"), tmp_path)
    config = PRESETS["compression-light"]
    torch.manual_seed(0)
    weights = S2SVR(config).state_dict()
    for down in (2, 4, 2):
        model = S2SVR(replace(config, flow_down=down))
        model.load_state_dict(weights)
        flow = clip_flows([clip], model, 1, tmp_path)[clip.key]
        height, width = (-(-side // down) for side in clip.lq.shape[-2:])
        assert flow.shape[-2:] == (height, width)


def test_flow_made_ready_is_what_the_network_sees_of_whole_frames(footage: Path, tmp_path: Path):
    (clip,) = store_damaged(folder_clips(footage)[:1], Data(degradation="hevc"), tmp_path)
    clip = clip._replace(lq=clip.lq[..., :128], hq=clip.hq[..., :128])
    model = S2SVR(PRESETS["compression-light"]).eval()
    model.flow.load_state_dict(load("flow-light-student-compression").state_dict())
    data = Data(frames=5, crop=128, context=(128, 128), skip=1, reverse=False)
    crops = FlowCrops([clip], clip_flows([clip], model, 1, tmp_path), data, down=2)
    upright = next(i for i in range(100) if not any(crops.pairs.draw(i).flip))
    with torch.inference_mode():
        x, flows = with_stored_flow(model, default_collate([crops[upright]]))
        whole = model.flows(list(x.unbind(1)), 5)
    for mine, theirs in zip(flows[:2], whole[:2], strict=True):
        for line, other in zip(mine, theirs, strict=True):
            for a, b in zip(line, other, strict=True):
                assert (a is None) == (b is None)
                assert a is None or (a - b).abs().mean() < 0.005  # kept in half precision
    assert flows.before[2][3].abs().mean() > 1


def test_rate_warms_up_stays_and_falls():
    optim = Optim(steps=100, rate=1.0, warmup=10, decay=20)
    assert rate_share(0, optim) == pytest.approx(0.1)
    assert rate_share(9, optim) == rate_share(50, optim) == rate_share(80, optim) == 1.0
    assert rate_share(90, optim) == pytest.approx(0.505)
    assert 0.01 <= rate_share(99, optim) < 0.03
    assert rate_share(99, optim.model_copy(update={"floor": 0.5})) == pytest.approx(0.503, abs=1e-3)


def fitted(loss: Loss, optim: Optim, out: Path, **more: Any) -> list[str]:
    """Train one layer on one batch; what was said."""
    torch.manual_seed(0)
    model, batch, said = nn.Linear(2, 1), {"x": torch.ones(1, 2)}, list[str]()
    run = Run(out, "cpu", say=said.append)
    fabric = launch.start_processes(optim, run)
    source = lambda fabric, first: repeat(batch)  # noqa: E731
    fit(Objective(model, loss), source, optim, run, fabric=fabric, **more)
    return said


@pytest.mark.parametrize(
    "spoil", [lambda loss: loss + torch.inf, lambda loss: loss * torch.nan], ids=["loss", "both"]
)
def test_a_loss_that_is_not_finite_reaches_no_checkpoint(tmp_path: Path, spoil: Callable):
    """Where its gradient is finite, and where not."""

    def loss(net: nn.Module, given: dict, step: int) -> dict:
        whole = net(given["x"]).sum()
        return {"loss": spoil(whole) if step == 2 else whole}

    with pytest.raises(FloatingPointError, match=r"not finite at step 3; .*last.ckpt"):
        fitted(loss, Optim(steps=3, rate=0.1), tmp_path)
    assert not (tmp_path / "last.ckpt").exists()


def test_gradients_that_are_scaled_may_overflow(tmp_path: Path):
    """As they do at first; such a step is left out, and the scale is kept for who goes on."""
    taken = []

    def loss(net: nn.Module, given: dict, step: int) -> dict:
        taken.append(net.weight.detach().clone())
        return {"loss": 1e35 * net(given["x"]).sum() if step < 2 else net(given["x"]).sum()}

    fitted(loss, Optim(steps=4, rate=0.1, precision="16-mixed"), tmp_path)
    assert torch.equal(taken[0], taken[2])
    assert not torch.equal(taken[2], taken[3])
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["precision"]["scale"] == 2.0**14  # halved twice


def test_half_precision_leaves_clips_and_truth_as_they_are(tmp_path: Path):
    seen = []

    def loss(net: nn.Module, given: dict, step: int) -> dict:
        out = net(given["x"])
        seen.append((given["x"].dtype, out.dtype))
        return {"loss": out.float().sum()}

    fitted(loss, Optim(steps=1, rate=0.1, precision="bf16-mixed"), tmp_path)
    assert seen == [(torch.float32, torch.bfloat16)]


def test_a_finished_run_has_its_weights_and_no_other_recipe(tmp_path: Path):
    def loss(net: nn.Module, given: dict, step: int) -> dict:
        return {"loss": net(given["x"]).sum()}

    recipe = load_recipe(RECIPES / "sr-light-start.toml", ["optim.steps=2", "optim.rate=0.1"])
    card = Card(task="sr", recipe="tiny")
    save = {"card": card, "recipe": recipe}
    with mock.patch.object(fit_module, "save_weights") as writing:
        writing.side_effect = lambda path, model, card: path.write_text(str(card.step))
        fitted(loss, recipe.optim, tmp_path, **save)
        (tmp_path / "model.safetensors").unlink()
        assert "finished before" in fitted(loss, recipe.optim, tmp_path, **save)[0]
        assert (tmp_path / "model.safetensors").read_text() == "2"
        other = load_recipe(RECIPES / "sr-light-start.toml", ["data.batch=3"])
        with pytest.raises(
            ValueError, match=r"expected data.batch = \d+, which the run in .* got 3"
        ):
            fitted(loss, other.optim, tmp_path, card=card, recipe=other)
        longer = load_recipe(RECIPES / "sr-light-start.toml", ["optim.steps=3", "optim.rate=0.2"])
        fitted(loss, longer.optim, tmp_path, card=card, recipe=longer)
        assert (tmp_path / "model.safetensors").read_text() == "3"


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_adam_goes_on_as_the_device_wants_it(tmp_path: Path, before: bool, after: bool):
    """Captured steps of a GPU need another kind of it than plain ones."""

    def progress(captured: bool) -> Progress:
        net = nn.Linear(2, 1)
        optimizer = optimizer_of(Optim(steps=1, rate=0.1), [{"params": net.parameters()}], captured)
        return Progress(net, net, optimizer, Precision(), None)

    progress(before).save(tmp_path / "last.ckpt", 1)
    found = progress(after)
    assert found.load(tmp_path / "last.ckpt", torch.device("cpu")) == 1
    assert found.optimizer.param_groups[0]["capturable"] is after


def test_clips_prepared_side_by_side_are_those_prepared_in_turn(footage: Path, tmp_path: Path):
    clips = folder_clips(footage)
    found = [
        store_damaged(clips, Data(degradation="hevc"), tmp_path / str(workers), workers)
        for workers in (0, 2)
    ]
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one.lq, other.lq)
        assert np.array_equal(one.hq, other.hq)


def test_copies_of_a_clip_differ_in_damage_size_and_part(tmp_path: Path):
    torch.manual_seed(0)
    write_movie(tmp_path / "clip.mkv", torch.rand(7, 3, 210, 240), Fraction(25))
    clips = folder_clips(tmp_path)
    data = Data(degradation="hevc", copies=3, sizes=(1.0, 1.5), part=(6, 148, 168))
    found = store_damaged(clips, data, tmp_path / "store")
    assert [clip.source for clip in found] == 3 * ["clip"]
    assert len({clip.key for clip in found}) == 3
    assert [len(clip.lq) for clip in found] == [6, 6, 6]
    assert [clip.lq.shape[-2:] for clip in found] == [(148, 168), (140, 160), (148, 168)]
    (whole,) = store_damaged(clips, Data(degradation="hevc"), tmp_path / "store")
    places = []
    for copy in found[::2]:  # those that were not reduced are somewhere in the clip
        first = copy.hq[0, :, :1, :1]
        places += [
            (t, y, x)
            for t, y, x in np.argwhere((whole.hq == first).all(1))
            if np.array_equal(copy.hq, whole.hq[t : t + 6, :, y : y + 148, x : x + 168])
        ]
    assert len(places) == 2
    assert places[0] != places[1]
    again = store_damaged(clips, data, tmp_path / "again", workers=2)
    for one, other in zip(found, again, strict=True):
        assert one.key == other.key
        assert np.array_equal(one.lq, other.lq)


@pytest.mark.parametrize("entry", [{"copies": 2}, {"sizes": (1.0, 2.0)}, {"part": (5, 64, 64)}])
def test_clips_of_both_qualities_are_not_damaged_anew(entry: dict, footage: Path, tmp_path: Path):
    clip = folder_clips(footage)[0]
    both = [clip._replace(lq=clip.hq)]
    (stored,) = store_damaged(both, Data(), tmp_path)
    assert np.array_equal(stored.lq, stored.hq)
    with pytest.raises(ValueError, match="expected data.copies=1.*clips that come in both"):
        store_damaged(both, Data(**entry), tmp_path)


def test_one_copy_keeps_its_name_of_before(footage: Path, tmp_path: Path):
    """A store filled before copies came in still serves."""
    clip = folder_clips(footage)[0]
    (stored,) = store_damaged([clip], Data(degradation="hevc"), tmp_path)
    assert stored.key == clip_key(clip, "hevc")
