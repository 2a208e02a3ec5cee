"""s2svr tune: what is seen of a film, what is advised, and that commands and picture are right."""

import json
import re
import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from media_clips import make_video
from s2svr.checkpoint import load
from s2svr.cli.app import app
from s2svr.cli.tune import film_lines
from s2svr.media import MediaError, open_reader
from s2svr.restoration import Job
from s2svr.tuning import (
    FilmFacts,
    advise,
    fitting_tasks,
    look_at,
    tune,
    tune_video,
    usual_target,
)
from s2svr.tuning.advice import Advice
from s2svr.tuning.film import SPAN, frames_at, with_damage
from s2svr.tuning.sheet import GAP, LINE, STRENGTHS, ZOOM
from s2svr.tuning.trial import Candidate, Network
from s2svr.writing import parse_output, write_png

FILM = FilmFacts(
    width=160, height=90, rate=25.0, frames=1000, codec="h264", lossy=True, interlaced="no",
    cuts=0, looked=104, noise=1.0, halved=30.0, coded=38.0, step=None, blur=0.0,
    steadiest=Fraction(0), busiest=[Fraction(1)],
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "task"),
    [
        ({}, "sr"),
        ({"coded": 33.0}, "upscale"),
        # Steps of 8 leave 40.9 dB, 9.9 more than half the size keeps; steps of 11 leave 38.1.
        ({"coded": 33.0, "step": 8.0, "halved": 31.0}, "sr"),
        ({"coded": 40.0, "step": 11.0, "halved": 31.0}, "upscale"),
        ({"coded": 40.0, "step": 21.0, "halved": 21.9}, "sr"),  # much fine detail bears more
        ({"coded": 40.0, "step": 11.0, "width": 1920, "height": 1080}, "sr"),  # not by the steps
        ({"lossy": False, "coded": 34.7}, "sr"),  # a clean clip of 160x90
        ({"lossy": False, "coded": 33.0}, "upscale"),
        ({"blur": 4.0, "coded": 33.0}, "deblur"),
        ({"blur": 4.75, "noise": 16.6}, "sr"),  # leaves: as fine as noise, so they are sharp
        ({"blur": 0.7, "coded": 28.0}, "upscale"),  # coarse coding looks a little like blur
        ({"width": 640, "height": 360, "coded": 35.0}, "upscale"),
        ({"width": 640, "height": 360, "coded": 31.0}, "compression"),
        ({"width": 1920, "height": 1080, "coded": 35.0}, "compression"),
        ({"width": 1920, "height": 1080, "coded": 40.0}, "sr"),
        ({"interlaced": "marked", "coded": 36.8}, "upscale"),
        ({"interlaced": "marked", "coded": 36.8, "halved": 22.0}, "sr"),  # made up lines are less
        ({"width": 1920, "height": 1080, "interlaced": "marked", "coded": 40.0}, "sr"),
        ({"width": 854, "height": 480, "coded": 35.5}, "upscale"),
        ({"width": 480, "height": 854, "coded": 35.5}, "upscale"),  # upright
    ],
)
def test_the_task_fits_the_film(changes: dict[str, Any], task: str) -> None:
    film = replace(FILM, **changes)
    assert advise(film, None).task == task
    assert fitting_tasks(film, advise(film, None), None)[0] == task
    assert advise(film, "deblur") == ("deblur", "--task")
    assert fitting_tasks(film, advise(film, "deblur"), "deblur") == ["deblur"]


def moving(path: Path, blur: int) -> Path:
    """Thirty frames of 128x96: noise that moves 3 pixels a frame, each the mean of ``blur``."""
    import av

    texture = torch.nn.functional.interpolate(
        torch.rand(1, 1, 48, 160, generator=torch.Generator().manual_seed(0)), scale_factor=2.0,
        mode="bilinear",
    )[0, 0]  # fmt: skip
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(30):
            views = [texture[:, 3 * (index + k) : 3 * (index + k) + 128] for k in range(blur)]
            picture = av.VideoFrame(128, 96, "yuv420p")
            for plane in picture.planes:
                torch.from_dlpack(plane).fill_(128)
            mean = 40 + 150 * torch.stack(views).mean(0)
            torch.from_dlpack(picture.planes[0]).copy_(mean.round().to(torch.uint8))
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("blur", "found"), [(1, False), (7, True)])
def test_motion_blur_is_seen(tmp_path: Path, blur: int, found: bool) -> None:
    film, job = look_at(Job(moving(tmp_path / "a.mkv", blur), tmp_path / "b.mkv"))
    assert (film.width, film.height, film.frames, film.lossy) == (128, 96, 30, False)
    assert {film.steadiest, *film.busiest} == {Fraction(0), Fraction(17, 25)}
    assert len(film.busiest) == 1  # no moment twice
    moments = [frames_at(job, start) for start in (*film.busiest, film.steadiest)]
    assert {len(frames) for frames in moments} == {SPAN}
    film = with_damage(film, moments, load("deblur-light"), load("compression-light"))
    assert (advise(film, None).task == "deblur") is found
    assert (film.blur > 1.5) is found


