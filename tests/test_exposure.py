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


def test_a_network_is_written_that_has_learned(benchmark, tmp_path: Path, monkeypatch, capsys):
    script = benchmark("exposure")
    (tmp_path / "clips").mkdir()
    write_movie(tmp_path / "clips" / "a.mp4", list(clip(24, 96, 96)), Fraction(25))
    words = ["exposure.py", str(tmp_path / "clips"), str(tmp_path / "out.safetensors")]
    words += ["--cache", str(tmp_path / "cache"), "--steps", "200", "--set", "data.moving=1"]
    monkeypatch.setattr(sys, "argv", words)
    script.main()
    assert float(capsys.readouterr().out.split()[-2]) > 0
    model = load(tmp_path / "out.safetensors")
    assert model.mixer.exposure.tell[-1].weight.any()
