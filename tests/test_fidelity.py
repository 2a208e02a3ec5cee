from pathlib import Path

import pytest
import torch

from s2svr.degrade import bicubic_down, blurred, quantised
from s2svr.fidelity import BIN, fidelity
from s2svr.media import read_clip, write_png
from s2svr.metrics import psnr_rgb
from s2svr.ops import resize_bicubic


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
    exact = fidelity(source, folder(tmp_path / "exact", truth))
    assert exact.frames == 3
    assert exact.psnr == 100
    resized = folder(tmp_path / "resized", resize_bicubic(lq, 4).clamp(0, 1))
    found = fidelity(source, resized)
    again = bicubic_down(read_clip(resized).float() / 255).lq
    assert found.psnr == pytest.approx(psnr_rgb(again[0], lq[0]))
    assert found.bins == [pytest.approx(found.psnr - found.base)]
    assert abs(found.bins[0]) < 0.2  # but for the rounding of the file
    assert found.warning is None


def test_tasks_that_keep_the_size_are_damaged_again(tmp_path: Path):
    sharp = torch.stack([torch.roll(texture(1)[0], 2 * t, -1) for t in range(5)])
    blurry = torch.stack(list(blurred(sharp, 3)))
    found = fidelity(folder(tmp_path / "in", blurry), folder(tmp_path / "out", sharp), "blur-3")
    assert found.psnr == 100  # it is exactly what was blurred
    twice = torch.stack(list(blurred(blurry, 3)))
    # The ends are not blurred and stay equal, which counts as 100 dB.
    values = [min(psnr_rgb(a, b), 100) for a, b in zip(twice, blurry, strict=True)]
    assert found.base == pytest.approx(sum(values) / 5)


@pytest.mark.parametrize(("light", "drifts"), [(0.002, True), (0.0, False)])
def test_drift_is_seen(tmp_path: Path, light: float, drifts: bool):
    count = 2 * BIN + 5  # the last bin is cut off
    lq = bicubic_down(texture(1)).lq.expand(count, -1, -1, -1)
    out = resize_bicubic(lq, 4) + light * torch.arange(count).view(-1, 1, 1, 1)
    found = fidelity(folder(tmp_path / "in", lq), folder(tmp_path / "out", out.clamp(0, 1)))
    assert len(found.bins) == 2
    if drifts:
        assert found.bins[1] < found.bins[0] - 1
        assert found.warning is not None
        assert "in the frames 30 to 59 than at the begin" in found.warning
    else:
        assert found.warning is None


def test_sizes_that_do_not_fit_are_named(tmp_path: Path):
    source = folder(tmp_path / "in", texture(1))
    with pytest.raises(ValueError, match="4 times as large .* of 12x8 for 48x32 pixels"):
        fidelity(source, source)
