from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from media_clips import (
    VARIABLE,
    add_sound,
    cut_off,
    make_video,
    paint,
    picture_bits,
    video_times,
    write_sound,
)
from s2svr.color import to_rgb
from s2svr.media import open_reader, read_clip
from s2svr.media.container import is_cut_off
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame
from s2svr.media.planes import convert_format, from_picture, planar_name, to_picture
from s2svr.writing import OutputFormat, open_writer

STEADY = [3003 * i for i in range(24)]


def read(path: Path, **cut: float) -> tuple[list[Frame], list[str], list[str]]:
    """Frames, damage and warnings."""
    with open_reader(path, **cut) as reader:
        return list(reader), reader.damage, reader.warnings


# Pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "matrix", "chroma", "bits"),
    [
        ("yuv420p", "bt601", (2, 2), 8),
        ("yuv422p", "bt601", (2, 1), 8),
        ("yuv440p", "bt601", (1, 2), 8),
        ("yuv411p", "bt601", (4, 1), 8),
        ("yuv420p10le", "bt601", (2, 2), 10),
        ("yuv422p10le", "bt601", (2, 1), 10),
        ("yuv444p12le", "bt601", (1, 1), 12),
        ("yuva420p", "bt601", (2, 2), 8),
        ("gbrp10le", "rgb", (1, 1), 10),
        ("gbrp16le", "rgb", (1, 1), 16),
        ("bgra", "rgb", (1, 1), 8),
        ("gray", "gray", (1, 1), 8),
        ("gray10le", "gray", (1, 1), 10),
        ("gray16le", "gray", (1, 1), 16),
        ("ya8", "gray", (1, 1), 8),
    ],
)
def test_every_format_is_read_as_coded(
    tmp_path: Path, form: str, matrix: str, chroma: tuple[int, int], bits: int
):
    path = make_video(
        tmp_path / "a.mkv", codec="ffv1", form=form, pts=[0, 40], time_base=Fraction(1, 1000)
    )
    with open_reader(path) as reader:
        info = reader.info
        frames = list(reader)
    assert (info.color.matrix, info.chroma, info.color.bits) == (matrix, chroma, bits)
    alpha = form in ("yuva420p", "bgra", "ya8")
    assert reader.warnings == (["the alpha channel is left out"] if alpha else [])
    for index, frame in enumerate(frames):
        painted = paint(form, 64, 48, index, 256 if bits == 8 else 2**bits)
        parts = [torch.from_dlpack(plane) for plane in painted.planes]
        if form == "bgra":
            parts = [parts[0][..., 2], parts[0][..., 1], parts[0][..., 0]]
        elif form == "ya8":
            parts = [parts[0][..., 0]]
        elif form.startswith("gbr"):
            parts = [parts[2], parts[0], parts[1]]
        parts = parts[: len(frame.planes)]
        assert len(frame.planes) == (1 if matrix == "gray" else 3)
        for plane, part in zip(frame.planes, parts, strict=True):
            assert torch.equal(plane.int(), part.int())


def test_alpha_that_the_decoder_does_not_see_is_left_out_aloud(tmp_path: Path):
    path = make_video(
        tmp_path / "a.webm", codec="libvpx-vp9", form="yuva420p", pts=[0, 3003],
        options={"deadline": "realtime", "cpu-used": "8"},
    )  # fmt: skip
    with open_reader(path) as reader:
        frames = list(reader)
        assert reader.warnings == ["the alpha channel is left out"]
        with open_writer(tmp_path / "b.webm", reader=reader, output=OutputFormat(64, 48)) as writer:
            for frame in frames:
                writer.write(frame)
    with av.open(str(tmp_path / "b.webm")) as output:
        assert "alpha_mode" not in {key.lower() for key in output.streams.video[0].metadata}


@pytest.mark.parametrize(
    "form",
    ["nv12", "nv16", "p010le", "rgb24", "bgr24", "rgb48le", "rgb48be", "rgba64le", "yuyv422",
     "uyvy422", "gray16be", "ya16le", "yuv420p10be", "gbrp10be", "x2rgb10le", "y210le"],
)  # fmt: skip
def test_packed_pictures_are_only_reordered(form: str):
    packed = av.VideoFrame(16, 8, form)
    planar = planar_name(packed.format)
    bits = picture_bits(planar)
    generator = torch.Generator().manual_seed(0)
    shapes = [tuple(torch.from_dlpack(p).shape) for p in av.VideoFrame(16, 8, planar).planes]
    kind = torch.uint8 if bits == 8 else torch.uint16
    codes = tuple(torch.randint(0, 2**bits, s, generator=generator).to(kind) for s in shapes)
    packed = convert_format(to_picture(codes, planar), form)
    for _ in range(50):  # every time
        for before, after in zip(codes, from_picture(packed), strict=True):
            assert torch.equal(before.int(), after.int())


