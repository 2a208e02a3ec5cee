"""The networks against the paper's equations written as loops, and their signature's promises."""

from dataclasses import asdict, replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from s2svr.export.graph import WindowGraph, named_maps
from s2svr.models import PRESETS
from s2svr.models.attention import LocalAttention
from s2svr.models.config import S2SVRConfig
from s2svr.models.exposure import Exposure
from s2svr.models.flows import Flows, chain_flows, flow_on_grid, neighbours
from s2svr.models.gru import ConvGRU, ResConvGRU
from s2svr.models.output import AMPLIFY, PictureShuffle, detail, last_convolution
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.models.s2svr import S2SVR
from s2svr.restoration.tiles import Box, cut_maps

TINY_FLOW = PWCLiteConfig(
    channels=(4, 6), features=4, search=1, estimator=(6, 6, 4), context=(6, 4), finest=0
)
TINY = S2SVRConfig(
    channels=6,
    encoder_layers=2,
    encoder_blocks=1,
    decoder_layers=2,
    decoder_blocks=1,
    feedback=3,
    attention=4,
    tail=0,
    flow=TINY_FLOW,
)
SMALL = [
    TINY,
    replace(TINY, radius=2),
    replace(TINY, radius=0),
    replace(TINY, scale=1, down=4, flow_down=4),
    replace(TINY, scale=1, down=2, detail=True, flow_down=4),
    replace(TINY, scale=1, detail=True, neighbours=3),
    replace(TINY, scale=1, down=2, detail=True, neighbours=2, exposure=5, flow_down=2),
    replace(TINY, scale=1, down=2, detail=True, neighbours=2, exposure=5, along=True, flow_down=4),
    replace(TINY, scale=1, along=True, radius=0, attention=0),
    replace(TINY, scale=1, neighbours=2, exposure=5, along=True, confidence=True),
    replace(TINY, scale=1, down=2, detail=True, neighbours=1, aligned=True, flow_down=4),
    replace(TINY, scale=1, down=2, neighbours=2, aligned=True, flow_down=2),
    replace(TINY, scale=1, down=2, neighbours=2, aligned=True, quality=5, flow_down=2),
    replace(TINY, scale=1, neighbours=1, aligned=True, quality=5, confidence=True),
    replace(TINY, scale=1, neighbours=1, exposure=5, flow=None),
    replace(TINY, scale=1, tail=5),
    replace(TINY, scale=4, tail=5),
    replace(TINY, flow=None),
    replace(TINY, slim=True),
    replace(TINY, slim=True, deep=True),
    replace(TINY, slim=True, deep=True, radius=0, attention=0, feedback=0),
]


def lively(config: S2SVRConfig, seed: int = 0) -> S2SVR:
    """A network whose output differs from its base (a fresh one starts there), with a memory."""
    torch.manual_seed(seed)
    net = S2SVR(config).eval()
    with torch.no_grad():
        last_convolution(net.decoder.output).weight.normal_(0, 0.02)
        if net.decoder.feedback is not None:
            net.decoder.feedback.weight.normal_(0, 0.2)
        if net.mixer is not None:
            net.mixer.shares[-1].weight.normal_(0, 0.3)
            if net.mixer.exposure is not None:
                net.mixer.exposure.tell[-1].weight.normal_(0, 0.3)
            if net.mixer.blurred is not None:
                net.mixer.blurred.tell[-1].weight.normal_(0, 0.3)
                net.mixer.blurred.tell[-1].bias.fill_(0.5)
            if net.mixer.quality is not None:
                net.mixer.quality.tell[-1].weight.normal_(0, 0.3)
                if net.mixer.quality.trust is not None:
                    net.mixer.quality.trust.tell[-1].bias.fill_(-0.1)
                    net.mixer.quality.trust.moved.weight.normal_(0, 0.02)
                    net.mixer.quality.trust.tell[-1].weight.normal_(0, 0.02)
        for layer in net.modules():
            if isinstance(layer, ConvGRU) and layer.keep is not None:
                layer.keep.fill_(0.9)
    return net


def clip(length: int, height: int = 9, width: int = 11) -> torch.Tensor:
    return torch.rand(1, length, 3, height, width, generator=torch.Generator().manual_seed(length))


