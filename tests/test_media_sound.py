"""Sound: whatever decodes comes out, with its channels in their places and its length."""

import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from media_clips import LOUDNESS, hear, make_sound, payloads
from s2svr.cli.app import app
from s2svr.restoration import check_video, restore_video
from s2svr.restoration.verify import Identity
from s2svr.writing import mux, writer
from s2svr.writing.audio import Shape, choose_shape
from s2svr.writing.holding import keep_order
from s2svr.writing.tracks import Companions

SLACK = 0.1  # seconds by which the length may differ
MISREAD = "QuickTime, browsers and television sets play no PCM in mp4"


def convert(source: Path, target: Path) -> list[str]:
    """Send a file through the program with a model that changes nothing; return the warnings."""
    found = restore_video(Identity(), source, target)
    assert found.damage == []
    return found.warnings


# name, codec, layout, rate, video -> suffix, layout and rate wanted, words of the warning
MATRIX = [
    ("a.avi pcm_s16le stereo 44100 mjpeg", ".mp4", "stereo", 44100,
     f"(pcm_s16le) is converted to aac (2 channels as stereo): {MISREAD}"),
    ("a.avi pcm_s16le stereo 44100 mjpeg", ".ts", "stereo", 44100,
     "(pcm_s16le) is converted to aac (2 channels as stereo): mpegts cannot hold it"),
    ("a.avi pcm_u8 mono 22050 mjpeg", ".mp4", "mono", 22050,
     f"(pcm_u8) is converted to aac (1 channels as mono): {MISREAD}"),
    ("a.avi pcm_u8 stereo 44100 mjpeg", ".webm", "stereo", 48000,
     "is converted to libopus (2 channels as stereo, 44100 Hz as 48000 Hz): webm cannot hold it"),
    ("a.mxf pcm_s16le stereo 48000 mpeg2video", ".mp4", "stereo", 48000,
     "is converted to aac (2 channels as stereo)"),
    ("a.wmv wmav2 stereo 44100 wmv2", ".mp4", "stereo", 44100,
     "(wmav2) is converted to aac (2 channels as stereo): mp4 cannot hold it"),
    ("a.wmv wmav2 stereo 44100 wmv2", ".ts", "stereo", 44100, "is converted to aac"),
    ("a.avi adpcm_ima_wav stereo 44100 mjpeg", ".mp4", "stereo", 44100, "is converted to aac"),
    ("a.avi adpcm_ms mono 44100 mjpeg", ".ts", "mono", 44100, "is converted to aac"),
    ("a.mkv ac3 5.1(side) 48000 mpeg4", ".webm", "5.1", 48000,
     "(ac3) is converted to libopus (5.1(side) as 5.1): webm cannot hold it"),
    ("a.mkv eac3 5.1(side) 48000 mpeg4", ".webm", "5.1", 48000, "(5.1(side) as 5.1)"),
    ("a.mkv flac 5.1(side) 192000 mpeg4", ".mov", "5.1", 96000,
     "is converted to aac (5.1(side) as 5.1, 192000 Hz as 96000 Hz): mov cannot hold it"),
    ("a.mkv flac stereo 192000 mpeg4", ".webm", "stereo", 48000, "(192000 Hz as 48000 Hz)"),
    ("a.mkv flac 2.1 48000 mpeg4", ".mov", "2.1", 48000, "is converted to aac: mov"),
    ("a.mkv flac 2.1 48000 mpeg4", ".webm", "5.1", 48000, "(2.1 as 5.1)"),
    ("a.mkv flac 6.1 48000 mpeg4", ".mov", "7 channels", 48000, "is converted to aac: mov"),
    ("a.mkv flac 6.1 48000 mpeg4", ".webm", "7.1", 48000, "(6.1 as 7.1)"),
    ("a.mkv flac 7.1 44100 mpeg4", ".ts", "7.1", 44100, "is converted to aac: mpegts"),
    ("a.mkv flac 7.1 44100 mpeg4", ".webm", "7.1", 48000, "(44100 Hz as 48000 Hz)"),
]  # fmt: skip
# Where the channels of a source are in layouts that have more of them; "6.1" loses no sound.
PLACES = {("2.1", "5.1"): [0.1, 0.2, 0, 0.3, 0, 0]}


