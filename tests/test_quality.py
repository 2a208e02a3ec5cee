"""How well a frame was coded, told without its truth: models/quality.py, train/quality.py."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from part_training import weights_moved
from s2svr.checkpoint import load
from s2svr.damage.codecs import hevc
from s2svr.data import Pair, folder_clips
from s2svr.losses import mostly_luma
from s2svr.models import S2SVR, S2SVRConfig
from s2svr.models import quality as telling
from s2svr.models.output import last_convolution
from s2svr.models.quality import Quality
from s2svr.ops import quantised, resize_to
from s2svr.render.files import write_movie
from s2svr.restoration import restore
from s2svr.train import quality as training
from s2svr.train.launch import Run
from s2svr.train.recipes import load_recipe
from s2svr.train.store import reduced_clip

RECIPE = Path(__file__).parent.parent / "recipes" / "compression-light-quality.toml"


def scene(height: int = 96, width: int = 128, seed: int = 0) -> torch.Tensor:
    """A photograph's kind of frame: detail of every size, (1, 3, H, W)."""
    generator, out = torch.Generator().manual_seed(seed), torch.full((1, 1, height, width), 0.5)
    for size in (2, 4, 8, 16, 32):
        coarse = torch.rand(1, 1, height // size + 1, width // size + 1, generator=generator)
        finer = torch.nn.functional.interpolate(coarse, scale_factor=size, mode="bilinear")
        out = out + 0.03 * size**0.5 * (finer[..., :height, :width] - 0.5)
    return out.clamp(0, 1).expand(-1, 3, -1, -1)


def test_differences_are_counted():
    codes = (255 * scene()[:, 0]).round()
    found = telling.differences(codes).view(2, len(telling.STEPS), -1)
    bins = [0, *telling.EDGES, 256]
    for axis in (0, 1):
        for place, (distance, order) in enumerate(telling.STEPS):
            d = np.moveaxis(codes[0].double().numpy(), axis, 0)
            for _ in range(order):
                d = d[distance:] - d[:-distance]
            share = np.histogram(abs(d), bins)[0] / d.size
            share[-1] += (abs(d) > 256).mean()
            np.testing.assert_allclose(found[axis, place], share, atol=1e-4)


def test_bands_are_those_of_the_cosine_transform():
    codes = 255 * scene()[:, 0]
    found = telling.frequencies(codes).view(len(telling.BANDS), -1)
    cells = codes[0].double().numpy().reshape(12, 8, 16, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    powers = dctn(cells, axes=(1, 2), norm="ortho") ** 2
    order = np.add.outer(np.arange(8), np.arange(8))
    for line, (low, high) in zip(found, telling.BANDS, strict=True):
        size = np.sqrt(powers[:, (order >= low) & (order < high)].mean(1))
        expected = np.log(np.quantile(size, telling.LEVELS) + telling.FAINT)
        np.testing.assert_allclose(line, expected, atol=2e-3)


def test_each_frame_of_a_batch_is_told_alone():
    frames = torch.cat((scene(seed=1), scene(seed=2)))
    together = telling.statistics(frames.mean(1))
    assert together.shape == (2, telling.COUNT)
    for frame, found in zip(frames, together, strict=True):
        torch.testing.assert_close(telling.statistics(frame[None].mean(1))[0], found)


def test_statistics_keep_their_precision_under_autocast():
    grey = scene().mean(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = telling.statistics(grey)
    assert torch.equal(found, telling.statistics(grey))


def test_a_frame_that_coding_left_alone_has_sixty_decibels():
    hq = torch.cat([scene(seed=seed) for seed in range(3)])
    lq = hq.clone()
    lq[1] = (lq[1] + 1 / 255).clamp(0, 1)
    _, wanted = training.examined(iter([Pair(lq, hq)]))
    told = 10 * wanted + telling.MIDDLE
    torch.testing.assert_close(told[[0, 2]], torch.full((2,), 60.0))
    assert 45 < told[1] < 55


@pytest.mark.parametrize(
    ("psnr", "factor"),
    [(25.0, telling.MOST), (telling.MIDDLE, 1.0), (40.0, 0.64), (60.0, telling.LEAST)],
)
def test_the_better_a_frame_the_less_of_its_neighbours(psnr, factor, monkeypatch):
    quality = Quality(4)
    told = torch.full((2, 1), (psnr - telling.MIDDLE) / 10)
    monkeypatch.setattr(quality, "told", lambda found: told)
    shares = quality(*torch.rand(2, 2, 3, 20, 12))
    torch.testing.assert_close(shares, torch.full((2, 1, 1, 1), factor))


def test_a_fresh_confidence_makes_every_change():
    quality = Quality(4, confidence=True)
    quality.start()
    told = quality(*torch.rand(2, 2, 3, 20, 12))
    torch.testing.assert_close(told, torch.ones(2, 2, 1, 1), rtol=0, atol=0)


@pytest.mark.parametrize(("trust", "share"), [(-2.0, 0.0), (-0.75, 0.25), (0.5, 1.0)])
def test_a_share_of_a_change_is_made(trust, share, monkeypatch):
    quality = Quality(4, confidence=True)
    quality.start()
    last = quality.trust.tell[-1]
    monkeypatch.setattr(last, "bias", torch.nn.Parameter(torch.tensor([trust])))
    told = quality(*torch.rand(2, 1, 3, 20, 12))
    torch.testing.assert_close(told[:, 1:], torch.full((1, 1, 1, 1), share))
    with pytest.raises(TypeError, match="expected a network with confidence"):
        Quality(4).made(torch.zeros(1, telling.COUNT), torch.zeros(1, telling.MOVED))


def test_movement_tells_how_many_pixels_differ_by_how_much():
    change = torch.zeros(2, 16, 16)
    change[0, :4, :8] = 3 / 255  # an eighth of the pixels
    change[0, 8, 8] = -20 / 255
    found = telling.movement(change)
    assert found.shape == (2, telling.MOVED)
    sizes = torch.zeros(2, telling.BINS)
    sizes[:, 0] = torch.tensor([223 / 256, 1.0])
    sizes[0, 3], sizes[0, 6] = 32 / 256, 1 / 256  # up to 4.5 and 32.5 codes
    bands = telling.frequencies(255 * change)
    torch.testing.assert_close(found, torch.cat((sizes, (sizes + telling.RARE).log(), bands), 1))


def test_the_frame_beside_is_the_one_before():
    frames = list(torch.arange(4.0))
    assert [float(telling.frame_beside(frames, t)) for t in range(4)] == [1, 0, 1, 2]
    assert float(telling.frame_beside(frames[:1], 0)) == 0


def test_a_share_depends_on_the_frame_before():
    """Nothing but what moved since then tells these two frames apart."""
    quality = Quality(4, confidence=True).requires_grad_(False)
    quality.start()
    torch.nn.init.normal_(quality.trust.tell[-1].weight, 0, 0.02)
    quality.trust.tell[-1].bias.fill_(-0.5)
    frame, other = torch.rand(2, 1, 3, 20, 12)
    still, moving = quality(frame, frame), quality(frame, other)
    assert torch.equal(still[:, :1], moving[:, :1])
    assert (still[:, 1:] - moving[:, 1:]).abs() > 1e-3
    quality.trust.moved.weight.zero_()
    assert torch.equal(quality(frame, frame), quality(frame, other))


def test_what_is_not_trusted_stays_as_it_was():
    """At a share of 0 the frames themselves come out, at 1 what a network without it makes."""
    sizes = S2SVRConfig(
        scale=1, down=2, channels=4, encoder_layers=1, encoder_blocks=1, decoder_layers=1,
        decoder_blocks=1, feedback=2, attention=2, tail=0, neighbours=1, aligned=True, quality=4,
        flow=None, flow_down=2,
    )  # fmt: skip
    torch.manual_seed(0)
    plain = S2SVR(sizes)
    torch.manual_seed(0)
    confident = S2SVR(replace(sizes, confidence=True))
    torch.nn.init.normal_(last_convolution(plain.decoder.output).weight, 0, 0.3)
    confident.load_state_dict(plain.state_dict(), strict=False)
    for part in (plain, confident):
        part.requires_grad_(False)
    x = torch.rand(1, 3, 3, 20, 16)
    changed = plain(x)[0]
    assert (changed - x).abs().max() > 0.01
    assert torch.equal(confident(x)[0], changed)
    confident.mixer.quality.trust.tell[-1].bias.fill_(-0.75)
    torch.testing.assert_close(confident(x)[0][:, 0], x[:, 0].lerp(changed[:, 0], 0.25))
    confident.mixer.quality.trust.tell[-1].bias.fill_(-1)
    assert torch.equal(confident(x)[0], x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(confident(x)[0], x)


def test_a_tile_trusts_as_the_whole_frame_does():
    sizes = S2SVRConfig(
        scale=1, down=2, channels=4, encoder_layers=1, encoder_blocks=1, decoder_layers=1,
        decoder_blocks=1, feedback=2, attention=2, tail=0, neighbours=1, aligned=True, quality=4,
        flow=None, flow_down=2, confidence=True,
    )  # fmt: skip
    torch.manual_seed(0)
    network = S2SVR(sizes).requires_grad_(False)
    quality, last = network.mixer.quality, last_convolution(network.decoder.output)
    torch.nn.init.normal_(last.weight, 0, 0.3)
    torch.nn.init.normal_(quality.trust.tell[-1].weight, 0, 1.0)
    quality.trust.tell[-1].bias.fill_(0.5)
    frames = torch.rand(3, 3, 48, 304)
    frames[..., :152] = 0.5 + 0.02 * frames[..., :152]  # so the halves are not coded alike
    parts = (frames, frames[..., 152:])
    shares = [float(quality(part[:1], part[1:2])[0, 1]) for part in parts]
    assert abs(shares[0] - shares[1]) > 0.05
    assert 0 < shares[0] < 1
    whole, tiled = (
        torch.stack(list(restore(network, frames, tile=tile, cuts=None))) for tile in (None, 192)
    )
    assert (whole - frames).abs().mean() > 0.01
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_the_bundled_network_tells_coarse_coding_from_fine():
    mixer = load("compression-light").mixer
    with torch.inference_mode():
        pairs = [torch.stack(list(hevc([scene(144, 176)[0]] * 2, qp))) for qp in (20, 44)]
        fine, coarse = (mixer.quality(pair[1:], pair[:1])[0, 0].item() for pair in pairs)
    assert fine + 0.2 < coarse


@pytest.mark.parametrize(
    ("size", "shape"), [(1.0, (288, 352)), (1.5, (192, 235)), (2.0, (144, 176))]
)
def test_clips_are_reduced_by_what_is_said(size, shape):
    clip = scene(288, 352).mean(1, keepdim=True).expand(2, 3, -1, -1)
    reduced = reduced_clip(clip, size)
    expected = quantised(resize_to(clip, shape)) if size > 1 else clip
    torch.testing.assert_close(reduced, expected)
    small = scene()
    assert torch.equal(reduced_clip(small, 2.0), small)  # 96 rows would become too few


def test_fine_codings_are_of_both_codecs_in_turn(tmp_path: Path, monkeypatch):
    """Their kinds and qualities; a drawn coding is of none of them."""
    asked = []

    def leave(damage: str) -> Callable[[torch.Tensor, torch.Generator], Pair]:
        asked.append(damage)
        return lambda clip, generator: Pair(clip, clip)

    monkeypatch.setattr(training, "degradation", leave)
    write_movie(tmp_path / "clip.mkv", torch.rand(8, 3, 32, 32), Fraction(25))
    recipe = load_recipe(RECIPE, ["codings=1", "fine=40"])
    pairs = list(training.codings(folder_clips(tmp_path), recipe, lambda line: None))
    assert {len(pair.lq) for pair in pairs} == {recipe.data.frames}
    assert asked[0] == "coded"
    kinds = zip((asked[1::2], asked[2::2]), training.FINE, strict=True)
    for named, (codec, finest, coarsest) in kinds:
        qualities = [int(damage.removeprefix(f"{codec}-")) for damage in named]
        assert len(qualities) == 20
        assert len(set(qualities)) > 3
        assert finest <= min(qualities) <= max(qualities) <= coarsest


def test_what_statistics_tell_is_learned():
    torch.manual_seed(0)
    quality, said = Quality(16), []
    found = torch.randn(400, telling.COUNT) * 2 + 1
    wanted = (found[:, 0] - found[:, 5]) / 4
    optim = load_recipe(RECIPE, ["optim.steps=300", "optim.rate=3e-3"]).optim
    training.learn_quality(quality, found, wanted, optim, said.append)
    told = quality.told(found)[:, 0]
    assert (told - wanted).square().mean() < 0.1 * wanted.var()
    assert said[-1].startswith("step 300/300: told within ")


def test_the_error_where_a_share_of_a_change_is_made():
    lq, hq, out = torch.rand(3, 5, 3, 8, 8)
    changes = training.examined_changes(iter([Pair(lq, hq)]), lambda x: (out[None], None))
    grey = lq.mean(1)
    torch.testing.assert_close(changes.found, telling.statistics(grey[1:4]))
    torch.testing.assert_close(changes.moved, telling.movement(grey[1:4] - grey[:3]))
    share = torch.tensor([0.0, 0.3, 1.2])
    y, truth = (mostly_luma(frames[1:4]) for frames in (lq, hq))
    before = (y - truth).square().mean((1, 2, 3))
    y = y + share.view(3, 1, 1, 1) * (mostly_luma(out[1:4]) - y)
    expected = (y - truth).square().mean((1, 2, 3))
    torch.testing.assert_close(training.squared_error(share, changes.products), expected)
    gain = 10 * (before / expected).log10()  # up to what is added to both
    torch.testing.assert_close(training.gained(share, changes.products), gain, atol=1e-3, rtol=0)


def learned(changes: training.Changes) -> tuple[Quality, list[str]]:
    """A share that was learned from these, and what was said."""
    torch.manual_seed(0)
    quality, said = Quality(16, confidence=True), []
    quality.start()
    optim = load_recipe(RECIPE, ["optim.steps=600", "optim.rate=3e-3"]).optim
    training.learn_confidence(quality, changes, optim, said.append)
    return quality, said


def of_good_and_bad(good: torch.Tensor) -> torch.Tensor:
    """The products of changes that help by a half, and of ones that only harm."""
    along = torch.where(good, 1e-3, -0.2e-3)
    return torch.stack((torch.full((400,), 2e-3), along, torch.full((400,), 1e-3)), 1)


def test_confidence_is_learned_where_changes_help():
    """Frames that move in one way gain by their change, the others lose; nothing else tells."""
    generator = torch.Generator().manual_seed(1)
    found = torch.zeros(400, telling.COUNT)
    moved = torch.randn(400, telling.MOVED, generator=generator)
    good = moved[:, 0] > 0
    quality, said = learned(training.Changes(found, moved, of_good_and_bad(good)))
    made = quality.made(found, moved)[:, 0]
    assert made[good].mean() > 0.6
    assert made[~good].mean() < 0.05
    assert said[-1].startswith("step 600/600: +")


def test_confidence_is_learned_of_frames_in_which_nothing_moves():
    good = torch.arange(400) % 3 == 0
    found = torch.where(good, 1.0, -1.0)[:, None].expand(-1, telling.COUNT)
    moved = found[:, :1].expand(-1, telling.MOVED)  # tells the same, but for a still picture
    quality, _ = learned(training.Changes(found, moved, of_good_and_bad(good)))
    still = telling.movement(torch.zeros(1, 8, 8)).expand_as(moved)
    for seen in (moved, still):
        made = quality.made(found, seen)[:, 0]
        assert made[good].mean() > made[~good].mean() + 0.05


def test_a_quality_is_trained_and_the_rest_left_as_it_was(tmp_path: Path):
    (tmp_path / "clips").mkdir()
    for seed in range(2):
        frames = [scene(seed=seed)[0].roll(t, -1) for t in range(8)]
        write_movie(tmp_path / "clips" / f"{seed}.mp4", frames, Fraction(25))
    moved = weights_moved(RECIPE, "compression-light", tmp_path)
    parts = ("mean", "tell.0.weight", "trust.mean", "trust.moved.weight", "trust.tell.1.weight")
    assert {f"mixer.quality.{part}" for part in parts} <= moved
    assert all(name.startswith("mixer.quality.") for name in moved)


def test_a_fresh_network_gets_no_flow_that_nobody_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "recipe_clips", lambda data, root: [])
    for part in ("examined", "examined_changes"):
        monkeypatch.setattr(training, part, lambda *given: (None, None))
    for part in ("learn_quality", "learn_confidence"):
        monkeypatch.setattr(training, part, lambda *given: None)
    fresh = load(training.train_quality(load_recipe(RECIPE), Run(tmp_path), data=tmp_path))
    assert fresh.flow is None
    assert fresh.config.flow is None


def test_what_cannot_be_trained_is_refused(tmp_path: Path):
    recipe = load_recipe(RECIPE, ["model.preset=deblur-light"])
    with pytest.raises(ValueError, match="expected a preset that tells a quality, got deblur-li"):
        training.train_quality(recipe, Run(tmp_path / "run"), data=tmp_path)
    with pytest.raises(ValueError, match="expected videos .* or image folders in"):
        training.train_quality(load_recipe(RECIPE), Run(tmp_path / "run"), data=tmp_path)
    assert not (tmp_path / "run").exists()
