"""Training steps by few kernels: losses and gradients are those of the plain step."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from s2svr.fused import few_kernels
from s2svr.models import PRESETS, S2SVR, S2SVRConfig
from s2svr.train.fit import Objective, fit, way_of
from s2svr.train.launch import Run, start_processes
from s2svr.train.muon import Muon
from s2svr.train.recipes import Optim, RecipeError, RestorationLoss, load_recipe
from s2svr.train.restoration import restoration_loss
from s2svr.train.step import Captured, Update
from test_gpu import Recorded

SMALL = {"channels": 5, "feedback": 3, "attention": 4, "flow": None}
DEEP = replace(PRESETS["sr-light"], encoder_blocks=2, decoder_blocks=1, **SMALL)
SLIM = replace(DEEP, bidirectional=False, deep=False)
PAPER = S2SVRConfig(
    encoder_layers=2, encoder_blocks=1, decoder_layers=2, decoder_blocks=2, tail=4, **SMALL
)
NETWORKS = {
    "slim, one way": SLIM,
    "deep, both ways": DEEP,
    "paper": PAPER,
    "paper, both ways, no blocks": replace(PAPER, bidirectional=True, encoder_blocks=0),
    "alone": replace(SLIM, radius=0),
    "mixer": replace(SLIM, scale=1, down=2, detail=True, flow_down=4, neighbours=1, exposure=4),
}


def network(config: S2SVRConfig) -> S2SVR:
    """A network whose weights all do something."""
    torch.manual_seed(0)
    model = S2SVR(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def clips(
    config: S2SVRConfig, batch: int = 2, frames: int = 4, side: int = 8, seed: int = 1
) -> dict[str, Tensor]:
    """Noise, and noise as its flow."""
    torch.manual_seed(seed)
    s, grid = config.scale, side // config.flow_down
    lq, hq = (torch.rand(batch, frames, 3, size, size) for size in (side, s * side))
    before, after = torch.randn(2, batch, frames, 2, grid, grid)
    return {"lq": lq, "hq": hq, "before": before, "after": after}


def step(
    model: S2SVR, batch: dict[str, Tensor], fused: torch.dtype | None, *, scored: str = "clips",
    time: int = 0, half: bool = False, hold: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """The loss and the gradients of a step, plain or by few kernels in that format."""
    model.zero_grad(set_to_none=True)
    loss = restoration_loss(RestorationLoss(scored=scored, eps=1e-3), 0)
    way = nullcontext() if fused is None else few_kernels(model, batch["lq"].shape[1], fused)
    with way:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(model, batch, time)["loss"]
        if hold:
            value = value + hold * sum(p.square().sum() for p in model.parameters())
        value.backward()
    return value.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def double(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() for name, value in batch.items()}


def assert_equal_steps(model: S2SVR, batch: dict[str, Tensor], **changes: Any) -> set[str]:
    """Compare both steps of a network in float64; the names of parameters that have gradients."""
    loss, plain = step(model, batch, None, **changes)
    again, fused = step(model, batch, torch.float64, **changes)
    assert again.item() == pytest.approx(loss.item(), rel=1e-12)
    assert plain.keys() == fused.keys()
    for name, wanted in plain.items():
        assert fused[name].stride() == wanted.stride()
        assert (fused[name] - wanted).norm() <= 1e-10 * wanted.norm() + 1e-14, name
    return {*plain}


def error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """The distance of all gradients together, relative to their size."""
    assert found.keys() == exact.keys()
    gap = torch.cat([(found[name] - wanted).flatten() for name, wanted in exact.items()])
    return float(gap.norm() / torch.cat([wanted.flatten() for wanted in exact.values()]).norm())


@pytest.fixture
def no_zeros() -> Iterator[None]:
    """Memory that nothing was written to holds NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_and_gradients_are_those_of_the_plain_step(name: str, no_zeros: None):
    model = network(NETWORKS[name]).double()
    names = assert_equal_steps(model, double(clips(NETWORKS[name])), hold=0.3 * (name == "paper"))
    assert names == {name for name, _ in model.named_parameters()}


