"""The rules of the house that a machine can check; they hold for every module there is."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "s2svr"
LAB = ROOT / "lab"
MODULES = sorted(SRC.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

# Rooms (folders) and the modules beside them. Imports go down, or stay on their level.
LEVELS = {
    "ops": 0,
    "color": 0,
    "files": 0,
    "devices": 0,
    "maps": 0,
    "gpu": 0,
    "tasks": 0,
    "profiles": 0,
    "text": 0,
    "pace": 0,
    "losses": 1,
    "metrics": 1,
    "models": 1,
    "media": 1,
    "writing": 2,
    "checkpoint": 2,
    "coarseness": 2,
    "ensemble": 2,
    "finish": 2,
    "sizes": 2,
    "fused": 2,
    "data": 2,
    "export": 3,
    "damage": 3,
    "doctor": 3,
    "render": 3,
    "restoration": 3,
    "flow": 4,
    "stretches": 4,
    "pipes": 4,
    "train": 4,
    "evaluation": 5,
    "adapting": 5,
    "tuning": 6,
    "jobs": 6,
    "batch": 7,
    "web": 7,
    "cli": 8,
    "__main__": 9,
    "__init__": 9,
}
ROOMS = sorted(path.parent for path in MODULES if path.name == "__init__.py" and path.parent != SRC)
MOST = 20  # modules in a folder
MATHEMATICS = [p for p in MODULES if p.parent.name == "models" or p.stem in ("ops", "losses")]
PUBLIC = [
    "S2SVR", "Card", "CheckpointError", "MediaError", "PWCLite", "Summary", "bundled", "load",
    "read_clip", "restore", "restore_video", "save",
]  # fmt: skip


def name_of(path: Path) -> str:
    """``src/s2svr/data/clips.py`` -> ``data.clips``."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def level_of(name: str) -> int:
    first = name.split(".")[0]
    assert first in LEVELS, f"expected a level for {first} in LEVELS, 0 for pure tensor functions"
    return LEVELS[first]


def module(dotted: list[str]) -> str | None:
    """The module, as name_of says it, that holds ``s2svr.<dotted>``."""
    for count in range(len(dotted), -1, -1):
        place = SRC.joinpath(*dotted[:count])
        if count and place.with_suffix(".py").is_file():
            return ".".join(dotted[:count])
        if (place / "__init__.py").is_file():
            return ".".join([*dotted[:count], "__init__"])
    return None


