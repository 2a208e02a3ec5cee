import csv
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from s2svr import evaluate as ev
from s2svr.data.clips import Sequence
from s2svr.data.flowio import write_flo
from s2svr.degrade import bicubic_down
from s2svr.media import write_png
from s2svr.metrics import psnr_rgb, ssim_rgb
from s2svr.ops import resize_bicubic


class Base(nn.Module):
    """A model that returns its base, plus a little light."""

    scale, lookahead = 4, 0

    def __init__(self, light: float = 0.0) -> None:
        super().__init__()
        self.light = nn.Parameter(torch.tensor(light))

    def forward(self, x, state=None, lookahead=0):
        return resize_bicubic(x, 4) + self.light, None


def picture(seed: int, height: int = 32, width: int = 48) -> torch.Tensor:
    small = torch.rand(3, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return (resize_bicubic(small, 4).clamp(0, 1) * 255).round() / 255


@pytest.fixture
def sequences(tmp_path: Path) -> list[Sequence]:
    """Two folders of two and three frames."""
    for name, count in (("a", 2), ("b", 3)):
        (tmp_path / name).mkdir()
        for t in range(count):
            write_png(tmp_path / name / f"{t}.png", picture(10 * count + t))
    return [Sequence(name, tmp_path / name) for name in ("a", "b")]


def test_rows_are_means_over_frames_and_their_mean_is_of_clips(sequences):
    rows = ev.evaluate(Base(0.05), sequences, bicubic_down)
    for row, count in zip(rows, (2, 3), strict=True):
        truth = torch.stack([picture(10 * count + t) for t in range(count)])
        base = resize_bicubic(bicubic_down(truth).lq, 4)
        want = [psnr_rgb(b + 0.05, t) for b, t in zip(base.clamp(0, 1), truth, strict=True)]
        assert row.psnr == pytest.approx(sum(want) / count, abs=0.05)
        want = [ssim_rgb(b, t) for b, t in zip(base, truth, strict=True)]
        assert row.base_ssim == pytest.approx(sum(want) / count, abs=1e-6)
        assert row.gain == pytest.approx(row.psnr - row.base_psnr)
    mean = ev.mean_row(rows)
    assert mean.frames == 5
    assert mean.psnr == pytest.approx((rows[0].psnr + rows[1].psnr) / 2)


def test_a_model_that_adds_nothing_gains_nothing(sequences):
    assert all(row.gain == 0 for row in ev.evaluate(Base(), sequences, bicubic_down, frames=1))


def test_sequences_with_both_qualities_are_read_not_damaged(sequences, tmp_path: Path):
    (tmp_path / "lq").mkdir()
    write_png(tmp_path / "lq" / "0.png", torch.full((3, 8, 12), 0.5))
    given = [Sequence("a", tmp_path / "a", tmp_path / "lq")]
    (row,) = ev.evaluate(Base(), given, bicubic_down, frames=1)
    grey = torch.full((3, 32, 48), 128 / 255)
    assert row.psnr == pytest.approx(psnr_rgb(grey, picture(20)), abs=1e-6)
    (tmp_path / "lq" / "1.png").write_bytes((tmp_path / "lq" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"one size ratio and number in a, got \(2, 3, 8, 12\)"):
        ev.evaluate_clip(Base(), "a", torch.rand(2, 3, 8, 12), torch.rand(1, 3, 32, 48))


def test_pictures_of_the_worst_frame(sequences, tmp_path: Path):
    ev.evaluate(Base(), sequences, bicubic_down, pictures=tmp_path / "worst")
    assert sorted(path.name for path in (tmp_path / "worst").iterdir()) == ["a.png", "b.png"]


def test_tables_hold_the_rows(sequences, tmp_path: Path):
    rows = ev.evaluate(Base(), sequences, bicubic_down)
    ev.write_table(tmp_path / "t.json", rows)
    kept = json.loads((tmp_path / "t.json").read_text())
    assert kept["protocol"] == ev.PROTOCOL
    assert kept["rows"][1]["psnr"] == rows[1].psnr
    ev.write_table(tmp_path / "t.csv", rows)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert [row["clip"] for row in csv.DictReader(lines)] == ["a", "b"]
    ev.write_table(tmp_path / "t.md", rows)
    assert f"{rows[0].psnr:.4f}" in (tmp_path / "t.md").read_text()
    with pytest.raises(ValueError, match=".json, .csv or .md, got t.txt"):
        ev.write_table(tmp_path / "t.txt", rows)


@pytest.mark.parametrize("reduced", [1, 4])
def test_flow_errors_are_in_full_size_pixels(tmp_path: Path, reduced: int):
    frame = picture(1)
    write_png(tmp_path / "frame_0001.png", frame)
    write_png(tmp_path / "frame_0002.png", torch.roll(frame, 4, -1))
    truth = torch.zeros(2, 32, 48)
    truth[0] = 4.0
    write_flo(tmp_path / "frame_0001.flo", truth)

    def right(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        assert a.shape[-1] == 48 // reduced
        flow = torch.zeros(1, 2, *a.shape[-2:])
        flow[:, 0] = 4.0 / reduced
        return flow

    (row,) = ev.evaluate_flow(right, tmp_path, reduced=reduced)
    assert row.error == pytest.approx(0, abs=1e-5)
    assert row.zero_error == pytest.approx(4)
    assert row.photometric < 0.5 * row.zero_photometric
    (tmp_path / "frame_0001.flo").unlink()
    with pytest.raises(ValueError, match="expected .flo files with their frames"):
        ev.evaluate_flow(right, tmp_path)
