from pathlib import Path

import pytest
import torch

from s2svr.damage.blur import blur_stream
from s2svr.damage.reduce import bicubic_down
from s2svr.damage.table import stream
from s2svr.evaluation.fidelity import BIN, measure_fidelity
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.ops import quantised, resize_bicubic, resize_to
from s2svr.writing.images import write_png


def folder(path: Path, clip: torch.Tensor) -> Path:
    path.mkdir()
    for t, frame in enumerate(clip):
        write_png(path / f"{t:03}.png", frame)
    return path


def texture(count: int, height: int = 32, width: int = 48) -> torch.Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return quantised(0.2 + 0.6 * noise).expand(count, -1, -1, -1)


def test_what_is_reduced_again_is_held_against_the_source(tmp_path: Path):
    truth = texture(3)
    lq = bicubic_down(truth).lq
    source = folder(tmp_path / "lq", lq)
    exact = measure_fidelity(source, folder(tmp_path / "exact", truth))
    assert exact.frames == 3
    assert (exact.psnr, exact.equal, exact.bins, exact.warning) == (None, 3, [None], None)
    resized = folder(tmp_path / "resized", resize_bicubic(lq, 4).clamp(0, 1))
    found = measure_fidelity(source, resized)
    again = bicubic_down(read_clip(resized).float() / 255).lq
    assert found.psnr == pytest.approx(psnr_rgb(again[0], lq[0]))
    assert found.bins == [pytest.approx(found.psnr - found.base)]
    assert abs(found.bins[0]) < 0.2  # but for the rounding of the file
    assert found.warning is None


def test_tasks_that_keep_the_size_are_damaged_again(tmp_path: Path):
    sharp = torch.stack([torch.roll(texture(1)[0], 2 * t, -1) for t in range(5)])
    blurry = torch.stack(list(blur_stream(sharp, 3)))
    found = measure_fidelity(
        folder(tmp_path / "in", blurry), folder(tmp_path / "out", sharp), "blur-3"
    )
    assert (found.psnr, found.equal) == (None, 5)  # it is exactly what was blurred
    twice = torch.stack(list(blur_stream(blurry, 3)))
    # The ends are not blurred and stay equal.
    values = [psnr_rgb(a, b) for a, b in zip(twice[1:4], blurry[1:4], strict=True)]
    assert found.base == pytest.approx(sum(values) / 3)


@pytest.mark.parametrize("damage", ["h264-28+bicubic", "gaussian+h264-28", "blur-3+bicubic"])
def test_joined_damage_that_shrinks_is_made_again(tmp_path: Path, damage: str):
    truth = torch.stack([torch.roll(texture(1, 64, 96)[0], 2 * t, -1) for t in range(3)])
    lq = torch.stack(list(stream(damage)(truth)))
    assert lq.shape == (3, 3, 16, 24)
    source = folder(tmp_path / "lq", lq)
    exact = measure_fidelity(source, folder(tmp_path / "exact", truth), damage)
    assert (exact.frames, exact.equal, exact.psnr) == (3, 3, None)  # it is what was damaged
    resized = resize_to(lq, (64, 96)).clamp(0, 1)
    values = [psnr_rgb(a, b) for a, b in zip(stream(damage)(resized), lq, strict=True)]
    assert exact.base == pytest.approx(sum(values) / 3)
    with pytest.raises(ValueError, match="4 times as large .* of 24x16 for 24x16 pixels"):
        measure_fidelity(source, source, damage)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_any_factor_is_reduced_to_the_source(tmp_path: Path, factor: int):
    truth = texture(2, 12 * factor, 18 * factor)
    small = quantised(resize_to(truth, (12, 18)))
    source, whole = folder(tmp_path / "in", small), folder(tmp_path / "out", truth)
    assert measure_fidelity(source, whole).equal == 2
    darker = folder(tmp_path / "dark", truth - 10 / 255)
    found = measure_fidelity(source, darker)
    # Ten codes everywhere: 28.13 dB; a code more or less where rounding meets.
    assert found.psnr == pytest.approx(28.13, abs=0.1)
    assert (found.base is None) == (factor == 1)  # nothing is done to what is not larger
    want = found.psnr - (found.base or 0)
    assert found.bins == [pytest.approx(want)]


def test_equal_frames_are_no_drift(tmp_path: Path):
    """An untouched begin says nothing about the frames after it."""
    count = 3 * BIN
    light = torch.where(torch.arange(count) < BIN, 0, 4 / 255).view(-1, 1, 1, 1)
    source = folder(tmp_path / "in", texture(count, 16, 16))
    found = measure_fidelity(source, folder(tmp_path / "out", texture(count, 16, 16) + light))
    assert found.equal == BIN
    assert found.bins == [None, pytest.approx(36.09, abs=0.01), pytest.approx(36.09, abs=0.01)]
    assert found.psnr == pytest.approx(36.09, abs=0.01)
    assert found.warning is None


@pytest.mark.parametrize(("light", "drifts"), [(0.002, True), (0.0, False)])
def test_drift_is_seen(tmp_path: Path, light: float, drifts: bool):
    count = 2 * BIN + 5  # the last bin is cut off
    lq = bicubic_down(texture(1)).lq.expand(count, -1, -1, -1)
    out = resize_bicubic(lq, 4) + light * torch.arange(count).view(-1, 1, 1, 1)
    found = measure_fidelity(folder(tmp_path / "in", lq), folder(tmp_path / "out", out.clamp(0, 1)))
    assert len(found.bins) == 2
    if drifts:
        assert found.bins[1] < found.bins[0] - 1
        assert found.warning is not None
        assert "in the frames 30 to 59 than at the begin" in found.warning
    else:
        assert found.warning is None


def test_a_smaller_result_is_held_against_the_source_as_small(tmp_path: Path):
    clip = texture(2)
    small = resize_to(clip, (8, 12)).clamp(0, 1)
    source = folder(tmp_path / "in", clip)
    exact = measure_fidelity(source, folder(tmp_path / "out", small))
    assert (exact.frames, exact.equal, exact.base, exact.warning) == (2, 2, None, None)
    darker = folder(tmp_path / "dark", small - 10 / 255)
    assert measure_fidelity(source, darker).psnr == pytest.approx(28.13, abs=0.1)  # ten codes
    # Pixels that became square: one side alone is smaller.
    wide = resize_to(clip, (8, 60)).clamp(0, 1)
    found = measure_fidelity(source, folder(tmp_path / "wide", wide))
    want = psnr_rgb(resize_to(quantised(wide)[0], (8, 48)), resize_to(clip[0], (8, 48)))
    assert found.psnr == pytest.approx(want)


def test_sizes_that_do_not_fit_are_named(tmp_path: Path):
    source = folder(tmp_path / "in", texture(1))
    small = folder(tmp_path / "small", texture(1, 8, 12))
    with pytest.raises(ValueError, match="4 times as large .* of 48x32 for 48x32 pixels"):
        measure_fidelity(source, source, "gaussian")
    with pytest.raises(ValueError, match="be as large as .* of 48x32 for 12x8 pixels; bicubic"):
        measure_fidelity(small, source, "blur-3")
