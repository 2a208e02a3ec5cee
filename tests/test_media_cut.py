"""Edit lists, pauses where a cut begins, and time codes."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from media_clips import make_video, packets, video_times
from s2svr.media import MediaError, open_reader
from s2svr.media.timecode import PictureCodes, at_rate, later_timecode, picture_timecode
from s2svr.restoration import check_video, restore_video
from s2svr.restoration.verify import Identity

STEP = Fraction(1, 25)
BASE = Fraction(1, 12800)
PACKET = Fraction(1024, 48000)  # seconds of an AAC packet


# Edit lists --------------------------------------------------------------------------------------


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of each box of an mp4 between two bytes."""
    while begin < end:
        size, name = struct.unpack_from(">I4s", data, begin)
        yield name, begin, begin + size
        begin += size


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def units(data: bytes, name: bytes) -> int:
    """Units per second of a movie (mvhd) or of a track (mdhd)."""
    return struct.unpack_from(">I", data, data.index(name) + 16)[0]


def with_edits(path: Path, edits: list[tuple[float, float | None, float]]) -> Path:
    """Give tracks edits of (seconds, begin in the track or None, speed); moov is at the end."""
    data = path.read_bytes()
    name, begin, end = list(boxes(data, 0, len(data)))[-1]
    assert name == b"moov"
    body = b""
    for kind, first, last in boxes(data, begin + 8, end):
        track = data[first:last]
        if kind == b"trak":
            start = struct.unpack_from(">i", track, track.index(b"elst") + 16)[0]
            entries = b"".join(
                struct.pack(
                    ">Iii", round(seconds * units(data, b"mvhd")),
                    -1 if place is None else start + round(place * units(track, b"mdhd")),
                    round(speed * 65536),
                )
                for seconds, place, speed in edits
            )  # fmt: skip
            listed = box(b"elst", struct.pack(">II", 0, len(edits)) + entries)
            parts = [track[a:b] for n, a, b in boxes(track, 8, len(track)) if n != b"edts"]
            track = box(b"trak", b"".join([parts[0], box(b"edts", listed), *parts[1:]]))
        body += track
    path.write_bytes(data[:begin] + box(b"moov", body))
    return path


def movie(path: Path, between: int = 0) -> Path:
    """Two seconds of pictures, so many B frames between others, a key frame each second; sound."""
    return make_video(
        path, pts=[512 * i for i in range(50)], time_base=BASE, last=512, sound=["aac"],
        options={"g": "25", "bf": str(between), "preset": "veryfast"},
    )  # fmt: skip


def samples(path: Path) -> int:
    """Number of samples that a player hears."""
    with av.open(str(path)) as source:
        return sum(frame.samples for frame in source.decode(audio=0))


EDITS = {
    "a piece cut out": [(0.6, 0, 1), (0.6, 1.2, 1)],
    "two pieces cut out": [(0.4, 0, 1), (0.4, 0.6, 1), (0.4, 1.4, 1)],
    "in the other order": [(0.6, 1.2, 1), (0.6, 0, 1)],
    "twice the same": [(0.6, 0.4, 1), (0.6, 0.4, 1)],
    "a late begin": [(0.4, None, 1), (0.6, 0.4, 1)],
    "the middle alone": [(0.6, 0.7, 1)],
}


def shown(edits: list[tuple[float, float | None, float]]) -> list[tuple[Fraction, int]]:
    """Time of each picture, and its number in the track."""
    found, begin = [], 0
    for seconds, place, _ in edits:
        count = round(seconds * 25)
        if place is not None:
            first = round(place * 25)
            found += [((begin + i) * STEP, first + i) for i in range(count)]
        begin += count
    return found


