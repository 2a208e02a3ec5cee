import errno
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from media_clips import VARIABLE, cut_off, make_video, packets, payloads, video_times
from s2svr.color import ColorInfo, from_rgb, to_rgb
from s2svr.media import open_reader
from s2svr.media.display import Display
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame, Reader
from s2svr.writing import OutputFormat, WorkPolicy, open_writer, write_png
from s2svr.writing import writer as writer_module
from s2svr.writing.codecs import choose_coding
from s2svr.writing.packets import PacketFile
from s2svr.writing.protocol import Writer

STEADY = [3003 * i for i in range(24)]
TURN = (0, -65536, 0, 65536, 0, 0, 0, 64 * 65536, 1 << 30)  # a quarter turn, as phones write it
HDR = (
    "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
    "L(10000000,50):max-cll=1000,400"
)


def restore(
    source: Path,
    target: Path,
    *,
    scale: int = 1,
    start: float | None = None,
    end: float | None = None,
    bits: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    comment: str = "",
) -> tuple[Reader, Writer]:
    """Read and write all frames, each pixel as scale x scale pixels."""
    with open_reader(source, start=start, end=end) as reader:
        width, height = reader.info.width * scale, reader.info.height * scale
        with open_writer(
            target, reader=reader, output=OutputFormat(width, height, bits, codec, crf),
            policy=WorkPolicy(overwrite), comment=comment,
        ) as writer:  # fmt: skip
            for frame in reader:
                rgb = to_rgb(frame.planes, frame.color)
                rgb = rgb.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
                planes = from_rgb(rgb, writer.color, writer.chroma)
                writer.write(replace(frame, planes=planes, color=writer.color))
    return reader, writer


def frames_of(path: Path) -> list[Frame]:
    with open_reader(path) as reader:
        return list(reader)


def streams(path: Path) -> list[tuple[str, str, str]]:
    """Kind, code and language of each stream, without the text track that holds chapters."""
    with av.open(str(path)) as source:
        return [
            (s.type, s.codec_context.name if s.codec_context else "", s.language or "")
            for s in source.streams
            if s.type != "data"
        ]


# Time and sound ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.mp4", "libx264", ["aac", "ac3"]),
        ("a.mov", "libx264", ["aac"]),
        ("a.mkv", "libx264", ["libopus", "flac"]),
        ("a.webm", "libvpx-vp9", ["libopus"]),
        ("a.ts", "libx264", ["mp2", "ac3"]),
    ],
)
def test_times_and_sound_survive_in_the_same_container(
    tmp_path: Path, name: str, codec: str, sound: list[str]
):
    options = {"deadline": "realtime", "cpu-used": "8"} if name == "a.webm" else None
    pts = [stamp + 4711 for stamp in VARIABLE]
    source = make_video(tmp_path / name, codec=codec, pts=pts, sound=sound, options=options)
    reader, writer = restore(source, tmp_path / f"out{source.suffix}", scale=2)
    assert (reader.damage, writer.warnings) == ([], [])
    before, after = video_times(source), video_times(writer.path)
    # MPEG-TS begins where the first picture can be decoded: one shift for all streams.
    shift = after[0] - before[0]
    assert shift == 0 or name == "a.ts"
    assert [b - a for a, b in zip(before, after, strict=True)] == [shift] * len(before)
    for number in range(len(sound)):
        old, new = packets(source, "audio", number), packets(writer.path, "audio", number)
        assert [sum_ for _, sum_ in old] == [sum_ for _, sum_ in new]
        assert [b - a for (a, _), (b, _) in zip(old, new, strict=True)] == [shift] * len(old)
    with open_reader(writer.path) as again:
        assert (again.info.width, again.info.height) == (128, 96)


