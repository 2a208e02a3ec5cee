"""The paper's trainings: their numbers, and two real steps of each on a small published tree."""

import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from s2svr.checkpoint import load
from s2svr.media import read_clip
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.train.flow import train_flow
from s2svr.train.launch import Run
from s2svr.train.recipes import FlowRecipe, RestorationRecipe, load_recipe
from s2svr.train.restoration import train_restoration
from s2svr.writing.images import write_png

RECIPES = Path(__file__).parent.parent / "recipes"
SETS = ("reds", "vimeo90k", "gopro", "mfqev2")
SIDE = 64  # of low-quality frames: the flow network's coarsest stride
SMALL = [
    "data.frames=2",
    f"data.context=[{SIDE}, {SIDE}]",
    "data.batch=1",
    "optim.steps=2",
    "optim.flow_from=1",
    "optim.workers=0",
]


@pytest.mark.parametrize("stage", ["teacher", "student"])
@pytest.mark.parametrize("name", SETS)
def test_flow_is_trained_with_the_papers_numbers(name: str, stage: str):
    recipe = load_recipe(RECIPES / f"{name}-{stage}.toml")
    assert isinstance(recipe, FlowRecipe)
    assert (recipe.model.preset, recipe.optim.rate) == ("flow-paper", 1e-4)
    loss = recipe.loss
    assert (loss.photometric, loss.smooth, loss.distill) == (0.15, 50.0, 0.1)
    assert (loss.smooth_scales, loss.enlarged) == ((1.0, 0.0, 0.0, 0.0), True)  # as ARFlow
    assert 0 < loss.mask_from < recipe.optim.steps
    assert recipe.data.crop % SIDE == 0


@pytest.mark.parametrize(
    ("name", "preset", "frames", "steps"),
    [
        ("reds", "sr-paper", 15, 600_000),
        ("vimeo90k", "sr-paper", 14, 300_000),
        ("gopro", "deblur-paper", 7, 200_000),
        ("mfqev2", "compression-paper", 7, 300_000),
    ],
)
def test_restoration_is_trained_with_the_papers_numbers(
    name: str, preset: str, frames: int, steps: int
):
    recipe = load_recipe(RECIPES / f"{name}-restoration.toml")
    assert isinstance(recipe, RestorationRecipe)
    assert (recipe.model.preset, recipe.data.frames, recipe.data.batch) == (preset, frames, 8)
    optim = recipe.optim
    assert (optim.rate, optim.flow_rate) == (2e-4, 5e-5)
    assert optim.flow_from == (5_000 if name == "gopro" else 10_000)
    assert (optim.decay, optim.rate * optim.floor) == (steps, pytest.approx(1e-7))
    assert not recipe.data.reverse
    assert recipe.data.transpose is (name == "gopro")  # where the context is square
    assert (optim.steps, recipe.loss.eps) == (steps, 1e-12)
    assert recipe.data.mirrored is (name == "vimeo90k")


def pictures(folder: Path, names: list[str], side: int) -> None:
    """A pattern that moves by two pixels a frame."""
    folder.mkdir(parents=True)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    for t, name in enumerate(names):
        waves = [torch.sin((x - 2 * t) / 5) * torch.cos(y / k) for k in (3, 7, 11)]
        write_png(folder / name, (torch.stack(waves) + 1) / 2)


def reds_tree(root: Path, patch: Callable) -> None:
    module = import_module("s2svr.data.reds")
    patch(module, "TRAIN", ("001",))
    patch(module, "FRAMES", module.FRAMES[:2])
    patch(module, "SIZE", (4 * SIDE, 4 * SIDE))
    pictures(root / "train/train_sharp/001", module.FRAMES, 4 * SIDE)
    pictures(root / "train/train_sharp_bicubic/X4/001", module.FRAMES, SIDE)


def vimeo90k_tree(root: Path, patch: Callable) -> None:
    module = import_module("s2svr.data.vimeo90k")
    patch(module, "COUNTS", {"train": 1, "test": 0})
    patch(module, "SIZE", (4 * SIDE, 4 * SIDE))
    (root / "sep_trainlist.txt").write_text("00001/0001\n")
    pictures(root / "sequences/00001/0001", module.FRAMES, 4 * SIDE)