@pytest.mark.parametrize("name", EDITS)
def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path, name: str):
    plain = movie(tmp_path / "plain.mp4")
    with open_reader(plain) as reader:
        pictures = [frame.planes[0] for frame in reader]
    source = tmp_path / "a.mp4"
    source.write_bytes(plain.read_bytes())
    wanted = shown(EDITS[name])
    check = check_video(with_edits(source, EDITS[name]), tmp_path / "b.mp4")
    assert (check.failures, check.warnings) == ([], [])
    with open_reader(check.target) as reader:
        found = [(frame.time, frame.planes[0]) for frame in reader]
    assert [time for time, _ in found] == [time for time, _ in wanted]
    assert all((a == pictures[i]).all() for (_, a), (_, i) in zip(found, wanted, strict=True))
    # Sound is hidden packet by packet: at each end of a piece up to one is heard in part.
    pieces = [edit for edit in EDITS[name] if edit[1] is not None]
    assert abs(samples(check.target) - 48000 * len(wanted) * STEP) <= 2048 * len(pieces)
    heard = [time for time, _ in packets(check.target, "audio") if time >= 0]
    assert all(0 < b - a <= 2 * PACKET for a, b in pairwise(heard))
    assert heard[-1] < wanted[-1][0] + STEP


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_hidden_b_frames_and_converted_sound(tmp_path: Path, suffix: str):
    source = with_edits(movie(tmp_path / "a.mp4", 2), EDITS["a piece cut out"])
    check = check_video(source, tmp_path / f"b{suffix}")
    assert (check.failures, check.warnings) == ([], [])
    target = tmp_path / "c.webm"
    restore_video(Identity(), source, target, codec="vp9-lossless")
    assert abs(samples(target) - samples(source)) <= 2048
    times = video_times(target)
    assert len(times) == len(video_times(source))
    assert times[-1] - times[0] < Fraction(6, 5) + STEP


def test_a_cut_of_an_edited_file_has_its_frames(tmp_path: Path):
    source = with_edits(movie(tmp_path / "a.mp4", 2), EDITS["a piece cut out"])
    with open_reader(source) as reader:
        whole = [(frame.time, frame.planes[0]) for frame in reader]
    with open_reader(source, start=0.5, end=0.9) as reader:
        cut = [(frame.time, frame.planes[0]) for frame in reader]
    wanted = [pair for pair in whole if Fraction(1, 2) <= pair[0] < Fraction(9, 10)]
    assert [time for time, _ in cut] == [time for time, _ in wanted]
    assert all((a == b).all() for (_, a), (_, b) in zip(cut, wanted, strict=True))


def test_another_speed_of_an_edit_is_named(tmp_path: Path):
    source = with_edits(movie(tmp_path / "a.mp4"), [(0.4, 0, 1), (0.4, 0.4, 0.5)])
    with open_reader(source) as reader:
        assert reader.warnings == [
            "the edit list asks for speed 0.5 in a part: it is restored at its own speed"
        ]


# Pauses ------------------------------------------------------------------------------------------

PAUSES = [0, 512, 1024, 51200, 51712, 102400]  # 0, 0.04, 0.08, 4, 4.04 and 8 s


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("start", "shown"), [(2, [2, 3, 4, 5]), (3.99, [3, 4, 5]), (6, [4, 5])])
def test_a_cut_begins_with_the_picture_that_was_on(
    tmp_path: Path, suffix: str, start: float, shown: list[int]
):
    source = make_video(tmp_path / f"a{suffix}", pts=PAUSES, time_base=BASE, last=25600)
    with open_reader(source) as reader:
        whole = list(reader)
    with open_reader(source, start=start) as reader:
        cut = list(reader)
        shift = reader.shift
    times = [float(frame.time - shift) for frame in cut]
    wanted = [PAUSES[i] / 12800 - start for i in shown]
    assert times == pytest.approx([max(0, time) for time in wanted], abs=0.002)
    for frame, index in zip(cut, shown, strict=True):
        assert all((a == b).all() for a, b in zip(frame.planes, whole[index].planes, strict=True))