def test_strange_formats_are_refused():
    with pytest.raises(MediaError, match="pictures in the format xyz12le are not supported"):
        planar_name(av.VideoFormat("xyz12le"))


def test_read_clip_is_rounded_rgb(tmp_path: Path):
    path = make_video(tmp_path / "a.mp4")
    frames, _, _ = read(path)
    clip = read_clip(path, start=3, count=4)
    assert clip.dtype == torch.uint8
    assert clip.shape == (4, 3, 48, 64)
    wanted = to_rgb(frames[4].planes, frames[4].color) * 255
    assert (clip[1].float() - wanted).abs().max() <= 0.5
    assert torch.equal(read_clip(path)[3:7], clip)
    with pytest.raises(MediaError, match="has no frame 99"):
        read_clip(path, start=99)


def test_read_clip_is_upright(tmp_path: Path):
    matrix = (0, -1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)  # a quarter, anticlockwise
    plain = make_video(tmp_path / "a.mkv", codec="ffv1", pts=[0, 3000])
    turned = make_video(tmp_path / "b.mkv", codec="ffv1", pts=[0, 3000], matrix=matrix)
    assert torch.equal(read_clip(turned), read_clip(plain).rot90(1, (2, 3)))


# Tags --------------------------------------------------------------------------------------------


def test_tags_are_read(tmp_path: Path):
    turn = (0, -65536, 0, 65536, 0, 0, 0, 64 * 65536, 1 << 30)
    path = make_video(
        tmp_path / "a.mp4",
        tags=(2, 9, 9, 16),
        aspect=Fraction(4, 3),
        matrix=turn,
        options={"chroma_sample_location": "topleft", "preset": "veryfast"},
        sound=["aac"],
        texts=["mov_text"],
    )
    with open_reader(path) as reader:
        info = reader.info
        assert reader.display.matrix == turn
    color = info.color
    assert (color.matrix, color.full_range, color.primaries, color.transfer) == (
        "bt2020",
        True,
        9,
        16,
    )
    assert (color.siting, color.matrix_code, color.code) == ("topleft", 9, 9)
    assert (info.rotation, info.aspect, info.kind) == (90, Fraction(4, 3), "video")
    assert [str(track) for track in info.tracks] == ["audio aac fin", "subtitle mov_text swe"]
    assert (info.width, info.height, info.time_base) == (64, 48, Fraction(1, 90000))


@pytest.mark.parametrize(("size", "matrix"), [((64, 48), "bt601"), ((1280, 16), "bt709")])
def test_untagged_matrix_is_guessed_from_the_size(
    tmp_path: Path, size: tuple[int, int], matrix: str
):
    with open_reader(make_video(tmp_path / "a.mp4", size=size, pts=[0, 3000])) as reader:
        assert reader.info.color.matrix == matrix
        assert reader.info.color.matrix_code is None
        assert (reader.info.color.full_range, reader.info.color.siting) == (False, "left")


def test_motion_jpeg_is_full_range_and_sited_in_the_centre(tmp_path: Path):
    path = make_video(tmp_path / "a.mov", codec="mjpeg", form="yuvj420p", pts=STEADY[:3])
    with open_reader(path) as reader:
        color = reader.info.color
    assert (color.matrix, color.full_range, color.siting) == ("bt601", True, "center")


# Time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
def test_variable_times_are_those_of_the_file(tmp_path: Path, name: str):
    path = make_video(tmp_path / name, pts=[stamp + 5001 for stamp in VARIABLE])
    frames, damage, warnings = read(path)
    assert [frame.time for frame in frames] == video_times(path)
    assert (damage, warnings) == ([], [])
    assert all(frame.duration > 0 for frame in frames)
    rounding = 0 if name != "a.mkv" else Fraction(1, 1000)
    for index, frame in enumerate(frames):
        steps = Fraction(VARIABLE[index] - VARIABLE[0], 90000)
        assert abs(frame.time - frames[0].time - steps) <= rounding


