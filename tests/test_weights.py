"""The bundled weights: what they reach on the example clip, and how much room they take."""

from itertools import product
from pathlib import Path

import pytest
import torch

import s2svr
from s2svr.checkpoint import WEIGHTS, bundled, expert_files, load, read_card
from s2svr.coarseness import HEVC, PAIRS, X265, Coarseness, knowing
from s2svr.damage.table import degradation
from s2svr.metrics import psnr_rgb
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.ops import warp

EXAMPLE = Path(__file__).parent.parent / "examples" / "table.mp4"
# Damage of the example's first 8 frames; mean PSNR (dB, RGB, rounded) and least gain when restored.
GOLDEN = {
    "sr-light": ("bicubic", 23.317, 3.1),
    "sr-base": ("bicubic", 24.414, 4.2),
    "sr-real": ("bicubic+h264-28", 20.040, 1.1),
    "sr-real-base": ("bicubic+h264-28", 20.351, 1.4),
    "deblur-light": ("blur-3", 32.28, 1.2),
    "compression-light": ("hevc-37", 27.594, 0.2),
}


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return s2svr.read_clip(EXAMPLE, count=8).float() / 255


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_restoration_reaches_what_it_reached_when_it_was_bundled(name: str, clip: torch.Tensor):
    damage, wanted, gain = GOLDEN[name]
    model = load(name)
    assert isinstance(model, S2SVR)
    lq, hq = degradation(damage)(clip, torch.Generator().manual_seed(0))
    restored = torch.stack(list(s2svr.restore(model, iter(lq))))
    psnr, base = (
        sum(psnr_rgb(a, b) for a, b in zip(pictures, hq, strict=True)) / len(hq)
        for pictures in (restored, model.base(lq))
    )
    assert psnr == pytest.approx(wanted, abs=0.01)
    assert psnr > base + gain


