"""What a file holds beside pictures and sound: kept, converted, or named as dropped with why."""

import io
import json
import struct
import zlib
from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from av.stream import Disposition
from PIL import Image
from typer.testing import CliRunner

from media_clips import add_text, make_video, paint, payloads
from s2svr.cli import restore as restore_module
from s2svr.cli.app import app
from s2svr.media import Display, MediaError, Message, Spherical, Stereo, is_transparent, open_reader
from s2svr.media import sidedata as side_module
from s2svr.media import video as video_module
from s2svr.media.display import choose_crop
from s2svr.media.photos import (
    PhotoTags,
    held_photo_tags,
    read_photo_tags,
    upright_exif,
    with_photo_tags,
)
from s2svr.media.sidedata import lost_side_data, messages_of
from s2svr.restoration.holdings import holdings_of
from s2svr.restoration.verify import UNKNOWN, Identity, check_video
from s2svr.restoration.video import restore_video
from s2svr.writing import matroska
from s2svr.writing.holding import cut_chapters
from s2svr.writing.packets import escaped, sei_unit, with_messages
from s2svr.writing.texts import Layers, OpenEnds, convert_text

STEADY = [0, 3003, 6006, 9009, 12012, 15015]
MILLI, THIRTIETH = Fraction(1, 1000), Fraction(1, 30)


def fates(source: Path, target: Path) -> dict[str, tuple[str, str]]:
    check = check_video(source, target, overwrite=True)
    assert check.failures == []
    return {row.what: (row.fate, row.why) for row in check.rows}


@pytest.mark.parametrize("code", [8, 10, 14])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_matrix_that_is_not_known_keeps_its_number(tmp_path: Path, code: int, suffix: str):
    source = make_video(tmp_path / "a.mkv", tags=(1, code, 1, 1), pts=STEADY[:3])
    check = check_video(source, tmp_path / f"b{suffix}")
    assert check.failures == []
    rows = {row.what: (row.source, row.output, row.fate) for row in check.rows}
    assert rows["matrix"] == (str(code), str(code), "kept")
    (line,) = (line for line in check.warnings if "matrix" in line)
    assert line.startswith(f"the colour matrix {code} (")
    assert line.endswith("is not known and read as bt601: of a video it stays so tagged, in images "
                         "colours are others")  # fmt: skip


@pytest.mark.parametrize("code", [4, 8])
def test_a_matrix_that_vp9_has_no_number_for_is_said(tmp_path: Path, code: int):
    source = make_video(tmp_path / "a.mkv", tags=(1, code, 1, 1), pts=STEADY[:3])
    why = f"the colour matrix {code} is written as not specified: vp9-lossless has no number for it"
    assert fates(source, tmp_path / "b.webm")["matrix"] == ("dropped", why)


# Closed captions and the like


def with_captions(path: Path, codec: str = "libx264", frames: int = 6) -> Path:
    """A raw stream whose pictures carry captions, AFD and user data, each picture its own."""
    name = "h264-lossless" if codec == "libx264" else "hevc"
    context = av.VideoCodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = 96, 80, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"x265-params": "log-level=none"} if codec == "libx265" else {"bf": "2"}
    packets = []
    for index in range(frames):
        picture = paint("yuv420p", 96, 80, index, 256)
        picture.pts, picture.time_base = index, Fraction(1, 25)
        packets += context.encode(picture)
    packets += context.encode(None)
    data = b""
    for packet in packets:
        captions = bytes([0xFC, 0x41 + packet.pts, 0x80, 0xFD, 0, 0])
        sides = [("A53_CC", captions), ("AFD", b"\x08")]
        sides += [("SEI_UNREGISTERED", bytes(range(16)) + b"at %d" % packet.pts + bytes(3))]
        data += with_messages(bytes(packet), name, messages_of(sides))
    path.write_bytes(data)
    return path