def imports(path: Path, nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """What a module imports: its own package's modules as name_of says it, others in full."""
    package = path.relative_to(SRC).parent.parts
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [(alias.name.split("."), 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            found = [([*base, alias.name], node.level) for alias in node.names]
        else:
            continue
        for parts, level in found:
            if level:
                own = [*package[: len(package) - level + 1], *parts]
            elif parts[0] == "s2svr":
                own = parts[1:]
            else:
                yield ".".join(parts)
                continue
            yield f"s2svr:{module(own)}"


def own(names: Iterator[str]) -> set[str]:
    """Of ``imports``, the package's own modules."""
    return {name.removeprefix("s2svr:") for name in names if name.startswith("s2svr:")}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(arguments: ast.arguments) -> set[str]:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {a.arg for a in [*named, arguments.vararg, arguments.kwarg] if a}


def tracked() -> list[Path]:
    """Files under version control; all of them where this is no checkout."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)
each_formula = pytest.mark.parametrize("path", MATHEMATICS, ids=name_of)


def room_of(name: str) -> str | None:
    """The folder of a module, as name_of says it; None for those beside the folders."""
    room, dot, _ = name.partition(".")
    return room if dot else None


def defined(tree: ast.Module) -> list[str]:
    """Functions and classes at the top of a module."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node.name for node in tree.body if isinstance(node, kinds)]


def door(room: Path) -> list[str]:
    """The names that a room's ``__init__`` lists."""
    for node in TREES[room / "__init__.py"].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    pytest.fail(f"expected __all__ in {room.name}/__init__.py")


@each_module
def test_imports_go_down(path: Path):
    level = level_of(name_of(path))
    names = own(imports(path, ast.walk(TREES[path])))
    assert not {name for name in names if level_of(name) > level}


def test_modules_import_each_other_in_no_circle():
    graph = {name_of(path): own(imports(path, TREES[path].body)) for path in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@each_module
def test_other_rooms_are_entered_through_their_door(path: Path):
    here = room_of(name_of(path))
    for name in own(imports(path, ast.walk(TREES[path]))):
        room = room_of(name)
        inside = room in (None, here) or name == f"{room}.__init__"
        assert inside, f"import it from {room}, whose __init__ lists its names: {name}"


@each_module
def test_what_is_imported_from_a_room_is_listed_at_its_door(path: Path):
    here = room_of(name_of(path))
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.level == (2 if here else 1) and node.module:
            room = SRC / node.module
            if room in ROOMS:
                missing = {alias.name for alias in node.names} - set(door(room))
                assert not missing, f"line {node.lineno}: {missing}"


def test_no_two_rooms_list_one_name():
    where: dict[str, list[str]] = {}
    for room in ROOMS:
        for name in door(room):
            where.setdefault(name, []).append(room.name)
    assert not {name: rooms for name, rooms in where.items() if len(rooms) > 1}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_no_listed_name_hides_a_module(room: Path):
    assert not set(door(room)) & {path.stem for path in room.glob("*.py")}


def test_one_name_means_one_thing():
    where: dict[str, list[str]] = {}
    for path, tree in TREES.items():
        for name in defined(tree):
            where.setdefault(name, []).append(name_of(path))
    assert not {name: modules for name, modules in where.items() if len(modules) > 1}


@pytest.mark.parametrize("room", [SRC, *ROOMS], ids=lambda room: room.name)
def test_folders_are_small(room: Path):
    assert len(list(room.glob("*.py"))) <= MOST


@each_formula
def test_mathematics_imports_torch_and_ops_only(path: Path):
    names = set(imports(path, ast.walk(TREES[path])))
    allowed = sys.stdlib_module_names | {"torch"}
    foreign = {n for n in names if n[:6] != "s2svr:" and n.split(".")[0] not in allowed}
    siblings = {n for n in own(iter(names)) if n != "ops" and not n.startswith("models.")}
    assert not foreign | siblings


@each_formula
def test_mathematics_knows_no_device_and_says_nothing(path: Path):
    banned = {"cuda", "cpu", "to", "is_cuda", "autocast", "print", "logging"}
    seen = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute):
            seen.add(node.attr)
        elif isinstance(node, ast.Name):
            seen.add(node.id)
        elif isinstance(node, ast.alias):
            seen.add(node.name)
    assert not seen & banned


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.name in ("media", "writing", "restoration")],
    ids=name_of,
)
def test_media_and_restoration_know_no_model(path: Path):
    names = own(imports(path, ast.walk(TREES[path])))
    assert not {name for name in names if name.split(".")[0] in ("models", "checkpoint")}


@each_module
def test_modules_and_functions_are_short(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 350
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in functions(TREES[path])
        if node.end_lineno is not None and node.end_lineno - node.lineno >= 60
    }
    assert not long


@each_module
def test_arguments_are_named_and_typed(path: Path):
    bags = {"opt", "cfg", "args", "kwargs"}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert node.args.kwarg is None, f"line {node.lineno}: **{node.args.kwarg}"
            assert not parameters(node.args) & bags, f"line {node.lineno}"


@each_module
def test_no_error_is_swallowed_whole(path: Path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(c) if c else "" for c in caught}
            whole = names & {"", "Exception", "BaseException"}
            assert not whole or passed_on(node), f"line {node.lineno}"


def passed_on(handler: ast.ExceptHandler) -> bool:
    """Whether the error is raised again or handed to another thread."""
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    again = any(isinstance(node, ast.Raise) and node.exc is None for node in inside)
    return again or any(isinstance(node, ast.Name) and node.id == handler.name for node in inside)


def test_folders_are_one_deep():
    assert all(len(path.relative_to(SRC).parts) <= 2 for path in MODULES)


def test_every_equation_is_cited():
    cited: set[int] = set()
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for group in re.findall(r"Eq\.\s+(\d+(?:(?:,| and|-)\s*\d+)*)", text):
            for part in re.split(r",| and", group):
                first, _, last = part.strip().partition("-")
                cited |= set(range(int(first), int(last or first) + 1))
    assert set(range(1, 18)) <= cited


def test_the_ledger_names_what_exists():
    ledger = (ROOT / "docs" / "develop" / "ledger.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)(?:-(\d+))? \|.*", ledger, re.MULTILINE)
    equations = {n for first, last in rows for n in range(int(first), int(last or first) + 1)}
    assert equations == set(range(1, 18))
    for name in re.findall(r"`((?:ops|losses|models|train)\.[\w.]+)`", ledger):
        assert is_defined(SRC, name.split(".")), name
    for file, name in re.findall(r"`(test_\w+)::(\w+)`", ledger):
        assert is_defined(ROOT / "tests", [file, name]), f"{file}::{name}"


def is_defined(root: Path, parts: list[str]) -> bool:
    """Whether module, class and function of a dotted name are there."""
    place = root
    while parts and (place / parts[0]).is_dir():
        place, parts = place / parts[0], parts[1:]
    if not parts or not (place / f"{parts[0]}.py").is_file():
        return False
    node: ast.AST = ast.parse((place / f"{parts[0]}.py").read_text(encoding="utf-8"))
    for name in parts[1:]:
        body = getattr(node, "body", [])
        found = [n for n in body if getattr(n, "name", None) == name]
        if not found:
            return False
        node = found[0]
    return True


def test_the_public_surface_is_frozen():
    import s2svr

    assert sorted(s2svr.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(s2svr, name) is not None
    assert dir(s2svr) == sorted(PUBLIC)


def test_the_command_line_is_there_without_torch():
    slow = "{'torch', 'av', 'lightning_fabric', 'tensorboard'}"
    code = f"import sys, s2svr.cli; print({slow} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_the_documented_test_command_is_the_one_that_is_checked():
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_links_of_the_documents_lead_somewhere():
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert len(pages) > 20
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_pages_of_the_site_link_to_nothing_outside_it():
    site = ROOT / "docs"
    for page in site.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            inside = "://" in target or (page.parent / target).resolve().is_relative_to(site)
            assert inside, f"{page.name}: {target}"


def test_pages_of_the_notebook_are_whole_and_listed():
    index = (LAB / "INDEX.md").read_text(encoding="utf-8")
    pages = [page for page in LAB.glob("*.md") if page.name != "INDEX.md"]
    assert pages
    for page in pages:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.md", page.name), page.name
        assert f"`{page.name}`" in index, page.name
        text = page.read_text(encoding="utf-8")
        for part in ("Question", "Command", "Commit", "Machine", "Result", "Verdict"):
            assert f"\n**{part}.**" in text, f"{page.name}: {part}"


def test_documents_name_pages_of_the_notebook_that_exist():
    for page in [*(ROOT / "docs").rglob("*.md"), *LAB.glob("*.md")]:
        for name in re.findall(
            r"\b\d{4}-\d\d-\d\d-[a-z0-9-]+\.md", page.read_text(encoding="utf-8")
        ):
            assert (LAB / name).is_file(), f"{page.name}: {name}"


def test_no_file_names_one_machine_or_a_registry():
    places = "|".join(("work", "farm", "root", "tmp"))
    hosts = "|".join(("py" + r"pi\.org", "python" + "hosted", r"deb\.deb" + "ian", r"registry\.np"))
    pattern = re.compile(rf"(?<![\w.~*/-])/(?:{places})(?:/|\b)|{hosts}")
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights, pictures, clips
        found = pattern.search(text)
        assert not found, f"{path.relative_to(ROOT)}: {found.group()}"


def test_no_footage_is_committed():
    footage = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".ts", ".y4m", ".yuv"}
    footage |= {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy", ".flo"}
    for path in tracked():
        place = path.relative_to(ROOT)
        if path.suffix.lower() in footage:
            allowed = {"examples", "docs"} if path.suffix == ".png" else {"examples"}
            assert place.parts[0] in allowed, place
        assert path.stat().st_size <= 8 << 20, place