@torch.inference_mode()
def streamed(net: S2SVR, x: torch.Tensor, window: int, lookahead: int) -> torch.Tensor:
    """The clip in windows with carried state."""
    state, out, length = None, [], x.shape[1]
    for start in range(0, length, window):
        stop = min(start + window, length)
        ahead = min(lookahead, length - stop)
        y, state = net(x[:, start : stop + ahead], state, ahead)
        out.append(y)
    return torch.cat(out, 1)


@pytest.mark.parametrize("config", SMALL)
@pytest.mark.parametrize(("length", "window"), [(1, 4), (2, 1), (7, 3), (8, 4)])
def test_windows_with_carried_state_equal_the_whole_clip_bit_by_bit(config, length, window):
    net, x = lively(config), clip(length)
    with torch.inference_mode():
        whole, _ = net(x)
    assert torch.equal(streamed(net, x, window, net.lookahead), whole)


@pytest.mark.parametrize(("slim", "deep"), [(False, False), (True, False), (True, True)])
def test_bidirectional_windows_come_close_with_lookahead(slim, deep):
    net = lively(replace(TINY, bidirectional=True, warm=6, slim=slim, deep=deep))
    x = clip(14)
    with torch.inference_mode():
        whole, _ = net(x)
    near = (streamed(net, x, 4, net.lookahead) - whole).abs().max()
    far = (streamed(net, x, 4, 1) - whole).abs().max()
    assert near < 0.5 * far


@pytest.mark.parametrize("name", ["deblur-base", "compression-base"])
def test_base_networks_go_on_from_their_exported_memory(name):
    net = lively(PRESETS[name])
    ahead, window = net.lookahead, net.config.neighbours  # frames, as many as it remembers
    x = clip(2 * window + ahead, 16, 20)
    with torch.inference_mode():
        whole = net(x)[0][0]
        first, state = net(x[:, : window + ahead], None, ahead)
        maps = [kept.clone() for _, kept in named_maps(state)]
        second, *after = WindowGraph(net, state)(x[:, window:], *maps)
        alone = net(x[:, window:], None, ahead)[0][0]
    assert [kept.shape for kept in after] == [kept.shape for kept in maps]
    near = (torch.cat((first[0], second)) - whole[: 2 * window]).abs().max()
    far = (alone - whole[window : 2 * window]).abs().max()
    assert 0.01 < 5 * near < far


@pytest.mark.parametrize("config", [*SMALL, replace(TINY, bidirectional=True)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (6, 3), (13, 9)])
def test_any_size_and_length_from_one(config, height, width):
    net = lively(config)
    with torch.inference_mode():
        y, _ = net(clip(1, height, width))
    assert y.shape == (1, 1, 3, height * config.scale, width * config.scale)
    assert y.isfinite().all()


def test_clips_of_a_batch_do_not_mix():
    net, one, two = lively(TINY), clip(3), clip(3) * 0.5
    with torch.inference_mode():
        both, _ = net(torch.cat((one, two)))
        alone, _ = net(two)
    assert torch.allclose(both[1:], alone, atol=1e-6)


def test_a_frame_depends_on_the_past_and_on_radius_frames_ahead_only():
    net, x = lively(TINY), clip(6)
    with torch.inference_mode():
        y, _ = net(x)
        changed = x.clone()
        changed[:, 4] = 0.5
        z, _ = net(changed)
    assert torch.equal(y[:, :3], z[:, :3])
    assert all(not torch.equal(y[:, t], z[:, t]) for t in (3, 4, 5))


def test_a_frame_remembers_one_that_it_does_not_see():
    """Frame 1 is no neighbour of frame 5, and no output is fed back: memory alone carries it."""
    net, x = lively(replace(TINY, feedback=0)), clip(7)
    changed = x.clone()
    changed[:, 1] = 0.5
    with torch.inference_mode():
        y, z = net(x)[0], net(changed)[0]
    assert not torch.equal(y[:, 5], z[:, 5])


def test_a_fresh_network_returns_its_base():
    torch.manual_seed(0)
    net, x = S2SVR(replace(TINY, scale=1, down=4, flow_down=4)).eval(), clip(2)
    with torch.inference_mode():
        assert torch.equal(net(x)[0], x)