@pytest.mark.parametrize(("source", "suffix", "layout", "rate", "words"), MATRIX)
def test_sound_that_decodes_is_kept(
    tmp_path: Path, source: str, suffix: str, layout: str, rate: int, words: str
):
    name, codec, old, old_rate, video = source.split()
    made = make_sound(tmp_path / name, codec, old, int(old_rate), video=video)
    warnings = convert(made, tmp_path / f"b{suffix}")
    assert sum("is converted to" in line and words in line for line in warnings) == 1, warnings
    assert not any("broken" in line or "left out" in line for line in warnings)
    forms, seconds, loud = hear(tmp_path / f"b{suffix}")
    assert forms == [(layout, rate)]
    assert seconds == pytest.approx(hear(made)[1], abs=SLACK)
    count = av.AudioLayout(old).nb_channels
    if (old, layout) != ("6.1", "7.1"):
        wanted = PLACES.get((old, layout), LOUDNESS[:count])
        assert loud == pytest.approx(wanted, abs=0.05)
    else:  # the middle of the back in both sides of it
        assert loud[:4] == pytest.approx(LOUDNESS[:4], abs=0.05)
        assert loud[4:] == pytest.approx([0.35, 0.35, 0.6, 0.7], abs=0.05)


def test_more_than_sixteen_bits_stay_in_flac():
    for name, wanted in [("u8", "s16"), ("s16p", "s16"), ("s32", "s32"), ("fltp", "s32")]:
        assert choose_shape("flac", Shape("stereo", 48000, name)) == Shape("stereo", 48000, wanted)


def test_sound_without_a_layout_for_it_is_named():
    assert choose_shape("aac", Shape("30 channels", 48000, "s16")) is None


def test_a_conversion_ends_with_0_and_a_check_says_what_it_was(tmp_path: Path):
    source = make_sound(tmp_path / "a.avi", "adpcm_ima_wav", rate=44100, video="mjpeg")
    check = check_video(source, tmp_path / "b.mp4")
    assert check.failures == []
    row = next(row for row in check.rows if row.what == "audio 1")
    assert (row.fate, row.output.split()[0]) == ("converted", "aac")
    assert "converted to aac (2 channels as stereo): mp4 cannot hold it" in row.why
    command = ["restore", "--check", str(source), str(tmp_path / "c.mp4"), "--json"]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert "converted" in json.dumps(ran.stdout)


def test_sound_that_does_not_go_with_the_other_tracks_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def holds(coding: object, companions: Companions) -> bool:
        return all(route.codec for route in companions.routes)

    for module in (mux, writer):
        monkeypatch.setattr(module, "holds_all_tracks", holds)
    source = make_sound(tmp_path / "a.mkv", "ac3", "5.1(side)")
    warnings = convert(source, tmp_path / "b.mp4")
    assert warnings == [
        "audio track 1 (ac3) is converted to aac (5.1(side) as 5.1): mp4 cannot hold it"
    ]
    assert hear(tmp_path / "b.mp4")[0] == [("5.1", 48000)]


def test_only_sound_that_does_not_decode_is_called_broken(tmp_path: Path):
    whole, spoilt = make_sound(tmp_path / "a.mkv", "ac3"), tmp_path / "spoilt.mkv"
    with av.open(str(whole)) as source, av.open(str(spoilt), "w") as output:
        copies = [output.add_stream_from_template(s, opaque=True) for s in source.streams]
        for number, packet in enumerate(p for p in source.demux() if p.size):
            copy = packet
            if packet.stream_index == 1 and number % 5 == 0:
                copy = av.Packet(bytes(packet.size))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream = copies[packet.stream_index]
            output.mux_one(copy)
    count = sum(not any(data) for _, data in payloads(spoilt, "audio"))
    assert count > 0
    found = restore_video(Identity(), spoilt, tmp_path / "b.webm")
    assert found.damage == [f"packets of sound or subtitles that are broken: {count}"]