def captions_of(path: Path) -> list[dict[str, bytes]]:
    """Side data of each picture, in the order in which they are shown."""
    with av.open(str(path)) as source:
        return [
            {item.type.name: bytes(item) for item in picture.side_data}
            for picture in source.decode(video=0)
        ]


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".h264"), ("libx265", ".hevc")])
def test_captions_are_written_as_the_decoder_reads_them(tmp_path: Path, codec: str, suffix: str):
    found = captions_of(with_captions(tmp_path / f"a{suffix}", codec))
    assert [sides["A53_CC"][1] for sides in found] == [0x41 + index for index in range(6)]
    assert {bytes(sides["AFD"]) for sides in found} == {b"\x08"}
    texts = [sides["SEI_UNREGISTERED"][16:] for sides in found]
    assert texts == [b"at %d" % index + bytes(3) for index in range(6)]


@pytest.mark.parametrize(("name", "codec"), [("b.mp4", "h264"), ("b.mkv", "hevc")])
def test_captions_stay_with_their_pictures(tmp_path: Path, name: str, codec: str):
    source = with_captions(tmp_path / "a.h264")
    summary = restore_video(Identity(), source, tmp_path / name, codec=codec)
    assert summary.warnings == []
    old, new = captions_of(source), captions_of(tmp_path / name)
    for kind in ("A53_CC", "AFD"):
        assert [sides[kind] for sides in new] == [sides[kind] for sides in old]


def test_captions_that_a_codec_cannot_hold_are_named(tmp_path: Path):
    source = with_captions(tmp_path / "a.h264")
    found = fates(source, tmp_path / "b.webm")
    why = "left out: the closed captions of 6 pictures; vp9-lossless cannot hold this, h264 and"
    assert found["closed captions"][0] == "dropped"
    assert found["closed captions"][1].startswith(why)
    assert found["user data"][0] == found["active format description"][0] == "dropped"
    assert fates(source, tmp_path / "b.mkv")["closed captions"][0] == "kept"
    summary = restore_video(Identity(), source, tmp_path / "folder")
    assert any("the closed captions of 6 pictures" in line for line in summary.warnings)


def test_messages_have_the_bytes_of_the_standard():
    unit = sei_unit("h264", [Message(4, b"\0\0\1" + bytes(300))])
    plain = b"\x04" + b"\xff\x30" + b"\0\0\1" + bytes(300) + b"\x80"  # 303 = 255 + 48
    assert unit == b"\x06" + escaped(plain)
    assert escaped(b"\0\0\0\0\1\0\0\4") == b"\0\0\3\0\0\3\1\0\0\4"
    assert b"\0\0\1" not in unit[1:]
    packet = b"\0\0\0\1\x67ab\0\0\1\x65xyz"
    made = with_messages(packet, "h264", [Message(5, b"u" * 16)])
    assert made == b"\0\0\0\1\x67ab\0\0\0\1\x06\x05\x10" + b"u" * 16 + b"\x80\0\0\1\x65xyz"
    with pytest.raises(ValueError, match="expected a packet with a slice"):
        with_messages(b"\0\0\1\x67ab", "h264", [Message(5, b"u" * 16)])


def test_what_encoders_say_of_themselves_is_no_user_data():
    x264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + b"x264 - core"
    assert messages_of([("SEI_UNREGISTERED", x264)]) == ()


# Kinds that nobody thought of


def test_an_unknown_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_video(
        tmp_path / "a.m2v", codec="mpeg2video", pts=[0, 1, 2], options={},
        time_base=THIRTIETH, last=1,
    )  # fmt: skip
    monkeypatch.setattr(side_module, "DROPPED", {})  # so that the pan and scan window is unknown
    monkeypatch.setattr(side_module, "is_void", lambda kind, data: kind != "PANSCAN")
    found = fates(source, tmp_path / "b.mp4")
    fate, why = found["unknown side data (PANSCAN)"]
    assert fate == UNKNOWN == "unknown: dropped"
    assert why.startswith("the unknown side data (PANSCAN) of the pictures is left out")


