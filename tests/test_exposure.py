"""The training of shares by products alone, benchmarks/exposure.py."""

import sys
from fractions import Fraction
from pathlib import Path

import torch

from s2svr.blur import blur
from s2svr.checkpoint import load
from s2svr.data.record import write_movie
from s2svr.models.alignment import around
from s2svr.models.mixing import Exposure


def clip(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(count))


def moving(count: int, side: int) -> torch.Tensor:
    """A texture that moves by three pixels a frame."""
    scene = clip(1, side // 2, side // 2).repeat_interleave(2, -1).repeat_interleave(2, -2)
    return torch.cat([scene.roll(3 * t, -1) for t in range(count)])


def test_the_error_of_shares_is_that_of_the_mixed_frames(benchmark):
    script, reach = benchmark("exposure"), 3
    torch.manual_seed(0)
    pair = blur(clip(14, 8, 10), 5)
    lq, hq = pair
    found = script.windows(lq, hq, reach)
    exposure = Exposure(reach, 4)
    shares = torch.randn(len(lq), 2 * reach)
    left = script.left(shares, found)
    for t in range(len(lq)):
        others = around(list(lq[:, None]), t, reach)
        over = torch.cat(others) - lq[t]
        mixed = lq[t] + (shares[t].view(-1, 1, 1, 1) * over).sum(0)
        assert torch.allclose(left[t], (mixed - hq[t]).square().mean(), rtol=1e-4)
        with torch.no_grad():
            seen, known = (
                exposure(lq[t, None], others),
                exposure.told(found.products[t, None], found.sharp[t, None]),
            )
        assert torch.allclose(seen, known, atol=1e-4)


def test_shares_that_undo_a_blur_are_learned(benchmark):
    script = benchmark("exposure")
    torch.manual_seed(0)
    exposure = Exposure(6, 16)
    blurred = blur(moving(40, 48), 5)
    clips = script.windows(*blurred, 6)
    script.learn(exposure, clips, torch.ones(len(clips.error)), 300)
    with torch.no_grad():
        left = script.left(exposure.told(clips.products, clips.sharp)[..., 0, 0], clips)
    inside = slice(6, -6)
    assert (left / clips.error)[inside].max() < 0.7


def test_a_network_is_written_that_tells_an_exposure(benchmark, tmp_path: Path, monkeypatch):
    script = benchmark("exposure")
    (tmp_path / "clips").mkdir()
    write_movie(tmp_path / "clips" / "a.mp4", list(moving(24, 96)), Fraction(25))
    words = ["exposure.py", str(tmp_path / "clips"), str(tmp_path / "out.safetensors")]
    words += ["--cache", str(tmp_path / "cache"), "--steps", "5", "--set", "data.moving=1"]
    monkeypatch.setattr(sys, "argv", words)
    script.main()
    model, frames = load(tmp_path / "out.safetensors"), list(moving(13, 32)[:, None])
    assert model.mixer.exposure(frames[6], around(frames, 6, 6)).shape == (1, 12, 1, 1)