def test_the_decoded_sound_is_the_same(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", sound=["aac"])
    restore(source, tmp_path / "b.mp4")
    waves = []
    for path in (source, tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
            waves.append(np.concatenate(parts, 1))
    np.testing.assert_array_equal(*waves)


@pytest.mark.parametrize("base", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 1000000)])
def test_any_time_base_is_kept_in_mp4(tmp_path: Path, base: Fraction):
    step = max(1, round(Fraction(1, 25) / base))
    pts = [step * n for n in (2, 3, 5, 6, 9)]
    scale = {"movie_timescale": str(base.denominator)}
    source = make_video(tmp_path / "a.mp4", pts=pts, time_base=base, last=step, container=scale)
    restore(source, tmp_path / "b.mp4")
    assert video_times(source) == video_times(tmp_path / "b.mp4") == [stamp * base for stamp in pts]


def test_matroska_rounds_to_its_milliseconds(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4")
    restore(source, tmp_path / "b.mkv")
    old, new = video_times(source), video_times(tmp_path / "b.mkv")
    assert all(abs(b - a) <= Fraction(1, 2000) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cut_takes_its_sound_texts_and_chapters_along(tmp_path: Path, suffix: str):
    texts = ["mov_text"] if suffix == ".mp4" else ["subrip"]
    source = make_video(
        tmp_path / f"a{suffix}", pts=STEADY, sound=["ac3"], texts=texts, chapters=True
    )
    start, end = Fraction(1, 5), Fraction(1, 2)
    _, writer = restore(source, tmp_path / f"b{suffix}", start=0.2, end=0.5)
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(0)
    wanted = [time - start for time in video_times(source) if start <= time < end]
    found = video_times(writer.path)
    assert all(abs(a - b) <= tick for a, b in zip(wanted, found, strict=True))
    old = [(time - start, sum_) for time, sum_ in packets(source, "audio") if start <= time < end]
    new = packets(writer.path, "audio")
    assert [sum_ for _, sum_ in old] == [sum_ for _, sum_ in new]
    assert all(abs(a - b) <= tick for (a, _), (b, _) in zip(old, new, strict=True))
    # "Hello" is on from 0.1 to 0.3 s, "World" from 0.4 to 0.6 s.
    with av.open(str(writer.path)) as output:
        shown = [
            (float(p.pts * p.time_base), float(p.duration * p.time_base))
            for p in output.demux(output.streams.subtitles[0])
            if p.size > 2
        ]
        assert shown == [pytest.approx((0, 0.1)), pytest.approx((0.2, 0.1))]
        chapters = [
            (c["metadata"]["title"], float(c["start"] * c["time_base"])) for c in output.chapters()
        ]
        assert chapters == [("one", 0.0), ("two", pytest.approx(0.1))]


def shifted(source: Path, target: Path, seconds: Fraction) -> Path:
    """All packets of a file, that much later; what comes before 0 is hidden by an edit list."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        pairs = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.pts += round(seconds / packet.time_base)
                packet.dts += round(seconds / packet.time_base)
                packet.stream = pairs[packet.stream_index]
                new.mux(packet)
    return target


@pytest.mark.parametrize("seconds", [Fraction(-7, 20), Fraction(7, 20)])
def test_edit_lists_and_late_begins_are_kept(tmp_path: Path, seconds: Fraction):
    steady = make_video(tmp_path / "steady.mp4", pts=STEADY, sound=["ac3"])
    source = shifted(steady, tmp_path / "a.mp4", seconds)
    reader, writer = restore(source, tmp_path / "b.mp4")
    assert reader.damage == []
    assert video_times(writer.path) == video_times(source)
    assert packets(writer.path, "audio") == packets(source, "audio")
    assert len(video_times(source)) == (13 if seconds < 0 else 24)
    _, writer = restore(source, tmp_path / "b.mkv")
    old, new = packets(source, "audio"), packets(writer.path, "audio")
    assert [sum_ for time, sum_ in old if time >= -Fraction(1, 10)] == [sum_ for _, sum_ in new]
    shift = video_times(writer.path)[0] - video_times(source)[0]
    assert 0 <= shift <= Fraction(1, 10)
    assert abs(new[-1][0] - old[-1][0] - shift) <= Fraction(1, 1000)


def test_time_stamps_that_do_not_grow_are_moved(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=STEADY)
    with open_reader(source) as reader:
        frames = list(reader)
        with open_writer(tmp_path / "b.mp4", reader=reader, output=OutputFormat(64, 48)) as writer:
            times = [0, 1, 1, Fraction(1, 2), 2, None]
            for frame, time in zip(frames, times, strict=False):
                writer.write(replace(frame, time=None if time is None else Fraction(time)))
    tick = reader.info.time_base
    # The last frame has no time, and its turn (5 / rate) is past.
    assert video_times(writer.path) == [0, 1, 1 + tick, 1 + 2 * tick, 2, 2 + tick]
    assert writer.warnings == ["3 time stamps did not grow and were moved forward"]


# Tracks ------------------------------------------------------------------------------------------


def test_tracks_that_a_container_cannot_hold_are_converted_or_named(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mkv", sound=["flac"], texts=["subrip", "ass"], attachment=True, chapters=True
    )
    _, writer = restore(source, tmp_path / "b.mp4")
    assert writer.warnings == [
        "subtitle track 2 (srt, swe) is converted to mov_text: mp4 cannot hold it",
        "subtitle track 3 (ssa, swe) is converted to mov_text: mp4 cannot hold it",
        "attachment track 4 (note.txt) is left out: mp4 cannot hold it",
    ]
    assert packets(writer.path, "audio") == packets(source, "audio")
    for number in range(2):
        texts = payloads(writer.path, "subtitles", number)
        assert [data[2:] for _, data in texts if data[2:]] == [b"Hello", b"World & more"]
        assert [float(time) for time, data in texts if data[2:]] == pytest.approx([0.1, 0.4])
    _, writer = restore(writer.path, tmp_path / "c.webm", codec="vp9")
    assert streams(writer.path)[1:] == [
        ("audio", "opus", "fin"),
        ("subtitle", "webvtt", "swe"),
        ("subtitle", "webvtt", "swe"),
    ]
    _, writer = restore(source, tmp_path / "d.ts")
    assert streams(writer.path) == [("video", "h264", ""), ("audio", "aac", "fin")]
    assert len(writer.warnings) == 5  # and the chapters


def test_converted_sound_stays_in_time(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=STEADY, sound=["flac"])
    with av.open(str(source)) as container:
        rate = container.streams.audio[0].rate
    clicks = tmp_path / "clicks.mkv"
    with av.open(str(clicks), "w") as output, av.open(str(source)) as container:
        video = output.add_stream_from_template(container.streams.video[0], opaque=True)
        voice = output.add_stream("flac", rate=rate, layout="stereo")
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                packet.stream = video
                output.mux(packet)
        wave = np.zeros((1, 2 * 4608 * 8), np.int16)
        wave[0, 2 * 12000 : 2 * 12200] = 20000  # a click a quarter second in
        for start in range(0, 8):
            part = np.ascontiguousarray(wave[:, 2 * 4608 * start : 2 * 4608 * (start + 1)])
            frame = av.AudioFrame.from_ndarray(part, "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 4608 * start, Fraction(1, 48000)
            output.mux(voice.encode(frame))
        output.mux(voice.encode(None))
    for target in (tmp_path / "b.mov", tmp_path / "b.webm"):
        restore(clicks, target)
        with av.open(str(target)) as output:
            heard = np.zeros(48000)
            for frame in output.decode(audio=0):
                first = round(frame.pts * frame.time_base * 48000)
                samples = np.abs(frame.to_ndarray()[0])
                inside = (np.arange(len(samples)) + first >= 0) & (samples > 0.2)
                heard[first + np.flatnonzero(inside)] = 1
        assert abs(np.flatnonzero(heard)[0] - 12000) < 48  # a millisecond


def test_everything_survives_from_matroska_to_matroska(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mkv",
        sound=["libopus", "flac"],
        texts=["subrip", "ass"],
        attachment=True,
        chapters=True,
        metadata={"title": "Harbour", "artist": "Nobody"},
    )
    _, writer = restore(source, tmp_path / "b.mkv", comment="x2")
    assert writer.warnings == []
    assert streams(writer.path) == streams(source)
    for number in range(2):
        assert packets(writer.path, "subtitles", number) == packets(source, "subtitles", number)
    with av.open(str(writer.path)) as output, av.open(str(source)) as old:
        assert output.streams.attachments[0].data == b"kept as it is"
        assert output.metadata["title"] == "Harbour"
        assert output.metadata["ARTIST"] == "Nobody"
        assert output.metadata["COMMENT"] == "x2"
        titles = [c["metadata"]["title"] for c in output.chapters()]
        assert titles == ["one", "two"]
        ass = [stream.streams.subtitles[1].codec_context.extradata for stream in (old, output)]
        assert ass[0] == ass[1]


def test_cover_art_survives(tmp_path: Path):
    plain = make_video(tmp_path / "plain.mp4", pts=STEADY[:4])
    cover = make_video(
        tmp_path / "cover.mov", codec="mjpeg", form="yuvj420p", size=(16, 16), pts=[0]
    )
    source = tmp_path / "a.mp4"
    with (
        av.open(str(source), "w") as output,
        av.open(str(plain)) as one,
        av.open(str(cover)) as two,
    ):
        pairs = []
        for container in (one, two):
            stream = container.streams.video[0]
            pairs.append((output.add_stream_from_template(stream, opaque=True), container, stream))
        pairs[1][0].disposition = av.stream.Disposition.attached_pic
        for target, container, stream in pairs:
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = target
                    output.mux(packet)
    image = packets(source, "video", 1)
    assert len(image) == 1
    _, writer = restore(source, tmp_path / "b.mp4", start=0.03)
    assert writer.warnings == []
    assert packets(writer.path, "video", 1)[0][1] == image[0][1]
    _, writer = restore(source, tmp_path / "b.mkv")
    with av.open(str(writer.path)) as output:
        assert sum(stream.type == "video" for stream in output.streams) == 2  # one is the cover
    assert packets(writer.path, "video", 1)[0][1] == image[0][1]
    for name, container in [("b.mov", "mov"), ("b.ts", "mpegts")]:
        _, writer = restore(source, tmp_path / name)
        assert f"video track 1 (mjpeg) is left out: {container} cannot hold it" in writer.warnings


# Tags --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_tags_are_written_again(tmp_path: Path, suffix: str):
    source = make_video(
        tmp_path / "a.mp4",
        pts=STEADY[:4],
        tags=(2, 5, 5, 6),
        aspect=Fraction(16, 15),
        matrix=TURN,
        options={"chroma_sample_location": "topleft", "preset": "veryfast"},
        metadata={"title": "Rotated", "comment": "by hand"},
    )
    with open_reader(source) as reader:
        old = reader
    _, writer = restore(source, tmp_path / f"b{suffix}", scale=2, comment="twice as large")
    with open_reader(writer.path) as new:
        assert new.info.color == old.info.color
        assert (new.info.aspect, new.info.rotation) == (Fraction(16, 15), 90)
        matrix = list(TURN)
        matrix[6] *= 2  # the shift into view grows with the picture
        matrix[7] *= 2
        assert new.display.matrix == (tuple(matrix) if suffix == ".mp4" else new.display.matrix)
    with av.open(str(writer.path)) as output:
        data = {key.lower(): value for key, value in output.metadata.items()}
    assert data["comment"] == "by hand; twice as large"
    assert data["title"] == "Rotated"


def test_a_mirrored_picture_stays_mirrored(tmp_path: Path):
    mirror = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    source = make_video(tmp_path / "a.mp4", pts=[0, 3000], matrix=mirror)
    _, writer = restore(source, tmp_path / "b.mov")
    with open_reader(writer.path) as reader:
        assert reader.display.matrix == mirror


def test_an_untagged_picture_that_grows_is_tagged_with_what_was_assumed(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=[0, 3000], size=(640, 360))
    _, writer = restore(source, tmp_path / "b.mp4", scale=2)  # untagged, it would become BT.709
    with open_reader(writer.path) as reader:
        assert reader.info.color.matrix_code == 6
        assert reader.info.color.full_range is False


def test_the_display_aspect_survives_another_shape(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=[0, 3000])
    with open_reader(source) as reader:
        frame = next(reader)
        planes = tuple(plane[: plane.shape[0] // 2].contiguous() for plane in frame.planes)
        with open_writer(tmp_path / "b.mp4", reader=reader, output=OutputFormat(64, 24)) as writer:
            writer.write(replace(frame, planes=planes))
    with open_reader(writer.path) as reader:
        assert reader.info.aspect == Fraction(1, 2)


def test_ten_bits_become_hevc_with_their_hdr10_data(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mp4",
        codec="libx265",
        form="yuv420p10le",
        size=(80, 72),
        pts=STEADY[:3],
        tags=(1, 9, 9, 16),
        options={"x265-params": HDR, "chroma_sample_location": "topleft"},
    )
    _, writer = restore(source, tmp_path / "b.mp4", scale=2)
    with open_reader(source) as old, open_reader(writer.path) as new:
        assert old.display.light == new.display.light == (1000, 400)
        assert old.display.mastering == new.display.mastering
        assert new.display.mastering[-1] == 1000
        assert new.info.color == old.info.color
        assert (new.info.codec, new.info.color.bits) == ("hevc", 10)
    with av.open(str(writer.path)) as output:
        assert output.streams.video[0].codec_context.codec_tag == "hvc1"
    _, writer = restore(source, tmp_path / "c.mkv", codec="av1")
    with open_reader(writer.path) as new:
        assert new.display.light == (1000, 400)
        assert float(new.display.mastering[2]) == pytest.approx(0.265, abs=1e-4)


def test_what_a_codec_or_container_loses_is_said(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mp4", codec="libx265", form="yuv420p10le", size=(80, 72), pts=STEADY[:5],
        aspect=Fraction(4, 3), matrix=TURN, options={"x265-params": HDR},
    )  # fmt: skip
    for name, codec, lost in [
        ("b.webm", "vp9", [
            "written with 8 bits of 10",
            "the HDR10 metadata cannot be written with vp9",
            "the pixel aspect 4/3 is written as 107/80, in whole pixels",
        ]),
        ("b.ts", "h264", ["the rotation cannot be written in .ts files"]),
        ("b.mkv", None, []),
    ]:  # fmt: skip
        _, writer = restore(source, tmp_path / name, codec=codec)
        assert writer.warnings == lost


# Pictures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "gbrp10le",
     "bgra", "gbrp16le", "gray", "gray16le", "yuv440p"],
)  # fmt: skip
def test_a_lossless_codec_keeps_every_code(tmp_path: Path, form: str):
    source = make_video(
        tmp_path / "a.mkv", codec="ffv1", form=form, pts=[0, 40], time_base=Fraction(1, 1000)
    )
    with open_reader(source) as reader:
        output = OutputFormat(reader.info.width, reader.info.height, codec="ffv1")
        with open_writer(tmp_path / "b.mkv", reader=reader, output=output) as writer:
            same = writer.chroma == reader.info.chroma
            assert same or form == "yuv440p"  # written with full chroma
            for frame in reader:
                rgb = to_rgb(frame.planes, frame.color)
                planes = frame.planes if same else from_rgb(rgb, writer.color, writer.chroma)
                writer.write(replace(frame, planes=planes))
    assert writer.color.bits == reader.info.color.bits
    for old, new in zip(frames_of(source), frames_of(writer.path), strict=True):
        if same:
            for a, b in zip(old.planes, new.planes, strict=True):
                assert torch.equal(a.int(), b.int())
        else:
            error = to_rgb(old.planes, old.color) - to_rgb(new.planes, new.color)
            assert error.abs().max() < 0.02


def test_the_way_through_rgb_keeps_subsampled_video(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pts=[0, 40], time_base=Fraction(1, 1000))
    restore(source, tmp_path / "b.mkv", codec="ffv1")
    for old, new in zip(frames_of(source), frames_of(tmp_path / "b.mkv"), strict=True):
        for a, b in zip(old.planes, new.planes, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("suffix", "codec", "form", "bits", "wanted"),
    [
        (".mp4", None, "yuv420p", None, ("h264", "yuv420p")),
        (".mp4", None, "yuv420p", 10, ("hevc", "yuv420p10le")),
        (".mp4", None, "yuv422p10le", None, ("hevc", "yuv422p10le")),
        (".mp4", None, "yuv420p10le", 8, ("h264", "yuv420p")),
        (".mp4", "h264", "yuv420p10le", None, ("h264", "yuv420p10le")),
        (".mp4", None, "gbrp10le", None, ("hevc", "yuv420p10le")),
        (".mp4", None, "gray", None, ("h264", "yuv420p")),
        (".mp4", None, "yuv444p12le", None, ("hevc", "yuv444p10le")),
        (".webm", None, "yuv420p", None, ("vp9", "yuv420p")),
        (".webm", None, "yuv420p10le", None, ("libdav1d", "yuv420p10le")),
        (".mov", "prores", "yuv420p", None, ("prores", "yuv422p10le")),
        (".mkv", "hevc", "yuv420p", None, ("hevc", "yuv420p")),
    ],
)
def test_codec_and_depth_follow_the_source(
    tmp_path: Path,
    suffix: str,
    codec: str | None,
    form: str,
    bits: int | None,
    wanted: tuple[str, str],
):
    source = make_video(
        tmp_path / "a.mkv", codec="ffv1", form=form, size=(80, 72), pts=[0, 40],
        time_base=Fraction(1, 1000),
    )  # fmt: skip
    _, writer = restore(source, tmp_path / f"b{suffix}", codec=codec, bits=bits)
    with av.open(str(writer.path)) as output:
        context = output.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == wanted
    old, new = frames_of(source)[0], frames_of(writer.path)[0]
    error = to_rgb(old.planes, old.color) - to_rgb(new.planes, new.color)
    if form.startswith(("yuv", "gray")):
        assert error.abs().mean() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (15, 17), (33, 48), (512, 16)])
@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_odd_and_tiny_pictures_are_written(tmp_path: Path, size: tuple[int, int], form: str):
    source = make_video(
        tmp_path / "a.mkv", codec="ffv1", form=form, size=size, pts=[0, 40, 80],
        time_base=Fraction(1, 1000),
    )  # fmt: skip
    _, writer = restore(source, tmp_path / "b.mp4")
    with open_reader(writer.path) as reader:
        assert (reader.info.width, reader.info.height, reader.info.codec) == (*size, "h264")
        assert reader.info.color.bits == (8 if form == "yuv420p" else 10)
        assert len(list(reader)) == 3


def test_a_smaller_crf_is_nearer_to_the_source(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", options={"crf": "1"})
    errors = []
    for crf in (10, 40):
        restore(source, tmp_path / f"{crf}.mp4", crf=crf)
        new, old = frames_of(tmp_path / f"{crf}.mp4")[3], frames_of(source)[3]
        errors.append((new.planes[0].float() - old.planes[0].float()).abs().mean())
    assert errors[0] < errors[1] / 2


def test_frames_that_keep_their_size_are_coded_finer(tmp_path: Path):
    with open_reader(make_video(tmp_path / "a.mp4")) as reader:
        info = reader.info
    for codec, usual in (("h264", 18), ("vp9", 24)):
        choice = partial(choose_coding, info, Display(), ".mkv")
        same = OutputFormat(info.width, info.height, codec=codec)
        assert choice(same).crf == usual - 8
        assert choice(replace(same, crf=30)).crf == 30
        larger = replace(same, width=4 * info.width, height=4 * info.height)
        assert choice(larger).crf is None  # the usual


def test_the_same_frames_give_the_same_file(tmp_path: Path):
    for suffix in (".mp4", ".mkv"):
        source = make_video(tmp_path / f"a{suffix}", sound=["aac"], chapters=True)
        for name in ("b", "c"):
            restore(source, tmp_path / f"{name}{suffix}")
        data = [(tmp_path / f"{name}{suffix}").read_bytes() for name in ("b", "c")]
        assert data[0] == data[1]


def test_frames_of_another_shape_or_depth_are_refused(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4")
    with open_reader(source) as reader:
        frame = next(reader)
        with open_writer(tmp_path / "b.mp4", reader=reader, output=OutputFormat(64, 48)) as writer:
            writer.write(frame)
            small = tuple(plane[:8] for plane in frame.planes)
            with pytest.raises(ValueError, match="expected a frame of 48x64 .* got 8x64 with 8"):
                writer.write(replace(frame, planes=small))
            with pytest.raises(ValueError, match="with 8 bits, got 48x64 with 10"):
                writer.write(replace(frame, color=ColorInfo("bt601", bits=10)))


# Files -------------------------------------------------------------------------------------------


def test_damage_of_the_source_is_named_in_the_output(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=STEADY)
    cut_off(source)
    reader, writer = restore(source, tmp_path / "b.mkv", comment="restored")
    assert reader.damage
    with av.open(str(writer.path)) as output:
        assert output.metadata["COMMENT"] == "; ".join(["restored", *reader.damage])


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4", "b.mov", "b.webm"])
@pytest.mark.parametrize("source", ["a.mkv", "a.mp4"])
def test_a_comment_of_the_source_stays_beside_ours(tmp_path: Path, source: str, name: str):
    path = make_video(
        tmp_path / source, metadata={"comment": "by hand"}, container={"movflags": "faststart"}
    )
    cut_off(path)
    reader, writer = restore(path, tmp_path / name, comment="restored")
    assert reader.damage
    with av.open(str(writer.path)) as output:
        said = {key.lower(): value for key, value in output.metadata.items()}["comment"]
    assert said == "; ".join(["by hand", "restored", *reader.damage])


def test_what_is_missing_and_cannot_be_named_in_the_file_is_said(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", metadata={"comment": "by hand"})
    cut_off(source)
    _, writer = restore(source, tmp_path / "b.ts")
    assert writer.warnings == [
        "the metadata comment is not written: mpegts cannot hold it",
        "what is missing or broken is not named in the file: mpegts has no comment",
    ]


def test_nothing_is_left_where_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "out"
    folder.mkdir()
    source = make_video(tmp_path / "a.mp4", sound=["aac"])

    def broken() -> None:
        with (
            open_reader(source) as reader,
            open_writer(folder / "b.mp4", reader=reader, output=OutputFormat(64, 48)) as writer,
        ):
            writer.write(next(reader))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(folder.iterdir()) == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place, name in ((PacketFile, "append"), (writer_module, "read_packet_files")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(MediaError, match=r"b.mp4 cannot be written: the disk is full"):
                restore(source, folder / "b.mp4")
        assert list(folder.iterdir()) == []


def test_outputs_that_exist_are_kept_unless_told_otherwise(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=STEADY[:3])
    target = tmp_path / "b.mp4"
    target.write_text("precious")
    with pytest.raises(MediaError, match="b.mp4 exists already"):
        restore(source, target)
    assert target.read_text() == "precious"
    restore(source, target, overwrite=True)
    assert len(frames_of(target)) == 3
    (tmp_path / "c.mp4").mkdir()
    with pytest.raises(MediaError, match="c.mp4 is a folder and is left as it is"):
        restore(source, tmp_path / "c.mp4", overwrite=True)
    with pytest.raises(MediaError, match="the output .*a.mp4 is the input"):
        restore(source, tmp_path / "x" / ".." / "a.mp4", overwrite=True)


@pytest.mark.parametrize("name", ["", "%06d.png"])
def test_a_folder_that_holds_the_input_is_not_replaced(tmp_path: Path, name: str):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for letter in "abc":
        write_png(folder / f"{letter}.png", torch.full((3, 8, 8), 0.5))
    (tmp_path / "link").symlink_to(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for place in (folder, tmp_path / "link"):
        with pytest.raises(MediaError, match="and the input .*a.png lies in it"):
            restore(folder / "a.png", place / name, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "codec", "bits", "form"),
    [
        ("a.mp4", None, 8, "yuv420p"),
        ("a.mp4", None, 10, "yuv420p10le"),
        ("a.mp4", None, 12, "yuv420p12le"),
        ("a.mkv", "ffv1", 12, "yuv420p12le"),
        ("a.mkv", "ffv1", 16, "yuv420p16le"),
        ("a.webm", None, 10, "yuv420p10le"),
        ("a.mov", "prores", 10, "yuv422p10le"),
    ],
)
def test_the_bits_that_were_asked_for_are_written(
    tmp_path: Path, name: str, codec: str | None, bits: int, form: str
):
    source = make_video(tmp_path / "in.mkv", codec="ffv1", size=(80, 72), pts=[0, 3003])
    restore(source, tmp_path / name, codec=codec, bits=bits)
    with av.open(str(tmp_path / name)) as made:
        assert made.streams.video[0].codec_context.pix_fmt == form


@pytest.mark.parametrize(
    ("name", "codec", "bits", "message"),
    [
        ("a.mp4", None, -1, "expected 8, 10, 12 or 16 bits, got -1"),
        ("a.mp4", None, 9, "expected 8, 10, 12 or 16 bits, got 9"),
        (
            "a.mp4",
            "h264",
            12,
            "h264 cannot .* 12 bits here; choose --bits 8 or 10, or --code",
        ),
        ("a.mkv", "prores", 8, "prores cannot .* 8 bits here; choose --bits 10, or --codec h264"),
        ("a.webm", None, 12, "av1 cannot .* 12 bits here; choose --bits 8 or 10, or another kind"),
    ],
)
def test_bits_that_a_codec_has_not_are_refused(
    tmp_path: Path, name: str, codec: str | None, bits: int, message: str
):
    source = make_video(tmp_path / "in.mkv", codec="ffv1", size=(80, 72), pts=[0, 3003])
    with pytest.raises(MediaError, match=message):
        restore(source, tmp_path / name, codec=codec, bits=bits)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_outputs_that_cannot_be_are_refused(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=STEADY[:3])
    for name, codec, crf, text in [
        ("a.mp4/b.mp4", None, None, "b.mp4 cannot be written: (Not a directory|File exists)"),
        ("b.avi", None, None, r"expected an output that is a video \(.mp4, .m4v, .mov, .mkv"),
        ("b.png", None, None, "b.png is one picture, and .*a.mp4 holds more; name a folder"),
        ("b.mp4", "h266", None, "there is no codec h266; choose one of h264, hevc, av1"),
        ("b.webm", "h264", None, ".webm files cannot hold h264"),
        ("b.ts", "vp9", None, ".ts files cannot hold vp9"),
        ("b.mkv", "ffv1", 20, r"ffv1 takes no quality \(crf\)"),
        ("b.mp4", "hevc", None, "hevc needs more than 64x64 pixels, got 64x48; choose h264"),
        ("b.mp4", "h264", 99, "expected a crf between 0 and 51, got 99"),
    ]:
        with pytest.raises(MediaError, match=text):
            restore(source, tmp_path / name, codec=codec, crf=crf)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    tiny = make_video(tmp_path / "tiny.mkv", codec="ffv1", size=(2, 2), pts=[0])
    with pytest.raises(
        MediaError, match="encoder libsvtav1 does not open for a video of 2x2 pixels"
    ):
        restore(tiny, tmp_path / "b.mp4", codec="av1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "tiny.mkv"]