def test_a_moving_picture_differs_from_its_neighbours_by_their_errors_alone():
    scene = torch.rand(1, 3, 12, 40, generator=torch.Generator().manual_seed(3))
    frames = [scene[..., 4 * t : 4 * t + 24].clone() for t in range(3)]  # 4 pixels a frame
    frames[2] += 0.25
    back, ahead = (torch.zeros(1, 2, 6, 12) for _ in range(2))
    back[:, 0], ahead[:, 0] = 2.0, -2.0  # on a grid of half the size
    flows = Flows(
        [[None, back, back], [None, None, 2 * back]],
        [[ahead, ahead, None], [2 * ahead, None, None]],
    )
    config = replace(TINY, scale=1, down=2, neighbours=2, aligned=True, flow_down=2)
    over = [
        torch.stack(neighbours(t, frames, [], flows, config), 1) - frames[t][:, None]
        for t in range(3)
    ]
    inside = slice(8, 16)
    for t, missing in ((0, (0, 2)), (1, (2, 3)), (2, (1, 3))):  # the frame itself in their place
        assert not over[t][:, missing].any()
    for t, place, error in (
        (0, 1, 0.0), (0, 3, 0.25), (1, 0, 0.0), (1, 1, 0.25), (2, 0, -0.25), (2, 2, -0.25)
    ):  # fmt: skip
        found = over[t][:, place, :, :, inside]
        assert torch.allclose(found, torch.full_like(found, error), atol=1e-6)
    later = Flows([line[1:] for line in flows.before], [line[1:] for line in flows.after])
    known = neighbours(0, frames[1:], frames[:1], later, config)
    assert torch.equal(torch.stack(known, 1) - frames[1][:, None], over[1])


def test_flows_from_frame_to_frame_add_up_along_the_way():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    zoom = torch.stack((-0.1 * x, -0.1 * y))[None]  # towards the corner: it never leaves the frame
    flows = chain_flows(Flows([[None, zoom, zoom, zoom]], [[zoom, zoom, zoom, None]]), 3)
    for lines, far in ((flows.before, range(4)), (flows.after, range(3, -1, -1))):
        assert len(lines) == 3
        for d, line in enumerate(lines, 1):
            for t, o in zip(far, line, strict=True):  # so many frames lie that way
                assert (o is None) == (t < d)
                assert o is None or torch.allclose(o, zoom * (1 - 0.9**d) / 0.1, atol=1e-5)


