"""Interlaced video becomes whole pictures, as many and at the same times."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from s2svr.media import open_reader
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame
from s2svr.restoration.verify import check_video

SIZE = (64, 48)
TIMES = [0, 33, 70, 100, 167, 200]  # milliseconds
Scene = Callable[[float], NDArray[np.uint8]]


def still(time: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return (128 + 90 * np.sin(x * 0.9) * np.sin(y * 1.3)).astype(np.uint8)


def moving(time: float) -> NDArray[np.uint8]:
    """Smooth stripes that go to the right, six pixels from one picture to the next."""
    x = np.arange(SIZE[0])[None].repeat(SIZE[1], 0)
    return (128 + 90 * np.sin(0.3 * (x - 6 * time))).astype(np.uint8)


def film(path: Path, scene: Scene, *, interlaced: bool = True) -> Path:
    """Each picture's odd rows show its time, its even ones half a picture later."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "gray"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"qp": "0", **({"x264-params": "bff=1"} if interlaced else {})}
        for index, pts in enumerate(TIMES):
            rows = scene(index).copy()
            if interlaced:
                rows[::2] = scene(index + 0.5)[::2]
            picture = av.VideoFrame.from_ndarray(rows, "gray")
            picture.pts, picture.time_base = pts, Fraction(1, 1000)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def read(path: Path, deinterlace: str = "auto") -> tuple[list[Frame], list[str], bool]:
    with open_reader(path, deinterlace=deinterlace) as reader:
        return list(reader), reader.warnings, reader.info.interlaced


def test_moving_fields_become_whole_pictures(tmp_path: Path):
    frames, warnings, interlaced = read(film(tmp_path / "a.mkv", moving))
    assert warnings == ["the video is interlaced; each frame is deinterlaced with bwdif"]
    assert interlaced
    assert [frame.time for frame in frames] == [Fraction(pts, 1000) for pts in TIMES]
    for index, frame in enumerate(frames):
        luma, wanted = frame.planes[0].numpy(), moving(index)
        assert np.array_equal(luma[1::2], wanted[1::2])  # the first field is left as it is
        error = np.abs(luma[::2].astype(int) - wanted[::2])
        woven = np.abs(moving(index + 0.5)[::2].astype(int) - wanted[::2])
        assert error.mean() < woven.mean() / 5


def test_what_stands_still_keeps_every_code(tmp_path: Path):
    frames, _, _ = read(film(tmp_path / "a.mkv", still))
    for frame in frames[1:-1]:  # the ends have a neighbour on one side only
        assert np.array_equal(frame.planes[0].numpy(), still(0))


def test_interlaced_video_may_be_left_or_refused(tmp_path: Path):
    source = film(tmp_path / "a.mkv", moving)
    frames, warnings, interlaced = read(source, "off")
    assert warnings == ["the video is interlaced; both fields are restored as one"]
    assert interlaced
    assert np.array_equal(frames[2].planes[0].numpy()[::2], moving(2.5)[::2])
    with pytest.raises(MediaError, match="is interlaced; deinterlace it first"):
        read(source, "refuse")
    with pytest.raises(MediaError, match="expected one of auto, off, refuse, got yes"):
        read(source, "yes")


def test_whole_pictures_are_not_touched(tmp_path: Path):
    source = film(tmp_path / "a.mkv", moving, interlaced=False)
    frames, warnings, interlaced = read(source, "refuse")
    assert (warnings, interlaced) == ([], False)
    assert torch.equal(frames[1].planes[0], torch.from_numpy(moving(1)))


def test_a_check_says_that_it_is_deinterlaced(tmp_path: Path):
    check = check_video(film(tmp_path / "a.mkv", moving), tmp_path / "b.mkv")
    assert check.holds
    (row,) = (row for row in check.rows if row.what == "interlaced")
    assert (row.fate, row.source) == ("dropped", "yes")
    assert "bwdif" in row.why
