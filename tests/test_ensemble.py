"""The mean of what a network makes of frames and of their mirror images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from media_clips import make_video
from networks import TINY
from s2svr.checkpoint import Card, CheckpointError, load, read_card, save
from s2svr.coarseness import Coarseness, knowing, tells_share
from s2svr.ensemble import SURER, SelfEnsemble
from s2svr.media import read_clip
from s2svr.models import LIGHT_FLOW, PRESETS, S2SVR, PWCLite
from s2svr.restoration import backend_of, restore_video

MIRRORS = ((), (-1,), (-2,), (-2, -1))


def lively(config) -> S2SVR:
    """A network at random that changes what it sees."""
    torch.manual_seed(2)
    model = S2SVR(config)
    for parameter in model.body_parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(params=["sr", "compression", "deblur"])
def network(request) -> S2SVR:
    if request.param == "sr":
        return lively(replace(TINY, flow=LIGHT_FLOW))
    return lively(replace(PRESETS[f"{request.param}-light"], channels=8, mixing=4))


@pytest.fixture
def clip() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(1, 7, 3, 36, 52)


@torch.no_grad()
def test_it_is_the_mean_over_mirrored_clips(network: S2SVR, clip: Tensor) -> None:
    got, _ = SelfEnsemble(network)(clip)
    each = [network(clip.flip(axes))[0].flip(axes) for axes in MIRRORS]
    assert (each[0] - each[1]).abs().max() > 1e-3
    torch.testing.assert_close(got, sum(each) / 4, rtol=0, atol=1e-5)


@torch.no_grad()
def test_windows_go_on_with_each_mirrored_memory(network: S2SVR, clip: Tensor) -> None:
    both = SelfEnsemble(network)
    ahead = both.lookahead
    clip = torch.cat((clip, clip.flip(1)), 1)[:, : 5 + ahead]
    expected, got, memory = [], [], None
    for start, stop in ((0, 2), (2, 5)):
        y, memory = both(clip[:, start : stop + ahead], memory, ahead)
        got.append(y)
    for axes in MIRRORS:
        state, parts = None, []
        for start, stop in ((0, 2), (2, 5)):
            y, state = network(clip[:, start : stop + ahead].flip(axes), state, ahead)
            parts.append(y.flip(axes))
        expected.append(torch.cat(parts, 1))
    torch.testing.assert_close(torch.cat(got, 1), sum(expected) / 4, rtol=0, atol=1e-5)


def test_a_plus_behind_a_name_is_a_self_ensemble(tmp_path: Path) -> None:
    model = load("compression-light+", task="compression")
    assert isinstance(model, SelfEnsemble)
    assert read_card("compression-light+") == read_card("compression-light")
    path = tmp_path / "mine.safetensors"
    save(path, lively(TINY), Card(task="sr"))
    assert isinstance(load(f"{path}+"), SelfEnsemble)
    with pytest.raises(CheckpointError, match="got 'nothing\\+', which is neither"):
        load("nothing+")
    save(tmp_path / "odd+", lively(TINY), Card(task="sr"))
    assert isinstance(load(tmp_path / "odd+"), S2SVR)  # a file's own name
    save(path, PWCLite(LIGHT_FLOW), Card(task="flow"))
    with pytest.raises(CheckpointError, match="expected a restoration network before +"):
        load(f"{path}+")


def test_a_self_ensemble_is_told_the_coding(clip: Tensor) -> None:
    model = lively(replace(PRESETS["compression-light"], channels=8, mixing=4))
    ensemble, coarseness = SelfEnsemble(model), Coarseness("hevc", 28)
    assert tells_share(ensemble)
    assert not tells_share(SelfEnsemble(lively(TINY)))
    with torch.no_grad():
        got = knowing(ensemble, coarseness)(clip)[0]
        alone = knowing(model, coarseness)
        alone.mixer.quality.share *= SURER
        expected = SelfEnsemble(alone)(clip)[0]
        untold = ensemble(clip)[0]
    assert torch.equal(got, expected)
    assert (got - untold).abs().max() > 1e-3


def test_what_was_interrupted_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    model = SelfEnsemble(lively(TINY))
    source = make_video(tmp_path / "a.mkv", pts=[3003 * t for t in range(12)])
    restore_video(model, source, tmp_path / "whole.mkv", window=2, segment=4)
    with pytest.raises(KeyboardInterrupt):
        restore_video(model, source, tmp_path / "cut.mkv", window=2, segment=4, stop=lambda: True)
    summary = restore_video(model, source, tmp_path / "cut.mkv", window=2, segment=4)
    assert summary.resumed == 4
    assert torch.equal(read_clip(tmp_path / "cut.mkv"), read_clip(tmp_path / "whole.mkv"))
    assert backend_of(model).identity != backend_of(model.network).identity
