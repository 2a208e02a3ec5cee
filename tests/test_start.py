"""What can be known before the first frame is restored: names, encoders and containers."""

import os
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from media_clips import make_sound, make_video
from networks import TINY
from s2svr import S2SVR, Card, MediaError, bundled, restore_video, save
from s2svr.cli.app import app
from s2svr.files import hidden_beside, whole
from s2svr.media import Frame, open_reader
from s2svr.restoration import Job
from s2svr.restoration.plan import make_plan
from s2svr.restoration.verify import Identity
from s2svr.writing import OutputFormat, WorkPolicy, open_writer
from s2svr.writing import begins as begins_module
from s2svr.writing import encoder as encoder_module
from s2svr.writing import sphere as sphere_module
from s2svr.writing.codecs import Coding

FEW = [3003 * n for n in range(4)]


class Unused(Identity):
    """A backend that must not be asked for a frame."""

    def run(self, frames: object, memory: None, ahead: int, flows: None = None) -> tuple:
        raise AssertionError("a frame was restored")


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Names


@pytest.mark.parametrize("name", ["Film: one.mp4", "http:b.mkv", "a/b: c.webm", "file:x.ts"])
def test_a_colon_in_a_relative_name_is_a_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    source = make_video(tmp_path / "a.mp4", pts=FEW, sound=["aac"]).rename("in: 1.mp4")
    assert restore_video(Identity(), Path(source.name), Path(name)).frames == 4
    with open_reader(Path(name)) as reader:
        assert sum(1 for _ in reader) == 4


# 255 bytes is the longest name of a file on Linux, macOS and Windows.
@pytest.mark.parametrize("letter", ["x", "é", "字", "🎬"])
def test_the_longest_name_is_written(tmp_path: Path, letter: str):
    source = make_video(tmp_path / "a.mp4", pts=FEW)
    count = (255 - len(".mp4")) // len(letter.encode())
    target = tmp_path / f"{letter * count}.mp4"
    for overwrite in (False, True):
        assert restore_video(Identity(), source, target, overwrite=overwrite).frames == 4
    assert listing(tmp_path) == sorted(["a.mp4", target.name])
    with pytest.raises(MediaError, match="cannot be written: File name too long"):
        restore_video(Unused(), source, tmp_path / f"{'x' * 252}.mp4")
    ran = CliRunner().invoke(app, ["restore", str(source), str(tmp_path / f"{'x' * 252}.mp4")])
    assert ran.exit_code == 2
    assert "File name too long" in ran.output


def test_long_names_that_begin_alike_have_work_folders_of_their_own(tmp_path: Path):
    one, two = (hidden_beside(tmp_path / f"{'字' * 82}{end}.mp4", "-s2svr") for end in "ab")
    assert one != two
    assert all(len(os.fsencode(path.name)) <= 255 for path in (one, two))
    assert one.name.endswith("-s2svr")
    assert hidden_beside(tmp_path / "b.mp4", "-s2svr").name == ".b.mp4-s2svr"
    with whole(tmp_path / f"{'x' * 251}.npy") as place:
        assert place.suffix == ".npy"
        place.write_bytes(b"1")


# Encoders and containers


def test_what_an_encoder_refuses_is_refused_before_a_frame_is_restored(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=FEW)
    output = OutputFormat(20000, 48)  # libx264 takes 16384 pixels a side
    with open_reader(source) as reader, pytest.raises(MediaError, match="20000x48 pixels"):
        open_writer(tmp_path / "b" / "c.mp4", reader=reader, output=output)
    assert listing(tmp_path) == ["a.mp4"]


def test_what_is_refused_is_so_before_the_plan_and_leaves_nothing(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=FEW)
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(MediaError, match="cannot be written"):
        make_plan(Unused(), Job(source, tmp_path / "file" / "b.mp4"), None)
    make_plan(Identity(), Job(source, tmp_path / "new" / "folder" / "b.mp4"), None)
    assert listing(tmp_path) == ["a.mp4", "file"]


def test_a_rehearsal_leaves_nothing_and_keeps_what_is_there(tmp_path: Path):
    source = make_sound(tmp_path / "a.mkv", "ac3")
    target = tmp_path / "new" / "b.mp4"
    with open_reader(source) as reader:
        for suffix in (".mp4", ".webm", ".mkv", ".ts"):
            output = OutputFormat(64, 48)
            open_writer(target.with_suffix(suffix), reader=reader, output=output).discard()
        policy = WorkPolicy(lasting=True)
        writer = open_writer(target, reader=reader, output=output, policy=policy)
        assert listing(tmp_path) == ["a.mkv", "new", "new/.b.mp4-s2svr", "new/.b.mp4-s2svr/lock"]
        writer.discard()
    assert listing(tmp_path) == ["a.mkv"]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_rehearsal_opens_the_encoder_once_and_encodes_no_large_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
):
    """A frame of 4K takes x265 seconds; what is tried with it is told by a small one."""
    opened, encoded = [], []
    genuine, write = encoder_module.open_encoder, encoder_module.VideoEncoder.write

    def opening(context: av.VideoCodecContext, coding: Coding) -> None:
        opened.append((coding.width, coding.height))
        genuine(context, coding)

    for module in (encoder_module, sphere_module):
        monkeypatch.setattr(module, "open_encoder", opening)

    def writing(encoder: encoder_module.VideoEncoder, frame: Frame) -> None:
        encoded.append(tuple(frame.planes[0].shape))
        write(encoder, frame)

    monkeypatch.setattr(encoder_module.VideoEncoder, "write", writing)
    source = make_sound(tmp_path / "a.mkv", "ac3")
    with open_reader(source) as reader:
        output = OutputFormat(640, 480, codec=codec)
        open_writer(tmp_path / "b.mp4", reader=reader, output=output).discard()
    assert opened.count((640, 480)) == 1
    assert set(opened) == {(640, 480), (256, 256)}
    assert encoded == [(256, 256)]


def test_a_track_whose_packets_the_container_refuses_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A header that is accepted is not enough: a muxer can refuse every packet."""
    source = make_sound(tmp_path / "a.mkv", "eac3")
    genuine = begins_module.made_of

    def spoilt(route: begins_module.Route, packets: list) -> list:
        made = list(genuine(route, packets))
        if not route.codec:
            for packet in made:
                packet.dts = packet.pts + 5  # shown before it is decoded
        return made

    monkeypatch.setattr(begins_module, "made_of", spoilt)
    with open_reader(source) as reader:
        writer = open_writer(tmp_path / "b.mp4", reader=reader, output=OutputFormat(64, 48))
        writer.discard()
    said = "audio track 1 (eac3) is converted to aac: mp4 cannot hold it"
    assert said in writer.warnings


# What is said


def test_the_list_of_models_fits_a_terminal(tmp_path: Path):
    weights = tmp_path / f"{'long' * 20}.safetensors"
    save(
        weights,
        S2SVR(TINY),
        Card(task="sr", notes="n" * 300, gain_db=1.25),
    )
    lines = CliRunner().invoke(app, ["models", str(weights)]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["name", "task", "parameters", "bytes", "gain_db", "error"]
    assert lines[-1].split()[0] == "longlonglongl...glonglonglong"
    assert lines[-1].split()[-1] == "1.250"
    assert len(lines) == len(bundled()) + 2
