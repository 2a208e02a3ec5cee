"""The scripts of benchmarks/: each is whole, and the index names it and the pages that it feeds."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.glob("*/*.py"))
INDEX = (BENCHMARKS / "README.md").read_text(encoding="utf-8")

each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def is_run(path: Path) -> bool:
    """Whether it is a command, not only a part of others."""
    return "\ndef main()" in path.read_text(encoding="utf-8")


@each_script
def test_importing_says_nothing_and_a_command_answers_help(path, benchmark, monkeypatch, capsys):
    script = benchmark(path.stem)
    assert capsys.readouterr() == ("", "")
    if is_run(path):
        monkeypatch.setattr(sys, "argv", [path.name, "--help"])
        with pytest.raises(SystemExit) as end:
            script.main()
        assert end.value.code == 0
        assert f"usage: {path.name}" in capsys.readouterr().out


@each_script
def test_a_script_imports_only_what_lies_beside_it(path: Path):
    words = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    others = {other.stem for other in SCRIPTS if other.parent != path.parent}
    assert not others & set(words)


@each_script
def test_the_index_names_a_script_and_pages_that_it_feeds(path: Path):
    name = path.relative_to(BENCHMARKS).as_posix()
    rows = [line for line in INDEX.splitlines() if line.startswith(f"| [{path.stem}]({name}) |")]
    assert len(rows) == 1
    if is_run(path):
        assert f"python benchmarks/{name}" in path.read_text(encoding="utf-8")  # how it is run
        _, *pages = re.findall(r"\]\(([^)]+)\)", rows[0])
        assert pages
        for page in pages:
            text = (BENCHMARKS / page).read_text(encoding="utf-8")
            assert f"benchmarks/{name}" in text, page


def test_no_two_scripts_have_one_name():
    assert len({path.stem for path in SCRIPTS}) == len(SCRIPTS)


def test_scripts_that_are_named_anywhere_are_there():
    there = {path.relative_to(ROOT).as_posix() for path in SCRIPTS}
    texts = [path for kind in ("md", "py", "toml") for path in ROOT.rglob(f"*.{kind}")]
    named = {
        name
        for path in texts
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        for name in re.findall(r"\bbenchmarks/[\w/]+\.py\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= there
