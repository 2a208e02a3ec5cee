from fractions import Fraction
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from s2svr.cli.app import app
from s2svr.flow.figure import GAP, captioned, damaged_pair, flow_figure, picture_grid
from s2svr.media import read_clip
from s2svr.models import S2SVR, PWCLiteConfig, S2SVRConfig
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames of 96x64 that move by 3 pixels to the right a frame."""
    small = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(0))
    wide = resize_bicubic(small, 8).clamp(0, 1)
    frames = [torch.roll(wide, 3 * t, -1) for t in range(20)]
    write_movie(tmp_path / "clip.mp4", frames, Fraction(25), crf=1)
    return tmp_path / "clip.mp4"


def moves(pixels: float):
    """A flow to the right, by so many pixels of a 96 pixels wide frame."""

    def flow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(1, 2, *a.shape[-2:])
        found[:, 0] = pixels * a.shape[-1] / 96
        return found

    return flow


def test_figure_shows_the_flow_and_what_it_aligns(clip: Path):
    target = clip.with_name("f.png")
    errors = flow_figure(
        clip, target, teacher=moves(3), others={"right": moves(3), "wrong": moves(7)}
    )
    assert errors == {"right": pytest.approx(0), "wrong": pytest.approx(4)}
    shown = read_clip(target)[0].float() / 255
    height, width = 64 + 18, 96
    assert shown.shape == (3, 2 * (height + GAP), 4 * (width + GAP) + GAP)
    clean = read_clip(clip)[8].float() / 255
    panels = [shown[:, height + 2 * GAP + 18 :, GAP + i * (width + GAP) :] for i in range(4)]
    panels = [panel[:, :64, :96] for panel in panels]
    torch.testing.assert_close(panels[0], clean, atol=0.01, rtol=0)
    inner = (slice(None), slice(None), slice(8, -8))
    gaps = [float((panel - clean)[inner].abs().mean()) for panel in panels[1:]]
    assert max(gaps[:2]) < 0.02 < 0.2 * gaps[2]


def test_blurred_frames_are_those_asked_for(clip: Path):
    whole = read_clip(clip).float() / 255
    seen, clean = damaged_pair(clip, "blur-7", 10)
    assert torch.equal(clean, whole[10:12])
    mean = (whole[7:14] ** 2.2).mean(0) ** (1 / 2.2)
    torch.testing.assert_close(seen[0], mean, atol=0.003, rtol=0)
    with pytest.raises(ValueError, match="neighbours enough for blur-7, got frame 1 of"):
        damaged_pair(clip, "blur-7", 1)


def test_captions_stand_above_and_pictures_apart():
    picture = torch.full((3, 10, 40), 0.5)
    whole = captioned(picture, "ABC")
    assert torch.equal(whole[:, 18:], picture)
    assert whole[:, :18].min() == 0
    assert whole[:, :3].min() == 1  # the margin
    sheet = picture_grid([[picture, picture], [picture, picture]])
    assert sheet.shape == (3, 20 + 2 * GAP, 80 + 3 * GAP)
    assert sheet[:, :GAP].min() == sheet[..., -GAP:].min() == 1


def test_bundled_networks_from_the_command_line(clip: Path):
    target = clip.with_name("f.png")
    command = ["figures", "flow", str(clip), str(target), "--student", "flow-light-student-sr"]
    run = CliRunner().invoke(app, command, catch_exceptions=False)
    assert run.output.split()[:2] == ["teacher", "student"]
    assert target.is_file()


class Enlarger(torch.nn.Module):
    """Bicubic enlargement, in the form of a restoration network."""

    scale, lookahead = 4, 0

    def forward(self, x, state=None, lookahead=0):
        return resize_bicubic(x, 4), state


def test_restorations_stand_between_what_came_in_and_the_truth(benchmark):
    script = benchmark("figures")
    small = torch.rand(3, 30, 50, generator=torch.Generator().manual_seed(0))
    clip = torch.stack([torch.roll(resize_bicubic(small, 8).clamp(0, 1), t, -1) for t in range(12)])
    sheet = script.restored(clip, "bicubic", "bicubic", {"network": Enlarger()})
    height, width = script.SHOWN
    assert sheet.shape == (3, height + 18 + GAP, 3 * (width + GAP) + GAP)
    first, second, truth = (
        sheet[:, GAP + 18 :, GAP + i * (width + GAP) :][..., :width] for i in range(3)
    )
    assert torch.equal(truth, script.middle(clip[script.AROUND]))
    torch.testing.assert_close(first, second)
    assert 0.01 < float((first - truth).abs().mean()) < 0.2


def test_features_are_drawn_with_and_without_alignment(benchmark):
    script = benchmark("figures")
    tiny = PWCLiteConfig(channels=(4, 6), features=4, estimator=(6, 4), context=(4,))
    model = S2SVR(
        S2SVRConfig(
            channels=4,
            encoder_layers=1,
            encoder_blocks=1,
            decoder_layers=1,
            decoder_blocks=1,
            tail=0,
            flow=tiny,
        )  # fmt: skip
    )
    clip = torch.rand(8, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    sheet = script.motion(clip, model.eval())
    assert sheet.shape == (3, 64 + 18 + GAP, 4 * (80 + GAP) + GAP)
    with_flow, without = (sheet[:, GAP + 18 :, GAP + i * 84 :][..., :80] for i in (0, 2))
    assert not torch.allclose(with_flow, without, atol=1e-3)
    assert model.flow is not None  # the network itself stays as it is