def test_side_data_that_says_nothing_is_not_lost():
    centred = struct.pack("=3i6h", 0, 1024, 768, 0, 0, 0, 0, 0, 0)
    moved = struct.pack("=3i6h", 0, 1024, 768, 0, 5, 0, 0, 0, 0)
    assert lost_side_data([("PANSCAN", centred)]) == []
    assert lost_side_data([("PANSCAN", moved)]) == ["pan and scan window"]
    assert lost_side_data([("number 99", b"")]) == ["unknown side data (number 99)"]


# Tracks of data


def with_data(path: Path, codec: str, payload: bytes = b"DEVC" + bytes(60)) -> Path:
    """A small video with a track of data."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        data = output.add_data_stream(codec)
        data.time_base = MILLI
        output.start_encoding()
        for index in range(6):
            output.mux(video.encode(paint("yuv420p", 64, 48, index, 256)))
        output.mux(video.encode(None))
        for index in range(3):
            packet = av.Packet(payload + bytes([index]))
            packet.pts = packet.dts = 80 * index
            packet.duration, packet.time_base, packet.stream = 80, MILLI, data
            output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "held"),
    [
        ("a.mp4", "bin_data", (".mp4", ".mov")),
        ("a.ts", "klv", (".ts",)),
        ("a.ts", "timed_id3", (".ts",)),
    ],
)
def test_tracks_of_data_are_copied_or_named(
    tmp_path: Path, name: str, codec: str, held: tuple[str, ...]
):
    source = with_data(tmp_path / name, codec)
    for suffix in (".mp4", ".mov", ".mkv", ".ts"):
        target = tmp_path / f"b{suffix}"
        fate, why = fates(source, target)["data 1"]
        if suffix in held:
            assert fate == "kept"
            old, new = (payloads(path, "data") for path in (source, target))
            assert [data for _, data in old] == [data for _, data in new]
        else:
            assert fate == "dropped"
            assert f"data track 1 ({codec}" in why
            assert why.endswith("cannot hold it")


# Spheres, views, crop


@pytest.mark.parametrize(
    ("name", "held"), [("b.mkv", True), ("b.mp4", True), ("b.webm", True), ("b.mov", False)]
)
def test_spheres_and_views_are_kept_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, held: bool
):
    source = make_video(tmp_path / "a.mp4", pts=STEADY[:3], aspect=Fraction(2))
    sphere = Spherical(2, (30 << 16, 20 << 16, -(10 << 16)), (1 << 30, 1 << 29, 0, 1 << 28))
    display = Display(spherical=sphere, stereo=Stereo(2))
    with monkeypatch.context() as patch:
        patch.setattr(video_module, "display_of", lambda picture: display)
        summary = restore_video(Identity(), source, tmp_path / name)
    with open_reader(tmp_path / name) as reader:
        assert (reader.display.spherical == sphere) == held
        assert (reader.display.stereo == Stereo(2)) == held
        assert reader.info.aspect == 2
        assert reader.info.color.siting == "left"
    said = [line for line in summary.warnings if "spherical" in line or "stereo" in line]
    assert len(said) == (0 if held else 2)
    if held:
        found = fates(tmp_path / name, tmp_path / f"c{Path(name).suffix}")
        assert found["spherical projection"][0] == found["stereo 3D"][0] == "kept"


def test_a_cut_has_the_side_data_of_the_key_frame_before_it(tmp_path: Path):
    volume = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    params = f"mastering-display={volume}:cll=1000,400:keyint=60"
    source = make_video(
        tmp_path / "a.ts", form="yuv420p10le", tags=(1, 9, 9, 16), pts=STEADY,
        options={"x264-params": params, "preset": "ultrafast"},
    )  # fmt: skip
    with open_reader(source, start=Fraction(1, 10)) as reader:
        assert len(list(reader)) == 3
        assert reader.display.light == (1000, 400)
        assert reader.display.mastering[-2:] == (Fraction(1, 10000), 1000)
        assert not [line for line in reader.warnings if "change" in line]


def test_a_crop_is_applied_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = make_video(tmp_path / "a.mkv", pts=STEADY[:3], codec="ffv1", options={})
    source = tmp_path / "crop.mkv"
    source.write_bytes(plain.read_bytes())
    monkeypatch.setattr(matroska, "DISPLAY_WIDTH", 0x54BB)  # Matroska's name of the top crop
    monkeypatch.setattr(matroska, "DISPLAY_HEIGHT", 0x54CC)  # and of the left one
    assert matroska.set_display_size(source, 8, 5)
    monkeypatch.undo()
    with open_reader(plain) as whole, open_reader(source) as cut:
        assert (cut.info.width, cut.info.height) == (60, 40)  # 5 is within a sample of chroma
        for a, b in zip(whole, cut, strict=True):
            assert torch.equal(a.planes[0][8:, 4:], b.planes[0])
            assert torch.equal(a.planes[1][4:, 2:], b.planes[1])
        assert "(4 at the left, 8 at the top), and 60x40 remain" in cut.warnings[0]
    found = fates(source, tmp_path / "b.mp4")
    assert found["size"][0] == found["crop"][0] == "converted"


def test_a_crop_that_leaves_nothing_is_not_heeded():
    said: list[str] = []
    crop = choose_crop((0, 0, 48, 0), av.VideoFrame(64, 48, "yuv420p"), said.append)
    assert not any(crop)
    assert said == ["a crop of 0, 0, 48 and 0 pixels is not heeded: nothing is left"]


def test_a_pixel_aspect_that_changes_is_said(tmp_path: Path):
    parts = [
        make_video(
            tmp_path / f"{index}.m2v", codec="mpeg2video", pts=[0, 1, 2], options={},
            aspect=aspect, time_base=THIRTIETH, last=1,
        ).read_bytes()
        for index, aspect in enumerate([Fraction(1), Fraction(4, 3)])
    ]  # fmt: skip
    source = tmp_path / "a.m2v"
    source.write_bytes(parts[0].removesuffix(b"\0\0\1\xb7") + parts[1])
    with open_reader(source) as reader:
        assert len(list(reader)) == 6
        (line,) = [line for line in reader.warnings if "pixel aspect" in line]
    assert line.startswith("the pixel aspect changes from 1:1 to 4:3 at ")
    assert line.endswith("the output has 1:1 from begin to end")


# Subtitles without an end


def line(begin: int, length: int) -> av.Packet:
    packet = av.Packet(b"x")
    packet.pts = packet.dts = begin
    packet.duration, packet.time_base = length, MILLI
    return packet


@pytest.mark.parametrize("length", [0, 2**32 - 1])
def test_a_subtitle_without_an_end_ends_where_the_next_begins(length: int):
    ends = OpenEnds(Fraction(5), needed=True)
    made = [p for begin in (100, 900, 900) for p in ends.add(line(begin, length))]
    made += [*ends.add(line(2000, 300)), *ends.add(line(3000, length)), *ends.finish()]
    assert [(p.pts, p.duration) for p in made] == [
        (100, 800),
        (900, 1100),
        (2000, 300),
        (3000, 2000),
    ]
    free = OpenEnds(Fraction(5), needed=False)
    assert [p.duration for p in free.add(line(100, length))] == [4900 if length else 0]
    unknown = OpenEnds(None, needed=True)
    assert unknown.add(line(100, length)) == []
    assert [p.duration for p in unknown.finish()] == [10000]


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_subtitles_of_dvds_do_not_refuse_the_film(tmp_path: Path, name: str):
    source, plain = tmp_path / "a.mkv", make_video(tmp_path / "plain.mkv", pts=STEADY)
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        texts = new.add_mux_stream("dvd_subtitle")
        texts.time_base = MILLI
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        for begin in (20, 80):
            packet = line(begin, 2**32 - 1)
            packet.stream = texts
            new.mux(packet)
    summary = restore_video(Identity(), source, tmp_path / name)
    assert summary.frames == 6
    (said,) = [text for text in summary.warnings if "subtitle" in text]
    assert said.startswith(
        "subtitle track 1 (dvdsub) had 2 subtitles without an end: each is shown"
    )
    with av.open(str(tmp_path / name)) as made:
        found = [p for p in made.demux(made.streams.subtitles[0]) if p.size]
        seconds = [float(p.duration * p.time_base) for p in found]
    assert max(seconds) < 0.25
    assert summary.damage == []


# Text and chapters


def with_lines(path: Path, codec: str, lines: list[tuple[int, int, str]]) -> Path:
    """A video of two seconds with subtitles: begin and length in milliseconds, and text."""
    plain = make_video(path.with_name("plain.mkv"), pts=[90000 * n // 5 for n in range(10)])
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        texts = add_text(new, codec)
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        for begin, length, text in lines:
            data = text.encode()
            if codec == "ass":
                data = b"0,0,Default,,0,0,0,," + data
            if codec == "mov_text":
                data = len(data).to_bytes(2, "big") + data
            packet = av.Packet(data)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = length, MILLI, texts
            new.mux(packet)
    return path


def lines_of(path: Path) -> list[tuple[float, float, str]]:
    """Begin, end and text of a file's subtitles; those of mp4 without its empty ones."""
    with av.open(str(path)) as made:
        return [
            (
                float(p.pts * p.time_base),
                float((p.pts + p.duration) * p.time_base),
                bytes(p)[2 * (path.suffix in (".mp4", ".mov")) :].decode(),
            )
            for p in made.demux(made.streams.subtitles[0])
            if p.size > 2
        ]


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
def test_subtitles_that_overlap_are_shown_when_they_were(tmp_path: Path, name: str):
    lines = [(100, 900, "long"), (500, 400, "two"), (500, 400, "three"), (1400, 300, "four")]
    source = with_lines(tmp_path / "a.mkv", "subrip", lines)
    restore_video(Identity(), source, tmp_path / name)
    wanted = [(0.1, 1, "long"), (0.5, 0.9, "two"), (0.5, 0.9, "three"), (1.4, 1.7, "four")]
    if name != "b.mkv":
        joined = (0.5, 0.9, "long\ntwo\nthree")
        wanted = [(0.1, 0.5, "long"), joined, (0.9, 1, "long"), (1.4, 1.7, "four")]
    found = lines_of(tmp_path / name)
    assert [text for _, _, text in found] == [text for _, _, text in wanted]
    for times, right in zip(found, wanted, strict=True):
        assert times[:2] == pytest.approx(right[:2])


