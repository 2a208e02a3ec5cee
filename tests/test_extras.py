"""A plain install, without any extra, does all but train; and then says what trainings need."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from media_clips import make_video

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = "trainings need lightning-fabric and tensorboard: pip install 's2svr[train]' brings them"
# Runs the code in its second argument as if the packages in its first were not installed.
PLAIN = """
import sys
from importlib.machinery import PathFinder

class Plain(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in absent
        return None if hidden else super().find_spec(name, path, target)

absent, code = set(sys.argv.pop(1).split()), sys.argv.pop(1)
sys.meta_path[sys.meta_path.index(PathFinder)] = Plain
exec(code)
"""
COMMAND = "import runpy; runpy.run_module('s2svr', run_name='__main__', alter_sys=True)"


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought_by(wanted: list[str]) -> set[str]:
    """The distributions that pip brings for these requirements, by their plain names."""
    found: set[str] = set()
    queue = [(Requirement(text), "") for text in wanted]
    while queue:
        asked, extra = queue.pop()
        if asked.marker and not asked.marker.evaluate({"extra": extra}):
            continue
        for chosen in ("", *asked.extras):
            key = f"{plain_name(asked.name)}[{chosen}]"
            if key not in found:
                found.add(key)
                try:
                    more = requires(asked.name) or []
                except PackageNotFoundError:
                    continue  # for another platform, or not needed to run
                queue += [(Requirement(text), chosen) for text in more]
    return {key.partition("[")[0] for key in found}


@pytest.fixture(scope="module")
def absent() -> str:
    """Packages that are here, and not in a plain install."""
    there = brought_by(PROJECT["dependencies"]) | {"s2svr"}
    names = {
        package
        for package, distributions in packages_distributions().items()
        if not {plain_name(name) for name in distributions} & there
    }
    assert {"lightning_fabric", "tensorboard", "grpc", "cv2", "skimage", "PIL", "pytest"} <= names
    assert not names & {"torch", "av", "numpy", "typer", "pydantic", "safetensors", "filelock"}
    return " ".join(names)


def run_plain(absent: str, code: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PLAIN, absent, code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("words", ["--help", "info", "restore --help", "train flow --help"])
def test_a_plain_install_answers(absent: str, words: str):
    run = run_plain(absent, COMMAND, *words.split())
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


@pytest.mark.slow
def test_a_plain_install_restores_compares_and_evaluates(absent: str, benchmark, tmp_path: Path):
    weights = benchmark("apart").tiny_weights(tmp_path / "tiny.safetensors")
    clips, table = tmp_path / "clips", tmp_path / "scores.json"
    clips.mkdir()
    clip, restored = make_video(clips / "a.mp4"), tmp_path / "b.mp4"
    for words in (
        ["restore", clip, restored, "--weights", weights],
        ["compare", clip, restored],
        ["evaluate", clips, "--weights", weights, "--degradation", "blur-3", "--table", table],
    ):
        run = run_plain(absent, COMMAND, *words)
        assert run.returncode == 0, run.stderr
    assert restored.is_file()
    assert json.loads(table.read_text())


def test_trainings_without_their_extra_say_how_to_get_it(absent: str, tmp_path: Path):
    words = ["recipe.toml", "--data", tmp_path, "--out", tmp_path / "run"]
    for kind in (["restoration"], ["flow", "--stage", "student"], ["exposure"], ["quality"]):
        run = run_plain(absent, COMMAND, "train", *kind, *words)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr == f"error: {NEEDED}\n"
    assert not (tmp_path / "run").exists()


def test_the_page_without_its_extra_says_how_to_get_it(absent: str, tmp_path: Path):
    run = run_plain(absent, COMMAND, "serve", "--no-open", "--folder", tmp_path / "folder")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "error: the page needs fastapi, uvicorn and python-multipart: "
        "pip install 's2svr[web]' brings them\n"
    )
    assert not (tmp_path / "folder").exists()


def test_python_says_so_too(absent: str):
    assert run_plain(absent, "import s2svr.restoration, s2svr.evaluation").returncode == 0
    for room in ("s2svr.train", "s2svr.train.recipes"):
        run = run_plain(absent, f"import {room}")
        assert run.stderr.splitlines()[-1] == f"ModuleNotFoundError: {NEEDED}"


def test_every_package_that_is_imported_is_a_requirement():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {plain_name(Requirement(text).name) for text in chain(*groups)}
    other = {"cv2": "opencv-python-headless"}
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).partition(".")[0])
    brought = {"triton"}  # by PyTorch for CUDA; what imports it is done without where it is not
    foreign = imported - sys.stdlib_module_names - brought
    assert {other.get(name, plain_name(name)) for name in foreign} <= declared


def test_the_extra_of_the_tests_holds_that_of_the_trainings():
    extras = PROJECT["optional-dependencies"]
    assert "s2svr[train,web]" in extras["test"]
    assert {Requirement(text).name for text in extras["train"]} == {
        "lightning-fabric",
        "tensorboard",
    }
