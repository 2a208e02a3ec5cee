"""The study of benchmarks/studies/light_study.py and its BasicVSR."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.checkpoint import load
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie


@pytest.fixture
def scripts(benchmark):
    return {name: benchmark(name) for name in ("basicvsr", "light_study")}


@pytest.mark.slow
def test_arms_train_and_are_measured(scripts, tmp_path: Path):
    for folder in ("clips", "val"):
        (tmp_path / folder).mkdir()
        small = torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(len(folder)))
        wide = resize_bicubic(small, 4).clamp(0, 1)
        frames = [torch.roll(wide, 2 * t, -1) for t in range(7)]
        write_movie(tmp_path / folder / "a.mp4", frames, Fraction(25))
    study = scripts["light_study"]
    places = [str(tmp_path / name) for name in ("clips", "val", "out")]
    words = "--steps 1 1 0 --batch 1 --crop 16 --frames 2 --seeds 0 --precision 32-true"
    chosen = study.parser().parse_args([*places, *words.split(), "--context", "[32,40]"])
    arms = ["joint flow, its loss kept", "no motion", study.PEER]
    chosen.arm = arms
    lines = study.study(chosen, lambda line: None).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == arms
    cells = lines[-1].strip("| ").split(" | ")
    assert 12 < float(cells[1]) < 14.5  # GMAC
    assert cells[2] == cells[3]  # one seed is its own mean
    assert isinstance(load(tmp_path / "out" / "no-motion-0" / "model.safetensors"), S2SVR)


def test_basicvsr_sees_the_whole_clip_and_starts_at_its_base(scripts):
    peer = scripts["basicvsr"]
    torch.manual_seed(0)
    net = peer.BasicVSR(
        scripts["light_study"].configured(scripts["light_study"].ARMS["as bundled"])
    )
    x = torch.rand(1, 5, 3, 16, 20)
    with torch.inference_mode():
        assert torch.equal(net(x), torch.stack([resize_bicubic(f, 4) for f in x.unbind(1)], 1))
        torch.nn.init.normal_(net.output[0].weight, 0, 0.02)
        before = net(x)
        for changed, seen in ((0, 4), (4, 0)):  # in both directions
            other = x.clone()
            other[:, changed] = 0.5
            assert not torch.equal(net(other)[:, seen], before[:, seen])