def test_a_subtitle_that_comes_too_late_is_shown_after_the_others():
    layers, packets = Layers(), [line(100, 100), line(50, 100), line(300, 10)]
    with av.open(io.BytesIO(), "w", format="mp4") as output:
        for packet in packets:
            packet.stream = output.add_stream("mov_text")
    made = layers.add(packets[0]) + layers.reach(Fraction(1))
    made += layers.add(packets[1]) + layers.add(packets[2]) + layers.reach(None)
    assert [(p.pts, p.duration) for p in made] == [(100, 100), (200, 1), (300, 10)]


@pytest.mark.parametrize(
    ("codec", "text", "wanted"),
    [
        ("subrip", "{laughs} ha", ["{laughs} ha", "{laughs} ha"]),
        ("subrip", "{\\an8}<i>one</i> & <3", ["one & <3", "<i>one</i> &amp; &lt;3"]),
        ("mov_text", "{laughs} x < y", ["{laughs} x < y", "{laughs} x &lt; y"]),
        ("webvtt", "{laughs} a &lt; b", ["{laughs} a < b", "{laughs} a &lt; b"]),
        ("ass", "{who}{\\i1}a{\\i0}\\Nb {\\pos(1,2)}c", ["a\nb c", "<i>a</i>\nb c"]),
    ],
)
def test_what_is_spoken_stays_in_other_subtitles(
    tmp_path: Path, codec: str, text: str, wanted: list[str]
):
    name = "a.mp4" if codec == "mov_text" else "a.mkv"
    source = with_lines(tmp_path / name, codec, [(100, 300, text)])
    with av.open(str(source)) as opened:
        (packet,) = [p for p in opened.demux(opened.streams.subtitles[0]) if p.size > 2]
        (plain,), (tagged,) = (
            convert_text(packet, c, packet.stream) for c in ("mov_text", "webvtt")
        )
    assert [bytes(plain)[2:].decode(), bytes(tagged).decode()] == wanted


