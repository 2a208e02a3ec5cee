"""Banding and mosquito noise of made pictures, and the tables that hold them."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from s2svr.checkpoint import Card, save
from s2svr.models import PRESETS, S2SVR
from s2svr.writing.images import write_png


@pytest.fixture
def artifacts(benchmark):
    return benchmark("artifacts")


def ramp(width: int = 40, codes: int = 4) -> torch.Tensor:
    """Smooth from 100 on: a code more after every so many pixels."""
    return (100 + torch.arange(width) // codes).expand(30, -1).double()


def test_an_even_picture_and_one_without_smooth_parts_have_no_bands(artifacts):
    even = torch.full((30, 40), 100.0).double()
    assert artifacts.banding(even, even) == 0
    rough = 100 + 20 * (torch.arange(40) % 2).expand(30, -1).double()
    assert math.isnan(artifacts.banding(rough, rough))


def test_two_even_bands_of_one_window_have_a_quarter_of_their_contrast(artifacts):
    truth = torch.full((30, 40), 101.0).double()
    for contrast in (1, 4):
        bands = truth.clone()
        bands[:, 20:] += contrast
        # The window holds the whole picture: p(0) = p(k) = 1/2, and k / 2 * 1/2 = k / 4.
        assert artifacts.banding(bands, truth, window=101) == pytest.approx(contrast / 4)
    bands[:, 20:] = 106  # further apart than a band is
    assert artifacts.banding(bands, truth, window=101) == 0


def test_banding_equals_its_formula_pixel_by_pixel(artifacts):
    generator = torch.Generator().manual_seed(0)
    truth = ramp(16, 8)
    truth[:, 12:] += torch.randint(0, 30, (30, 4), generator=generator)  # not smooth
    truth = truth[:10]
    codes = truth + torch.randint(-2, 3, truth.shape, generator=generator)
    smooth = torch.zeros(truth.shape, dtype=torch.bool)
    height, width = truth.shape
    for i in range(height):
        for j in range(width):
            part = truth[max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4]
            smooth[i, j] = part.max() - part.min() <= 4
    values = []
    for i, j in smooth.nonzero().tolist():
        rows, columns = slice(max(i - 2, 0), i + 3), slice(max(j - 2, 0), j + 3)
        over = (codes - codes[i, j])[rows, columns][smooth[rows, columns]]
        p = {k: (over == k).double().mean().item() for k in range(-4, 5)}
        values.append(max(abs(k) * p[0] * p[k] / (p[0] + p[k]) for k in p if k))
    assert 0 < smooth.sum() < smooth.numel()
    assert artifacts.banding(codes, truth, window=5) == pytest.approx(sum(values) / len(values))


def test_bands_of_a_coarse_quantizer_are_found_and_undone(artifacts):
    truth = ramp(120, 6)
    coarse = 4 * (truth / 4).round()
    assert artifacts.banding(coarse, truth, 31) > 1.5 * artifacts.banding(truth, truth, 31)


def test_mosquito_noise_counts_beside_edges_alone(artifacts):
    truth = torch.full((20, 64), 50.0)
    truth[:, 32:] = 200  # strong edges are columns 31 and 32, flat are those to 29 and from 34 on
    checks = torch.where((torch.arange(20)[:, None] + torch.arange(64)) % 2 == 0, 6.0, -6.0)
    assert artifacts.mosquito(truth + checks, truth) == pytest.approx(6)
    for columns, wanted in (
        (slice(23, 30), 6 * math.sqrt(0.5)),  # of 23 to 29 and 34 to 40
        (slice(30, 34), 0),  # the edge itself
        (slice(0, 23), 0),
        (slice(41, 64), 0),
    ):
        noisy = truth.clone()
        noisy[:, columns] += checks[:, columns]
        assert artifacts.mosquito(noisy, truth) == pytest.approx(wanted), columns
    assert math.isnan(artifacts.mosquito(truth[:, :20] + 1, truth[:, :20]))


def test_tables_have_a_row_for_each_damage_and_length(
    benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    light = PRESETS["compression-light"]
    small = replace(light, channels=4, feedback=4, attention=4, neighbours=0, aligned=False,
                    quality=0, confidence=False, flow=None)  # fmt: skip
    save(tmp_path / "fresh.safetensors", S2SVR(small), Card("compression"))
    for index in range(3):
        (tmp_path / "clips" / "one").mkdir(parents=True, exist_ok=True)
        picture = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(index))
        write_png(tmp_path / "clips" / "one" / f"{index}.png", picture)
    words = [tmp_path / "clips", "--weights", tmp_path / "fresh.safetensors", "--frames", "3"]
    words += ["--damage", "h264-38", "--lengths-of", "h264-38", "--segment", "1", "2"]
    monkeypatch.setattr(sys, "argv", ["compression_tables.py", *map(str, words)])
    benchmark("compression_tables").main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert rows[2][0] == "| h264-38"
    assert float(rows[2][1]) > 5
    assert rows[2][2:6] == ["+0.000", "+0.000 (one)"] * 2  # a fresh network changes nothing
    assert rows[2][6] == rows[2][7]
    assert [row[0] for row in rows[-3:]] == ["| 1", "| 2", "| all"]