def test_steps_follow_each_other_with_clips_of_any_shape():
    model = network(DEEP).double().to(memory_format=torch.channels_last)
    for shape in ((2, 4, 8), (1, 3, 12), (3, 1, 8)):
        assert_equal_steps(model, double(clips(DEEP, *shape)))
    assert not any("forward" in vars(layer) for layer in model.modules())


@pytest.mark.parametrize("scored", ["frames", "mixed"])
def test_what_the_loss_does_not_depend_on_has_no_part_in_gradients(scored: str, no_zeros: None):
    config = replace(NETWORKS["mixer"], bidirectional=True, deep=True, encoder_layers=2)
    model, batch = network(config).double(), double(clips(config, frames=5))
    assert model.mixer is not None
    model.mixer.exposure.requires_grad_(False)
    every = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for time in (0, 2, 4):
        names = assert_equal_steps(model, batch, scored=scored, time=time)
        # One frame has no last output whose features are fed back.
        body = {name for name in every if not name.startswith(("mixer.", "decoder.feedback."))}
        assert {name for name in names if not name.startswith("mixer.")} == (
            body if scored == "frames" else set()
        )
        assert any(name.startswith("mixer.") for name in names)


@pytest.mark.parametrize("name", ["slim, one way", "deep, both ways", "paper"])
def test_in_other_formats_gradients_differ_by_rounding(name: str):
    model, batch = network(NETWORKS[name]), clips(NETWORKS[name])
    _, exact = step(deepcopy(model).double(), double(batch), None)
    assert error(step(model, batch, torch.float32)[1], exact) < 2e-6
    plain, fused = (step(model, batch, x, half=True) for x in (None, torch.bfloat16))
    assert fused[0].item() == pytest.approx(plain[0].item(), abs=1e-3)
    assert error(plain[1], exact) < 0.05  # measured: 0.006 to 0.025
    assert error(fused[1], exact) < 0.05  # 0.005 to 0.026
    assert {value.dtype for value in fused[1].values()} == {torch.float32}


def test_a_convolution_of_another_kind_stays_as_it_is():
    model = network(SLIM).double()
    model.encoder.first = nn.Conv2d(3, 5, 3, padding=2, dilation=2).double()
    assert "encoder.first.weight" in assert_equal_steps(model, double(clips(SLIM)))


def test_after_a_failure_the_network_is_as_it_was():
    model, batch = network(SLIM), clips(SLIM)
    too_many = pytest.raises(RuntimeError, match="at most 3 frames a step, got another one")
    with too_many, few_kernels(model, 3, torch.float32):
        model(batch["lq"])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any("forward" in vars(layer) for layer in model.modules())


def trained(out: Path, steps: int, fused: bool, precision: str = "32-true") -> dict[str, Tensor]:
    """The weights after a training on noise, going on from what lies in ``out``."""
    out.mkdir(exist_ok=True)
    model = network(DEEP)
    optim = Optim(
        kind="muon", steps=steps, rate=1e-3, clip=0.5, average=0.0, fused=fused, precision=precision
    )
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    loss = restoration_loss(RestorationLoss(eps=1e-3), 0)

    def batches(fabric: Fabric, first: int) -> Iterator[dict[str, Tensor]]:
        return (clips(DEEP, batch=1, frames=3, seed=index) for index in count(first))

    fit(Objective(model, loss), batches, optim, Run(out, "cpu"), fabric=fabric)
    return weights(model)


def weights(model: S2SVR) -> dict[str, Tensor]:
    """All but one that nothing depends on, so that its gradient is what rounding leaves."""
    return {n: x for n, x in model.state_dict().items() if n != "decoder.attention.score.bias"}


def test_a_training_gives_the_plain_ones_weights_and_resumes_to_the_bit(tmp_path: Path):
    start = weights(network(DEEP))
    plain, whole = (trained(tmp_path / str(fused), 4, fused) for fused in (False, True))
    trained(tmp_path / "broken", 2, True)
    resumed = trained(tmp_path / "broken", 4, True)
    for name, wanted in plain.items():
        assert (wanted - start[name]).abs().max() > 1e-3, name
        assert torch.allclose(whole[name], wanted, rtol=0, atol=2e-5), name
        assert torch.equal(resumed[name], whole[name]), name


