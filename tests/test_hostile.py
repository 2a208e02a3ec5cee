"""A few hostile files and seeds of the benchmarks, and what notices damage."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("needs fork, inotify and limits of memory", allow_module_level=True)

sys.path.append(str(Path(__file__).parent.parent / "benchmarks" / "robustness"))

from apart import Box, Ended, start_context, tiny_weights
from fuzz import try_seeds
from hostile import examine
from hostile_damage import changed, put, without
from hostile_inputs import CASES
from made_clips import AVI, FLV, GIF, MKV, MP4, MPG, RAW, TS, Y4M, clip, folder_of, photo

from s2svr.media import open_reader
from s2svr.media.container import is_cut_off
from s2svr.media.errors import MediaError
from s2svr.media.integrity import first_broken_byte, y4m_frame_bytes
from s2svr.writing.tracks import Companions

SELECTED = [
    "mp4 cut at 60 %, index first",
    "ts cut at 60 %, in a packet",
    "ts without packets from 40 to 55 %",
    "mkv with zeros at 40 to 55 %",
    "sound of an unknown code",
    "mp4 that declares 4294967295 bytes of a frame",
    "time stamps that jump back",
    "ffconcat script named .mp4",
    "m3u8 named .ts with a relative name",
    "folder with a png bomb",
    "folder with gaps in its numbers",
    "fifo named .png",
    "device of endless zeros named .png",
]
# 557: an mp4 whose sound has an unknown code. 2727: an flv with a track that is not in its header.
SEEDS = [*range(550, 560), 2727]


def test_hostile_files_end_in_order(tmp_path: Path) -> None:
    context, weights = start_context(fresh=False), tiny_weights(tmp_path / "tiny.safetensors")
    faults = {}
    for number, name in enumerate(SELECTED):
        case = next(case for case in CASES if case.name == name)
        row = examine(context, Box(tmp_path / str(number)), case, str(weights), 60.0)
        assert row is not None
        if row.faults:
            faults[name] = row.faults
    assert not faults


def test_files_with_random_damage_end_in_order(tmp_path: Path) -> None:
    outcomes = try_seeds(SEEDS, tmp_path, limit=60.0, keep=None)
    assert len(outcomes) == len(SEEDS)
    assert not [(o.seed, o.fault) for o in outcomes if o.fault]
    again = try_seeds(SEEDS[:2], tmp_path / "again", limit=60.0, keep=None)
    assert [(o.file, o.damage) for o in again] == [(o.file, o.damage) for o in outcomes[:2]]


def test_what_must_not_happen_is_told_apart() -> None:
    assert not Ended(2, "", "error: a.mp4 is empty\n", 1.0).fault
    assert not Ended(1, "damage: the file is cut off\n", "", 1.0).fault
    assert Ended(None, "", "", 1.0).fault == "hangs"
    assert Ended(-11, "", "", 1.0).fault == "crashes with SIGSEGV"
    trace = "Traceback (most recent call last):\n  here\nKeyError: 3\n"
    assert Ended(1, "", trace, 1.0).fault == "traceback: KeyError: 3"
    assert Ended(2, "", "", 1.0).fault == "ends with 2 and says 0 errors"
    assert "FFmpeg" in Ended(2, "", "error: Errno 22 avcodec_send_packet()\n", 1.0).fault


def test_a_matroska_file_is_walked_through(tmp_path: Path) -> None:
    path = MKV(tmp_path)
    assert first_broken_byte(path) is None
    whole = path.read_bytes()
    place = whole.index(b"\x1f\x43\xb6\x75") + 30  # inside the first cluster
    following = whole.index(b"\xa3", place)
    path.write_bytes(whole[:following] + b"\0" + whole[following + 1 :])
    assert place <= (first_broken_byte(path) or 0) <= following
    with open_reader(path) as reader:
        list(reader)
    assert any(line.startswith("the file is broken at byte") for line in reader.damage)
    path.write_bytes(whole[:-20])
    assert first_broken_byte(path) is None  # it is cut off, which is said elsewhere
    assert is_cut_off(path)
    assert first_broken_byte(TS(tmp_path)) is None


@pytest.mark.parametrize(("make", "sign", "back"), [(FLV, b"\x27\x01", 11), (GIF, b"!\xf9", 0)])
def test_flv_and_gif_are_walked_through(
    tmp_path: Path, make: Callable[[Path], Path], sign: bytes, back: int
) -> None:
    path = make(tmp_path)
    assert first_broken_byte(path) is None
    whole = path.read_bytes()
    place = whole.index(sign, len(whole) // 3) - back  # a picture's
    path.write_bytes(whole[: place + 1] + b"\xff\xff" + whole[place + 3 :])
    assert place - 400 < (first_broken_byte(path) or 0) < len(whole)
    with open_reader(path) as reader:
        list(reader)
    assert any(line.startswith("the file is broken at byte") for line in reader.damage)
    path.write_bytes(whole[: place + 5])
    assert first_broken_byte(path) is not None


def test_an_end_in_the_middle_of_a_gif_is_damage(tmp_path: Path) -> None:
    path = GIF(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b"!\xf9", len(data) // 3)
    data[place] = ord(";")
    path.write_bytes(data)
    assert first_broken_byte(path) == place


def test_an_avi_is_walked_through(tmp_path: Path) -> None:
    path = AVI(tmp_path)
    assert first_broken_byte(path) is None
    whole = path.read_bytes()
    place = whole.index(b"00dc", len(whole) // 2)
    path.write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
    assert first_broken_byte(path) == place
    path.write_bytes(whole[: place + 9])
    assert first_broken_byte(path) is None  # it is cut off, which is said elsewhere
    assert is_cut_off(path)


def moving_png(folder: Path) -> Path:
    first, *rest = (photo(index) for index in range(3))
    first.save(folder / "a.png", save_all=True, append_images=rest, duration=40)
    return folder / "a.png"


JUNK = bytes(np.random.default_rng(1).integers(1, 255, 5000, np.uint8))


@pytest.mark.parametrize("junk", [b"\0", b"\n", JUNK], ids=["zero", "line", "many"])
@pytest.mark.parametrize("make", [MP4, MKV, AVI, TS, FLV, MPG, GIF, moving_png])
def test_bytes_behind_the_end_are_no_damage(
    tmp_path: Path, make: Callable[[Path], Path], junk: bytes
) -> None:
    if make in (TS, FLV):  # which have no end: a packet or a tag could have stood there
        junk = junk[:10]
    path = make(tmp_path)
    with open_reader(path) as reader:
        count = len(list(reader))
    path.write_bytes(path.read_bytes() + junk)
    assert (first_broken_byte(path), is_cut_off(path)) == (None, False)
    with open_reader(path) as reader:
        assert (len(list(reader)), reader.damage) == (count, [])


@pytest.mark.parametrize("container", [{}, {"movflags": "frag_keyframe+empty_moov"}])
def test_an_mp4_that_ends_inside_a_box_is_cut_off(
    tmp_path: Path, container: dict[str, str]
) -> None:
    path = clip("a.mp4", container=container)(tmp_path)
    whole = path.read_bytes()
    last = max(whole.rfind(name) for name in (b"moov", b"mdat", b"mfra")) - 4
    ends = {len(whole): False, len(whole) - 1: True, last + 9: True, last: False}
    if container:  # what stands there may be the begin of another fragment
        ends[last + 3] = True
    for size, cut in ends.items():
        path.write_bytes(whole[:size])
        assert is_cut_off(path) == cut, size
    camera = (40).to_bytes(4, "big") + b"cam " + bytes(32)
    for data, cut in [
        (whole[:last] + camera + whole[last:], False),
        (whole[:last] + camera + whole[last:-1], True),
        (whole + camera[:-1], False),
    ]:
        path.write_bytes(data)
        assert is_cut_off(path) == cut


def test_names_of_chunks_have_any_letters(tmp_path: Path) -> None:
    path = AVI(tmp_path)
    data = bytearray(path.read_bytes())
    xmp = b"_PMX" + (20).to_bytes(4, "little") + b"<x:xmpmeta/>        "
    data[4:8] = (int.from_bytes(data[4:8], "little") + len(xmp)).to_bytes(4, "little")
    path.write_bytes(bytes(data) + xmp)
    assert (first_broken_byte(path), is_cut_off(path)) == (None, False)


def test_a_second_riff_that_is_cut_off_is_noticed(tmp_path: Path) -> None:
    path = AVI(tmp_path)
    second = b"RIFF" + (100).to_bytes(4, "little") + b"AVIXJUNK" + (88).to_bytes(4, "little")
    whole = path.read_bytes() + second + bytes(88)
    for end, cut in [(len(whole), False), (len(whole) - 1, True)]:
        path.write_bytes(whole[:end])
        assert (first_broken_byte(path), is_cut_off(path)) == (None, cut)


def test_frames_before_the_first_that_decodes_are_missed(tmp_path: Path) -> None:
    path = MP4(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b"x264 - core")
    key = data.index(b"\x65\x88", place)  # the slice of the first frame
    data[key : key + 200] = bytes(200)
    path.write_bytes(data)
    with open_reader(path) as reader:
        count = len(list(reader))
    assert count < 12
    assert reader.damage[0].startswith(f"frames that cannot be decoded: {12 - count}, between 0.00")
    with open_reader(path, start=0.32) as reader:
        assert len(list(reader)) == 4
    assert reader.damage == []


def test_matroska_frames_that_the_demuxer_leaves_out_are_missed(tmp_path: Path) -> None:
    path = clip("a.mkv", count=6, sound="flac", text="subrip")(tmp_path)
    data = path.read_bytes()
    number = data.index(b"\xd7\x81\x03")  # of the subtitles' track
    path.write_bytes(data[:number] + b"\xd7\x81\x7e" + data[number + 3 :])
    with open_reader(path) as reader:
        count = len(list(reader))
    assert count < 6
    assert reader.damage == [f"missing from {count * 0.04:.3f} s until 0.240 s"]


def test_messages_of_decoders_are_silent_and_have_a_level(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = MP4(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"\x65\x88")  # the slice of a key frame
    data[place + 1 : place + 100] = b"\xff" * 99
    path.write_bytes(data)
    with open_reader(path) as reader:
        list(reader)
    assert reader.damage
    assert av.logging.get_level() is not None  # else one underway in a thread gives a traceback
    assert capfd.readouterr() == ("", "")


def test_missing_packets_of_a_transport_stream_are_noticed(tmp_path: Path) -> None:
    path = TS(tmp_path)
    with open_reader(path) as reader:
        count = len(list(reader))
    assert (count, reader.damage) == (12, [])
    data = bytearray(path.read_bytes())
    place = len(data) // 188 // 2 * 188
    assert first_broken_byte(path) is None
    path.write_bytes(data[:place] + bytes(200) + data[place + 200 :])
    assert first_broken_byte(path) == place
    without(0.4, 0.5, 188)(data)
    path.write_bytes(data)
    with open_reader(path) as reader:
        list(reader)
    assert any("follow a missing one" in line for line in reader.damage)


def test_raw_video_that_ends_within_a_frame_is_cut_off(tmp_path: Path) -> None:
    for header, size in [
        ("YUV4MPEG2 W4 H6 F25:1\n", 36),
        ("YUV4MPEG2 W3 H5 C420jpeg\n", 15 + 2 * 2 * 3),
        ("YUV4MPEG2 W4 H6 C422p10\n", 2 * 48),
        ("YUV4MPEG2 W4 H6 C444\n", 72),
        ("YUV4MPEG2 W4 H6 Cmono16\n", 48),
        ("YUV4MPEG2 W4 H6 Cxyz\n", 0),
        ("YUV4MPEG2 H6\n", 0),
    ]:
        assert y4m_frame_bytes(header) == size
    path = Y4M(tmp_path)
    assert not is_cut_off(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert is_cut_off(path)


def test_a_program_stream_that_ends_within_a_packet_is_cut_off(tmp_path: Path) -> None:
    path = MPG(tmp_path)
    whole = path.read_bytes()
    assert not is_cut_off(path)
    packs = [match.start() for match in re.finditer(rb"\0\0\x01\xba", whole)]
    for size, cut in [(packs[1], False), (len(whole) - 1, True), (packs[-1] + 9, True)]:
        path.write_bytes(whole[:size])
        assert is_cut_off(path) == cut
    path.write_bytes(whole + b"\0\0\x01\xb9")  # an end code
    assert not is_cut_off(path)
    path.write_bytes(whole + bytes(2048))
    assert not is_cut_off(path)


def test_a_broken_frame_of_raw_video_is_said(tmp_path: Path) -> None:
    path = RAW(tmp_path)
    data = bytearray(path.read_bytes())
    slices = [m.end() for m in re.finditer(rb"\0\0\x01[\x01\x41]", data)]  # of P and B frames
    data[slices[-1] : slices[-1] + 8] = b"\xff" * 8
    path.write_bytes(data)
    with open_reader(path) as reader:
        count = len(list(reader))
    assert reader.damage == [f"frames that cannot be decoded: {12 - count}"]
    assert count < 12


@pytest.mark.parametrize(
    ("names", "warning"),
    [
        (["f1", "f2", "f10"], "there is no image between f2.png and f10.png"),
        (["f08", "f09", "f10"], ""),
        (["a1", "b7"], ""),
        (["a", "b", "c"], ""),
    ],
)
def test_numbers_that_are_left_out_are_said(tmp_path: Path, names: list[str], warning: str) -> None:
    folder_of(len(names))(tmp_path)
    for index, name in reversed(list(enumerate(names))):
        (tmp_path / f"f{index}.png").rename(tmp_path / f"x{name}.png")
    for name in names:
        (tmp_path / f"x{name}.png").rename(tmp_path / f"{name}.png")
    with open_reader(tmp_path) as reader:
        assert [line.split(";")[0] for line in reader.warnings] == [warning] * bool(warning)
        assert len(list(reader)) == len(names)


def test_a_link_that_leads_nowhere_is_no_frame_less(tmp_path: Path) -> None:
    folder_of(2)(tmp_path)
    (tmp_path / "f2.png").symlink_to("gone.png")
    with pytest.raises(MediaError, match=r"expected an image file, .*f2\.png is none"):
        open_reader(tmp_path)


def test_a_second_video_and_unknown_sound_are_left_out_for_the_true_reason(tmp_path: Path) -> None:
    film = clip("a.mkv", videos=2, count=2)(tmp_path)
    with open_reader(film) as reader:
        companions = Companions(reader, "matroska")
    reason = "video track 1 (h264) is left out: only one video is restored"
    assert (companions.routes, companions.warnings) == ([], [reason])
    sound = changed(clip("a.mov", sound="pcm_s16le", count=2), put(b"sowt", -4, b"zzzz"))(tmp_path)
    with open_reader(sound) as reader:
        companions = Companions(reader, "mov")
    reason = "audio track 1 (of an unknown code) is left out: mov cannot hold it"
    assert (companions.routes, companions.warnings) == ([], [reason])


def test_a_file_that_gives_read_errors_is_named(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(MediaError, match=r"a\.mp4 cannot be read: Input/output error"):
        open_reader(path)
