"""Clips cut on the device against those that the loader cuts, and steps captured on a GPU."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import default_collate

from s2svr.data.clips import ClipPairs, Data
from s2svr.data.store import Stored
from s2svr.train.clip_flow import FlowCrops
from s2svr.train.fit import Objective, average, fit
from s2svr.train.launch import Run
from s2svr.train.on_device import resident, sent
from s2svr.train.recipes import Optim

SHAPES = [(9, 20, 24), (7, 16, 28), (8, 24, 20)]  # frames, height, width


def clips(scale: int, reduced: int = 1) -> tuple[list[Stored], dict[str, np.ndarray]]:
    """Noise of several sizes, and noise as its flow."""
    rng, found, flows = np.random.default_rng(0), [], {}
    for index, (length, height, width) in enumerate(SHAPES):
        lq = rng.integers(0, 256, (length, 3, height, width), dtype=np.uint8)
        hq = rng.integers(0, 256, (length, 3, scale * height, scale * width), dtype=np.uint8)
        field = rng.normal(size=(2, 2, length, 2, height // reduced, width // reduced))
        flows[str(index)] = field.astype(np.float16)
        found.append(Stored(f"source {index}", lq, hq, str(index)))
    return found, flows


@pytest.mark.parametrize(
    ("scale", "flow", "down", "changes"),
    [
        (4, True, 1, {"transpose": True}),
        (4, False, 1, {"context": (8, 8), "jitter": 0.2, "frames": 1}),
        (1, True, 4, {"clean": 0.5, "skip": 1, "reverse": False}),
        (1, False, 2, {"context": (8, 8), "clean": 0.5, "transpose": True, "mirrored": True}),
    ],
)
def test_a_batch_holds_the_items_of_the_loader(scale: int, flow: bool, down: int, changes: dict):
    data = Data(frames=4, crop=8, context=(12, 16), skip=2).model_copy(update=changes)
    stored, flows = clips(scale, down)
    pairs = (
        FlowCrops(stored, flows, data, seed=5, down=down)
        if flow
        else ClipPairs(stored, data, seed=5, align=down)
    )
    stream = resident(pairs, 8)(Fabric(accelerator="cpu", devices=1), 2)
    for step, batch in enumerate(islice(stream, 3), 2):
        wanted = default_collate([pairs[index] for index in range(8 * step, 8 * (step + 1))])
        wanted.pop("crop", None)
        assert set(batch) == set(wanted)
        for name, value in wanted.items():
            assert torch.equal(batch[name], value), name


def test_without_flow_the_crop_alone_is_cut():
    data = Data(frames=2, crop=8, context=(12, 16))
    pairs = ClipPairs(clips(4)[0], data, seed=5)
    batch = next(resident(pairs, 4)(Fabric(accelerator="cpu", devices=1), 0))
    for item in range(4):
        top, left = pairs[item]["crop"].tolist()
        cut = pairs[item]["lq"][..., top : top + 8, left : left + 8]
        assert torch.equal(batch["lq"][item], cut)
        assert torch.equal(batch["hq"][item], pairs[item]["hq"])


def test_numbers_for_a_gpu_leave_from_pinned_memory(monkeypatch: pytest.MonkeyPatch):
    """A copy from other memory makes the CPU wait, whatever it is asked for."""
    pinned: list[int] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        pinned.append(copy.data_ptr())
        return copy

    def to(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        assert non_blocking
        assert tensor.data_ptr() in pinned
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    assert sent([3, 5], torch.device("cuda")).tolist() == [3, 5]
    assert sent([0.5], torch.device("cuda"), np.float32).dtype == torch.float32
    assert sent([0.5], torch.device("cuda"), np.float32).tolist() == [0.5]


def test_the_average_is_that_of_each_weight():
    torch.manual_seed(0)
    averaged, model = Scaled(), Scaled()
    with torch.no_grad():
        model.kinds.mul_(5)
    before = [parameter.detach().clone() for parameter in averaged.parameters()]
    average(averaged, model, 0.75)
    pairs = zip(before, model.parameters(), averaged.parameters(), strict=True)
    for old, new, found in pairs:
        assert torch.allclose(found, 0.75 * old + 0.25 * new, atol=1e-6)
    assert averaged.kinds.tolist() == [2, 2]


class Scaled(nn.Module):
    """A convolution, and a weight for each kind of step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.kinds = nn.Parameter(torch.ones(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["muon", "adam"])
def test_captured_steps_train_as_plain_ones_and_resume(tmp_path: Path, kind: str):
    pairs = ClipPairs(clips(4)[0], Data(frames=1, crop=8, context=(8, 8)), seed=1)

    def loss(model: nn.Module, batch: dict, step: int) -> dict:
        y = model.kinds[step % 2] * model.layer(batch["lq"][:, 0])
        return {"loss": (y - batch["hq"][:, 0, :, ::4, ::4]).square().mean()}

    def trained(name: str, kinds: int, steps: int) -> dict:
        torch.manual_seed(0)
        model, fabric = Scaled(), Fabric(accelerator="cuda", devices=1)
        optim = Optim(kind=kind, steps=steps, rate=1e-2, warmup=3, average=0.9, decay=0)
        run, objective = Run(tmp_path / name), Objective(model, loss)
        fit(objective, resident(pairs, 4), optim, run, fabric=fabric, kinds=kinds)
        return {name: value.cpu() for name, value in model.state_dict().items()}

    (tmp_path / "plain").mkdir(), (tmp_path / "captured").mkdir()
    plain = trained("plain", 0, 12)
    trained("captured", 2, 7)
    captured = trained("captured", 2, 12)
    for name, value in plain.items():
        assert torch.allclose(captured[name], value, atol=2e-4), name