def test_a_training_in_half_precision_gives_nearly_the_plain_ones_weights(tmp_path: Path):
    start = weights(network(DEEP))
    plain, fused = (trained(tmp_path / str(x), 2, x, "bf16-mixed") for x in (False, True))
    moved = torch.cat([(plain[name] - start[name]).flatten() for name in plain])
    apart = torch.cat([(plain[name] - fused[name]).flatten() for name in plain])
    assert 0 < apart.norm() < 0.2 * moved.norm()


@pytest.mark.parametrize(
    ("recipe", "entry", "message"),
    [
        ("sr-light", "optim.precision=16-mixed", "optim: expected fused with .* got 16-mixed, wh"),
        ("flow-light-teacher", "optim.steps=1", "teacher.toml: expected optim.fused=false for a f"),
    ],
)
def test_a_recipe_that_it_cannot_serve_is_refused(recipe: str, entry: str, message: str):
    path = Path(__file__).parent.parent / "recipes" / f"{recipe}.toml"
    assert not load_recipe(path).optim.fused
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, ["optim.fused=true", entry])


def test_several_processes_are_refused(tmp_path: Path):
    optim = Optim(steps=1, rate=1e-3, fused=True)
    with pytest.raises(ValueError, match="expected optim.fused=false for 2 processes"):
        start_processes(optim, Run(tmp_path, "cpu", 2))


def test_a_captured_step_by_few_kernels_trains_as_plain_ones(monkeypatch: pytest.MonkeyPatch):
    """With a fake of CUDA's graphs: recorded operations, run again on the same tensors."""
    fabric, loss = (
        Fabric(accelerator="cpu", devices=1),
        restoration_loss(RestorationLoss(eps=1e-3), 0),
    )
    found, graphs = [], []

    @contextmanager
    def recording(graph: Recorded, pool: str) -> Iterator[None]:
        changed = [*model.parameters(), *(x for s in optimizer.state.values() for x in s.values())]
        before = [x.detach().clone() for x in changed]
        with graph:
            yield
        graph.ended()
        graphs.append(graph)
        with torch.no_grad():  # a capture computes nothing
            torch._foreach_copy_(changed, before)

    fakes = {
        "CUDAGraph": Recorded, "graph": recording, "graph_pool_handle": lambda: "pool",
        "Stream": Mock, "current_stream": Mock, "stream": nullcontext,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    for fused in (False, True):
        model = network(DEEP).to(memory_format=torch.channels_last)
        optimizer = Muon([{"params": list(model.parameters())}], 1e-3)
        way = way_of(model, Optim(steps=1, rate=1e-3, fused=fused))
        advance = update = Update(Objective(model, loss), optimizer, fabric, 0.5, way)
        if fused:
            advance = Captured(update, 1, 1)
        batches = [clips(DEEP, batch=1, frames=3, seed=index) for index in range(4)]
        losses = [float(advance(batch, i, [1e-3])["loss"]) for i, batch in enumerate(batches)]
        found.append((losses, weights(model)))
    (plain, wanted), (captured, got) = found
    assert [graph.replayed for graph in graphs] == [3]
    assert captured == pytest.approx(plain, rel=1e-5)
    assert len(set(plain)) == 4
    for name, value in wanted.items():
        assert torch.allclose(got[name], value, rtol=0, atol=2e-5), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "interpreted"), [("triton_twins.py", "1"), ("triton_compiled.py", "0")]
)
def test_kernels_give_what_their_twins_give_and_compile(script: str, interpreted: str):
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed; PyTorch for CUDA brings it")
    known = {**os.environ, "TRITON_INTERPRET": interpreted}
    command = [sys.executable, Path(__file__).parent / script]
    run = subprocess.run(command, env=known, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
