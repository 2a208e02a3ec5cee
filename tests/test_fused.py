"""Training steps by few kernels: losses and gradients are those of the plain step."""

from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from s2svr.fused import few_kernels
from s2svr.models import PRESETS, S2SVR, S2SVRConfig
from s2svr.train.recipes import RestorationLoss
from s2svr.train.restoration import restoration_loss

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


def clips(config: S2SVRConfig, batch: int = 2, frames: int = 4, side: int = 8) -> dict[str, Tensor]:
    """Noise, and noise as its flow."""
    torch.manual_seed(1)
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


def test_after_a_failure_the_network_is_as_it_was():
    model, batch = network(SLIM), clips(SLIM)
    too_many = pytest.raises(RuntimeError, match="at most 3 frames a step, got another one")
    with too_many, few_kernels(model, 3, torch.float32):
        model(batch["lq"])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any("forward" in vars(layer) for layer in model.modules())
