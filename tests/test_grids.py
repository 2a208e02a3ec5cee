"""The study of benchmarks/studies/grids.py: one step of one of its networks."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie


@pytest.mark.slow
def test_an_arm_trains_and_is_measured(benchmark, tmp_path: Path, monkeypatch, capsys):
    script = benchmark("grids")
    monkeypatch.setattr(script, "FRAMES", range(2))
    for folder in ("clips", "val"):
        (tmp_path / folder).mkdir()
        small = torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(len(folder)))
        frames = [resize_bicubic(small, 4).clamp(0, 1)] * 3
        write_movie(tmp_path / folder / "a.mp4", frames, Fraction(25))
    places = [str(tmp_path / name) for name in ("clips", "val", "out")]
    words = ["grids.py", *places, "--steps", "1", "--arm", "full grid"]
    monkeypatch.setattr(sys, "argv", words)
    script.main()
    row = capsys.readouterr().out.split("|")
    assert row[1:3] == [" full grid ", " 10.5 thousand "]
    assert abs(float(row[3])) < 1


def test_a_fresh_network_changes_nothing(benchmark):
    script, x = benchmark("grids"), torch.rand(1, 1, 3, 16, 24)
    for arm in script.ARMS.values():
        assert torch.equal(script.Plain(arm)(x), x)
