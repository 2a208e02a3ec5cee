"""Figures of the source tree: folders, names that are used twice, long signatures, the README.

usage: python benchmarks/studies/house.py [ROOT]
"""

import argparse
import ast
import re
import sys
from collections import Counter
from pathlib import Path

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
MANY = 10  # parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, nargs="?", default=Path(), help="folder of the project")
    root = parser.parse_args().root
    source = root / "src" / "s2svr"
    trees = {
        path.relative_to(source): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(source.rglob("*.py"))
    }
    folders = Counter(path.parent.as_posix() for path in trees)
    say(f"modules: {len(trees)}; most in one folder: {folders.most_common(1)[0]}")
    names = [
        node.name
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, FUNCTIONS | ast.ClassDef)
    ]
    shared = sum(count for count in Counter(names).values() if count > 1)
    say(f"top-level functions and classes: {len(names)}; {shared} share a name")
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS) and (count := parameters(node.args)) >= MANY:
                say(f"{count} parameters: {path.as_posix()}::{node.name}")
    words, numbers = prose((root / "README.md").read_text(encoding="utf-8"))
    say(f"README: {words} words, {100 * numbers / words:.1f} numbers a hundred")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def parameters(given: ast.arguments) -> int:
    """The number of named parameters, ``self`` and ``cls`` not counted."""
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def prose(text: str) -> tuple[int, int]:
    """Words and numbers of a page, without its tables, code blocks and targets of links."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    words = re.findall(r"[A-Za-z][\w'-]*", text)
    numbers = re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*", text)
    return len(words), len(numbers)


if __name__ == "__main__":
    main()