def test_missing_time_stamps_are_filled_in(tmp_path: Path):
    frames, _, _ = read(make_video(tmp_path / "a.h264", pts=STEADY))
    times = [frame.time for frame in frames]
    assert len(times) == len(STEADY)
    assert all(b > a for a, b in zip(times, times[1:], strict=False))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
@pytest.mark.parametrize(("start", "end"), [(0.1, 0.5), (0.4, None), (None, 0.3), (0.76, 0.769)])
def test_a_cut_has_exactly_its_frames(
    tmp_path: Path, name: str, start: float | None, end: float | None
):
    # Long groups of pictures with B-frames, so that a cut rarely begins with a key frame.
    options = {"g": "10", "bf": "2", "preset": "veryfast"}
    if name == "a.avi":
        path = make_video(
            tmp_path / name,
            codec="mpeg4",
            pts=list(range(24)),
            time_base=Fraction(1, 30),
            options={"g": "10"},
            last=1,
        )
    else:
        path = make_video(tmp_path / name, pts=STEADY, options=options)
    whole, _, _ = read(path)
    origin = whole[0].time
    first = origin + Fraction(str(start or 0))
    stop = origin + (Fraction(str(end)) if end else 99)
    wanted = [frame for frame in whole if first <= frame.time < stop]
    cut, damage, _ = read(path, start=start, end=end)
    assert [frame.time for frame in cut] == [frame.time for frame in wanted]
    assert damage == []
    for ours, theirs in zip(cut, wanted, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))
    with open_reader(path, start=start, end=end) as reader:
        # The clock of a transport stream has no begin: its first picture is at 0.
        assert reader.shift == (first if start or name == "a.ts" else 0)


def test_cuts_outside_the_video_are_refused(tmp_path: Path):
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="no picture that can be decoded in the time asked for"):
        open_reader(path, start=60)
    with pytest.raises(MediaError, match="0 <= start < end in seconds, got start 2 and end 1"):
        open_reader(path, start=2, end=1)
    with pytest.raises(MediaError, match="a frame rate is for images"):
        open_reader(path, fps=30)


# Damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4"])
def test_a_truncated_file_gives_what_is_left_and_says_what_is_missing(tmp_path: Path, name: str):
    path = make_video(
        tmp_path / name,
        codec="libvpx-vp9" if name == "a.webm" else "libx264",
        pts=STEADY,
        options={"deadline": "realtime", "cpu-used": "8"} if name == "a.webm" else None,
        container={"movflags": "+faststart"} if name == "a.mp4" else None,
    )
    whole = video_times(path)
    assert not is_cut_off(path)
    cut_off(path)
    assert is_cut_off(path)
    frames, damage, _ = read(path)
    assert 3 < len(frames) < len(whole)
    assert [frame.time for frame in frames[:3]] == whole[:3]
    assert damage[-1] == "the file is cut off"
    missing = next(line for line in damage if line.startswith("missing from"))
    last = float(max(frame.time for frame in frames))
    assert last < float(missing.split()[2]) <= last + 0.2
    assert float(missing.split()[-2]) == pytest.approx(0.8, abs=0.05)


def test_a_truncated_avi_is_noticed(tmp_path: Path):
    path = make_video(
        tmp_path / "a.avi", codec="mjpeg", form="yuvj420p", pts=list(range(24)), last=1,
        time_base=Fraction(1, 30),
    )  # fmt: skip
    assert not is_cut_off(path)
    path.write_bytes(path.read_bytes()[:-2000])
    _, damage, _ = read(path)
    assert damage[-1] == "the file is cut off"


def test_a_file_without_its_index_says_so(tmp_path: Path):
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(MediaError, match="a.mp4 .*: it is cut off before its index"):
        open_reader(path)


