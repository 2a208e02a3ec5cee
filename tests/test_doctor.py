"""s2svr doctor: in a broken environment it says what is wrong and what mends it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from s2svr import checkpoint, doctor
from s2svr.cli.app import app

SRC = Path(doctor.__file__).parent.parent


def broken_site(folder: Path) -> Path:
    """A folder of packages: a torch that is too old and does not load, a PyAV without FFmpeg."""
    for name, number, line in (
        ("torch", "1.9.0", f"raise OSError('{folder}/libc10.so: file too short')"),
        ("av", "18.1.0", "raise ImportError('libavcodec.so.62: cannot open shared object file')"),
    ):
        package, facts = folder / name, folder / f"{name}-{number}.dist-info"
        package.mkdir(parents=True)
        facts.mkdir()
        (package / "__init__.py").write_text(line)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    return folder


def test_a_broken_environment(tmp_path: Path) -> None:
    site = broken_site(tmp_path / "home" / "someone")
    run = subprocess.run(
        [sys.executable, "-m", "s2svr", "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": f"{site}:{SRC}", "HOME": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    wrong = {
        row["what"]: (row["wrong"], row["mend"]) for row in json.loads(run.stdout) if row["wrong"]
    }
    assert wrong == {
        "torch": (
            "torch 1.9.0 is installed, and <2.14,>=2.6 is needed", "pip install 'torch<2.14,>=2.6'"
        ),
        "import torch": (
            "OSError: libc10.so: file too short",
            "pip install --force-reinstall --no-cache-dir torch",
        ),
        "import av": (
            "ImportError: libavcodec.so.62: cannot open shared object file",
            "pip install --force-reinstall --no-cache-dir av",
        ),
    }  # fmt: skip
    assert "someone" not in run.stdout


def only(found: Any, what: str) -> doctor.Finding:
    return next(finding for finding in found if finding.what == what)


def test_damaged_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(checkpoint.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path / "weights")
    file = tmp_path / "weights" / "deblur-light.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    (tmp_path / "weights" / "sr-light.safetensors").unlink()
    found = list(doctor.networks())
    assert {f.what for f in found if f.wrong} == {"weights deblur-light", "weights sr-light"}
    assert only(found, "weights sr-base").value == "whole"
    finding = only(found, "weights deblur-light")
    assert finding.mend == "pip install --force-reinstall --no-deps s2svr"
    assert str(tmp_path) not in finding.wrong


def test_a_gpu_that_pytorch_does_not_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "NVIDIA", tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert only(doctor.gpus(), "GPUs").wrong.endswith("it is built for CPUs alone")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    finding = only(doctor.gpus(), "GPUs")
    assert finding.wrong.endswith("its driver is older than CUDA 12.8")
    assert finding.mend.startswith("install a newer NVIDIA driver")


def test_full_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_bytes", lambda path: 5 * 2**20)
    here, other = doctor.disk()
    assert here.wrong == "disk here: 5.0 MiB are free, which is too little"
    assert other.mend == "export TMPDIR=FOLDER, with more room"


def test_missing_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctor.has_encoder
    monkeypatch.setattr(doctor, "has_encoder", lambda name: name != "libx265" and there(name))
    finding = only(doctor.encoders(), "encoders")
    assert finding.wrong == "this FFmpeg lacks encoders: hevc, hevc-lossless"
    assert finding.mend == "pip install --force-reinstall --no-cache-dir av"


def test_where_all_is_well_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "imports_well", lambda name: "")  # each takes seconds
    monkeypatch.setattr(doctor, "networks", lambda: iter([]))
    monkeypatch.setattr(doctor, "free_bytes", lambda path: 2**40)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert result.output.endswith("nothing is wrong\n")
    for place in (Path.home(), Path.cwd(), SRC):
        assert str(place) not in result.output


@pytest.mark.parametrize(
    ("there", "bounds", "holds"),
    [
        ("2.13.0+cpu", ">=2.6,<2.14", True), ("2.14", "<2.14,>=2.6", False),
        ("2.6", ">=2.6.0", True), ("2.5.9", ">=2.6", False), ("3", "!=3.0", False), ("9", "", True),
    ],
)  # fmt: skip
def test_bounds_of_versions(there: str, bounds: str, holds: bool) -> None:
    assert doctor.fits(there, bounds) is holds


def test_texts_lose_folders_and_users() -> None:
    user = Path.home().name
    text = f"cannot open /home/{user}/films/a.mp4 of {user}, ~/b.mkv or C:\\Users\\x\\c.mkv"
    assert doctor.clean(text) == "cannot open a.mp4 of USER, b.mkv or c.mkv"
