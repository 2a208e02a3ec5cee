"""The study of benchmarks/studies/flow_choices.py: its losses, and two steps of three choices."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from s2svr.losses import smoothness
from s2svr.media.flo import write_flo
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie
from s2svr.writing.images import write_png


@pytest.fixture
def script(benchmark):
    return benchmark("flow_choices")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_census_of_a_pixel_is_how_its_neighbours_differ(script):
    image = noise(1, 3, 9, 11)
    found, grey = script.census_of(image), 255 * image.mean(1)[0]
    assert found.shape == (1, 49, 9, 11)
    difference = grey[2 + 4, 3 + 2] - grey[4, 5]  # two rows below, and the same column
    wanted = difference / (0.81 + difference**2) ** 0.5
    assert found[0, 7 * 5 + 3, 4, 5] == pytest.approx(float(wanted))


def test_census_does_not_see_a_change_of_brightness(script):
    a, still = noise(1, 3, 12, 16) / 2, torch.zeros(1, 2, 12, 16, dtype=torch.float64)
    assert float(script.census(a, a + 0.3, still, None)) == pytest.approx(0, abs=1e-12)
    assert float(script.census(a, noise(1, 3, 12, 16, seed=1), still, None)) > 0.3
    hidden = torch.zeros(1, 1, 12, 16, dtype=torch.float64)
    assert script.census(a, 1 - a, still, hidden) == 0
    moving = still + 0.3
    assert torch.autograd.gradcheck(
        lambda f: script.census(a, noise(1, 3, 12, 16, seed=1), f, None), moving.requires_grad_()
    )


def test_second_order_smoothness_equals_a_loop_and_lets_a_slope_be(script):
    flow, image = noise(1, 2, 5, 6), noise(1, 3, 5, 6, seed=1)
    total = {}
    for name, dy, dx in (("across", 0, 1), ("down", 1, 0)):
        terms = []
        for y in range(5 - 2 * dy):
            for x in range(6 - 2 * dx):
                one, two, three = (flow[0, :, y + k * dy, x + k * dx] / 9 for k in range(3))
                end = image[0, :, y + 2 * dy, x + 2 * dx]
                edge = (end - image[0, :, y + dy, x + dx]).abs().mean()
                terms += [float(v) for v in (-7 * edge).exp() * (one - 2 * two + three).abs()]
        total[name] = sum(terms) / len(terms)
    found = float(script.second_order(flow, image, 7.0, 9))
    assert found == pytest.approx(sum(total.values()) / 2 / 2)
    slope = torch.arange(6.0, dtype=torch.float64).expand(1, 2, 5, 6)
    assert float(script.second_order(slope, image, 7.0, 5)) == pytest.approx(0, abs=1e-12)
    assert float(smoothness(slope, image, 7.0, 5)) > 0.01


@pytest.mark.slow
def test_choices_are_trained_and_compared(script, tmp_path: Path):
    for folder in ("clips", "val"):
        (tmp_path / folder).mkdir()
        small = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(len(folder)))
        wide = resize_bicubic(small, 8).clamp(0, 1)
        frames = [torch.roll(wide, 2 * t, -1) for t in range(5)]
        write_movie(tmp_path / folder / "a.mp4", frames, Fraction(25))
    (tmp_path / "pairs").mkdir()
    for index in (1, 2):
        write_png(tmp_path / "pairs" / f"frame_000{index}.png", frames[index])
    flow = torch.zeros(2, 128, 160)
    flow[0] = 2
    write_flo(tmp_path / "pairs" / "frame_0001.flo", flow)
    names = ["L1 alone", "smoothness of second order", "census in place of L1"]
    places = [str(tmp_path / name) for name in ("clips", "val", "out")]
    words = "--steps 2 --crop 8 --rendered 1 --height 64 --width 96 --set data.batch=1"
    words = [*words.split(), "--set", "data.context=[16,20]", "--pairs", str(tmp_path / "pairs")]
    chosen = script.parser().parse_args([*places, *words, "--only", *names])
    lines: list[str] = []
    weights = {name: script.train(name, chosen, lines.append) for name in names}
    assert sum(line.startswith("step 2/2") for line in lines) == 3
    assert script.flow.smoothness is smoothness
    rows = [
        line.strip("| ").split(" | ")
        for line in script.table(script.rows_of(weights, chosen)).splitlines()[2:]
    ]
    assert [row[0] for row in rows] == ["no motion", *names]
    assert float(rows[0][3]) == 2
    assert len({row[1] for row in rows}) >= 3
    lines.clear()
    again = script.train(names[0], chosen, lines.append)
    assert (again, lines) == (weights[names[0]], [])