def test_a_chapter_of_no_length_stays(tmp_path: Path):
    titles = [(0, 100, "a"), (100, 100, "b"), (150, 200, "c")]
    chapters = [
        {"id": i, "start": a, "end": b, "time_base": MILLI, "metadata": {"title": t}}
        for i, (a, b, t) in enumerate(titles)
    ]
    cut = cut_chapters(deepcopy(chapters), None, None, Fraction(0))
    assert [(c["start"], c["end"]) for c in cut] == [(0, 100), (100, 101), (150, 200)]
    cut = cut_chapters(chapters, Fraction(1, 10), Fraction(15, 100), Fraction(1, 10))
    assert [(c["start"], c["end"], c["metadata"]["title"]) for c in cut] == [(0, 1, "b")]


# False warnings


def test_what_says_nothing_is_no_loss(tmp_path: Path):
    plain = make_video(tmp_path / "plain.mp4", pts=STEADY[:3], sound=["aac", "aac"])
    source = tmp_path / "a.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        made = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for stream in made:
            stream.disposition = Disposition.default  # as Matroska has it for every track
        new.metadata.update(old.metadata | {"MAJOR_BRAND": "isom", "COMPATIBLE_BRANDS": "isom"})
        for packet in old.demux():
            if packet.size:
                packet.stream = made[packet.stream_index]
                new.mux(packet)
    for name in ("b.mp4", "b.mov", "b.mkv"):
        summary = restore_video(Identity(), source, tmp_path / name)
        assert [line for line in summary.warnings if "language" not in line] == []


