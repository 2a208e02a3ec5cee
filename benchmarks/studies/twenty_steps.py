"""Twenty steps of a recipe of each kind: losses and weights, to compare before and after a change.

A change that is to alter no computation prints the same lines, on the same machine.

usage: python benchmarks/studies/twenty_steps.py CLIPS OUT
"""

import argparse
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load_file

RECIPES = Path(__file__).parent.parent.parent / "recipes"
ALL = ["optim.steps=20", "optim.log_every=1"]
SHORT = ["optim.precision=32-true", "optim.warmup=5", "optim.decay=10", "data.batch=2"]
# Name: kind, recipe, entries that are changed, and options; {OUT} is the folder of the runs.
RUNS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "teacher": ("flow", "flow-light-teacher", SHORT, ["--stage", "teacher"]),
    "student": (
        "flow", "flow-light-student-sr", SHORT,
        ["--stage", "student", "--teacher", "{OUT}/teacher/model.safetensors"],
    ),
    "single frames": (
        "restoration", "sr-light-start", SHORT, ["--flow", "{OUT}/student/model.safetensors"],
    ),
    "kept flow": (
        "restoration", "sr-light", [*SHORT, "data.moving=2", "data.frames=4"],
        ["--init", "sr-light"],
    ),
    "flow trains too": (
        "restoration", "sr-light",
        [*SHORT, "data.rendered=0.0", "data.frames=3", "optim.flow_rate=1e-4", "optim.flow_from=5"],
        ["--init", "sr-light"],
    ),
    "mixer": (
        "restoration", "deblur-light-mixer", [*SHORT, "data.moving=2", "data.frames=6"],
        ["--init", "deblur-light"],
    ),
    "compression": (
        "restoration", "compression-light-start", SHORT, ["--init", "compression-light"],
    ),
    "exposure": (
        "exposure", "deblur-light-exposure", ["data.moving=2"], ["--init", "deblur-light"],
    ),
    "share by blur": (
        "exposure", "deblur-light-share", ["data.moving=2", "data.copies=1", "restored=2"],
        ["--init", "deblur-light"],
    ),
    "quality": (
        "quality", "compression-light-quality", ["codings=1"], ["--init", "compression-light"],
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of a few training clips")
    parser.add_argument("out", type=Path, help="new folder of the runs")
    given = parser.parse_args()
    for name, (kind, recipe, entries, options) in RUNS.items():
        folder = given.out / name
        command = [
            sys.executable, "-m", "s2svr", "train", kind, str(RECIPES / f"{recipe}.toml"),
            "--data", str(given.clips), "--out", str(folder),
            *(part for entry in [*ALL, *entries] for part in ("--set", entry)),
            *(option.replace("{OUT}", str(given.out)) for option in options),
        ]  # fmt: skip
        if kind != "quality":
            command += ["--cache", str(given.out / "clips")]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        say(name)
        for line in re.findall(r"^step .*", run.stdout + run.stderr, re.MULTILINE):
            say(re.sub(r", [\d.]+ steps/s.*", "", line))
        say(f"weights {digest(folder / 'model.safetensors')}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def digest(path: Path) -> str:
    """A short digest of the numbers in a weights file."""
    total = sha256()
    for name, tensor in sorted(load_file(path).items()):
        total.update(name.encode())
        total.update(tensor.float().numpy().tobytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    main()