def gopro_tree(root: Path, patch: Callable) -> None:
    module = import_module("s2svr.data.gopro")
    patch(module, "TRAIN", {"GOPR0372_07_00": None})
    patch(module, "TRAIN_FRAMES", 2)
    patch(module, "SIZE", (SIDE, SIDE))
    for kind in ("sharp", "blur"):
        folder = root / "train/GOPR0372_07_00" / kind
        pictures(folder, ["000001.png", "000002.png"], SIDE)


def mfqev2_tree(root: Path, patch: Callable) -> None:
    patch(import_module("s2svr.data.mfqev2"), "TRAIN", 1)
    codes = np.random.default_rng(0).integers(16, 235, 3 * SIDE * SIDE, dtype=np.uint8)
    for place in ("raw", "HM16.5_LDP/QP37"):
        (root / "train_108" / place).mkdir(parents=True)
        codes.tofile(root / "train_108" / place / f"clip_{SIDE}x{SIDE}_2.yuv")


TREES = {
    "reds": reds_tree,
    "vimeo90k": vimeo90k_tree,
    "gopro": gopro_tree,
    "mfqev2": mfqev2_tree,
}


@pytest.mark.parametrize("name", SETS)
def test_three_stages_make_two_steps_on_a_published_tree(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "data"
    root.mkdir()
    TREES[name](root, monkeypatch.setattr)

    def recipe(stage: str, *more: str) -> FlowRecipe | RestorationRecipe:
        return load_recipe(RECIPES / f"{name}-{stage}.toml", [*SMALL, *more])

    def run(stage: str) -> Run:
        return Run(tmp_path / stage, "cpu", cache=tmp_path / "cache")

    whole = f"data.crop={SIDE}"
    teacher = train_flow(recipe("teacher", whole), run("t"), data=root)
    student = train_flow(recipe("student", whole), run("s"), data=root, teacher=teacher)
    narrow = ("model.channels=4", "data.crop=16")
    path = train_restoration(recipe("restoration", *narrow), run("r"), data=root, flow=student)
    model = load(path)
    assert isinstance(model, S2SVR)
    assert isinstance(load(student), PWCLite)
    assert model.scale == (4 if name in ("reds", "vimeo90k") else 1)


@pytest.mark.slow
def test_a_narrow_paper_model_learns_one_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "data"
    gopro_tree(root, monkeypatch.setattr)
    clip = root / "train/GOPR0372_07_00"
    distance = []  # of the blurred pictures, which a fresh network returns
    for path in (clip / "sharp").iterdir():
        picture = read_clip(path).float() / 255
        blurred = functional.avg_pool2d(picture, (1, 9), 1, (0, 4), count_include_pad=False)
        write_png(clip / "blur" / path.name, blurred[0])
        distance.append((blurred - picture).abs().mean().item())
    more = ["model.channels=8", "model.motion=false", "data.crop=24", "data.context=[24, 24]"]
    more += [
        "data.reverse=false",
        "optim.steps=260",
        "optim.decay=220",
        "optim.rate=2e-3",
        "optim.warmup=5",
        "optim.clip=0.3",
        "optim.log_every=1",
    ]
    said: list[str] = []
    train_restoration(
        load_recipe(RECIPES / "gopro-restoration.toml", [*SMALL, *more]),
        Run(tmp_path / "out", "cpu", say=said.append),
        data=root,
    )
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in said]
    assert statistics.median(losses[-20:]) < 0.4 * statistics.mean(distance)


@pytest.mark.slow
def test_a_flow_network_that_trains_later_trains_in_two_processes(tmp_path: Path):
    """Its parameters have no gradient at first, which plain data parallelism refuses."""
    frames = [f"{n}.png" for n in range(3)]
    pictures(tmp_path / "data/one", frames, 4 * SIDE)
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from s2svr.train import Run, load_recipe, train_restoration\n"
        "recipe, data, out, *overrides = sys.argv[1:]\n"
        "run = Run(Path(out), 'cpu', 2, say=print)\n"
        "train_restoration(load_recipe(Path(recipe), overrides), run, data=Path(data))\n"
    )
    arguments = [script, RECIPES / "sr-light.toml", tmp_path / "data", tmp_path / "out", *SMALL]
    more = ["data.crop=16", "data.batch=2", "optim.steps=3", "optim.flow_rate=1e-4"]
    command = [sys.executable, *map(str, arguments), *more, "optim.log_every=1", "optim.decay=0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "step 3/3" in run.stdout
