"""A small BasicVSR (Chan et al., 2021, https://arxiv.org/abs/2012.02181), peer of light networks.

Features are propagated backward and forward through the whole clip, warped by the flow, and fused;
flow network, output layer and base are those of ours, and so is the number of operations.
It needs the whole clip at once and does not stream, so it stays outside the package;
``light_study.py`` trains it by the same recipe.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from s2svr.losses import charbonnier
from s2svr.models.config import S2SVRConfig
from s2svr.models.flows import Flows, align
from s2svr.models.gru import ResidualBlock
from s2svr.models.output import Output, last_convolution
from s2svr.models.pwclite import SLOPE, PWCLite, initialise
from s2svr.ops import resize_bicubic
from s2svr.train.clip_flow import with_stored_flow
from s2svr.train.recipes import RestorationLoss
from s2svr.train.step import Batch


class Branch(nn.Module):
    """Features of one direction: the frame beside the warped features before it, then blocks."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, x: list[Tensor], flows: list[Tensor | None], channels: int) -> list[Tensor]:
        h = x[0].new_zeros(x[0].shape[0], channels, *x[0].shape[-2:])
        out = []
        for frame, o in zip(x, flows, strict=True):
            mixed = self.first(torch.cat((frame, align(h, o)), 1))
            h = self.blocks(nn.functional.leaky_relu(mixed, SLOPE))
            out.append(h)
        return out


class BasicVSR(nn.Module):
    """Clips (B, T, 3, H, W) in [0, 1] -> (B, T, 3, 4H, 4W)."""

    def __init__(self, config: S2SVRConfig, channels: int, blocks: int) -> None:
        super().__init__()
        self.config, self.scale, self.channels = config, config.scale, channels
        self.backward_branch, self.forward_branch = (Branch(channels, blocks) for _ in range(2))
        self.fuse = nn.Conv2d(2 * channels, channels, 1)
        self.output = Output(channels, config.tail, config.scale)
        initialise(self)
        with torch.no_grad():  # as S2SVR starts
            for block in (m for m in self.modules() if isinstance(m, ResidualBlock)):
                block.second.weight.mul_(0.1)
            for parameter in last_convolution(self.output).parameters():
                parameter.zero_()
        assert config.flow is not None
        self.flow = PWCLite(config.flow).requires_grad_(False)

    def body_parameters(self) -> list[nn.Parameter]:
        """All parameters but the flow network's."""
        return [p for name, p in self.named_parameters() if not name.startswith("flow.")]

    def forward(self, x: Tensor) -> Tensor:
        frames = list(x.unbind(1))
        before = [None, *(self.flow(a, b) for b, a in zip(frames, frames[1:], strict=False))]
        after = [*(self.flow(a, b) for a, b in zip(frames, frames[1:], strict=False)), None]
        return self.restore(x, Flows([before], [after]))

    def reduce(self, frame: Tensor) -> Tensor:
        """The frame as the flow network sees it."""
        return frame

    def restore(self, x: Tensor, flows: Flows) -> Tensor:
        """A clip with known flow."""
        frames = list(x.unbind(1))
        back = self.backward_branch(frames[::-1], flows.after[0][::-1], self.channels)[::-1]
        ahead = self.forward_branch(frames, flows.before[0], self.channels)
        out = []
        for frame, b, f in zip(frames, back, ahead, strict=True):
            fused = nn.functional.leaky_relu(self.fuse(torch.cat((b, f), 1)), SLOPE)
            out.append(self.output(fused) + resize_bicubic(frame, self.scale))
        return torch.stack(out, 1)


def peer_loss(wanted: RestorationLoss) -> Callable[[nn.Module, Batch, int], dict[str, Tensor]]:
    """``train.restoration.restoration_loss`` for this network: flow is known, or frames alone."""

    def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(model, BasicVSR)
        x, flows = with_stored_flow(model, batch)  # type: ignore[arg-type]
        return {"loss": charbonnier(model.restore(x, flows).float(), batch["hq"], wanted.eps)}

    return loss