def test_shares_mix_neighbours_into_a_frame():
    config = replace(TINY, scale=1, down=2, detail=True, neighbours=2, flow=None, flow_down=2)
    net, x = S2SVR(config).eval(), clip(4, 7, 13)
    assert net.mixer is not None
    with torch.inference_mode():
        assert torch.equal(net(x)[0], x)
        net.mixer.shares[-1].bias[2] = 0.25  # of the frame two before
        y, _ = net(x)
    mixed = torch.cat((x[:, :2], 0.75 * x[:, 2:] + 0.25 * x[:, :-2]), 1)
    assert torch.allclose(y, mixed, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_changes_an_exposure_apart_are_opposite(length: int, monkeypatch):
    light = torch.rand(12, 1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    grey = [light[t : t + length].mean((0, 2)) for t in range(5)]
    exposure = Exposure(2, 8)
    monkeypatch.setattr(exposure, "told", lambda products, sharp: products)
    found = exposure(grey, range(2, 3))[0][0]
    steps = torch.stack([frame.flatten() for frame in grey]).double().diff(dim=0)
    earlier, later = exposure.pairs
    products = (steps @ steps.T / steps.shape[1])[earlier, later]
    assert torch.allclose(found[0].double(), products, atol=1e-7)
    expected = torch.eye(4) - 0.5 * torch.ones(4 - length).diag(length)
    for band in found:  # light that is noise has details of all sizes
        assert torch.allclose(
            band / band[exposure.squares].mean(), expected[earlier, later], atol=0.1
        )


@pytest.mark.parametrize("way", [{"exposure": 5}, {"aligned": True, "quality": 5, "flow": None}])
def test_a_part_of_a_frame_is_mixed_as_its_frame_is(way: dict):
    config = replace(TINY, scale=1, down=2, detail=True, neighbours=2, flow_down=2)
    net = lively(replace(config, **way))
    assert net.mixer is not None
    with torch.inference_mode():
        net.mixer.shares[-1].weight.zero_()
        net.mixer.shares[-1].bias.fill_(0.1)
        x, frame, part = clip(5, 64, 48), Box(0, 0, 64, 48), Box(16, 0, 48, 32)
        flows = net.flows(list(x.unbind(1)), 5)
        whole, *_ = net.mixed(list(x.unbind(1)), [], flows, 5)
        there = list(x[..., part.top : part.bottom, part.left : part.right].unbind(1))
        ours, *_ = net.mixed(there, [], cut_maps(flows, frame, part), 5)
        alone, *_ = net.mixed(there, [], net.flows(there, 5), 5)
    inside = torch.stack([y[..., part.top : part.bottom, part.left : part.right] for y in whole])
    within = (..., slice(2, -2), slice(2, -2))  # the bound by the contrast sees 2 pixels further
    assert torch.allclose(torch.stack(ours)[within], inside[within], atol=1e-6)
    assert not torch.allclose(torch.stack(alone)[within], inside[within], atol=1e-3)


def test_wrong_shapes_are_refused():
    net = lively(TINY)
    with pytest.raises(ValueError, match=r"expected clips \(B, T \+ 0, 3, H, W\).*\(1, 3, 4, 4\)"):
        net(torch.rand(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"T \+ 2"):
        net(clip(2), lookahead=2)
    named = "Tensor of torch.uint8|ndarray of float32|list of no dtype"
    for odd in (clip(2)[0].numpy(), (clip(2) * 255).byte(), [1.0]):  # the kind before the shape
        with pytest.raises(ValueError, match=f"a tensor of floats in .0, 1., got ({named})"):
            net(odd)
    with pytest.raises(ValueError, match="scale x down of 1, 2 or 4, got 4 x 4"):
        replace(TINY, down=4)
    with pytest.raises(ValueError, match="neighbours at a scale of 1, got 1 at 4"):
        replace(TINY, neighbours=1)
    with pytest.raises(ValueError, match="exposure with neighbours.*got 0 neighbours"):
        replace(TINY, scale=1, exposure=4)
    with pytest.raises(ValueError, match="quality with aligned neighbours, got 2 .*aligned=False"):
        replace(TINY, scale=1, neighbours=2, quality=4)
    with pytest.raises(ValueError, match="deep with slim layers that have blocks, got slim=False"):
        replace(TINY, deep=True)
    with pytest.raises(ValueError, match="deep with slim layers.* got slim=True and 0 and 1 bl"):
        replace(TINY, slim=True, deep=True, encoder_blocks=0)


def pixel(conv: torch.nn.Conv2d, x: torch.Tensor, i: int, j: int) -> torch.Tensor:
    """One output pixel of a zero-padded 3x3 convolution, tap by tap; x (C, H, W)."""
    out = conv.bias.clone() if conv.bias is not None else torch.zeros(conv.out_channels)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if 0 <= i + dy < x.shape[1] and 0 <= j + dx < x.shape[2]:
                out = out + conv.weight[:, :, dy + 1, dx + 1] @ x[:, i + dy, j + dx]
    return out


@torch.no_grad()
@pytest.mark.parametrize("keep", [1.0, 0.25])
def test_gru_equals_its_equations_pixel_by_pixel(keep):
    torch.manual_seed(0)
    gru, h, x = ConvGRU(2, 3, fading=keep < 1), torch.rand(3, 4, 5), torch.rand(2, 4, 5)
    if gru.keep is not None:
        gru.keep.fill_(keep)
    got = gru(h[None], x[None])[0]
    gates = torch.zeros(6, 4, 5)
    for i in range(4):
        for j in range(5):
            gates[:, i, j] = torch.sigmoid(pixel(gru.gates, torch.cat((x, h)), i, j))
    update, reset = gates[:3], gates[3:]
    for i in range(4):
        for j in range(5):
            candidate = torch.tanh(pixel(gru.candidate, torch.cat((x, reset * h)), i, j))
            want = (1 - update[:, i, j]) * keep * h[:, i, j] + update[:, i, j] * candidate
            assert torch.allclose(got[:, i, j], want, atol=1e-5)


@torch.no_grad()
def test_layer_adds_what_is_below():  # Eq. 9
    torch.manual_seed(0)
    layer, z, below = ResConvGRU(5, 3, 2), torch.rand(1, 3, 4, 4), torch.rand(1, 5, 4, 4)
    want = below[:, :3] + layer.blocks(layer.gru(z, below))
    memory, out = layer(z, below)
    assert torch.equal(out, want)
    assert torch.equal(memory, want)


@torch.no_grad()
def test_a_slim_layer_remembers_its_unit_alone():
    torch.manual_seed(0)
    layer, z, below = ResConvGRU(5, 3, 2, slim=True), torch.rand(1, 3, 4, 4), torch.rand(1, 5, 4, 4)
    memory, out = layer(z, below)
    assert torch.equal(memory, layer.gru(z, below))
    assert torch.equal(out, below[:, :3] + layer.blocks(memory))


@torch.no_grad()
def test_a_deep_layer_remembers_what_its_blocks_make():
    torch.manual_seed(0)
    layer = ResConvGRU(5, 3, 2, slim=True, deep=True)
    z, below = 6 * torch.rand(1, 3, 4, 4) - 3, torch.rand(1, 5, 4, 4)
    memory, out = layer(z, below)
    assert torch.equal(memory, layer.blocks(layer.gru(z, below)))
    assert torch.equal(out, below[:, :3] + memory)
    assert torch.equal(memory, layer(z.clamp(-2, 2), below)[0])
    assert not torch.equal(memory, layer(z.clamp(-1, 1), below)[0])


def test_a_fresh_network_starts_as_one_for_single_frames():
    torch.manual_seed(0)
    net = S2SVR(TINY)
    c, alpha = net.decoder.attention(torch.rand(1, 6, 4, 4), [torch.rand(1, 6, 4, 4)] * 3)
    assert alpha[:, 0].min() > 0.9
    unit, h, x = net.encoder.layers[0].gru, torch.rand(1, 6, 4, 4), torch.rand(1, 6, 4, 4)
    new = unit(torch.zeros_like(h), x)
    update = torch.sigmoid(unit.gates(torch.cat((x, h), 1)))[:, :6]
    assert update.mean() > 0.7
    assert torch.allclose(unit(h, x), new + (1 - update) * h, atol=1e-6)  # not read, but kept
    slim = S2SVR(replace(TINY, slim=True)).encoder.layers[0].gru
    assert torch.equal(slim(h, x), slim(torch.zeros_like(h), x))  # nor kept
    assert not net.decoder.feedback(torch.rand(1, 48, 4, 4)).any()


def test_what_is_fed_back_carries_no_gradient():
    net, x = lively(TINY), clip(3)
    y, _ = net(x)
    net.decoder.feedback.zero_grad()
    y[:, -1].sum().backward()
    weight = net.decoder.feedback.weight.grad
    assert weight.abs().max() > 0  # the features themselves learn
    seen = torch.rand(1, 3, 36, 44, requires_grad=True)
    net.seen(seen, torch.zeros(1, 6, 9, 11), None).sum().backward()
    assert seen.grad is None


@torch.no_grad()
def test_attention_equals_its_equations_pixel_by_pixel():  # Eq. 5-7
    torch.manual_seed(0)
    net, s = LocalAttention(3, 4), torch.rand(3, 4, 5)
    latents = [torch.rand(3, 4, 5) for _ in range(3)]
    c, alpha = net(s[None], [z[None] for z in latents])
    assert torch.allclose(alpha.sum(1), torch.ones(1, 4, 5))
    for i in range(4):
        for j in range(5):
            e = []
            for n, z in enumerate(latents):
                hidden = torch.tanh(pixel(net.query, s, i, j) + pixel(net.key, z, i, j))
                own = net.own if n == 0 else 0  # the frame itself stands first
                e.append((net.score.weight[0, :, 0, 0] @ hidden + net.score.bias + own).item())
            a = torch.softmax(torch.tensor(e), 0)
            want = sum(w * z[:, i, j] for w, z in zip(a, latents, strict=True))
            assert torch.allclose(c[0, :, i, j], want, atol=1e-5)


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@cache
def size_of(config: S2SVRConfig) -> tuple[int, float]:
    """Parameters, and multiply-accumulates of a frame of 180x320 of the states' grid."""
    net, grid = S2SVR(config).eval(), config.down
    # Of a part: the count is proportional to the pixels.
    share = (64 * 96) / (180 * 320)
    return parameters(net), macs_per_frame(net, 64 * grid, 96 * grid) / share


def macs_per_frame(net: S2SVR, height: int, width: int) -> float:
    """Multiply-accumulates of one further frame of a long clip."""
    counts = []
    for length in (4, 3):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net(torch.rand(1, length, 3, height, width), lookahead=1)
        counts.append(counter.get_total_flops() / 2)
    return counts[0] - counts[1]


@pytest.mark.parametrize(
    ("name", "most", "macs"),
    [
        ("sr-light", 0.6e6, 20e9),
        ("sr-real", 0.6e6, 20e9),
        ("sr-memory", 0.47e6, 19e9),
        ("deblur-light", 0.6e6, 14e9),
        ("compression-light", 0.6e6, 14e9),
        ("sr-base", 2.1e6, 112e9),
        ("sr-real-base", 2.1e6, 112e9),
        ("deblur-base", 2.18e6, 110e9),
        ("compression-base", 2.12e6, 111e9),
    ],
)
def test_trained_presets_are_within_their_size(name: str, most: float, macs: float):
    count, needed = size_of(PRESETS[name])
    assert count <= most
    assert needed <= macs


def test_paper_presets_are_within_their_size():
    assert parameters(PWCLite()) == pytest.approx(2.24e6, rel=0.005)
    assert parameters(S2SVR(PRESETS["sr-paper"])) == pytest.approx(13.4e6, rel=0.02)
    assert parameters(S2SVR(PRESETS["deblur-paper"])) == pytest.approx(8.44e6, rel=0.02)


@pytest.mark.parametrize("config", list(PRESETS.values()))
def test_configurations_survive_a_dictionary(config):
    assert type(config)(**asdict(config)) == config


def test_flow_network_takes_any_size_and_learns_one_shift():
    torch.manual_seed(0)
    net = PWCLite(replace(TINY_FLOW, search=2))
    assert net(torch.rand(1, 3, 1, 1), torch.rand(1, 3, 1, 1)).shape == (1, 2, 1, 1)
    b = F.avg_pool2d(torch.rand(1, 3, 36, 44), 5, 1)
    a = torch.roll(b, (-1, -2), (-2, -1))  # flow (2, 1)
    optim = torch.optim.Adam(net.parameters(), 3e-3)
    want = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1)
    for _ in range(80):
        error = (net(a, b) - want).abs().mean()
        optim.zero_grad()
        error.backward()
        optim.step()
    assert error.item() < 0.3  # zero flow: 1.5


def test_unknown_pyramid_level_is_refused():
    with pytest.raises(ValueError, match="finest within the 2 levels, got 5"):
        replace(TINY_FLOW, finest=5)


def test_memory_does_not_run_away():
    torch.manual_seed(0)
    net = S2SVR(TINY).eval()
    with torch.no_grad():  # weights with which the sums of Eq. 9 would grow without end
        for unit in (m for m in net.modules() if isinstance(m, ConvGRU)):
            unit.gates.bias.sub_(4)  # hardly forgets
    x = torch.rand(1, 200, 3, 8, 8)
    state, sizes = None, []
    with torch.inference_mode():
        for frame in x.split(1, 1):
            _, state = net(frame, state)
            sizes.append(max(float(s.abs().max()) for s in (*state.z, *state.s)))
    assert max(sizes[100:]) < 1.5 * max(sizes[:20])


@pytest.mark.slow
def test_deep_memory_stays_bounded_over_2000_frames():
    net = lively(replace(TINY, slim=True, deep=True))
    with torch.no_grad():  # blocks that double what they see, so that nothing but the clamp bounds
        for layer in (m for m in net.modules() if isinstance(m, ResConvGRU)):
            layer.gru.keep.fill_(1.0)
            layer.gru.gates.bias.sub_(4)  # hardly forgets
            for block in layer.blocks:
                block.first.weight.zero_()
                block.first.weight[range(6), range(6), 1, 1] = 1
                block.second.weight.copy_(block.first.weight)
    x = torch.rand(1, 2000, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    state, sizes = None, []
    with torch.inference_mode():
        for frames in x.split(20, 1):
            y, state = net(frames, state)
            assert y.isfinite().all()
            sizes.append(max(float(s.abs().max()) for s in (*state.z, *state.s)))
    assert 2 < max(sizes) < 6  # the clamp is at work: the blocks turn its 2 into 4
    assert max(sizes[50:]) < 1.1 * max(sizes[:50])


def test_detail_is_what_differs_from_the_mean_around():
    x = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    found = detail(x)
    assert torch.allclose(
        found[..., 4, 5], AMPLIFY * (x[..., 4, 5] - x[..., 2:7, 3:8].mean((2, 3)))
    )
    assert detail(torch.full((1, 3, 9, 11), 0.3)).abs().max() < 1e-5  # at the edges too


def test_flow_of_smaller_frames_is_enlarged_to_the_grid_of_the_states():
    net, frame = S2SVR(replace(TINY, scale=1, down=2, flow_down=4)), torch.rand(1, 3, 18, 22)
    assert net.reduce(frame).shape == (1, 3, 5, 6)
    o = flow_on_grid(torch.full((1, 2, 5, 6), 1.5), frame, net.config)
    assert o.shape == (1, 2, 9, 11)
    assert torch.allclose(o, torch.tensor(3.0))  # in pixels of the finer grid
    with pytest.raises(ValueError, match="flow_down of 1, 2 or 4 times down, got 2 and 4"):
        replace(TINY, scale=1, down=4, flow_down=2)


def test_flow_of_several_pairs_at_once_is_that_of_each():
    """Features are made once a frame, however many pairs it belongs to."""
    torch.manual_seed(0)
    frames = list(torch.rand(7, 2, 3, 32, 40, dtype=torch.float64))
    for radius in (1, 2):
        model = S2SVR(replace(PRESETS["sr-light"], radius=radius)).eval().double()
        assert model.flow is not None
        seen = []
        make = model.flow.features
        model.flow.features = lambda x, make=make, seen=seen: seen.append(x) or make(x)
        with torch.inference_mode():
            one = model.flows(frames, 5, 1)
            assert len(seen) == (6 if radius == 1 else 7)  # only frames that a pair needs
            model.pairs, model.few = 5, True
            several = model.flows(frames, 5, 1)
            model.flow.features = make
            for d, lines in enumerate(zip(one.before, one.after, strict=True), 1):
                for t in range(len(lines[0])):
                    for sign, line in zip((-1, 1), lines, strict=True):
                        other = 2 + t + sign * d
                        known = 0 <= other < 7
                        assert (line[t] is None) == (not known)
                        if known:
                            wanted = model.flow(frames[2 + t], frames[other])
                            assert torch.allclose(line[t], wanted, atol=1e-9)
        for mine, theirs in zip(
            [*one.before, *one.after], [*several.before, *several.after], strict=True
        ):
            for a, b in zip(mine, theirs, strict=True):
                assert (a is None) == (b is None)
                assert a is None or torch.allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": 0}, "channels of at least 1, got 0"),
        ({"feedback": -1}, "feedback of at least 0, got -1"),
        ({"attention": -1}, "attention of at least 0, got -1"),
        ({"attention": 0}, "attention for a radius of 1, got none"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, int], said: str):
    with pytest.raises(ValueError, match=said):
        replace(TINY, **changes)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_picture_is_shuffled_alike_from_every_memory_order(order: torch.memory_format):
    x = torch.rand(2, 27, 5, 7, generator=torch.Generator().manual_seed(0))
    found = PictureShuffle(3)(x.contiguous(memory_format=order))
    assert torch.equal(found, F.pixel_shuffle(x, 3))
    assert found.is_contiguous()
