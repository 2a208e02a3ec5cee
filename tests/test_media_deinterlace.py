"""Interlaced video becomes whole pictures, as many and at the same times."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from media_clips import make_video, video_times
from s2svr import restore_video
from s2svr.media import open_reader
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame
from s2svr.restoration import Excerpt, Job, restore_job
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.plan import make_plan
from s2svr.restoration.verify import Identity, check_video

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
    with pytest.raises(MediaError, match="expected one of auto, off, refuse, bob, ivtc, got yes"):
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


# A frame of each field, film out of video, and what is not marked

RATE = Fraction(30000, 1001)


def changing(time: float) -> NDArray[np.uint8]:
    """A coarse pattern that moves both ways, and is never twice the same."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return (128 + 55 * np.sin(0.3 * x - 1.7 * time) + 55 * np.cos(0.4 * y + time)).astype(np.uint8)


def video(path: Path, pictures: list[NDArray[np.uint8]], form: str = "gray") -> Path:
    """Pictures at RATE, not marked as interlaced, without loss."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, form
        stream.options = {"qp": "0"}
        for rows in pictures:
            picture = av.VideoFrame.from_ndarray(rows, "gray")
            output.mux(stream.encode(picture.reformat(format=form) if form != "gray" else picture))
        output.mux(stream.encode(None))
    return path


def woven(scene: Scene, count: int, *, top_first: bool) -> list[NDArray[np.uint8]]:
    """Pictures whose fields show two moments, half a picture apart."""
    pictures = []
    for index in range(count):
        rows, late = scene(index).copy(), scene(index + 0.5)
        rows[1 if top_first else 0 :: 2] = late[1 if top_first else 0 :: 2]
        pictures.append(rows)
    return pictures


def telecined(count: int) -> list[NDArray[np.uint8]]:
    """So many pictures of film as fields, alternately three and two of each, two in a picture."""
    fields = [scene for index in range(count) for scene in [changing(index)] * (3 - index % 2)]
    pairs = [fields[2 * i : 2 * i + 2] for i in range(len(fields) // 2)]
    return [np.where(np.arange(SIZE[1])[:, None] % 2, late, early) for early, late in pairs]


def test_each_field_becomes_a_frame_at_its_own_time(tmp_path: Path):
    frames, warnings, _ = read(film(tmp_path / "a.mkv", moving), "bob")
    assert warnings == [
        "the video is deinterlaced: each field is made a frame with bwdif, 60 frames a second"
    ]
    middles = [Fraction(a + b, 2) for a, b in zip(TIMES, [*TIMES[1:], 233], strict=True)]
    wanted = [Fraction(time, 1000) for pair in zip(TIMES, middles, strict=True) for time in pair]
    assert [frame.time for frame in frames] == wanted
    for number, frame in enumerate(frames):
        own = slice(1 - number % 2, None, 2)  # the odd rows come first
        assert np.array_equal(frame.planes[0].numpy()[own], moving(number / 2)[own])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_fields_of_a_single_picture_have_half_its_time(tmp_path: Path, name: str):
    frames, _, _ = read(make_video(tmp_path / name, pts=[0], last=3600), "bob")
    assert [(frame.time, frame.duration) for frame in frames] == [
        (0, Fraction(1, 50)),
        (Fraction(1, 50), Fraction(1, 50)),
    ]


@pytest.mark.parametrize("top_first", [True, False])
def test_the_order_of_unmarked_fields_is_found(tmp_path: Path, top_first: bool):
    source = video(tmp_path / "a.mkv", woven(changing, 20, top_first=top_first))
    frames, _, _ = read(source, "bob")
    assert len(frames) == 40
    for number, frame in enumerate(frames):
        own = slice(number % 2 if top_first else 1 - number % 2, None, 2)
        assert np.array_equal(frame.planes[0].numpy()[own], changing(number / 2)[own])


def test_film_comes_out_of_video_as_it_went_in(tmp_path: Path):
    source = video(tmp_path / "a.mp4", telecined(24), "yuv420p")
    with open_reader(source, deinterlace="ivtc") as reader:
        assert (reader.info.rate, reader.info.frames) == (Fraction(24000, 1001), 24)
        frames = list(reader)
    assert [frame.time for frame in frames] == [n * Fraction(1001, 24000) for n in range(24)]
    found = [frame.planes[0].numpy().astype(int) for frame in frames]
    originals = [to_limited(changing(index)) for index in range(24)]
    nearest = [int(np.argmin([np.abs(x - y).mean() for y in originals])) for x in found]
    assert nearest == sorted(set(nearest))  # each picture of film once, in order
    assert len(nearest) == 24
    assert all(np.abs(x - originals[n]).max() <= 1 for x, n in zip(found, nearest, strict=True))


def to_limited(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.round(16 + codes.astype(float) * 219 / 255).astype(int)


def test_what_is_no_film_in_video_is_refused(tmp_path: Path):
    ten = video(tmp_path / "ten.mkv", telecined(8), "yuv420p10le")
    with pytest.raises(MediaError, match="expected YCbCr of 8 bits for ivtc, got yuv420p10le"):
        read(ten, "ivtc")
    with av.open(str(tmp_path / "pal.mkv"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        for index in range(4):
            picture = av.VideoFrame.from_ndarray(changing(index), "gray")
            output.mux(stream.encode(picture.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(MediaError, match="29.97 frames a second for ivtc, got 25.00"):
        read(tmp_path / "pal.mkv", "ivtc")
    with pytest.raises(MediaError, match="expected a video file to deinterlace"):
        open_reader(tmp_path, deinterlace="bob")


def stripes(time: float) -> NDArray[np.uint8]:
    """Fine horizontal stripes behind which a box moves."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    box = np.abs(x - 8 - 2 * time) < 6
    return np.where(y % 2, 200, np.where(box, 90, 50)).astype(np.uint8)