@pytest.mark.parametrize("codec", ["libx264", "mjpeg", "mpeg4"])
def test_no_frame_of_a_broken_file_is_lost_in_silence(tmp_path: Path, codec: str):
    form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = make_video(
        tmp_path / "a.mov",
        codec=codec,
        form=form,
        pts=list(range(24)),
        time_base=Fraction(1, 30),
        options={"g": "8"},
        last=1,
    )
    with av.open(str(path)) as source:
        places = [(p.pos, p.size) for p in source.demux(source.streams.video[0]) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in places[5:9]:
        data[place + 4 : place + size] = np.random.default_rng(place).bytes(size - 4)
    path.write_bytes(data)
    frames, damage, _ = read(path)
    lost = sum(int(line.split()[5].rstrip(",")) for line in damage)
    assert len(frames) + lost == 24
    assert lost or any(frame.corrupt for frame in frames)
    assert not frames[0].corrupt


def test_a_picture_that_only_says_it_is_the_last_one_again_is_no_loss(tmp_path: Path):
    whole = make_video(
        tmp_path / "a.mp4", codec="mpeg4", pts=[0, 1, 2, 3, 4, 5], time_base=Fraction(1, 25),
        options={}, last=1,
    )  # fmt: skip
    empty, source = b"\0\0\1\xb6", tmp_path / "b.mp4"  # as XviD writes it
    empty += int("0101000111001111", 2).to_bytes(2, "big")
    with av.open(str(whole)) as old, av.open(str(source), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for number, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size:
                made = av.Packet(empty) if number == 3 else packet
                made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
                made.time_base, made.stream = packet.time_base, stream
                new.mux(made)
    frames, damage, _ = read(source)
    assert [round(frame.time * 25) for frame in frames] == [0, 1, 2, 4, 5]
    assert [round(frame.duration * 25) for frame in frames] == [1, 1, 2, 1, 1]
    assert damage == []


def test_pictures_are_not_decoded_by_a_thread_each(tmp_path: Path):
    """Such threads hand some on before they know that they are damaged."""
    with open_reader(make_video(tmp_path / "a.mkv", pts=STEADY)) as reader:
        context = reader.stream.codec_context
        assert (context.name, str(context.thread_type)) == ("h264", "ThreadType.SLICE")
        next(iter(reader))
        assert "FRAME" not in str(reader.stream.codec_context.thread_type)


def test_a_change_of_size_ends_the_video_and_is_said(tmp_path: Path):
    first = make_video(tmp_path / "1.h264", pts=STEADY[:4])
    second = make_video(tmp_path / "2.h264", pts=STEADY[:4], size=(32, 32))
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames, damage, _ = read(path)
    assert len(frames) == 4
    assert damage[0].startswith("the picture changes from 64x48 to 32x32 at ")


# Errors ------------------------------------------------------------------------------------------


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path):
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "random.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    for name, text in [
        ("none.mp4", "there is no file or folder .*none.mp4"),
        ("text.mp4", "text.mp4 is not a video that can be read"),
        ("empty.mp4", "empty.mp4 is empty"),
        ("random.mkv", "random.mkv is not a video that can be read"),
        (".", "the folder .* holds no images"),
        ("/dev/null", "expected a video file, /dev/null is none"),
    ]:
        with pytest.raises(MediaError, match=text):
            open_reader(tmp_path / name)


def test_lists_of_other_files_are_not_followed(tmp_path: Path):
    make_video(tmp_path / "a.mp4", pts=[0, 3000])
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile 'a.mp4'\n")
    for name in ("list.m3u8", "list.ffconcat"):
        with pytest.raises(MediaError, match=f"{name} is not a video that can be read"):
            open_reader(tmp_path / name)


def test_sound_alone_and_no_frames_are_refused(tmp_path: Path):
    with av.open(str(tmp_path / "sound.m4a"), "w") as output:
        write_sound(output, add_sound(output, "aac"), 0.2)
    with pytest.raises(MediaError, match="sound.m4a has no video, only audio"):
        open_reader(tmp_path / "sound.m4a")
    with av.open(str(tmp_path / "nothing.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    with pytest.raises(MediaError, match="nothing.mp4 has no video"):
        open_reader(tmp_path / "nothing.mp4")
    path = make_video(tmp_path / "broken.mkv", codec="ffv1", pts=[0, 40])
    data = path.read_bytes()
    start = data.index(b"\xa3", data.index(b"\x1f\x43\xb6\x75"))
    path.write_bytes(data[: start + 20] + bytes(len(data) - start - 20))
    with pytest.raises(MediaError, match="broken.mkv has no picture that can be decoded"):
        open_reader(path)


def test_absurd_sizes_are_refused(tmp_path: Path):
    header = b"DKIF\0\0\x20\0VP80" + (16000).to_bytes(2, "little") * 2
    header += (25).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(8)
    frame = (100).to_bytes(4, "little") + bytes(108)
    (tmp_path / "huge.ivf").write_bytes(header + frame)
    with pytest.raises(MediaError, match="claims a picture of 16000x16000, too large to be true"):
        open_reader(tmp_path / "huge.ivf")
