"""The study of benchmarks/studies/memory_study.py."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.checkpoint import load
from s2svr.models.gru import ResConvGRU
from s2svr.render.files import write_movie


@pytest.fixture
def study(benchmark):
    return benchmark("memory_study")


def test_all_arms_begin_with_what_is_known_of_single_frames(study):
    trained = load("sr-light").requires_grad_(False)
    x = torch.rand(1, 1, 3, 16, 20)
    wanted, later = trained(x)[0], x.roll(3, -1)
    for name, arm in study.ARMS.items():
        model = study.network(arm, 0, trained).requires_grad_(False)
        if arm.preset.get("feedback") == 0:  # sums of fewer channels are rounded otherwise
            assert torch.allclose(model(x)[0], wanted, atol=1e-5), name
        else:
            assert torch.equal(model(x)[0], wanted), name
        if arm.preset.get("radius") == 0:  # no neighbour is mixed in, so none is seen
            alone = model(later)[0]
            assert torch.equal(model(torch.cat((x, later), 1))[0][:, 1:], alone)
            assert not torch.equal(trained(torch.cat((x, later), 1))[0][:, 1:], alone)


def test_parts_that_an_arm_adds_learn(study):
    trained = load("sr-light")
    model = study.network(study.ARMS["one more encoder layer"], 0, trained)
    model(torch.rand(1, 2, 3, 16, 20))[0].square().mean().backward()
    assert isinstance(model.encoder.layers[1], ResConvGRU)
    assert model.encoder.layers[1].gru.candidate.weight.grad.any()


@pytest.mark.slow
def test_arms_train_and_are_measured(study, tmp_path: Path):
    for folder in ("clips", "val"):
        (tmp_path / folder).mkdir()
        wide = torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(len(folder)))
        frames = [torch.roll(wide, 2 * t, -1) for t in range(7)]
        write_movie(tmp_path / folder / "a.mp4", frames, Fraction(25))
    places = [str(tmp_path / name) for name in ("clips", "val", "out")]
    words = "--steps 1 --batch 1 --crop 16 --frames 2 --seeds 0 --context [32,40]"
    chosen = study.parser().parse_args([*places, *words.split()])
    lines = study.study(chosen, lambda line: None).splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    assert names == ["as bundled", "before training", *study.ARMS]