def test_a_cut_within_one_pause_is_one_picture(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", pts=PAUSES, time_base=BASE, last=25600)
    for start, end, length in ((2, 3, 1), (9, None, 1), (8.5, 9.5, 1)):
        with open_reader(source, start=start, end=end) as reader:
            (frame,) = reader
            assert frame.time == reader.shift == start
            assert frame.duration == length
    with pytest.raises(MediaError, match="no picture that can be decoded in the time asked for"):
        open_reader(source, start=11)


def test_a_long_picture_is_cut_at_both_ends(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=[0, 5400000, 5403000], codec="ffv1", options={})
    with open_reader(source, start=59) as reader:
        found = [(frame.time - 59, round(frame.duration, 3)) for frame in reader]
    thirtieth = Fraction(33, 1000)
    assert found == [(0, 1), (1, thirtieth), (1 + thirtieth, thirtieth)]
    source = make_video(tmp_path / "a.mp4", pts=[0, 900000])
    with open_reader(source, end=3) as reader:
        assert [(frame.time, frame.duration) for frame in reader] == [(0, 3)]
    restore_video(Identity(), source, tmp_path / "b.mp4", end=Fraction(3))
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert made.duration == 3_000_000


LONG_LAST = [0, 3003, 6006, 9009]  # and then 5 seconds


def test_the_last_picture_stays_as_long_in_every_container(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=LONG_LAST, last=450000)
    for name in ("b.mp4", "c.mkv", "d.mov"):  # pictures are decoded in another order than shown
        restore_video(Identity(), source, tmp_path / name)
        source = tmp_path / name
        with av.open(str(source)) as made:
            assert made.duration == pytest.approx(5_100_000, abs=1000)
        with open_reader(source) as reader:
            lengths = [float(frame.duration) for frame in reader]
        assert lengths == pytest.approx([0.033, 0.033, 0.033, 5], abs=0.002)


def test_the_end_of_a_track_is_that_of_its_last_picture(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", pts=LONG_LAST, last=450000)
    data = source.read_bytes()
    length = b"\x9b\x82" + (5000).to_bytes(2, "big")  # BlockDuration
    assert data.count(length) == 1
    source.write_bytes(data.replace(length, b"\xec" + length[1:]))  # Void
    with open_reader(source) as reader:
        assert [frame.duration for frame in reader][-1] == 5
        assert reader.damage == []


# Time codes --------------------------------------------------------------------------------------


def counted(frames: int, fps: int, drop: bool) -> Iterator[str]:
    """Time codes from 0 on, one after the other; of 30 numbers two are left out each minute."""
    for second in range(frames // fps + 1):
        minute = second // 60
        for frame in range(fps):
            left_out = drop and minute % 10 and second % 60 == 0 and frame < fps // 15
            if not left_out:
                clock = f"{minute // 60:02}:{minute % 60:02}:{second % 60:02}"
                yield f"{clock}{';' if drop else ':'}{frame:02}"


@pytest.mark.parametrize(
    ("rate", "drop"),
    [(Fraction(25), False), (Fraction(30000, 1001), True), (Fraction(60000, 1001), True)],
)
def test_time_codes_are_counted_as_a_recorder_does(rate: Fraction, drop: bool):
    zero = "00:00:00;00" if drop else "00:00:00:00"
    for index, text in enumerate(counted(round(rate) * 1300, round(rate), drop)):
        if index % 499 == 0 or text.endswith(("00:00", "00;02", "59;29", "00;04")):
            assert later_timecode(zero, index / rate, rate) == text


@pytest.mark.parametrize(
    ("begin", "frames", "rate", "later"),
    [
        ("01:02:03:04", 10, Fraction(25), "01:02:03:14"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:59:29", 1, Fraction(30000, 1001), "00:01:00:00"),
        ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("10:00:00:00", 24, Fraction(24000, 1001), "10:00:01:00"),
        ("", 5, Fraction(25), ""),
    ],
)
def test_a_later_time_code(begin: str, frames: int, rate: Fraction, later: str):
    assert later_timecode(begin, frames / rate, rate) == later


def timecodes(path: Path) -> set[str]:
    with av.open(str(path)) as source:
        tags = [source.metadata, *(stream.metadata for stream in source.streams)]
        return {text for names in tags for key, text in names.items() if key.lower() == "timecode"}


@pytest.mark.parametrize("old", [".mov", ".mp4", ".mkv"])
@pytest.mark.parametrize("new", [".mov", ".mp4", ".mkv"])
def test_a_cut_moves_the_time_code(tmp_path: Path, old: str, new: str):
    source = make_video(
        tmp_path / f"a{old}", pts=list(range(30)), time_base=Fraction(1, 30), last=1,
        metadata={"timecode": "01:02:03:04"},
    )  # fmt: skip
    for start, code in ((None, "01:02:03:04"), (Fraction(2, 5), "01:02:03:16")):
        target = tmp_path / f"{code[-2:]}{new}"
        summary = restore_video(Identity(), source, target, codec="h264-lossless", start=start)
        assert timecodes(target) == {code}
        assert summary.warnings == []


def grouped(path: Path, begin: str = "01:02:03:04") -> Path:
    """An MPEG-2 video whose groups of pictures have time codes."""
    return make_video(
        path, codec="mpeg2video", pts=list(range(25)), time_base=STEP, last=1,
        options={"g": "5", "bf": "0", "gop_timecode": begin},
    )  # fmt: skip


@pytest.mark.parametrize("old", [".ts", ".mpg", ".mkv"])
def test_the_time_code_of_groups_of_pictures_is_kept(tmp_path: Path, old: str):
    source = grouped(tmp_path / f"a{old}")
    for start, code in ((None, "01:02:03:04"), (Fraction(2, 5), "01:02:03:14")):
        target = tmp_path / f"{code[-2:]}.mov"
        summary = restore_video(Identity(), source, target, codec="h264-lossless", start=start)
        assert timecodes(target) == {code}
        assert [line for line in summary.warnings if "code" in line] == []


@pytest.mark.parametrize("old", [".ts", ".mov"])
def test_a_frame_of_each_field_counts_twice_as_fast(tmp_path: Path, old: str):
    """A code of 25 frames becomes one of 50: of pictures, and of a track."""
    source = tmp_path / f"a{old}"
    if old == ".ts":
        grouped(source, "01:02:03:24")
    else:
        make_video(
            source, pts=list(range(25)), time_base=STEP, last=1,
            metadata={"timecode": "01:02:03:24"},
        )  # fmt: skip
    for start, code in ((None, "01:02:03:48"), (Fraction(2, 5), "01:02:04:18")):
        target = tmp_path / f"{code[-2:]}.mov"
        summary = restore_video(
            Identity(), source, target, codec="h264-lossless", start=start, deinterlace="bob"
        )
        assert timecodes(target) == {code}
        assert [line for line in summary.warnings if "code" in line] == []


@pytest.mark.parametrize(
    ("text", "old", "new", "wanted"),
    [
        ("01:02:03:24", 25, 50, "01:02:03:48"),
        ("00:01:00;02", Fraction(30000, 1001), Fraction(60000, 1001), "00:01:00;04"),
        ("01:00:00;29", Fraction(30000, 1001), Fraction(24000, 1001), "01:00:00:23"),
        ("01:00:00:05", 30, 24, "01:00:00:04"),
        ("01:00:00:05", 30, 30, "01:00:00:05"),
        ("", 25, 50, ""),
    ],
)
def test_a_time_code_at_another_rate(text: str, old: Fraction, new: Fraction, wanted: str):
    assert at_rate(text, Fraction(old), Fraction(new)) == wanted


def test_the_check_tells_the_time_code_of_pictures(tmp_path: Path):
    source = grouped(tmp_path / "a.mkv")
    for name, fate in (("b.mkv", "kept"), ("c.mp4", "kept"), ("d.ts", "dropped")):
        check = check_video(source, tmp_path / name)
        row = next(row for row in check.rows if row.what == "video 0 timecode")
        assert (row.source, row.fate) == ("01:02:03:04", fate)
        assert check.holds, check.failures
    assert "timecode 01:02:03:04 is not written: mpegts cannot hold it" in row.why


def test_time_codes_of_pictures_that_count_from_0_say_nothing(tmp_path: Path):
    source = grouped(tmp_path / "a.ts", "00:00:00:00")
    summary = restore_video(Identity(), source, tmp_path / "b.mov", codec="h264-lossless")
    assert timecodes(tmp_path / "b.mov") == set()
    assert [line for line in summary.warnings if "code" in line] == []


def group(code: int) -> list[tuple[str, bytes]]:
    return [("GOP_TIMECODE", code.to_bytes(8, "little"))]


def test_time_codes_in_side_data():
    begin = 1 << 12 | 10 << 19 | 59 << 13 | 58 << 6 | 24
    assert picture_timecode(group(begin), Fraction(25)) == "10:59:58:24"
    assert picture_timecode(group(begin | 1 << 24), Fraction(30)) == "10:59:58;24"
    code = 0x24 << 24 | 0x58 << 16 | 0x59 << 8 | 0x10  # decimal digits, of four bits each
    smpte = [("S12M_TIMECODE", struct.pack("=4I", 1, code, 0, 0))]
    assert picture_timecode(smpte, Fraction(25)) == "10:59:58:24"
    assert picture_timecode(smpte, Fraction(50)) == "10:59:58:48"
    second = [("S12M_TIMECODE", struct.pack("=4I", 1, code | 1 << 7, 0, 0))]
    assert picture_timecode(second, Fraction(50)) == "10:59:58:49"
    assert picture_timecode([("S12M_TIMECODE", bytes(16))], Fraction(25)) == ""


def test_a_time_code_of_pictures_that_does_not_go_on_is_said():
    codes = PictureCodes("", Fraction(0))
    hour = 1 << 12 | 1 << 19
    assert codes.look(group(hour), Fraction(0), Fraction(25)) == ""
    assert codes.begin == "01:00:00:00"
    assert codes.look(group(hour | 2 << 6), Fraction(2), Fraction(25)) == ""
    line = codes.look(group(hour | 30 << 13), Fraction(4), Fraction(25))
    assert line.startswith("the time code of the pictures at 4.000 s is 01:30:00:00, and not 01:00")
    assert codes.look(group(hour | 30 << 13 | 2 << 6), Fraction(6), Fraction(25)) == ""
