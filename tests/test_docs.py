"""The pages for people: what is generated is up to date, what is listed is whole."""

import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from s2svr.cli.app import app
from s2svr.damage.table import DAMAGES, stream
from s2svr.data import BENCHMARKS, DATASETS
from s2svr.tasks import TASKS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """docs/generate_reference.py as a module."""
    name = "generate_reference"
    spec = spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_the_generated_reference_is_up_to_date(generator: ModuleType) -> None:
    pages = generator.pages()
    assert {path.name for path in pages} == {
        "commands.md", "damage.md", "python.md", "recipes.md", "s2svr.1", "what-is-kept.md",
    }  # fmt: skip
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is older than the program: run python docs/generate_reference.py"
        )


def test_every_command_is_in_the_reference(generator: ModuleType) -> None:
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    for words, _ in generator.leaves(typer.main.get_command(app), []):
        assert f"\n## s2svr {' '.join(words)}\n" in text


def test_every_command_and_option_says_what_it_does(generator: ModuleType) -> None:
    commands: list[tuple[list[str], Any]] = list(generator.leaves(typer.main.get_command(app), []))
    assert len(commands) > 15
    for words, command in commands:
        assert command.help, words
        for parameter in command.params:
            text = parameter.help or ""
            assert text.endswith((".", "...")), f"{' '.join(words)} {parameter.name}: {text!r}"
            assert "often" not in text, f"{' '.join(words)} {parameter.name}"


def test_commands_on_the_pages_are_ones_that_are_understood(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = typer.main.get_command(app)
    for _, command in generator.leaves(root, []):
        monkeypatch.setattr(command, "callback", lambda **given: None)
    lines = [
        (page, line)
        for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
        if page.name != "commands.md"
        for line in shown_commands(read(page))
    ]
    assert len(lines) > 80
    for page, line in lines:
        try:
            root.main(shlex.split(line), prog_name="s2svr", standalone_mode=False)
        except Exception as error:
            pytest.fail(f"{page.name}: s2svr {line}: {error}")


def shown_commands(markdown: str) -> Iterator[str]:
    """The arguments of every s2svr command in a page's blocks of code."""
    for block in re.findall(r"^```\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"(\s#.*|&\s*)$", "", line)
            found = re.search(r"(?:^|/)s2svr (.*)", command)
            if found and "..." not in found[1] and "--version" not in found[1]:
                yield found[1]


def test_signatures_are_wrapped_where_they_are_long(generator: ModuleType) -> None:
    import ast

    head = "def f(a: int, *, b: str = 'x') -> None: ..."
    node = ast.parse(head).body[0]
    assert generator.signature(node, "f") == ["f(a: int, *, b: str = 'x') -> None"]
    many = ", ".join(f"argument_{i}: int" for i in range(9))
    lines = generator.signature(ast.parse(f"def g({many}) -> int: ...").body[0], "g")
    assert lines[0] == "g("
    assert lines[1] == "    argument_0: int,"
    assert lines[-1] == ") -> int"


def test_an_entry_without_a_meaning_is_refused(generator: ModuleType) -> None:
    from pydantic import BaseModel

    class Section(BaseModel):
        entry: int = 3

    with pytest.raises(ValueError, match=r"the meaning of Section\.entry"):
        generator.entry_table("Section", Section.model_fields, {}, {})
    meanings = {"Section": {"entry": "Counts."}}
    row = generator.entry_table("Section", Section.model_fields, meanings, {})[-1]
    assert row == "| `entry` | `3` | Counts. |"


def test_every_damage_and_data_set_has_its_row() -> None:
    damage = (DOCS / "reference" / "damage.md").read_text(encoding="utf-8")
    for name, kind in DAMAGES.items():
        assert kind.clip or kind.strength
        assert (f"\n| `{name}` |" in damage) == bool(kind.clip), name
        assert (f"\n| `{name}-N` |" in damage) == bool(kind.strength), name
        for text in (kind.clip and kind.text, kind.strength and kind.strength.text):
            assert text is None or text.endswith("."), name
    sets = (DOCS / "reference" / "data-sets.md").read_text(encoding="utf-8")
    for name in DATASETS:
        assert f"\n| `{name}` |" in sets, name
    for name in BENCHMARKS:
        assert f"`{name}`" in sets, name


def test_every_task_has_its_row_and_its_card() -> None:
    page = read(DOCS / "guide" / "which-task.md")
    for name, task in TASKS.items():
        card = re.escape(f"[{task.weights}](../models/{task.weights}.md)")
        assert re.search(rf"\n\| .* \| `{name}` \| .* \| {card} \|\n", page), name


def test_options_of_degrade_say_what_the_table_of_damages_says(generator: ModuleType) -> None:
    """The help itself cannot take it from there: it answers without torch."""
    damages = {"bicubic": "bicubic", "gaussian": "gaussian", "blur": "blur"}
    damages |= {"hevc_qp": "hevc", "x264_crf": "h264"}
    leaves = generator.leaves(typer.main.get_command(app), [])
    command = next(command for words, command in leaves if words == ["degrade"])
    options = {parameter.name: parameter for parameter in command.params}
    for name, kind in damages.items():
        option, at = options[name], DAMAGES[kind].strength
        if at is None:
            stream(kind)
            assert option.help == DAMAGES[kind].text
        else:
            stream(f"{kind}-{at.usual}")
            assert (option.help, option.metavar) == (at.text, at.unit.upper())


def test_anchors_of_the_documents_are_headings() -> None:
    for page in DOCS.rglob("*.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", read(page)):
            if "://" not in target:
                other = page.parent / target if target else page
                assert anchor in anchors(other), f"{page.name}: {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    heads = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in heads}


def test_the_readme_is_one_screen_of_prose() -> None:
    text = read(ROOT / "README.md")
    assert len(text.splitlines()) <= 80
    words, numbers = counted(text)
    assert words > 200
    assert numbers <= words / 50, f"{numbers} numbers in {words} words"


def test_numbers_are_counted_outside_tables_code_and_links() -> None:
    text = "One 2 three\n| 4 | 5 |\n```\n6 7\n```\nsee [the 8](nine-10.md) and S2SVR, 3.11, x264\n"
    assert counted(text) == (10, 3)  # 2, 8 and 3.11


def counted(markdown: str) -> tuple[int, int]:
    """Words and numbers of the prose; tables, blocks of code and targets of links are left out."""
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^\|.*$", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    words = [word for word in prose.split() if re.search(r"\w", word)]
    return len(words), len(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*", prose))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")