# The corners of the colour cube, greys, and colours within it.
COLOURS = [
    *product((0.0, 1.0), repeat=3),
    *((grey, grey, grey) for grey in (0.1, 0.25, 0.5, 0.75, 0.9)),
    (0.5, 0.0, 0.0), (0.0, 0.0, 0.5), (0.8, 0.1, 0.6),
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_flat_colour_comes_out_flat(name: str):
    model = load(name)
    colours = torch.tensor(COLOURS).view(-1, 1, 3, 1, 1)
    with torch.inference_mode():
        restored, _ = model(colours.expand(-1, 3, 3, 24, 24).contiguous())
    assert (restored - colours).abs().max() < 2 / 255


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_nearly_flat_colour_changes_by_no_more_than_its_contrast(name: str):
    """Levels that coding leaves within a flat area: 1 of 255 apart."""
    model = load(name)
    colours = torch.tensor(COLOURS).view(-1, 1, 3, 1, 1).clamp(1 / 255, 254 / 255)
    noise = torch.randint(
        2, (len(COLOURS), 3, 3, 24, 24), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        restored, _ = model(colours + noise / 255)
    # The bicubic base leaves the levels by a fifth, the change adds one.
    assert (restored - colours - 0.5 / 255).abs().max() < 2 / 255


LIGHTS = {
    "flash": (0.2, 0.2, 0.2, 0.8, 0.2, 0.2, 0.2),
    "cut": (0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8),
    "fade": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
}


@pytest.mark.parametrize("light", sorted(LIGHTS))
@pytest.mark.parametrize("name", ["compression-light", "deblur-light"])
def test_flat_frames_keep_their_light(name: str, light: str):
    """Frames mixed with their neighbours would carry a flash to those around it."""
    model = load(name)
    frames = torch.tensor(LIGHTS[light]).view(1, -1, 1, 1, 1).expand(-1, -1, 3, 24, 24)
    with torch.inference_mode():
        restored, _ = model(frames.contiguous())
    assert (restored - frames).abs().max() < 0.1 / 255


def test_the_bound_of_what_is_mixed_takes_nothing_from_blurred_frames(
    monkeypatch: pytest.MonkeyPatch,
):
    """A block that moves over a flat ground: its edges become ramps of 28 pixels."""
    place = torch.arange(96) - 4 * torch.arange(16)[:, None]
    lit = ((place > 10) & (place < 40)).float()
    part = 0.2 + 0.6 * lit[:, None, None].expand(-1, 3, 48, -1)
    lq, hq = degradation("blur-7")(part, torch.Generator().manual_seed(0))
    model = load("deblur-light")

    def score() -> float:
        with torch.inference_mode():
            restored, _ = model(lq[None])
        return sum(psnr_rgb(a, b) for a, b in zip(restored[0], hq, strict=True)) / len(hq)

    bounded = score()
    monkeypatch.setattr(
        "s2svr.models.s2svr.contrast", lambda x: torch.full_like(x[:, :1], float("inf"))
    )
    assert score() > sum(psnr_rgb(a, b) for a, b in zip(lq, hq, strict=True)) / len(hq) + 1
    assert bounded > score() - 0.01


def test_every_restoration_network_has_its_golden_number():
    networks = {name for name in bundled() if isinstance(load(name), S2SVR)}
    assert networks == set(GOLDEN)


def test_experts_are_the_network_but_for_what_learned():
    model = load("compression-light")
    assert isinstance(model, S2SVR)
    files = expert_files("compression-light")
    named = {name for pair in (HEVC, X265, *PAIRS.values()) for name in pair.names}
    assert files.keys() == model.experts.keys() == named
    for name, path in files.items():
        other, found = load(path), model.experts[name]
        assert isinstance(other, S2SVR)
        assert other.config == model.config
        assert not other.experts
        for key, tensor in model.state_dict().items():
            assert torch.equal(found[key], other.state_dict()[key])
            if key.startswith("mixer.quality.trust."):
                continue  # where nothing tells their share they make all of each change
            if key.startswith(("flow.", "mixer.")):
                assert torch.equal(found[key], tensor)
            elif key.endswith("weight"):
                assert not torch.equal(found[key], tensor)
    assert not load("deblur-light").experts


@pytest.mark.parametrize(
    ("damage", "codec", "quantiser", "wanted"),
    [
        ("hevc-22", "hevc", 22, 37.930),
        ("hevc-37", "hevc", 37, 27.714),
        ("h264-20", "h264", 24, 35.583),
        ("h264-31", "h264", 35, 28.407),
        ("mpeg2-5", "mpeg2video", 24, 34.645),
        ("vp9-40", "vp9", 146, 34.242),
        ("x265-24", "hevc", 26, 34.085),
    ],
)
def test_experts_gain_where_a_file_tells_its_coding(
    damage: str, codec: str, quantiser: int, wanted: float, clip: torch.Tensor
):
    lq, hq = degradation(damage)(clip, torch.Generator())
    plain = load("compression-light")
    told = knowing(plain, Coarseness(codec, quantiser, damage.startswith("x265")))
    scores = [
        sum(psnr_rgb(a, b) for a, b in zip(s2svr.restore(net, iter(lq)), hq, strict=True)) / len(hq)
        for net in (plain, told)
    ]
    assert scores[1] == pytest.approx(wanted, abs=0.01)
    assert scores[1] > scores[0] + 0.02


def test_bundled_flow_beats_no_motion(clip: torch.Tensor):
    net = load("flow-light-teacher")
    assert isinstance(net, PWCLite)
    a, b = clip[:1], clip[3:4]
    with torch.inference_mode():
        error = (a - warp(b, net(a, b))).abs().mean()
    assert error < 0.5 * (a - b).abs().mean()


def test_bundled_weights_are_small_and_carry_their_cards():
    files = list(WEIGHTS.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) < 40e6
    for path in files:
        assert path.stat().st_size < (8e6 if path.stem.endswith("-base") else 1e6)
        card = read_card(path)
        assert card.recipe
        assert card.step > 0
        assert card.data
        if path.stem == "earlier":  # it restores nothing
            continue
        assert (card.error if card.task == "flow" else card.psnr) is not None
        assert card.clips