class Enlarge(nn.Module):
    """Repeats pixels."""

    lookahead, scale = 0, 4

    def forward(
        self, x: Tensor, memory: None = None, lookahead: int = 0
    ) -> tuple[Tensor, tuple[()]]:
        return x.repeat_interleave(4, -1).repeat_interleave(4, -2), ()


@pytest.fixture
def film(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A film in the current folder, and stand-ins for the networks that enlarge."""
    monkeypatch.setattr(tune, "load", lambda name: Enlarge() if "sr" in name else load(name))
    monkeypatch.chdir(tmp_path)
    return make_video(tmp_path / "a b.mp4")


def test_commands_can_be_given_and_the_picture_shows_all(film: Path, tmp_path: Path) -> None:
    words = ["tune", str(film), "--device", "cpu", "--crf", "30", "--scale", "1.5", "--task", "sr"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [offer["name"] for offer in found["offers"]] == ["fast", "best"]
    for offer in found["offers"]:
        command = shlex.split(offer["command"])
        assert command[:4] == ["s2svr", "restore", str(film), str(tmp_path / "a b-restored.mp4")]
        assert command[4:] == [
            "--task", "sr", "--quality", offer["name"], "--device", "cpu", "--crf", "30",
            "--scale", "3/2",
        ]  # fmt: skip
        assert 0 < offer["seconds"] < 60
        assert offer["candidate"]["size"] == [96, 72]
    assert (found["recommended"], found["left_out"]) == ("best", [])
    assert re.fullmatch(r"the best one takes about 0:\d\d", found["why"])
    with open_reader(tmp_path / "a b-tune.png") as picture:  # 2 originals, 2 candidates, strengths
        columns, rows = 4 + len(STRENGTHS), len({*found["film"]["busiest"], 0})
        assert picture.info.width == 9 * LINE + GAP + columns * (64 * ZOOM + GAP)
        assert picture.info.height >= 2 * LINE + rows * (48 * ZOOM + GAP)
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "a b-tune.png is there already: give another --picture, or --overwrite" in again.stderr


def test_a_place_that_takes_no_picture_is_said_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path / "never.mp4", tmp_path / "b.mp4")
    place = tmp_path / "nodir" / "x.png"
    with pytest.raises(MediaError, match=r"x.png cannot be written \(No such .*: give an"):
        tune_video(job, place)
    with pytest.raises(MediaError, match=r"cannot be written \(Is a directory\)"):
        tune_video(replace(job, overwrite=True), tmp_path)
    with pytest.raises(MediaError, match="never.mp4"):
        tune_video(job, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_commands_hold_names_that_look_like_options() -> None:
    advice = Advice("sr", "it is small")
    candidate = Candidate(Network("sr", "fast", "sr-light"))
    job = Job(Path("./-dash.mp4"), Path("./-dash-restored.mp4"))
    (offer,) = tune.offers_of([candidate], advice, job, [])
    assert shlex.split(offer.command)[2:4] == ["./-dash.mp4", "./-dash-restored.mp4"]


def test_what_time_does_not_allow_is_said(film: Path, tmp_path: Path) -> None:
    found = tune_video(Job(film, tmp_path / "b.mp4"), None, budget=0.0)
    assert len(found.left_out) == len(found.candidates) == 7
    assert found.left_out[0].endswith(": no time was left to try it")
    assert [offer.seconds for offer in found.offers] in ([None], [None, None])
    assert found.recommended == "fast"


def test_unmarked_interlaced_video_is_deinterlaced(film: Path, tmp_path: Path) -> None:
    import av

    path = tmp_path / "woven.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        x = torch.arange(128)
        for index in range(30):
            picture = av.VideoFrame(128, 96, "yuv420p")
            for plane in picture.planes:
                torch.from_dlpack(plane).fill_(128)
            luma = torch.from_dlpack(picture.planes[0])
            for field in (0, 1):
                row = 120 + 50 * torch.sin((x - 3 * (2 * index + field)) / 9.0)
                luma[field::2] = row.round().to(torch.uint8)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    seen, job = look_at(Job(path, tmp_path / "b.mkv"))
    assert (seen.interlaced, job.excerpt.deinterlace) == ("seen", "bob")
    assert seen.rate == 50


def test_a_moment_is_shown_once(film: Path, tmp_path: Path) -> None:
    seen, _ = look_at(Job(film, tmp_path / "b.mkv"))
    assert (seen.steadiest, seen.busiest) == (0, [])
    assert film_lines(seen)[-1] == "one moment, at 0:00"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("film.mkv", "film-restored.mkv"),
        ("film.avi", "film-restored.mp4"),
        ("photo.png", "photo-restored.png"),
        ("photo.qoi", "photo-restored.png"),
        ("shots.v2/", "shots-v2-restored"),
        ("moving.webp", "moving-restored.webp"),
        ("pages.tif", "pages-restored"),
    ],
)
def test_the_output_is_of_the_kind_of_the_source(tmp_path: Path, source: str, target: str) -> None:
    path = tmp_path / source
    if path.suffix in (".mkv", ".avi"):
        make_video(path, codec="ffv1", pts=[0, 1], time_base=Fraction(1, 25), last=1)
    elif source in ("pages.tif", "moving.webp"):
        first, second = (Image.new("RGB", (32, 24), color) for color in ("red", "blue"))
        first.save(path, save_all=True, append_images=[second])
    else:
        folder = source.endswith("/")
        if folder:
            path.mkdir()
        place = path / "1.png" if folder else path
        write_png(place.with_suffix(".png"), torch.rand(3, 24, 32))
        place.with_suffix(".png").rename(place)  # what it is, its bytes say
    assert usual_target(path) == tmp_path / target
    parse_output(usual_target(path))


@pytest.mark.parametrize("count", [1, 3])
def test_images_are_timed_and_get_a_folder_or_an_image(
    film: Path, tmp_path: Path, count: int
) -> None:
    source = tmp_path / ("shots" if count > 1 else "shot.png")
    if count > 1:
        source.mkdir()
    for index in range(count):
        write_png(source / f"{index}.png" if count > 1 else source, torch.rand(3, 24, 32))
    job = Job(source, usual_target(source))
    found = tune_video(job, None, task="sr", quality="fast")
    (offer,) = found.offers
    assert offer.seconds is not None
    assert offer.candidate.size == (128, 96)
    assert found.left_out == []
    assert offer.command.endswith(f"{job.target} --task sr --quality fast")


def test_sets_of_options_go_into_the_commands(film: Path, tmp_path: Path) -> None:
    """What they set is tried, and they are named; options of restore alone are handed on."""
    mine = tmp_path / "mine.toml"
    mine.write_text('profile = "vhs"\naudio = "none"\nquality = "fast"\nscale = 2\n')
    words = ["tune", str(film), "--config", str(mine), "--strength", "0.5", "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    (offer,) = json.loads(result.stdout)["offers"]
    assert shlex.split(offer["command"])[4:] == [
        "--task", "upscale", "--quality", "fast", "--device", "cpu", "--strength", "0.5",
        "--config", str(mine),
    ]  # fmt: skip
    assert offer["candidate"]["size"] == [128, 96]
    (tmp_path / "a b-tune.png").unlink()
    mine.write_text("heigth = 3")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "window; got 'heigth'" in result.stderr


@pytest.mark.parametrize("command", ["tune", "degrade"])
def test_pipes_are_refused_and_not_promised(tmp_path: Path, command: str) -> None:
    words = [command, "-"] + ["b.mkv", "--bicubic"] * (command == "degrade")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "- stands for a pipe, and only files are read: write it to a file first" in result.stderr
    assert "standard input" not in CliRunner().invoke(app, [command, "--help"]).stdout
