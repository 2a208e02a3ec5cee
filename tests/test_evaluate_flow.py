import json
from pathlib import Path

import pytest
import torch

from s2svr.data.flowio import write_flo
from s2svr.evaluate_flow import evaluate_flow
from s2svr.media import write_png
from s2svr.ops import resize_bicubic
from s2svr.tables import markdown, write_table


def picture(seed: int) -> torch.Tensor:
    small = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(seed))
    return (resize_bicubic(small, 4).clamp(0, 1) * 255).round() / 255


def moving(pixels: float, reduced: int = 1):
    """A flow of that many full-size pixels to the right, or to the left backward in time."""

    def flow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        assert a.shape[-1] == 48 // reduced
        backward = torch.equal(torch.roll(a, -4 // reduced, -1), b) and reduced == 1
        found = torch.zeros(1, 2, *a.shape[-2:])
        found[:, 0] = (-pixels if backward else pixels) / reduced
        return found

    return flow


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A picture that moves right by 4 pixels, as Sintel's files beside each other."""
    write_png(tmp_path / "frame_0009.png", picture(1))
    write_png(tmp_path / "frame_0010.png", torch.roll(picture(1), 4, -1))
    write_flo(tmp_path / "frame_0009.flo", shift(4.0))
    return tmp_path


def shift(pixels: float) -> torch.Tensor:
    flow = torch.zeros(2, 32, 48)
    flow[0] = pixels
    return flow


@pytest.mark.parametrize("reduced", [1, 4])
def test_flow_errors_are_in_full_size_pixels(pair: Path, reduced: int):
    (row,) = evaluate_flow(moving(4.0, reduced), pair, reduced=reduced)
    assert row.pair == "frame_0009.png"
    assert row.error == pytest.approx(0, abs=1e-5)
    assert row.zero_error == row.medium + 4 == pytest.approx(4)
    assert (row.slow, row.fast, row.hidden) == (None, None, None)
    assert row.photometric < 0.5 * row.zero_photometric
    (row,) = evaluate_flow(moving(8.0, reduced), pair, reduced=reduced)
    assert row.error == pytest.approx(4)
    assert row.outliers == 1


def test_forward_and_backward_flow_are_held_together(pair: Path):
    (row,) = evaluate_flow(moving(4.0), pair)
    assert row.consistency == pytest.approx(0, abs=1e-5)
    (row,) = evaluate_flow(lambda a, b: shift(3.0)[None], pair)
    assert row.consistency == pytest.approx(6)
    (row,) = evaluate_flow(lambda a, b: shift(100.0)[None], pair)
    assert row.consistency is None  # it leaves the frame everywhere


def test_hidden_pixels_unknown_truth_and_every_rendering(tmp_path: Path):
    for name in ("flow", "backward", "clean", "final", "occlusions"):
        (tmp_path / name / "alley").mkdir(parents=True)
    for name in ("clean", "final"):
        write_png(tmp_path / name / "alley" / "frame_0001.png", picture(1))
        write_png(tmp_path / name / "alley" / "frame_0002.png", torch.roll(picture(1), 4, -1))
    truth = shift(4.0)
    truth[0, :, :24] = 12.0
    truth[:, 0] = 2e9  # Middlebury's unknown
    write_flo(tmp_path / "flow" / "alley" / "frame_0001.flo", truth)
    write_flo(tmp_path / "backward" / "alley" / "frame_0002.flo", truth)
    mask = torch.zeros(3, 32, 48)
    mask[..., :24] = 1
    write_png(tmp_path / "occlusions" / "alley" / "frame_0001.png", mask)
    rows = evaluate_flow(moving(4.0), tmp_path)
    assert [r.pair for r in rows] == [f"{n}/alley/frame_0001.png" for n in ("clean", "final")]
    assert (rows[0].hidden, rows[0].visible) == (pytest.approx(8), 0)
    assert (rows[0].fast, rows[0].medium, rows[0].slow) == (pytest.approx(8), 0, None)
    assert rows[0].error == pytest.approx(4)
    assert rows[0].zero_error == pytest.approx(8)
    assert rows[0].outliers == pytest.approx(0.5)
    assert rows[0].photometric == rows[1].photometric


def test_missing_files_are_named(pair: Path):
    write_png(pair / "frame_0010.png", torch.zeros(3, 32, 40))
    with pytest.raises(ValueError, match="frames of 48x32 pixels .* got 48x32 and 40x32"):
        evaluate_flow(moving(4.0), pair)
    (pair / "frame_0010.png").unlink()
    with pytest.raises(ValueError, match=r"frame_0009.png and the frame after it"):
        evaluate_flow(moving(4.0), pair)
    (pair / "frame_0009.flo").unlink()
    with pytest.raises(ValueError, match=r"expected .flo files with their frames"):
        evaluate_flow(moving(4.0), pair)


def test_tables_hold_the_pairs(pair: Path):
    rows = evaluate_flow(moving(5.0), pair)
    write_table(pair / "t.json", rows)
    (kept,) = json.loads((pair / "t.json").read_text())["rows"]
    assert kept["error"] == pytest.approx(1)
    assert kept["slow"] is None
    assert "| frame_0009.png | 1.0000 | 4.00 |" in markdown(rows)
