"""Exported networks restore what PyTorch's restore."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from s2svr.checkpoint import Card, load, read_card
from s2svr.export import export_onnx
from s2svr.models import PRESETS, S2SVR, PWCLiteConfig

FLOW = PWCLiteConfig(
    channels=(4, 4), features=4, search=1, estimator=(4, 4), context=(4,), finest=0
)
TOLERANCE = 1e-3


def tiny(preset: str, **changes: Any) -> S2SVR:
    """A small network whose every path changes the picture."""
    small = {"channels": 4, "feedback": 4, "attention": 4, "flow": FLOW, **changes}
    torch.manual_seed(0)
    model = S2SVR(replace(PRESETS[preset], encoder_blocks=1, decoder_blocks=1, **small)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if model.decoder.along is not None:
            # Flow at random is of many pixels, and noise has no slope: what is sampled along it
            # by float32 is as far from float64's as TOLERANCE, unless it counts less.
            for layer in (model.encoder.first, model.decoder.along.shares):
                layer.weight.mul_(0.1)
                layer.bias.mul_(0.1)
    return model


def moving(count: int, width: int, height: int) -> Tensor:
    """A clip (1, T, 3, H, W) of a picture that moves by a pixel a frame."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, height, width + count, generator=generator)
    return torch.stack([picture[..., t : t + width] for t in range(count)])[None]


def furthest(model: S2SVR, files: list[Path], size: tuple[int, int], windows: int) -> float:
    """Largest difference between ONNX Runtime and PyTorch over the windows of a clip."""
    first, following = (
        onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        for file in files
    )
    frames = int(first.get_modelmeta().custom_metadata_map["frames"])
    clip, state, memory, worst = moving(windows * frames + model.lookahead, *size), None, [], 0.0
    for index in range(windows):
        seen = clip[:, index * frames : (index + 1) * frames + model.lookahead]
        with torch.inference_mode():
            wanted, state = model(seen, state, model.lookahead)
        session = following if index else first
        names = [entry.name for entry in session.get_inputs()]
        found, *memory = session.run(None, dict(zip(names, [seen.numpy(), *memory], strict=True)))
        assert found.shape == wanted[0].shape
        worst = max(worst, float(np.abs(found - wanted[0].numpy()).max()))
    return worst


def test_twenty_windows_of_any_size_are_those_of_pytorch(tmp_path: Path):
    model = tiny("sr-light", warm=1)
    card = Card("super-resolution", recipe="sr-light")
    files = export_onnx(model, tmp_path, "tiny", card=card, frames=1)
    assert [file.name for file in files] == ["tiny-first.onnx", "tiny-next.onnx"]
    assert furthest(model, files, (21, 17), 20) < TOLERANCE
    assert furthest(model, files, (32, 24), 2) < TOLERANCE
    made = onnx.load(files[1])
    assert made.opset_import[0].version == 16
    facts = {entry.key: entry.value for entry in made.metadata_props}
    assert facts["task"] == "super-resolution"
    assert facts["size"] == "any"
    assert (facts["frames"], facts["lookahead"], facts["window"]) == ("1", "2", "next")
    assert '"recipe": "sr-light"' in facts["card"]
    with pytest.raises(ValueError, match="is there already; --overwrite replaces it"):
        export_onnx(model, tmp_path, "tiny", card=card, frames=1)


def test_a_network_of_memories_alone_is_exported(tmp_path: Path):
    """It has no map of what was restored last."""
    model = tiny("sr-memory", warm=1, feedback=0, attention=0)
    files = export_onnx(model, tmp_path, "tiny", card=Card("super-resolution"), frames=1)
    assert furthest(model, files, (21, 17), 5) < TOLERANCE


def test_what_cannot_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    card = Card("compression")
    model = tiny("compression-light", neighbours=2, quality=8)
    with pytest.raises(ValueError, match="at least 2 frames for small, got 1"):
        export_onnx(model, tmp_path, "small", card=card, frames=1)
    with pytest.raises(ValueError, match="expected a size for small"):
        export_onnx(model, tmp_path, "small", card=card, frames=2)
    with pytest.raises(ValueError, match="expected one restoration network, .* got a Linear"):
        export_onnx(torch.nn.Linear(1, 1), tmp_path, "small", card=card, frames=2)
    monkeypatch.setattr("s2svr.export.onnx.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="expected the package onnx"):
        export_onnx(model, tmp_path, "small", card=card, frames=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "neighbours"), [("deblur-base", 2), ("deblur-light", 2), ("compression-base", 1)]
)
def test_windows_of_networks_that_mix_neighbours(tmp_path: Path, name: str, neighbours: int):
    model = tiny(name, warm=1, neighbours=neighbours)
    card = Card(name.partition("-")[0], recipe=name)
    files = export_onnx(model, tmp_path, "tiny", card=card, frames=neighbours, size=(32, 24))
    assert furthest(model, files, (32, 24), 4) < TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(1800)  # on a busy machine an export takes minutes
@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("sr-light", 1, None),
        ("sr-base", 1, (32, 24)),
        ("sr-real", 2, None),
        ("deblur-light", 6, (32, 24)),
        ("compression-light", 3, (32, 24)),
    ],
)
def test_bundled_networks_are_those_of_pytorch(
    tmp_path: Path, name: str, frames: int, size: tuple[int, int] | None
):
    model = load(name)
    assert isinstance(model, S2SVR)
    files = export_onnx(model, tmp_path, name, card=read_card(name), frames=frames, size=size)
    assert furthest(model, files, size or (50, 38), 20) < TOLERANCE
