"""Weights files: they come back bit by bit, and say what is wrong with foreign ones."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from s2svr.checkpoint import (
    Card,
    CheckpointError,
    bundled,
    describe_weights,
    load,
    read_card,
    read_header,
    save,
)
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.tasks import TASKS

TINY = replace(PRESETS["sr-light"], channels=4, feedback=4, attention=4, bidirectional=True)
CARD = Card("sr", recipe="tiny.toml", step=7, psnr=30.25, gain_db=0.5, clips="two clips")


@pytest.fixture
def tiny() -> S2SVR:
    torch.manual_seed(0)
    return S2SVR(TINY).eval()


@pytest.fixture
def saved(tiny: S2SVR, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save(path, tiny, CARD)
    return path


def rewrite(path: Path, **metadata: str) -> None:
    """Replace entries of the file's metadata."""
    save_file(load_file(path), path, read_header(path) | metadata)


def test_round_trip_is_exact(tiny: S2SVR, saved: Path) -> None:
    model = load(saved)
    assert isinstance(model, S2SVR)
    assert model.config == tiny.config
    assert not model.training
    assert model.state_dict().keys() == tiny.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tiny.state_dict()[name]), name
    assert read_card(saved) == CARD
    known = describe_weights(saved)
    assert known["name"] == "tiny"
    assert known["parameters"] == sum(p.numel() for p in tiny.parameters())
    assert known["bytes"] == saved.stat().st_size
    assert known["gain_db"] == CARD.gain_db


def test_a_path_may_be_text(tiny: S2SVR, tmp_path: Path) -> None:
    save(str(tmp_path / "text"), tiny, CARD)
    assert read_card(str(tmp_path / "text")) == CARD
    for name, tensor in load(str(tmp_path / "text")).state_dict().items():
        assert torch.equal(tensor, tiny.state_dict()[name])


def test_half_is_stored_rounded_and_loaded_as_float32(tiny: S2SVR, tmp_path: Path) -> None:
    save(tmp_path / "half", tiny, CARD, half=True)
    save(tmp_path / "full", tiny, CARD)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    for name, tensor in load(tmp_path / "half").state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tiny.state_dict()[name].half().float())


def test_loading_leaves_the_random_numbers_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    load(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_channels_last_weights_are_saved_by_value(tiny: S2SVR, tmp_path: Path) -> None:
    wanted = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    save(tmp_path / "last", tiny.to(memory_format=torch.channels_last), CARD)
    for name, tensor in load(tmp_path / "last").state_dict().items():
        assert torch.equal(tensor, wanted[name])


def test_flow_network_round_trips(tmp_path: Path) -> None:
    flow = PWCLite(PRESETS["flow-light"])
    save(tmp_path / "flow", flow, Card("flow"))
    loaded = load(tmp_path / "flow", task="flow")
    assert isinstance(loaded, PWCLite)
    assert loaded.config == flow.config


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tiny: S2SVR, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(saved, tiny, replace(CARD, step=8))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_every_bundled_file_loads_for_the_task_of_its_name() -> None:
    for name, path in bundled().items():
        task = next((task for task, entry in TASKS.items() if entry.weights == name), None)
        load(path, task=task)


def test_unknown_name_lists_the_bundled_ones(monkeypatch: pytest.MonkeyPatch, saved: Path) -> None:
    monkeypatch.setattr("s2svr.checkpoint.WEIGHTS", saved.parent)
    assert load("tiny").config == TINY  # type: ignore[comparison-overlap]
    with pytest.raises(CheckpointError, match=r"by name \(tiny\) or a file, got 'sr-heavy'"):
        load("sr-heavy")
    with pytest.raises(CheckpointError, match=rf"is neither, nor a task \({', '.join(TASKS)}\)"):
        load("sr-heavy")


def test_weights_of_another_task_are_refused(saved: Path) -> None:
    load(saved, task="sr")
    with pytest.raises(CheckpointError, match="expected weights for deblur, .* is for sr"):
        load(saved, task="deblur")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a safetensors file written by s2svr"):
        load(path)
    with pytest.raises(CheckpointError, match="is none or is damaged"):
        read_card(path)


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is none or is damaged"):
        load(saved)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="names no model of it"):
        load(path)


def test_missing_and_foreign_tensors_are_refused(saved: Path) -> None:
    metadata, tensors = read_header(saved), load_file(saved)
    name = next(iter(tensors))
    renamed = {**tensors, "other": tensors[name].clone()}
    for wrong in ({}, {k: v for k, v in tensors.items() if k != name}, renamed):
        save_file(wrong, saved, metadata)
        with pytest.raises(CheckpointError, match="expected the .* tensors of its configuration"):
            load(saved)
    save_file({**tensors, name: torch.zeros(1)}, saved, metadata)
    with pytest.raises(CheckpointError, match="damaged, edited, or of another version"):
        load(saved)


@pytest.mark.parametrize("config", ["{", "[]", '{"channels": -1}', '{"heads": 3}'])
def test_an_unknown_configuration_is_refused(saved: Path, config: str) -> None:
    rewrite(saved, config=config)
    with pytest.raises(CheckpointError, match="configuration of another version"):
        load(saved)


def test_a_later_card_is_read_as_far_as_known(saved: Path) -> None:
    rewrite(saved, card=json.dumps({"task": "sr", "step": 9, "carbon": 3}))
    assert read_card(saved) == Card("sr", step=9)
    rewrite(saved, card="[1]")
    with pytest.raises(CheckpointError, match="expected a card"):
        read_card(saved)


def test_an_unknown_network_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="expected one of s2svr, pwclite, earlier, got a Linear"
    ):
        save(tmp_path / "x", nn.Linear(2, 2), CARD)
    assert list(tmp_path.iterdir()) == []
