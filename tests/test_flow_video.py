from fractions import Fraction
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from s2svr.cli.app import app
from s2svr.flow.video import flow_video
from s2svr.media import open_reader, read_clip
from s2svr.media.flo import flow_to_color, read_flo
from s2svr.ops import resize_bicubic
from s2svr.render.files import write_movie

FRAMES = 4


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A picture of 64x48 pixels that moves right by 2 pixels a frame."""
    small = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    wide = resize_bicubic(small, 8).clamp(0, 1)
    frames = [torch.roll(wide, 2 * t, -1) for t in range(FRAMES)]
    write_movie(tmp_path / "clip.mp4", frames, Fraction(25), crf=1)
    return tmp_path / "clip.mp4"


def right(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A flow to the right by 2 pixels of a 64 pixels wide frame."""
    assert (torch.roll(a, a.shape[-1] // 32, -1) - b).abs().mean() < 0.05
    flow = torch.zeros(1, 2, *a.shape[-2:])
    flow[:, 0] = a.shape[-1] / 32
    return flow


@pytest.mark.parametrize("reduced", [1, 2])
def test_flo_files_hold_the_flow_of_every_frame_but_the_last(clip: Path, reduced: int):
    target = clip.with_name("flows")
    assert flow_video(right, clip, target, reduced=reduced) == FRAMES - 1
    files = sorted(target.iterdir())
    assert [file.name for file in files] == [f"frame_000{i}.flo" for i in (1, 2, 3)]
    for file in files:
        flow = read_flo(file)
        assert flow.shape == (2, 48, 64)
        assert flow[0].unique().tolist() == [2.0]
    with pytest.raises(ValueError, match="expected a new folder"):
        flow_video(right, clip, target)


def test_colour_video_has_the_colours_and_the_times(clip: Path):
    target = clip.with_name("colors.mp4")
    assert flow_video(right, clip, target, longest=4.0) == FRAMES - 1
    wanted = flow_to_color(right(*[torch.zeros(1, 3, 48, 64)] * 2), 4.0) * 255
    shown = read_clip(target).float()
    assert shown.shape == (FRAMES - 1, 3, 48, 64)
    assert (shown - wanted).abs().max() <= 4
    with open_reader(target) as reader:
        assert [frame.time for frame in reader] == [Fraction(t, 25) for t in range(FRAMES - 1)]


def test_what_lies_beside_the_output_stays(clip: Path):
    """As what another run into the same name is writing."""
    other = clip.with_name("flows.part")
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    flow_video(right, clip, clip.with_name("flows"))
    assert (other / "mine.txt").read_text() == "mine"
    assert {path.name for path in clip.parent.iterdir()} == {"clip.mp4", "flows", "flows.part"}


def test_nothing_is_left_of_what_fails(clip: Path):
    def broken(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        flow_video(broken, clip, clip.with_name("flows"))
    with pytest.raises(ValueError, match="two frames at least .* has less"):
        flow_video(right, clip, clip.with_name("c.mp4"), end=Fraction(1, 25))
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_bundled_weights_from_the_command_line(clip: Path):
    target = clip.with_name("flows")
    run = CliRunner().invoke(app, ["flow", str(clip), str(target)], catch_exceptions=False)
    assert run.output.strip() == f"{target}: 3 flows"
    assert float(read_flo(target / "frame_0002.flo")[0].median()) == pytest.approx(2, abs=0.5)