@pytest.mark.parametrize(("form", "bits"), [("yuva444p10le", 10), ("yuva444p12le", 12)])
@pytest.mark.parametrize("below", [0, 1])
def test_deep_alpha_is_opaque_at_its_highest_code(form: str, bits: int, below: int):
    picture = av.VideoFrame(64, 48, form)
    for plane in picture.planes:
        torch.from_dlpack(plane).fill_(2**bits - 1)
    torch.from_dlpack(picture.planes[3])[5, 5] = 2**bits - 1 - below
    assert is_transparent(picture) == bool(below)


@pytest.mark.parametrize("opaque", [True, False])
def test_alpha_is_named_only_where_something_is_transparent(tmp_path: Path, opaque: bool):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgra"
        for _ in range(2):
            picture = av.VideoFrame(64, 48, "bgra")
            torch.from_dlpack(picture.planes[0]).fill_(255)
            if not opaque:
                torch.from_dlpack(picture.planes[0])[5, 5, 3] = 254
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    summary = restore_video(Identity(), source, tmp_path / "b.mkv", codec="ffv1")
    assert summary.warnings == ([] if opaque else ["the alpha channel is left out"])


# Tags of photographs

EXIF = (
    b"MM\0*" + struct.pack(">I", 8)
    + struct.pack(">H", 3)
    + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # orientation: turned
    + struct.pack(">HHII", 0x0132, 2, 20, 80)  # date and time, at byte 80
    + struct.pack(">HHII", 0x8769, 4, 1, 50)  # the directory of EXIF
    + struct.pack(">I", 76)  # the next directory: a thumbnail
    + struct.pack(">H", 1)
    + struct.pack(">HHIHH", 0xA002, 3, 1, 32, 0)  # width
    + bytes(16)
    + b"2024:05:17 10:20:30\0"
)  # fmt: skip
ICC = bytes(12) + b"mntrRGB XYZ " + bytes(104)
XMP = b"<x:xmpmeta/>"


