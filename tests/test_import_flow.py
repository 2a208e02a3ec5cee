"""ARFlow's layout, and that its weights compute what they computed there."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.checkpoint import CheckpointError, load, read_card
from s2svr.flow.arflow import import_flow
from s2svr.train.flow import train_flow
from s2svr.train.launch import Run
from s2svr.train.recipes import load_recipe

CHANNELS = (3, 16, 32, 64, 96, 128, 192)


def published(frames: int = 2) -> dict[str, Tensor]:
    """Random tensors with the names and shapes of ARFlow's PWC-lite, as its repository has them."""
    generator = torch.Generator().manual_seed(0)
    kept: dict[str, Tensor] = {}

    def conv(name: str, inputs: int, outputs: int, side: int = 3) -> None:
        deviation = (2 / (inputs * side * side)) ** 0.5
        weight = torch.randn(outputs, inputs, side, side, generator=generator) * deviation
        kept[f"{name}.weight"] = weight
        kept[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1

    for level, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:], strict=False)):
        conv(f"feature_pyramid_extractor.convs.{level}.0.0", inputs, outputs)
        conv(f"feature_pyramid_extractor.convs.{level}.1.0", outputs, outputs)
    seen = 32 + 83 * (frames - 1)
    sizes = [(seen, 128), (128, 128), (256, 96), (224, 64), (160, 32)]
    for index, (inputs, outputs) in enumerate(sizes):
        conv(f"flow_estimators.conv{index + 1}.0", inputs, outputs)
    conv("flow_estimators.predict_flow.0", 96, 2)
    sizes = [(34 * (frames - 1), 128), (128, 128), (128, 128), (128, 96), (96, 64), (64, 32)]
    for index, (inputs, outputs) in enumerate([*sizes, (32, 2)]):
        conv(f"context_networks.convs.{index}.0", inputs, outputs)
    for index, inputs in enumerate((192, 128, 96, 64, 32)):
        conv(f"conv_1x1.{index}.0", inputs, 32, 1)
    return kept


def arflow(kept: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    """The two-frame network of Liu et al., 2020, from its description, on tensors by name."""

    def conv(name: str, x: Tensor, *, stride: int = 1, dilation: int = 1, last: bool = False):
        weight = kept[f"{name}.0.weight"]
        pad = dilation * (weight.shape[-1] // 2)
        x = F.conv2d(x, weight, kept[f"{name}.0.bias"], stride, pad, dilation)
        return x if last else F.leaky_relu(x, 0.1)

    def pyramid(x: Tensor) -> list[Tensor]:
        levels = []
        for level in range(6):
            x = conv(f"feature_pyramid_extractor.convs.{level}.0", x, stride=2)
            x = conv(f"feature_pyramid_extractor.convs.{level}.1", x)
            levels.append(x)
        return levels[:0:-1]  # coarsest first, without the finest

    def double(flow: Tensor, factor: int) -> Tensor:
        return factor * F.interpolate(
            flow, scale_factor=factor, mode="bilinear", align_corners=True
        )

    def sampled(x: Tensor, flow: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        right = torch.arange(width) + flow[:, 0]
        down = torch.arange(height)[:, None] + flow[:, 1]
        grid = torch.stack((2 * right / (width - 1) - 1, 2 * down / (height - 1) - 1), -1)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=True)

    flow = None
    for level, (one, two) in enumerate(zip(pyramid(a), pyramid(b), strict=True)):
        if flow is None:
            flow = torch.zeros(len(a), 2, *one.shape[-2:])
        else:
            flow = double(flow, 2)
            two = sampled(two, flow)
        height, width = one.shape[-2:]
        wide = F.pad(two, (4, 4, 4, 4))
        shifts = [(y, x) for y in range(9) for x in range(9)]
        cost = [(one * wide[..., y : y + height, x : x + width]).mean(1) for y, x in shifts]
        cost = F.leaky_relu(torch.stack(cost, 1), 0.1)
        x0 = torch.cat((cost, conv(f"conv_1x1.{level}", one), flow), 1)
        x1 = conv("flow_estimators.conv1", x0)
        x2 = conv("flow_estimators.conv2", x1)
        x3 = conv("flow_estimators.conv3", torch.cat((x1, x2), 1))
        x4 = conv("flow_estimators.conv4", torch.cat((x2, x3), 1))
        x5 = conv("flow_estimators.conv5", torch.cat((x3, x4), 1))
        flow = flow + conv("flow_estimators.predict_flow", torch.cat((x4, x5), 1), last=True)
        x = torch.cat((x5, flow), 1)
        for index, dilation in enumerate((1, 2, 4, 8, 16, 1, 1)):
            x = conv(f"context_networks.convs.{index}", x, dilation=dilation, last=index == 6)
        flow = flow + x
    return double(flow, 4)


@pytest.fixture(scope="module")
def kept() -> dict[str, Tensor]:
    return published()


def test_imported_weights_compute_what_arflow_does(tmp_path: Path, kept):
    torch.save({"epoch": 7, "state_dict": kept}, tmp_path / "pwclite_ar.tar")
    path = import_flow(tmp_path / "pwclite_ar.tar", tmp_path / "arflow.safetensors")
    net = load(path, task="flow")
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(2.24e6, rel=0.01)
    a, b = torch.rand(2, 1, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        want, got = arflow(kept, a, b), net(a, b)
    assert want.abs().mean() > 0.1
    torch.testing.assert_close(got, want, atol=1e-3 * float(want.abs().max()), rtol=0)
    assert "ARFlow" in read_card(path).notes


def test_a_training_does_not_start_from_a_network_that_computes_otherwise(tmp_path: Path):
    recipe = load_recipe(Path(__file__).parent.parent / "recipes" / "reds-teacher.toml")
    with pytest.raises(ValueError, match="channels=.*arflow=False.* to start from, flow-light"):
        train_flow(recipe, Run(tmp_path / "run", "cpu"), data=tmp_path, init="flow-light-teacher")


class Harm:
    """What a hostile file runs when it is unpickled carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_other_files_are_refused_and_no_code_is_run(tmp_path: Path, kept):
    source, target = tmp_path / "x.tar", tmp_path / "y.safetensors"
    torch.save({"state_dict": Harm(tmp_path / "ran")}, source)
    with pytest.raises(CheckpointError, match="checkpoint of tensors as ARFlow's .* is none"):
        import_flow(source, target)
    assert not (tmp_path / "ran").exists()
    source.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="is none or is damaged"):
        import_flow(source, target)
    torch.save({"epoch": 3}, source)
    with pytest.raises(CheckpointError, match="holds no dict of tensors"):
        import_flow(source, target)
    torch.save({"state_dict": published(frames=3)}, source)
    with pytest.raises(CheckpointError, match=r"two frames \(pwclite_ar.tar\), got"):
        import_flow(source, target)
    torch.save({**kept, "head.weight": torch.zeros(1)}, source)
    with pytest.raises(CheckpointError, match="got head.weight too"):
        import_flow(source, target)
    torch.save({n: t for n, t in kept.items() if n != "conv_1x1.0.0.bias"}, source)
    with pytest.raises(CheckpointError, match=r"got 59; what is our reduce.4.0.bias is missing"):
        import_flow(source, target)
    assert not target.exists()
