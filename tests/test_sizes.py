"""Sizes that people ask for: the pixels that come, worked out by hand, and what is refused."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from torch import Tensor, nn

from media_clips import make_video
from s2svr.color import ColorInfo, from_rgb, to_open_rgb
from s2svr.media import MediaInfo, open_reader
from s2svr.ops import resize_to
from s2svr.restoration import restore_video
from s2svr.sizes import Sizing, fit_line, result_size

RATE, BASE = Fraction(25), Fraction(1, 25)
PAL, NTSC = Fraction(64, 45), Fraction(8, 9)  # pixels of wide PAL, and of 4:3 NTSC


def info(width: int, height: int, aspect: Fraction | int = 1, rotation: int = 0) -> MediaInfo:
    return MediaInfo(
        width, height, RATE, BASE, ColorInfo("bt709"), (2, 2), rotation, Fraction(aspect)
    )


@pytest.mark.parametrize(
    ("source", "wanted", "size"),
    [
        (info(320, 180), Sizing(), (1280, 720)),
        (info(320, 180), Sizing(scale=1.5), (480, 270)),
        (info(35, 27), Sizing(scale=3), (105, 81)),  # whole numbers of times are exact
        (info(35, 27), Sizing(scale=1.5), (52, 40)),  # 52.5 x 40.5
        (info(854, 480), Sizing(height=1080), (1922, 1080)),  # 1921.5
        (info(640, 360), Sizing(width=1920), (1920, 1080)),
        (info(640, 360), Sizing(height=240), (426, 240)),  # 426.67, smaller than the input
        (info(720, 576, PAL), Sizing(height=1080), (1920, 1080)),
        (info(720, 480, NTSC), Sizing(height=1440), (1920, 1440)),
        (info(720, 480, NTSC), Sizing(height=2160), (2880, 2160)),  # 4 times 720 wide
        (info(640, 360, 1, 90), Sizing(height=1280), (1280, 720)),  # shown upright: 720x1280
        (info(640, 480), Sizing(fit=(1920, 1080)), (1440, 1080)),
        (info(1920, 800), Sizing(fit=(3840, 2160)), (3840, 1600)),
        (info(1000, 417), Sizing(fit=(1999, 2000)), (1998, 834)),  # even, and not above the box
        (info(320, 180), Sizing(fit=(3840, 2160)), (1280, 720)),  # no further than 4 times
        (info(33, 21), Sizing(fit=(3840, 2160)), (132, 84)),
        (info(720, 576, PAL), Sizing(fit=(1920, 1080)), (1920, 1080)),
        (info(360, 640, 1, 270), Sizing(fit=(1920, 1080)), (1080, 1920)),  # shown lying
    ],
)
def test_sizes_worked_out_by_hand(source: MediaInfo, wanted: Sizing, size: tuple[int, int]) -> None:
    assert result_size(source, 4, wanted) == size


def test_without_subsampled_chroma_sides_may_be_odd() -> None:
    assert result_size(replace(info(35, 27), chroma=(1, 1)), 4, Sizing(scale=1.8)) == (63, 49)
    assert result_size(replace(info(35, 27), chroma=(2, 1)), 4, Sizing(scale=1.8)) == (64, 49)
    assert result_size(info(35, 27), 1, Sizing(fit=(99, 99))) == (35, 27)  # it keeps its size


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Sizing(height=721), r"a height from 1 to 720 \(4 times the input\), got 721"),
        (Sizing(width=1281), "a width from 1 to 1280 .*, got 1281"),
        (Sizing(height=0), "a height from 1 to 720"),
        (Sizing(size=(721, 0)), "a size from 1x1 to 1280x720 .*, got 721x0"),
        (Sizing(scale=4.5), "a scale from 1 to 4, which is the model's, got 4.5"),
        (Sizing(scale=0.5), "a scale from 1 to 4, .*, got 0.5"),
        (Sizing(fit=(0, 10)), "a size to fit in, got 0x10"),
        (Sizing(height=100, width=100), "a height or a width, got both"),
        (Sizing(scale=2, fit=(9, 9)), "a scale or a size to fit in, got both"),
    ],
)
def test_what_cannot_be_is_refused(wanted: Sizing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        result_size(info(320, 180), 4, wanted)


def test_a_box_that_is_not_filled_is_said() -> None:
    wanted = Sizing(fit=(3840, 2160))
    said = "1280x720 is 4 times the input, which the network makes: 3840x2160 is not filled"
    assert fit_line(info(320, 180), 4, wanted) == said
    assert fit_line(info(640, 480), 4, Sizing(fit=(1920, 1080))) is None
    assert fit_line(info(320, 180), 4, Sizing()) is None


class Doubled(nn.Module):
    """Repeats pixels, twice as large."""

    scale, lookahead = 2, 0

    def forward(
        self, x: Tensor, memory: None = None, lookahead: int = 0
    ) -> tuple[Tensor, tuple[()]]:
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2), ()


def test_the_file_has_the_size_the_shape_and_the_antialiased_pixels(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mp4", size=(72, 56), pts=[0, 3003, 6006], aspect=Fraction(4, 3)
    )
    told: list[str] = []
    target = tmp_path / "b.mkv"
    restore_video(Doubled(), source, target, codec="ffv1", height=84, say=told.append)
    with av.open(str(target)) as file:
        video = file.streams.video[0]
        assert (video.width, video.height) == (144, 84)  # 72 * 4/3 * 84/56
        assert video.sample_aspect_ratio in (None, 1)
    assert told == []
    with open_reader(source) as old, open_reader(target) as new:
        for a, b in zip(old, new, strict=True):
            rgb = to_open_rgb(a.planes, a.color)
            large = rgb.repeat_interleave(2, -1).repeat_interleave(2, -2)
            wanted = from_rgb(resize_to(large, (84, 144)).clamp(0, 1), b.color, (2, 2))
            assert all(map(torch.equal, b.planes, wanted))
    restore_video(Doubled(), source, tmp_path / "c.mkv", fit=(500, 500), say=told.append)
    assert told == ["192x112 is 2 times the input, which the network makes: 500x500 is not filled"]


def test_a_size_of_a_turned_picture_is_refused_as_it_was_asked_for() -> None:
    turned = replace(info(64, 48), rotation=90)
    assert result_size(turned, 4, Sizing(size=(100, 200))) == (200, 100)
    with pytest.raises(ValueError, match=r"a size from 1x1 to 192x256 .*, got 193x256"):
        result_size(turned, 4, Sizing(size=(193, 256)))
