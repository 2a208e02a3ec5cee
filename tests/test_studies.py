"""Scripts of benchmarks/studies, on networks and flows of which the answer is known."""

import math
import re
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from s2svr.checkpoint import Card, save
from s2svr.flow.figure import GAP, captioned
from s2svr.media import read_clip
from s2svr.models.config import S2SVRConfig
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie
from test_models import lively

RECIPES = Path(__file__).parent.parent / "recipes"
FLOW = PWCLiteConfig(
    channels=(4, 4), features=4, search=1, estimator=(4, 4), context=(4,), finest=0
)
TINY = S2SVRConfig(
    channels=4, encoder_layers=1, encoder_blocks=1, decoder_layers=2, decoder_blocks=1,
    feedback=2, attention=4, tail=0, flow=FLOW,
)  # fmt: skip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of one clip of seven frames, 64x48."""
    (tmp_path / "clips").mkdir()
    small = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
    frames = [resize_bicubic(small, 4).clamp(0, 1).roll(t, -1) for t in range(7)]
    write_movie(tmp_path / "clips" / "a.mp4", frames, Fraction(25))
    return tmp_path / "clips"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A fresh network, which returns its base."""
    torch.manual_seed(0)
    save(tmp_path / "fresh.safetensors", S2SVR(TINY), Card(task="sr"))
    return tmp_path / "fresh.safetensors"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., list[list[str]]]:
    """Runs a script's command; the cells of the lines it prints."""

    def said(script, *words: object) -> list[list[str]]:
        monkeypatch.setattr(sys, "argv", ["script.py", *map(str, words)])
        script.main()
        lines = capsys.readouterr().out.splitlines()
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    return said


