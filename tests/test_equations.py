"""What the paper's equations promise, each seen failing on a network that breaks the promise."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from s2svr.checkpoint import load
from s2svr.models.config import S2SVRConfig
from s2svr.models.flows import Flows
from s2svr.models.gru import ConvGRU
from s2svr.models.output import last_convolution, within_contrast
from s2svr.models.pwclite import PWCLite, PWCLiteConfig, initialise
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic

TINY = S2SVRConfig(
    channels=6, encoder_layers=2, encoder_blocks=1, decoder_layers=2, decoder_blocks=1,
    feedback=3, attention=4, tail=0, flow=None,
)  # fmt: skip
KINDS = [TINY, replace(TINY, slim=True), replace(TINY, slim=True, deep=True)]


def awake(config: S2SVRConfig) -> S2SVR:
    """A network that reads its memory, its neighbours and its last output; a fresh one does not."""
    torch.manual_seed(1)
    net = S2SVR(config).eval()
    with torch.no_grad():
        last_convolution(net.decoder.output).weight.normal_(0, 0.05)
        net.decoder.feedback.weight.normal_(0, 0.2)
        net.decoder.attention.own.zero_()
        for unit in (layer for layer in net.modules() if isinstance(layer, ConvGRU)):
            initialise(unit)
            if unit.keep is not None:
                unit.keep.fill_(0.9)
    return net


def clip(length: int, height: int = 9, width: int = 11, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, length, 3, height, width, generator=generator)


def standing(count: int) -> Flows:
    return Flows([[None] * count], [[None] * count])


@torch.inference_mode()
@pytest.mark.parametrize("config", KINDS)
def test_an_early_frame_is_remembered(config: S2SVRConfig):  # Eq. 1
    net, x = awake(config), clip(8)
    frames = [net.encoder.frame(frame) for frame in x.unbind(1)]
    z, last = net.encoder(frames, None, standing(8), 8)
    other, _ = net.encoder([1 - frames[0], *frames[1:]], None, standing(8), 8)
    assert (other[7] - z[7]).abs().max() > 1e-4  # by z_1 ... z_7 alone
    memory = None
    for t, frame in enumerate(frames):  # z_i of z_{i-1} and x_i
        (top,), memory = net.encoder([frame], memory, standing(1), 1)
        assert torch.equal(top, z[t])
        (alone,), _ = net.encoder([frame], None, standing(1), 1)
        assert t == 0 or (alone - z[t]).abs().max() > 1e-3  # a memory that is cut is missed
    assert memory is not None
    assert all(map(torch.equal, memory, last))


@torch.inference_mode()
@pytest.mark.parametrize("config", KINDS)
def test_an_output_is_made_of_state_last_output_and_context(config: S2SVRConfig):  # Eq. 4
    net, x = awake(config), clip(4)
    before, state = net(x, lookahead=1)
    y, after = net(x[:, 3:], state)
    assert state.y is not None
    assert torch.equal(state.y, before[:, -1])
    assert torch.equal(net(x)[0], torch.cat((before, y), 1))  # within a window it is the same
    parts = {
        "s": [torch.zeros_like(s) for s in state.s],
        "y": 1 - state.y,
        "latents": [1 - z for z in state.latents],
    }
    for name, part in parts.items():
        changed, _ = net(x[:, 3:], state._replace(**{name: part}))
        assert (changed - y).abs().max() > 1e-3, name
    fed = net.decoder.feedback(nn.functional.pixel_unshuffle(state.y, 4))
    latents, _ = net.encoder([net.encoder.frame(x[:, 3])], state.z, standing(1), 1)
    c, _ = net.decoder.attention(state.s[-1], [latents[0], state.latents[-1]])
    below, s = torch.cat((c, fed), 1), []
    for layer, memory in zip(net.decoder.layers, state.s, strict=True):
        memory, below = layer(memory, below)
        s.append(memory)
    change = within_contrast(net.decoder.output(below), x[:, 3], 4)
    want = resize_bicubic(x[:, 3], 4) + change
    assert torch.allclose(y[:, 0], want, atol=1e-6)
    assert all(map(torch.allclose, s, after.s))


@torch.inference_mode()
@pytest.mark.parametrize("config", KINDS)
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_moving_scene_is_restored_as_a_still_one(config: S2SVRConfig, both_ways: bool):  # Eq. 8
    """Whatever comes from another frame is warped: z, s, the neighbours and y_{i-1}."""
    small = {"encoder_layers": 1, "decoder_layers": 1, "bidirectional": both_ways}
    net, scene = awake(replace(config, **small)), clip(1, 6, 190)[:, 0]
    count, speed, width = 4, 2, 180
    moving = [scene[..., speed * t : speed * t + width] for t in range(count)]
    still = torch.stack([moving[0]] * count, 1)
    right = torch.zeros(1, 2, 6, width)
    right[:, 0] = speed
    ends = [None, *[right] * (count - 1)], [*[-right] * (count - 1), None]
    zero = [None if o is None else 0 * o for o in ends[0]], [*ends[1][:-1], None]
    y, _ = net.restore(torch.stack(moving, 1), Flows([ends[0]], [ends[1]]), None, 0)
    wanted, _ = net.restore(still, standing(count), None, 0)
    unwarped, _ = net.restore(torch.stack(moving, 1), Flows([zero[0]], [ends[1]]), None, 0)
    for t in range(count):
        inside, there = slice(4 * 88, 4 * 92), slice(4 * (88 - 2 * t), 4 * (92 - 2 * t))
        assert torch.allclose(y[:, t, ..., there], wanted[:, t, ..., inside], atol=1e-5)
        far = (unwarped[:, t, ..., there] - wanted[:, t, ..., inside]).abs().max()
        assert t == 0 or far > 1e-3


class Difference(nn.Module):
    """Flow to the right by how much brighter the first frame is, in tenths."""

    def features(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(image, image)]

    def between(self, first, second, size: tuple[int, int], few: bool = False) -> Tensor:
        right = 10 * (first[0][0] - second[0][0]).mean(1, keepdim=True)
        return torch.cat((right, torch.zeros_like(right)), 1)


def test_flow_leads_from_a_frame_to_those_around_it():  # Eq. 8 and 10: o_t = F_o(x_t, x_{t-1})
    net = S2SVR(replace(TINY, radius=2, flow=PWCLiteConfig(channels=(4,), finest=0)))
    net.flow = Difference()
    frames = [torch.full((1, 3, 4, 5), t / 10) for t in range(4)]
    flows = net.flows(frames, 4)
    for lines, sign in ((flows.before, 1), (flows.after, -1)):
        for d, line in enumerate(lines, 1):
            for t, o in enumerate(line):
                assert (o is None) == (not 0 <= t - sign * d < 4)
                assert o is None or torch.allclose(o[:, 0], torch.tensor(float(sign * d)))


@torch.inference_mode()
@pytest.mark.parametrize(("name", "reduced"), [("teacher", 1), ("student-sr", 4)])
def test_a_trained_flow_network_tells_shifts_apart(name: str, reduced: int):  # Eq. 10 and 12
    net, noise = load(f"flow-light-{name}"), clip(1, 50, 66, seed=5)[:, 0]
    assert isinstance(net, PWCLite)
    scene = (
        resize_bicubic(noise, 4) + resize_bicubic(noise[..., :13, :17], 16)[..., :200, :264]
    ) / 2
    for right, down in ((8, 0), (-16, 0), (0, 16), (16, -8), (20, 16)):
        b = scene[..., 24 - down : 184 - down, 24 - right : 216 - right]  # a, moved by so much
        frames = [scene[..., 24:184, 24:216], b]
        if reduced > 1:
            frames = [resize_bicubic(frame, 1 / reduced) for frame in frames]
        want = torch.tensor([right, down]).view(1, 2, 1, 1) / reduced
        inner = slice(24 // reduced, -24 // reduced)
        error = (net(*frames) - want)[..., inner, inner].norm(dim=1).mean()
        assert error < 0.1 * want.norm(), (right, down)
