"""The study of benchmarks/studies/flow_study.py, two steps of each training."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.media import write_flo
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie


@pytest.fixture
def script(benchmark):
    return benchmark("flow_study")


@pytest.mark.slow
def test_study_trains_with_every_flow_and_goes_on(script, tmp_path: Path):
    for folder in ("clips", "val"):
        (tmp_path / folder).mkdir()
        small = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(len(folder)))
        wide = resize_bicubic(small, 8).clamp(0, 1)
        frames = [torch.roll(wide, 2 * t, -1) for t in range(7)]
        write_movie(tmp_path / folder / "a.mp4", frames, Fraction(25))
    places = [str(tmp_path / name) for name in ("clips", "val", "out")]
    for way in ("flow", "backward"):
        place = tmp_path / "flows/a.mp4" / way
        place.mkdir(parents=True)
        for t in range(6):
            write_flo(place / f"{t}.flo", torch.zeros(2, 32, 40))
    words = ["--frames", "2", "--rendered", "1", "--files", f"files={tmp_path / 'flows'}"]
    words += ["--set", "data.skip=1"]
    for option, crop in (("--set", 16), ("--flow-set", 32)):
        few = ("optim.steps=2", "data.batch=1", f"data.crop={crop}", "data.context=[32,40]")
        words += [word for entry in few for word in (option, entry)]
    chosen = script.parser().parse_args([*places, *words])
    lines: list[str] = []
    table = script.study(chosen, lines.append)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    names = ["none", "supervised", "unsupervised", "unsupervised, distilled", "DIS"]
    names += ["distilled, on contexts", "distilled, trained on", "files"]
    assert [row[0] for row in rows] == names
    assert rows[0][3] == "+0.00"
    assert float(rows[4][1]) < float(rows[0][1])  # DIS knows more than no motion
    assert len({row[1] for row in rows}) >= 4  # the flows are different ones
    trained = [line for line in lines if line.startswith("step 2/2")]
    assert len(trained) == 11
    lines.clear()
    assert script.study(chosen, lines.append) == table  # found as it was, nothing trained again
    told = [line for line in lines if line.startswith("step")]
    assert all(line.endswith("was finished before") for line in told)


def test_flow_networks_that_were_trained_before_are_taken(script):
    words = ["clips", "val", "out", "--supervised", "chairs.safetensors", "--distilled", "own.st"]
    words += ["--only", "supervised", "--only", "unsupervised, distilled"]
    nets = script.flow_nets(script.parser().parse_args(words), print)
    assert nets == {script.TRUE: Path("chairs.safetensors"), script.DISTILLED: Path("own.st")}
