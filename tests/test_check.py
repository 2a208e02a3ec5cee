"""What a video's way through the program keeps: proved by the check, and the check proved too."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from av.stream import Disposition
from typer.testing import CliRunner

from media_clips import VARIABLE, make_video, payloads
from s2svr.cli.app import app
from s2svr.color import to_rgb
from s2svr.media import open_reader
from s2svr.media.errors import MediaError
from s2svr.restoration import verify as checking
from s2svr.restoration.verify import Check, check_video
from s2svr.restoration.video import restore_video
from s2svr.writing.inspect import inspect_file

STEADY = [0, 3003, 6006]
QUICK = {"deadline": "realtime", "cpu-used": "8"}


def fates(check: Check) -> dict[str, str]:
    return {row.what: row.fate for row in check.rows}


def reasons(check: Check) -> dict[str, str]:
    return {row.what: row.why for row in check.rows if row.fate in ("dropped", "converted")}


def noise(path: Path, form: str, count: int = 2) -> Path:
    """A video of random codes, most of which are outside the cube of RGB."""
    generator = torch.Generator().manual_seed(3)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 40, form
        for _ in range(count):
            picture = av.VideoFrame(48, 40, form)
            for plane in picture.planes:
                target = torch.from_dlpack(plane)
                top = 256 if target.dtype == torch.uint8 else 1024
                codes = torch.randint(0, top, target.shape, generator=generator)
                target.copy_(codes.to(target.dtype))
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("form", ["yuv444p", "yuv444p10le", "bgra", "gray", "gray10le"])
def test_every_code_without_subsampling_survives(tmp_path: Path, form: str):
    check = check_video(noise(tmp_path / "a.mkv", form), tmp_path / "b.mkv")
    assert check.equal
    assert check.failures == []


@pytest.mark.parametrize(
    ("name", "codec", "sound", "texts"),
    [
        ("a.mp4", "libx264", ["aac", "ac3"], ["mov_text"]),
        ("a.mov", "libx264", ["aac", "pcm_s16le"], []),
        ("a.mkv", "libx264", ["libopus", "flac"], ["subrip", "ass"]),
        ("a.webm", "libvpx-vp9", ["libopus"], ["webvtt"]),
        ("a.ts", "libx264", ["mp2", "aac"], []),
    ],
)
def test_a_container_keeps_all_that_it_held(
    tmp_path: Path, name: str, codec: str, sound: list[str], texts: list[str]
):
    source = make_video(
        tmp_path / name, codec=codec, pts=[stamp + 4711 for stamp in VARIABLE], sound=sound,
        texts=texts, chapters=name != "a.ts", tags=(1, 1, 1, 1),
        metadata={} if name == "a.ts" else {"title": "Harbour", "artist": "Nobody", "mine": "x"},
        options=QUICK if name == "a.webm" else None,
    )  # fmt: skip
    check = check_video(source, tmp_path / f"out{source.suffix}")
    assert check.failures == []
    assert check.equal
    assert set(fates(check).values()) - {"added"} <= {"kept", "converted"}
    assert [row.what for row in check.rows if row.fate == "converted"] in ([], ["codec"])
    for number in range(len(sound)):
        old, new = (payloads(path, "audio", number) for path in (source, check.target))
        assert [bare(data) for _, data in old] == [bare(data) for _, data in new]


def bare(data: bytes) -> bytes:
    """AAC without the header that MPEG-TS needs before each packet."""
    return data[7:] if data[:2] == b"\xff\xf1" else data


def test_sound_is_the_same_within_mp4_and_ts(tmp_path: Path):
    source = make_video(tmp_path / "a.ts", pts=STEADY, sound=["aac"])
    check = check_video(source, tmp_path / "b.mp4")
    assert fates(check)["audio 1"] == "kept"
    old, new = payloads(source, "audio"), payloads(check.target, "audio")
    assert old[0][1] != new[0][1]
    assert [bare(data) for _, data in old] == [data for _, data in new]


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4"])
def test_chapters_stay_with_the_video_where_sound_begins_early(tmp_path: Path, name: str):
    source = make_video(tmp_path / "a.mp4", pts=[*STEADY, 90000], sound=["aac"], chapters=True)
    check = check_video(source, tmp_path / name)
    assert check.failures == []
    assert {fate for what, fate in fates(check).items() if "chapter" in what} == {"kept"}
    assert (check.shift > Fraction(1, 100)) == (name == "b.mkv")  # the hidden sound before 0


@pytest.mark.parametrize(("tags", "full"), [((1, 9, 9, 16), False), ((2, 5, 5, 6), True)])
def test_prores_says_its_colours(tmp_path: Path, tags: tuple[int, int, int, int], full: bool):
    source = make_video(
        tmp_path / "a.mkv", codec="ffv1", form="yuv422p10le", pts=STEADY, tags=tags, options={}
    )
    found = restore_video(checking.Identity(), source, tmp_path / "b.mov", codec="prores")
    old, new = inspect_file(source).picture, inspect_file(tmp_path / "b.mov").picture
    kinds = ("matrix", "primaries", "transfer")
    assert [new[kind] for kind in kinds] == [old[kind] for kind in kinds]
    assert found.warnings == ["the full range is written as a limited range"] * full
    with open_reader(source) as before, open_reader(tmp_path / "b.mov") as after:
        first, second = (to_rgb(f.planes, f.color) for f in (next(before), next(after)))
    assert (first - second).abs().mean() < 0.01


def test_every_loss_has_its_reason(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mkv", sound=["flac"], texts=["ass"], attachment=True, chapters=True,
        metadata={"title": "Harbour"},
    )  # fmt: skip
    check = check_video(source, tmp_path / "b.ts")
    assert check.failures == []
    found = reasons(check)
    assert "converted to aac" in found["audio 1"]
    assert "left out: mpegts" in found["subtitle 2"]
    assert "left out: mpegts" in found["attachment 3"]
    assert "the metadata title are not written" in found["metadata title"]
    assert "every chapter is left out" in found["chapter 2 (two)"]
    check = check_video(source, tmp_path / "b.mov")
    assert check.failures == []
    assert "language swe is not written: mov" in reasons(check)["subtitle 2 language"]


def test_titles_and_flags_of_tracks_survive(tmp_path: Path):
    plain = make_video(tmp_path / "plain.mkv", pts=STEADY, sound=["aac", "aac"])
    source = tmp_path / "a.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        made = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        made[1].metadata["title"], made[2].metadata["title"] = "Talk", "By the director"
        made[2].disposition = Disposition.comment
        for packet in old.demux():
            if packet.size:
                packet.stream = made[packet.stream_index]
                new.mux(packet)
    for first, second, fate in [
        ("a.mkv", "b.mp4", "kept"),
        ("b.mp4", "c.mp4", "kept"),
        ("c.mp4", "d.mkv", "kept"),
        ("a.mkv", "b.mov", "dropped"),
    ]:
        check = check_video(tmp_path / first, tmp_path / second)
        assert check.failures == []
        assert fates(check)["audio 1 title"] == fates(check)["audio 2 title"] == "kept"
        assert fates(check)["audio 2 disposition"] == fate


def test_a_loss_without_a_word_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_video(tmp_path / "a.mkv", pts=STEADY, sound=["flac"])

    def silent(*rest, **options):
        return replace(restore_video(*rest, **options), warnings=[])

    monkeypatch.setattr(checking, "restore_video", silent)
    check = check_video(source, tmp_path / "b.mp4")
    assert check.holds  # mp4 takes FLAC
    check = check_video(source, tmp_path / "b.mov")
    assert check.failures == ["audio 1: converted, and nothing was said"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda x: x * 0.98, "pictures: expected more than 50 dB"),
        (lambda x: torch.cat([x[:, :1], x[:, :-1]], 1), "pictures: expected more than 50 dB"),
    ],
)
def test_a_changed_picture_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, wanted: str
):
    class Changed(checking.Identity):
        def run(self, frames, memory, ahead, flows=None):
            return change(frames)[0], None

    monkeypatch.setattr(checking, "Identity", Changed)
    check = check_video(make_video(tmp_path / "a.mp4", pts=STEADY), tmp_path / "b.mp4")
    assert len(check.failures) == 1
    assert check.failures[0].startswith(wanted)


def test_moved_frames_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_video(tmp_path / "a.mp4", pts=STEADY, sound=["aac"])
    other = make_video(tmp_path / "c.mp4", pts=[0, 3003, 6506], sound=["aac"])

    def swapped(model, source, target, **options):
        summary = restore_video(model, other, target, **options)
        return replace(summary, source=source)

    monkeypatch.setattr(checking, "restore_video", swapped)
    check = check_video(source, tmp_path / "b.mp4")
    assert check.deviation == Fraction(500, 90000)
    assert "times: frames are up to 0.005556 s away" in check.failures


def test_a_missing_frame_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_video(tmp_path / "a.mkv", codec="ffv1", options={}, pts=[0, 3000, 6000])
    other = make_video(tmp_path / "c.mkv", codec="ffv1", options={}, pts=[0, 3000])
    monkeypatch.setattr(
        checking, "restore_video",
        lambda model, source, target, **rest: restore_video(model, other, target, **rest),
    )  # fmt: skip
    check = check_video(source, tmp_path / "b.mkv")
    assert "frames: the output has only 2" in check.failures
    assert "times: expected 3 frames with times, got 2" in check.failures


def test_the_command_line_prints_the_table(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=STEADY, sound=["flac"], attachment=True)
    command = ["restore", "--check", str(source), str(tmp_path / "b.mp4")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert "attachment 2" in result.stdout
    assert "all of it holds" in result.stdout
    result = CliRunner().invoke(app, [*command, "--overwrite", "--json"])
    found = json.loads(result.stdout)
    assert found["holds"] is True
    assert {
        "what": "codec",
        "source": "h264",
        "output": "h264",
        "fate": "kept",
        "why": "",
    } in found["rows"]
    result = CliRunner().invoke(app, [*command, "--overwrite", "--codec", "mpeg1"])
    assert result.exit_code != 0


def test_options_that_a_check_would_not_heed_are_refused(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=STEADY)
    target = tmp_path / "b.mkv"
    command = ["restore", "--check", str(source), str(target), "--start", "1", "--crf", "20"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert "got --crf, --start beside it" in str(result.exception) + result.output
    assert not target.exists()


def test_what_is_no_video_file_is_refused(tmp_path: Path):
    with pytest.raises(MediaError, match="expected two video files to check, got .* and .*"):
        check_video(tmp_path, tmp_path / "b.mkv")