class Sum(nn.Module):
    """Gives each frame the sum of all that it was shown up to it, and notes how many came."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        self.lengths.append(x.shape[1])
        return x.cumsum(1), None


def test_a_sliding_window_sees_two_frames_on_each_side(benchmark):
    net, script = Sum(), benchmark("long_sequences")
    y = script.sliding(net)(torch.arange(1.0, 8)[:, None, None, None].expand(7, 3, 2, 2))
    assert y[:, 0, 0, 0].tolist() == [1, 3, 6, 9, 12, 15, 18]  # itself and two before
    assert net.lengths == [3, 4, 5, 5, 5, 4, 3]


def test_segments_are_restored_each_on_its_own(benchmark, monkeypatch, clips, weights, run):
    script, lengths = benchmark("long_sequences"), []
    monkeypatch.setattr(script, "LENGTHS", (3,))

    class Noting(S2SVR):
        def forward(self, x: Tensor, state=None, lookahead: int = 0):
            lengths.append((x.shape[1], state))
            return super().forward(x, state, lookahead)

    monkeypatch.setattr(script, "load", lambda name: Noting(TINY))
    monkeypatch.setattr(script, "sliding", lambda net: lambda x: net(x[None])[0][0] + 0.5)
    head, _, three, whole = run(script, clips)
    assert head == ["segment", "ours", "five frames", "ours over five frames"]
    assert [n for n, _ in lengths] == [3, 3, 1, 3, 3, 1, 7, 7]  # ours, then its twin
    assert {state for _, state in lengths} == {None}
    assert (three[0], whole[0]) == ("3", "7")
    assert three[1] == whole[1]  # a fresh network remembers nothing
    for row in (three, whole):
        assert float(row[3]) == pytest.approx(float(row[1]) - float(row[2]), abs=2e-3)
        assert float(row[3]) > 3  # the twin is brighter by a half

    lengths.clear()
    head, _, *rows = run(script, clips, "--lengths", 1, 3, "--frames", 4, "--alone")
    assert head == ["segment", "ours"]
    assert [row[0] for row in rows] == ["1", "3", "4"]
    assert [n for n, _ in lengths] == [1, 1, 1, 1, 3, 1, 4]


class Still(PWCLite):
    """A motion of three pixels to the right and four down everywhere."""

    def enlarged(self, flow: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(len(flow), 2, *size)


def test_motion_and_the_weight_of_the_neighbours_are_measured(benchmark):
    script, net = benchmark("motion"), S2SVR(TINY).eval()
    net.flow = Still(FLOW)
    x = torch.rand(4, 3, 8, 12)
    assert script.speed(net, x) == pytest.approx(20)  # 5 pixels, 20 of the full size
    with torch.no_grad():
        net.decoder.attention.score.weight.zero_()
        net.decoder.attention.own.fill_(math.log(2))  # the frame itself weighs as much as two
    y, weight = script.attended(net, x)
    assert weight == pytest.approx((1 / 3 + 2 / 4 + 2 / 4 + 1 / 3) / 4)
    assert torch.allclose(y, resize_bicubic(x, 4))


@torch.inference_mode()
def test_what_lies_along_the_motion_is_fitted_to_other_clips(benchmark):
    script = benchmark("along")
    net = S2SVR(replace(TINY, scale=1, down=2, flow_down=4)).eval()  # returns what it gets
    net.flow = Still(FLOW)
    way = torch.tensor([12.0, 16.0]).view(1, 2, 1, 1).expand(1, 2, 24, 32)  # on the full grid

    def clip(seed: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        lq = torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(seed)) / 2 + 0.2
        (over,) = script.differences(lq[1].mean(0)[None, None], [way, way], [0.5])
        return lq, lq + share * over[0]

    fits = [script.of_clip(net, *clip(seed, 0.1), 4, [0.5]) for seed in range(3)]
    assert min(script.gains(fits)) > 30
    fits[0] = script.of_clip(net, *clip(0, -0.1), 4, [0.5])
    assert script.gains(fits)[0] < -5  # its own shares are not among those fitted to the others


@torch.inference_mode()
def test_the_share_that_is_told_is_held_against_all_of_a_change(benchmark):
    script = benchmark("share")
    flat = replace(TINY, scale=1, neighbours=1, exposure=4, along=True, confidence=True, feedback=0)
    net = lively(flat)
    net.mixer.blurred.tell[-1].weight.zero_()
    net.mixer.blurred.tell[-1].bias.zero_()
    whole = deepcopy(net)
    whole.mixer.start_share()
    lq = torch.rand(4, 3, 24, 32, generator=torch.Generator().manual_seed(0)) / 8 + 0.4
    hq = whole(lq[None])[0][0].clamp(0, 1)
    row = script.compared(net, whole, lq, hq)  # half of the change leaves half of the error
    assert re.match(r"0\.50 0\.50 0\.50, \+6\.0[0-9] dB, \+inf dB with all", row)
    sharp = script.compared(net, whole, lq, lq)
    held, all_of_it = (float(found) for found in re.findall(r"([\d.]+) dB", sharp))
    assert held == pytest.approx(all_of_it + 6.02, abs=0.02)


@pytest.mark.parametrize("part", ["decoder.output", "mixer.shares"])
def test_flat_clips_stay_flat_by_the_bound_alone(part: str, benchmark):
    script, net = benchmark("flat"), S2SVR(replace(TINY, scale=1, flow=None, neighbours=1)).eval()
    with torch.no_grad():
        for parameter in net.get_submodule(part).parameters():
            parameter.fill_(0.1)
    light = torch.tensor([0.2, 0.8, 0.2])[:, None].expand(-1, 3)
    with script.unbounded():
        assert script.flat_error(net, light) > 1
    assert script.flat_error(net, light) < 0.01


def test_a_network_and_its_twin_are_compared(benchmark, clips, weights, tmp_path: Path, run):
    torch.manual_seed(0)
    twin = S2SVR(replace(TINY, flow=None))
    with torch.no_grad():
        for parameter in twin.decoder.output.parameters():
            parameter.fill_(0.1)
    save(tmp_path / "twin.safetensors", twin, Card(task="sr"))
    *_, row, mean = run(benchmark("motion"), weights, tmp_path / "twin.safetensors", clips)
    assert row[0].startswith("a")
    assert float(row[4]) == pytest.approx(float(row[3]) - float(row[2]), abs=0.02)
    assert float(row[4]) > 1  # the spoiled twin is the worse one
    assert mean[4] == row[4]


@torch.inference_mode()
def test_saliency_is_of_what_the_output_is_made_of(benchmark):
    script, x = benchmark("saliency"), torch.rand(4, 3, 8, 12)
    net, tops = S2SVR(TINY).eval(), []
    net.decoder.output.register_forward_pre_hook(lambda module, given: tops.append(given[0]))
    y, found = script.features(net, x)
    assert len(tops) == 3  # the fourth frame is only looked at
    size = tops[2][0].abs().mean(0, keepdim=True)
    assert torch.allclose(found, (size / size.flatten().quantile(0.995)).clamp(max=1))
    assert torch.allclose(y, resize_bicubic(x[2], 4).clamp(0, 1))


def test_saliency_is_drawn(benchmark, clips, weights, tmp_path: Path, run):
    out = tmp_path / "seven.png"
    words = (weights, weights, clips / "a.mp4", out, "--frame", 3, "--crop", "8,4,48,40")
    first, second = run(benchmark("saliency"), *words)
    assert (first[0][:6], second[0][:9]) == ("with: ", "without: ")
    assert first[0].split()[1] == second[0].split()[1]
    (height, width), line = read_clip(out).shape[-2:], captioned(torch.ones(3, 40, 48), "dB")
    assert (height, width) == (3 * (line.shape[1] + GAP), 2 * (48 + GAP) + GAP)


@pytest.fixture
def cost(benchmark, monkeypatch):
    """The script, with a small network in the place of the paper's flow network."""
    script = benchmark("cost")
    monkeypatch.setattr(script, "PRESETS", {"flow-paper": FLOW})
    return script


