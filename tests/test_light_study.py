"""The study of benchmarks/studies/light_study.py and its BasicVSR."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.checkpoint import load
from s2svr.models.flows import align
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
    arms = ["joint flow, its loss kept", "no motion"]
    arms += ["features fed back", "neither neighbours nor feedback", study.PEER]
    chosen.arm = arms
    lines = study.study(chosen, lambda line: None).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == arms
    cells = lines[-1].strip("| ").split(" | ")
    assert 12 < float(cells[1]) < 14.5  # GMAC
    assert cells[2] == cells[3]  # one seed is its own mean
    assert isinstance(load(tmp_path / "out" / "no-motion-0" / "model.safetensors"), S2SVR)


def test_basicvsr_sees_the_whole_clip_and_starts_at_its_base(scripts):
    net = scripts["light_study"].network(scripts["light_study"].PEER, 0)
    x = torch.rand(1, 5, 3, 16, 20)
    with torch.inference_mode():
        assert torch.equal(net(x), torch.stack([resize_bicubic(f, 4) for f in x.unbind(1)], 1))
        torch.nn.init.normal_(net.output[0].weight, 0, 0.02)
        before = net(x)
        for changed, seen in ((0, 4), (4, 0)):  # in both directions
            other = x.clone()
            other[:, changed] = 0.5
            assert not torch.equal(net(other)[:, seen], before[:, seen])


@pytest.mark.slow
def test_arms_that_read_both_ways_have_like_operations(scripts):
    study = scripts["light_study"]
    found = {name: study.operations(study.network(name, 0)) for name in study.BOTH_WAYS}
    control = found["both ways"]
    assert all(0.97 < gmac / control < 1.03 for gmac in found.values()), found


def test_the_gradient_reaches_what_is_fed_back_only_where_it_is_let(scripts):
    study = scripts["light_study"]
    found = {}
    for name in ("both ways", "gradient through the feedback"):
        net = study.network(name, 0)
        y = torch.rand(1, 3, 16, 16, requires_grad=True)
        torch.nn.init.ones_(net.decoder.feedback.weight)
        net.seen(y * 1, torch.zeros(1, 32, 4, 4), None).sum().backward()
        found[name] = y.grad is not None
    assert found == {"both ways": False, "gradient through the feedback": True}


def test_an_arm_feeds_back_what_its_last_output_was_made_of(scripts):
    net = scripts["light_study"].network("features fed back", 0)
    torch.nn.init.ones_(net.decoder.feedback.weight)
    of_last = torch.rand(1, 32, 16, 20)
    net.decoder.output(of_last)
    like, y = torch.zeros(1, 32, 16, 20), torch.rand(1, 3, 64, 80)
    with torch.no_grad():
        shift = torch.zeros(1, 2, 16, 20)
        shift[:, 0] = 2
        for o in (None, shift):
            expected = align(net.decoder.feedback(of_last), o)
            assert torch.equal(net.seen(y, like, o), expected)
        assert not net.seen(None, like, None).any()


def test_without_feedback_no_output_is_seen(scripts):
    study = scripts["light_study"]
    seen = {}
    for name in ("neither neighbours nor feedback", "both ways"):
        net = study.network(name, 0)
        for parameter in net.decoder.feedback.parameters():
            if parameter.requires_grad:
                torch.nn.init.ones_(parameter)
        found = net.seen(torch.rand(1, 3, 64, 80), torch.zeros(1, 32, 16, 20), None)
        seen[name] = bool(found.any())
    assert seen == {"neither neighbours nor feedback": False, "both ways": True}
