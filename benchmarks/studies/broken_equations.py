"""Whether the ledger's tests fail where an equation is broken.

    python benchmarks/studies/broken_equations.py OUT

Copies the package and its tests to OUT, breaks one equation of the paper after the other in the
copy, and runs the tests that docs/develop/ledger.md names for it. Prints which of them failed; a
row where all passed is a test that says nothing. Takes some three minutes of a CPU thread.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Break(NamedTuple):
    """One line of the package, and what is put in its place."""

    rows: str  # of the ledger, by their first column
    what: str
    file: str
    was: str
    becomes: str


BREAKS = [
    Break(
        "1", "the encoder forgets", "models/s2svr.py",
        "self.step([self.align(state, o) for state in upper], frame, split)",
        "self.step([torch.zeros_like(state) for state in upper], frame, split)",
    ),
    Break(
        "2-3", "the decoder forgets", "models/s2svr.py",
        "s = [self.align(memory, o) for memory in s]",
        "s = [torch.zeros_like(memory) for memory in s]",
    ),
    Break(
        "4", "the output before the last is fed back", "models/s2svr.py",
        "self.decoder.step(s, self.seen(y, latents[0], o), around)",
        "self.decoder.step(s, self.seen(out[-2] if t > 1 else y, latents[0], o), around)",
    ),
    Break(
        "4", "what is fed back next is not the output", "models/s2svr.py",
        "State(past, z, kept, s, out[-1] if c.feedback else None)",
        "State(past, z, kept, s, self.base(mixed[count - 1]) if c.feedback else None)",
    ),
    Break(
        "5-7", "Eq. 5: neighbours are left out", "models/attention.py",
        "c = c + alpha[:, n : n + 1] * z", "c = c + 0 * z",
    ),
    Break(
        "5-7", "Eq. 6: weights that do not sum to 1", "models/attention.py",
        "torch.softmax(torch.cat(scores, 1), 1)", "torch.sigmoid(torch.cat(scores, 1))",
    ),
    Break("5-7", "Eq. 7: scores without tanh", "models/attention.py", ".tanh_())", ")"),
    Break(
        "8", "nothing is warped", "models/flows.py",
        "return state if o is None else warp(state, o)", "return state",
    ),
    Break(
        "8", "the decoder's states are not warped", "models/s2svr.py",
        "s = [self.align(memory, o) for memory in s]", "s = list(s)",
    ),
    Break(
        "9", "without the residual", "models/gru.py",
        "z = below[:, : self.channels] + made", "z = made",
    ),
    Break(
        "9", "the reset gate is left out", "models/gru.py",
        "self.candidate(torch.cat((x, reset * h), 1))", "self.candidate(torch.cat((x, h), 1))",
    ),
    Break(
        "10, 12", "no motion is found", "models/pwclite.py",
        "return self.enlarged(self.pyramid(a, b)[0], (a.shape[-2], a.shape[-1]))",
        "return 0 * self.enlarged(self.pyramid(a, b)[0], (a.shape[-2], a.shape[-1]))",
    ),
    Break(
        "11", "squared distances", "losses.py",
        "(a - warp(b, flow)).abs().mean(1", "(a - warp(b, flow)).square().mean(1",
    ),
    Break(
        "11", "the mask only knows the frame's edge", "ops.py",
        "((gap < 0.01 * scale + 0.5) & targets_inside(forward))",
        "((gap > -1) & targets_inside(forward))",
    ),
    Break(
        "13", "edges do not weaken it", "losses.py",
        "torch.exp(-edge * image.diff(dim=dim)", "torch.exp(0 * image.diff(dim=dim)",
    ),
    Break(
        "14", "without smoothness", "train/flow.py",
        "+ weights.smooth * terms", "+ 0 * terms",
    ),
    Break(
        "15", "the teacher sees the damaged frames", "train/flow.py",
        "teacher(torch.cat((one, two)), torch.cat((two, one)))",
        "teacher(torch.cat((a, b)), torch.cat((b, a)))",
    ),
    Break(
        "16", "squared distances to the teacher", "losses.py",
        "(teacher - student).abs().mean()", "(teacher - student).square().mean()",
    ),
    Break(
        "16", "an enlarged flow keeps its values", "ops.py",
        "x * (size[1] / width), y * (size[0] / height)", "x, y",
    ),
    Break(
        "17", "without distillation", "train/flow.py",
        "+ weights.distill * distill", "+ 0 * distill",
    ),
]  # fmt: skip


def named_tests(row: str) -> list[str]:
    """The tests that the ledger names for an equation, as pytest calls them."""
    ledger = (ROOT / "docs/develop/ledger.md").read_text(encoding="utf-8")
    line = next(line for line in ledger.splitlines() if line.startswith(f"| {row} |"))
    return [f"tests/{file}.py::{test}" for file, test in re.findall(r"`(test_\w+)::(\w+)`", line)]


def failing(tests: list[str], folder: Path) -> list[str]:
    """Which of some tests fail in a copy of the repository."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE"]
    done = subprocess.run(
        [*command, *tests], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"expected tests that run, got {done.stdout}{done.stderr}")
    return sorted(set(re.findall(r"^(?:FAILED|ERROR) tests/\w+\.py::(\w+)", done.stdout, re.M)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="an empty or a new folder")
    out = parser.parse_args().out.resolve()
    for name in ("src", "tests", "recipes"):
        shutil.copytree(ROOT / name, out / name)
    shutil.copy(ROOT / "pyproject.toml", out)
    print("| Eq. | what was broken | tests that failed | of |\n|---|---|---|---|")  # noqa: T201
    for row, what, file, was, becomes in BREAKS:
        path = out / "src/s2svr" / file
        whole = path.read_text(encoding="utf-8")
        if whole.count(was) != 1:
            raise ValueError(f"expected once in {file}: {was}")
        path.write_text(whole.replace(was, becomes), encoding="utf-8")
        tests = list(dict.fromkeys(test for one in row.split(", ") for test in named_tests(one)))
        names = ", ".join(f"`{name}`" for name in failing(tests, out)) or "**none**"
        print(f"| {row} | {what} | {names} | {len(tests)} |", flush=True)  # noqa: T201
        path.write_text(whole, encoding="utf-8")


if __name__ == "__main__":
    main()