def test_operations_grow_with_clips_and_a_student_has_its_teachers_too(cost):
    counts = {}
    for batch, student in ((1, False), (3, False), (1, True)):
        name = "reds-student" if student else "reds-teacher"
        recipe = cost.load_recipe(RECIPES / f"{name}.toml", [f"data.batch={batch}"])
        counts[batch, student] = cost.operations(recipe, student)
    assert counts[3, False] == 3 * counts[1, False]
    # The student's frames have a sixteenth of the pixels; its teacher sees whole ones, forward.
    assert counts[1, True] == pytest.approx(counts[1, False] * (1 / 16 + 1 / 3), rel=0.1)


def test_the_cost_of_a_training_is_steps_times_a_step(cost, tmp_path: Path, run, capsys):
    path = tmp_path / "small-teacher.toml"
    text = (RECIPES / "reds-teacher.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("steps = 100000", "steps = 2000000"), encoding="utf-8")
    *_, row = run(cost, path, "--measure", 1)
    assert row[:2] == ["small-teacher", "2,000,000"]
    each = cost.operations(cost.load_recipe(path), False)
    assert float(row[2]) == pytest.approx(each / 1e12, abs=0.005)
    assert float(row[3]) == pytest.approx(2e6 * each / 1e18, abs=0.005)
    days = float(row[5].replace(",", ""))
    assert days == pytest.approx(2e6 * each / (float(row[4]) * 1e12) / 86400, rel=1e-3, abs=1)
    with pytest.raises(SystemExit):
        run(cost, RECIPES / "deblur-light-exposure.toml")
    assert "expected recipes of flow or restoration" in capsys.readouterr().err


def test_the_true_flow_is_given_to_every_level_of_a_pyramid(benchmark):
    script, a = benchmark("flow_loss"), torch.zeros(1, 3, 64, 128)
    right = torch.tensor([8.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 64, 128)
    net = script.Known("flow-paper", a, (right, -right), 0.5)
    ahead, back = net.pyramid(a, a + 1), net.pyramid(a + 1, a)
    assert [flow.shape[-1] for flow in ahead] == [32, 16, 8, 4, 2]
    assert [float(flow[0, 0, 0, 0]) for flow in ahead] == [1, 0.5, 0.25, 0.125, 0.0625]
    assert [float(flow[0, 0, 0, 0]) for flow in back] == [-1, -0.5, -0.25, -0.125, -0.0625]


def test_the_papers_weights_prefer_the_true_motion_where_the_finest_level_alone_is_smoothed(
    benchmark, clips, run
):
    _, _, paper, own, light = run(
        benchmark("flow_loss"), clips, "--clips", 1, "--height", 128, "--width", 192
    )
    assert float(paper[5]) < 0.7 * float(paper[1])
    assert float(light[5]) < 0.7 * float(light[1])
    assert float(own[5]) > 1.2 * float(own[1])
    for row in (paper, own, light):
        assert 0 < float(row[6]) < float(row[5])
