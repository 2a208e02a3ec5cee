"""Training steps by few kernels: losses and gradients are those of the plain step."""

from copy import deepcopy
from dataclasses import replace

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
    lq, hq = torch.rand(batch, frames, 3, side, side), torch.rand(batch, frames, 3, s * side, s * side)
    before, after = torch.randn(2, batch, frames, 2, grid, grid)
    return {"lq": lq, "hq": hq, "before": before, "after": after}


def step(
    model: S2SVR, batch: dict[str, Tensor], fused: torch.dtype | None, *, scored: str = "clips",
    time: int = 0, half: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """The loss and the gradients of a step, plain or by few kernels in that format."""
    model.zero_grad(set_to_none=True)
    loss = restoration_loss(RestorationLoss(scored=scored, eps=1e-3), 0)

    def made() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(model, batch, time)["loss"]
        value.backward()
        return value.detach()

    if fused is None:
        value = made()
    else:
        with few_kernels(model, batch["lq"].shape[1], fused):
            value = made()
    return value, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_and_gradients_are_those_of_the_plain_step(name: str):
    config = NETWORKS[name]
    model = network(config).double()
    model.requires_grad_(True)
    batch = {key: value.double() for key, value in clips(config).items()}
    loss, plain = step(model, batch, None)
    again, fused = step(model, batch, torch.float64)
    assert again.item() == pytest.approx(loss.item(), rel=1e-12)
    assert plain.keys() == fused.keys()
    for key, wanted in plain.items():
        assert fused[key].stride() == wanted.stride()
        assert (fused[key] - wanted).norm() <= 1e-10 * wanted.norm() + 1e-14, key