def scrolled(time: float) -> NDArray[np.uint8]:
    """Lines that differ from each other, one line higher from picture to picture."""
    lines = np.random.default_rng(0).integers(40, 210, 200)
    return lines[int(time) : int(time) + SIZE[1], None].repeat(SIZE[0], 1).astype(np.uint8)


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        (woven(changing, 20, top_first=True), "bob or, if it was film, ivtc"),
        (woven(changing, 20, top_first=False), "bob or, if it was film, ivtc"),
        (telecined(20), "bob or, if it was film, ivtc"),
        ([changing(n) for n in range(20)], ""),
        ([stripes(n) for n in range(20)], ""),
        ([scrolled(n) for n in range(20)], ""),
        ([still(0)] * 20, ""),
        ([np.full(SIZE[::-1], 90, np.uint8)] * 20, ""),
    ],
    ids=["tff", "bff", "telecine", "whole", "stripes", "scroll", "still", "flat"],
)
def test_combing_that_is_not_marked_is_said(
    tmp_path: Path, pictures: list[NDArray[np.uint8]], said: str
):
    _, warnings, interlaced = read(video(tmp_path / "a.mkv", pictures))
    assert not interlaced
    assert len(warnings) == bool(said)
    assert all(
        line.endswith(f"show two moments each: deinterlace it with {said}") for line in warnings
    )


@pytest.mark.parametrize(("mode", "count"), [("bob", 50), ("ivtc", 20)])
def test_another_number_of_frames_is_planned_resumed_and_checked(
    tmp_path: Path, mode: str, count: int
):
    source = video(tmp_path / "a.mp4", telecined(20), "yuv420p")
    whole = tmp_path / "whole.mp4"
    told: list[str] = []
    summary = restore_video(Identity(), source, whole, deinterlace=mode, say=told.append)
    assert summary.frames == count
    (said,) = summary.warnings
    assert told == [said]
    assert said.startswith("the video is deinterlaced: ")
    job = Job(source, tmp_path / "b.mp4", Excerpt(deinterlace=mode))
    assert make_plan(Identity(), job, None).frames == count
    stops = iter([True])
    with pytest.raises(Stopped):
        restore_job(Identity(), job, segment=8, stop=lambda: next(stops))
    with pytest.raises(MediaError, match=f"begun with deinterlacing {mode}, and now it is auto"):
        restore_job(Identity(), replace(job, excerpt=Excerpt()), segment=8)
    assert restore_job(Identity(), job, segment=8).resumed > 0
    assert video_times(job.target) == video_times(whole)
    piece = replace(job.excerpt, start=Fraction(1, 4), end=Fraction(1, 2))
    with piece.open(source) as reader:
        assert len(list(reader)) == reader.info.frames == round(reader.info.rate / 4)
    check = check_video(source, tmp_path / "c.mp4", deinterlace=mode)
    assert check.failures == []
    assert (check.frames, check.equal) == (count, True)