def photo(path: Path, **tags: bytes) -> Path:
    """A small image by Pillow, with tags."""
    y = torch.arange(40 * 32).reshape(40, 32) % 251
    pixels = torch.stack([y, 250 - y, y // 2], 2).to(torch.uint8)
    if "exif" in tags:
        tags["exif"] = b"Exif\0\0" + tags["exif"]
    Image.fromarray(pixels.numpy()).save(path, quality=95, **tags)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_profile_and_capture_time_of_images_are_kept(tmp_path: Path, suffix: str):
    (tmp_path / "in").mkdir()
    for name in ("1.jpg", "2.png", "3.webp"):
        photo(tmp_path / "in" / name, icc_profile=ICC, exif=EXIF)
    target = tmp_path / f"out/%d{suffix}"
    with open_reader(tmp_path / "in") as reader:
        frames = list(reader)
    assert all(frame.tags.icc == ICC and frame.tags.exif == EXIF for frame in frames)
    summary = restore_video(Identity(), tmp_path / "in", target)
    assert [text for text in summary.warnings if "left out" in text] == []
    for file in sorted((tmp_path / "out").iterdir()):
        with Image.open(file) as image:
            assert image.info["icc_profile"] == ICC
            found = image.getexif()
            assert found[0x0132] == "2024:05:17 10:20:30"
            assert found[0x0112] == 1  # the picture is upright now
            assert found.get_ifd(0x8769)[0xA002] == image.width == 40
            image.load()


def test_exif_becomes_true_of_the_new_picture():
    made = upright_exif(EXIF, 128, 160)
    assert len(made) == len(EXIF)
    assert made[18:20] == b"\0\1"  # upright
    assert made[46:50] == bytes(4)  # no thumbnail
    assert made[60:62] == b"\0\x80"  # 128 wide


def test_tags_that_an_output_cannot_hold_are_named(tmp_path: Path):
    source = photo(tmp_path / "a.jpg", icc_profile=ICC, exif=EXIF, comment=b"by me")
    summary = restore_video(Identity(), source, tmp_path / "b.mkv")
    assert (
        "left out: the EXIF, ICC profile, comment of the images; a video cannot hold this"
        in summary.warnings
    )
    summary = restore_video(Identity(), source, tmp_path / "b.bmp")
    assert any("EXIF, ICC profile, comment of the images" in text for text in summary.warnings)
    summary = restore_video(Identity(), source, tmp_path / "b.png")
    assert [text for text in summary.warnings if "left out" in text] == [
        "left out: the comment of the images; such a .png file cannot hold this"
    ]


def test_xmp_and_long_profiles_come_back(tmp_path: Path):
    tags = PhotoTags(bytes(16) + b"RGB " + bytes(100_000), EXIF, XMP)
    for name in ("a.png", "a.jpg", "a.webp"):
        kind = {"jpg": "jpeg"}.get(name[2:], name[2:])
        held = held_photo_tags(tags, kind, gray=False, size=(32, 40))
        data = with_photo_tags(photo(tmp_path / name).read_bytes(), held)
        assert read_photo_tags(data) == held
        assert (held.icc, held.xmp) == (tags.icc, XMP)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.info["icc_profile"] == tags.icc
    assert held_photo_tags(tags, "png", gray=True, size=(32, 40)).icc == b""
    text = zlib.crc32(b"tEXtTitle\0Me").to_bytes(4, "big")
    png = photo(tmp_path / "t.png").read_bytes()
    png = png[:33] + struct.pack(">I", 8) + b"tEXtTitle\0Me" + text + png[33:]
    assert read_photo_tags(png).others == ("text Title",)


# The command that tells it, and exit codes


def test_info_says_what_becomes_of_each_part(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mkv", pts=STEADY, sound=["flac"], texts=["ass"], attachment=True,
        chapters=True, metadata={"title": "Harbour"},
    )  # fmt: skip
    found = {row.what: (row.source, row.fate) for row in holdings_of(source).rows}
    assert found["size"] == ("64x48", "")
    assert found["metadata title"] == ("Harbour", "")
    assert found["audio 1"] == ("flac", "")
    held = {row.what: row for row in holdings_of(source, Path("never/written.ts")).rows}
    assert not Path("never").exists()
    assert held["audio 1"].fate == "converted"
    assert held["subtitle 2"].fate == held["attachment 3"].fate == "dropped"
    assert held["chapter 1"].fate == "dropped"
    assert held["metadata title"].fate == "dropped"
    assert all(row.why for row in held.values() if row.fate in ("dropped", "converted"))
    same = {row.what: row.fate for row in holdings_of(source, Path("b.mkv")).rows}
    assert set(same.values()) == {"kept", "converted"}
    assert {what for what, fate in same.items() if fate == "converted"} <= {"codec", "container"}


def test_info_agrees_with_the_check(tmp_path: Path):
    source = with_data(tmp_path / "a.mp4", "bin_data")
    for suffix in (".mp4", ".mkv"):
        told = {row.what: row.fate for row in holdings_of(source, Path(f"b{suffix}")).rows}
        proved = {what: fate for what, (fate, _) in fates(source, tmp_path / f"b{suffix}").items()}
        same = told.keys() & proved.keys() - {"codec"}
        assert len(same) >= 5
        assert {what: told[what] for what in same} == {what: proved[what] for what in same}


def test_info_tells_what_images_hold(tmp_path: Path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("1.jpg", "2.jpg"):
        photo(folder / name, icc_profile=ICC, exif=EXIF)
    told = {row.what: row.source for row in holdings_of(folder).rows}
    assert told["pictures"] == "2"
    assert told["codec"] == "mjpeg"
    assert told["EXIF"] == told["ICC profile"] == "in 2 pictures"
    assert told["frame rate"] == "25, as none is given"
    rows = {row.what: row for row in holdings_of(folder, Path("new/")).rows}
    assert rows["EXIF"].fate == rows["ICC profile"].fate == rows["size"].fate == "kept"
    rows = {row.what: row for row in holdings_of(folder, Path("b.mp4")).rows}
    assert rows["EXIF"].fate == "dropped"
    assert rows["EXIF"].why.endswith("a video cannot hold this")
    assert rows["codec"].why == "it is encoded anew"
    assert all(row.why for row in rows.values() if row.fate != "kept")
    with pytest.raises(MediaError, match=r"^b\.jpg is one picture"):
        holdings_of(folder, Path("b.jpg"))


def test_the_command_line_looks_into_a_file(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=STEADY[:3], attachment=True)
    result = CliRunner().invoke(app, ["info", str(source), "b.mp4"])
    assert result.exit_code == 0
    assert "attachment track 1 (note.txt) is left out: mp4 cannot hold it" in result.output
    result = CliRunner().invoke(app, ["info", str(source), "--json"])
    assert {"what": "size", "source": "64x48", "output": "", "fate": "", "why": ""} in json.loads(
        result.stdout
    )["rows"]


def test_exit_codes_tell_named_losses_from_damage_and_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(restore_module, "network", lambda weights, task: Identity())
    source = with_data(tmp_path / "a.mp4", "bin_data")

    def ends_with(name: str, target: str) -> int:
        command = ["restore", str(name), str(tmp_path / target), "--no-plan", "--weights", "-"]
        return CliRunner().invoke(app, command).exit_code

    assert ends_with(source, "named.mkv") == 0  # a track is dropped, by name
    whole = make_video(tmp_path / "whole.ts", pts=STEADY)
    broken = tmp_path / "broken.ts"
    broken.write_bytes(whole.read_bytes()[:-100])
    assert ends_with(broken, "damaged.mkv") == 1
    assert ends_with(source, "refused.xyz") == 2
    assert not (tmp_path / "refused.xyz").exists()