# Packets shorter than a tick


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_of_packets_shorter_than_a_tick_keeps_its_length(tmp_path: Path, suffix: str):
    source, base = tmp_path / "a.mkv", Fraction(1, 48000)
    plain = make_sound(tmp_path / "plain.mkv", seconds=0.6)
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        pictures = new.add_stream_from_template(old.streams.video[0], opaque=True)
        voice = new.add_stream("pcm_s16le", rate=48000, layout="mono")
        new.start_encoding()
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = pictures
                new.mux(packet)
        for start in range(0, 28800, 40):  # 1200 a second, as TrueHD has
            packet = av.Packet(bytes(80))
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = 40, base, voice
            new.mux(packet)
    convert(source, tmp_path / f"b{suffix}")
    before, after = payloads(source, "audio"), payloads(tmp_path / f"b{suffix}", "audio")
    assert before[-1][0] == Fraction(599, 1000)
    if suffix == ".mkv":
        assert after == before
    assert after[-1][0] == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(
    ("container", "tick", "wanted"),
    [
        ("matroska", Fraction(1, 1000), [0, 1, 1, 3, 3, 4]),
        ("mpegts", Fraction(1, 90000), [0, 90, 91, 270, 271, 360]),
        ("mov", Fraction(1, 1000), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_packet_is_moved_no_further_than_its_container_needs(
    container: str, tick: Fraction, wanted: list[int]
):
    found, last = [], None
    for time in (0, 1, 1, 3, 3, 4):
        packet = av.Packet(b"x")
        packet.pts = packet.dts = time
        packet.duration, packet.time_base = 1, Fraction(1, 1000)
        keep_order(packet, last, tick, container)
        last = packet.dts * packet.time_base
        assert packet.pts == packet.dts
        found.append(round(last / tick))
    assert found == wanted


# Changes in the middle


def joined(tmp_path: Path, codec: str, first: tuple[str, int], second: tuple[str, int]) -> Path:
    """Two recordings of MPEG-TS, one after the other in time."""
    parts = [
        make_sound(tmp_path / f"{i}.ts", codec, *form, video="mpeg2video", seconds=0.48)
        for i, form in enumerate((first, second))
    ]
    target, shift = tmp_path / f"{codec}.ts", 0
    with av.open(str(target), "w") as output:
        for part in parts:
            with av.open(str(part)) as source:
                if part == parts[0]:
                    for stream in (source.streams.video[0], source.streams.audio[0]):
                        output.add_stream_from_template(stream, opaque=True)
                for packet in source.demux():
                    if packet.size:
                        packet.pts += shift
                        packet.dts += shift
                        packet.stream = output.streams[packet.stream_index]
                        output.mux_one(packet)
            shift += 45000
    return target


@pytest.mark.parametrize("codec", ["ac3", "aac"])
@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
@pytest.mark.parametrize("widest_first", [True, False])
def test_sound_that_changes_gets_its_widest_shape(
    tmp_path: Path, codec: str, suffix: str, widest_first: bool
):
    forms = [("5.1(side)" if codec == "ac3" else "5.1", 48000), ("stereo", 44100)]
    source = joined(tmp_path, codec, *(forms if widest_first else forms[::-1]))
    old, seconds, _ = hear(source)
    assert len(old) == 2
    warnings = convert(source, tmp_path / f"out{suffix}")
    new, new_seconds, loud = hear(tmp_path / f"out{suffix}")
    assert new_seconds == pytest.approx(seconds, abs=SLACK)
    said = [line for line in warnings if "changes between" in line]
    if codec == "ac3" and suffix != ".webm":  # copied, and each packet says what it holds
        assert (new, said) == (old, [])
        return
    assert new == [("5.1", 48000)]
    encoder = {".webm": "libopus", ".mp4": "aac"}[suffix]
    assert len(said) == 1
    assert said[0].endswith(f"all of it is converted to {encoder}, 5.1 at 48000 Hz")
    assert not any("broken" in line for line in warnings)
