"""Containers: what their files promise, and where Docker answers, that they are built."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "containers").glob("Dockerfile.*"))


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def test_there_is_one_for_processors_and_one_for_gpus():
    assert [path.suffix for path in FILES] == [".cpu", ".cuda"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.suffix)
def test_containers_run_without_root_and_from_the_lock(path: Path):
    last = path.read_text(encoding="utf-8").rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER s2svr$", last, re.MULTILINE)
    assert last.index("USER s2svr") < last.index("ENTRYPOINT")
    assert "--constraint containers/lock.txt" in path.read_text(encoding="utf-8")


def test_the_lock_has_a_version_of_every_dependency_that_fits():
    import tomllib

    lock = dict(
        line.split("==")
        for line in (ROOT / "containers" / "lock.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["web"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(Version(lock[wanted.name])), wanted.name


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not docker_answers(), reason="not built here: docker info does not answer")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.suffix)
def test_containers_are_built_and_answer(path: Path):
    name = f"s2svr-test:{path.suffix[1:]}"
    subprocess.run(["docker", "build", "-f", str(path), "-t", name, str(ROOT)], check=True)
    run = ["docker", "run", "--rm", name]
    said = subprocess.run([*run, "models"], check=True, capture_output=True, text=True).stdout
    assert "sr-light" in said
    user = ["docker", "run", "--rm", "--entrypoint", "id", name, "-u"]
    assert subprocess.run(user, check=True, capture_output=True, text=True).stdout == "1000\n"
