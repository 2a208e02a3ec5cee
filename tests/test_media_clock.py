"""Times of files whose clock jumps, wraps or is hidden in parts by edit lists."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import pytest

from media_clips import make_video, packets
from s2svr.media import open_reader
from s2svr.restoration import Job, check_video, preview_video, restore_video
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.verify import Identity
from s2svr.writing import inspect_file

COUNT, RATE = 24, 30  # frames of a part
PART = Fraction(COUNT, RATE)  # seconds
STEP = Fraction(1, RATE)
EARLY = Fraction(902, 90000)  # seconds: sound of this encoder begins 481 samples before pictures
WRAP = Fraction(2**33, 90000)  # seconds at which the clock of a transport stream starts over
TS_PACKET = 188
PICTURES, SOUND = 0x100, 0x101  # numbers that FFmpeg gives the streams of a transport stream


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording: pictures with B frames, and sound."""
    path = tmp_path_factory.mktemp("part") / "part.ts"
    return make_video(
        path, codec="mpeg2video", pts=list(range(COUNT)), time_base=STEP, last=1, sound=["mp2"],
        options={"g": "10", "bf": "2"},
    )  # fmt: skip


def recording(
    part: Path, begin: Fraction | int, kinds: str = "video audio", first: int = PICTURES
) -> bytes:
    """A transport stream whose clock says ``begin`` seconds at its first content.

    ``first`` is the number of its first stream.
    """
    target = part.with_name("recording.ts")
    with av.open(str(part)) as old, av.open(
        str(target), "w", options={"mpegts_copyts": "1", "mpegts_start_pid": str(first)}
    ) as new:  # fmt: skip
        found = [packet for packet in old.demux() if packet.size and packet.stream.type in kinds]
        copies = {
            packet.stream: new.add_stream_from_template(packet.stream, opaque=True)
            for packet in {packet.stream_index: packet for packet in found}.values()
        }
        ticks = round(begin * 90000) - min(packet.pts for packet in found)
        for packet in found:
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = copies[packet.stream]
            new.mux(packet)
    return target.read_bytes()


def split(data: bytes, number: int) -> tuple[list[bytes], list[bytes]]:
    """The packets of a transport stream: those of one of its streams, and the others."""
    all_of = [data[i : i + TS_PACKET] for i in range(0, len(data), TS_PACKET)]
    mine = [(p[1] & 31) << 8 | p[2] == number for p in all_of]
    return (
        [p for p, own in zip(all_of, mine, strict=True) if own],
        [p for p, own in zip(all_of, mine, strict=True) if not own],
    )


def late(part: Path, number: int) -> bytes:
    """Two recordings; one stream of the first ends among the packets of the second."""
    own, others = split(recording(part, 100), number)
    second, rest = split(recording(part, 5), SOUND if number == PICTURES else PICTURES)
    return b"".join([*others, *own[:-12], *second[:12], *own[-12:], *merged(second[12:], rest)])


def merged(one: list[bytes], other: list[bytes]) -> Iterator[bytes]:
    """Packets of two lists, evenly mixed; the longer one's first."""
    counts = len(one), len(other)
    places = [((i + 1) / counts[0], p) for i, p in enumerate(one)]
    places += [((i + 0.5) / counts[1], p) for i, p in enumerate(other)]
    return (p for _, p in sorted(places, key=lambda pair: pair[0]))


def times(path: Path) -> tuple[list[Fraction], list[Fraction], list[str], list[str]]:
    """Times in the output of all frames, and those of the sound; damage and warnings."""
    with open_reader(path) as reader:
        frames = [frame.time - reader.shift for frame in reader]
    sound = inspect_file(path).companions
    heard = [sound[0].packets.seconds(i) - reader.shift for i in range(len(sound[0].packets.times))]
    return frames, heard if sound else [], reader.damage, reader.warnings


# Each clock is given by its recordings' begins in seconds, and the parts that follow each other.
CLOCKS = {
    "negative": ([WRAP - Fraction(3, 2)], 0),
    "wraps": ([WRAP - Fraction(2, 5)], 0),
    "begins after hours": ([50000], 0),
    "back": ([100, 50], 1),
    "a little back": ([100, Fraction(1003, 10)], 1),
    "far back": ([1000, 10], 1),
    "hours ahead": ([100, 20000], 1),
    "wraps late": ([WRAP - 100, WRAP - Fraction(2, 5)], 1),
    "thrice": ([100, 5, 50000], 2),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_parts_follow_each_other(part: Path, tmp_path: Path, name: str):
    begins, jumps = CLOCKS[name]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(recording(part, begin) for begin in begins))
    frames, heard, damage, warnings = times(path)
    with open_reader(path) as reader:
        length = reader.info.duration
    assert frames == [EARLY + i * STEP for i in range(COUNT * len(begins))]
    assert heard[0] == 0
    # 0.8 s of sound are 33 1/3 packets of 24 ms: where parts meet, one may be cut or late.
    assert all(0 < b - a < 0.06 for a, b in pairwise(heard))
    assert damage == []
    assert length == COUNT * len(begins) * STEP
    assert len(warnings) == min(jumps, 1)
    assert all("the clock of the file jumps" in line for line in warnings)


def test_the_check_tells_of_a_clock_that_jumps(part: Path, tmp_path: Path):
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(recording(part, begin) for begin in (100, 5)))
    check = check_video(path, tmp_path / "b.mkv")
    row = next(row for row in check.rows if row.what == "clock")
    assert (row.source, row.output) == ("jumps once at 0.790 s", "goes on evenly")
    assert row.fate == "converted"
    assert row.why.startswith("the clock of the file jumps once at 0.8")
    assert check.holds, check.failures


def test_a_pause_below_ten_seconds_stays(part: Path, tmp_path: Path):
    path = tmp_path / "a.ts"
    path.write_bytes(recording(part, 100) + recording(part, 105))
    frames, _, _, warnings = times(path)
    assert frames[:COUNT] == [EARLY + i * STEP for i in range(COUNT)]
    assert frames[COUNT] == EARLY + 5
    assert warnings == []


@pytest.mark.parametrize("number", [PICTURES, SOUND])
def test_streams_that_jump_at_different_packets_stay_together(
    part: Path, tmp_path: Path, number: int
):
    path = tmp_path / "a.ts"
    path.write_bytes(late(part, number))
    frames, heard, damage, _ = times(path)
    assert frames == [EARLY + i * STEP for i in range(2 * COUNT)]
    assert len(heard) == 68
    assert all(0 < b - a < 0.06 for a, b in pairwise(heard))
    assert damage == []


def test_streams_of_other_numbers_go_on_with_the_first_ones(part: Path, tmp_path: Path):
    path = tmp_path / "a.ts"
    path.write_bytes(recording(part, 100) + recording(part, 5, first=0x200))
    frames, heard, damage, _ = times(path)
    assert len(frames) == 2 * COUNT
    assert len(heard) == 68
    # The picture that FFmpeg is reading when the numbers change comes at the end of the file.
    assert all(abs(b - a) <= 3 * STEP for a, b in pairwise(frames))
    assert damage == []


def test_pictures_alone_follow_each_other(part: Path, tmp_path: Path):
    path = tmp_path / "a.ts"
    path.write_bytes(recording(part, 100, "video") + recording(part, 5, "video"))
    with open_reader(path) as reader:
        assert [f.time - reader.shift for f in reader] == [i * STEP for i in range(2 * COUNT)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".ts"])
def test_every_container_gets_the_same_times(part: Path, tmp_path: Path, suffix: str):
    path = tmp_path / "a.ts"
    path.write_bytes(recording(part, WRAP - 1) + recording(part, 50000))
    check = check_video(path, tmp_path / f"b{suffix}")
    assert check.failures == []
    assert check.frames == 2 * COUNT
    after = inspect_file(check.target)
    video, sound = after.video, after.companions[0].packets
    assert abs(video.seconds(-1) - video.seconds(0) - 47 * STEP) <= Fraction(1, 1000)
    assert 1.5 < sound.seconds(-1) - sound.seconds(0) < 1.7
    assert abs(video.seconds(0) - sound.seconds(0) - EARLY) < Fraction(1, 50)


def matroska_twice(part: Path, path: Path) -> None:
    """Two Matroska recordings in one file: the clusters of the second begin at 0 again."""
    single = path.with_name("single.mkv")
    with av.open(str(part)) as old, av.open(str(single), "w", options={"live": "1"}) as new:
        copies = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    data = single.read_bytes()
    path.write_bytes(data + data[data.index(b"\x1f\x43\xb6\x75") :])


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
@pytest.mark.parametrize(("start", "end"), [(0.3, None), (1.0, 1.2), (0.7, 0.9), (None, 0.5)])
def test_a_cut_counts_on_where_the_clock_jumps(
    part: Path, tmp_path: Path, suffix: str, start: float | None, end: float | None
):
    path = tmp_path / f"a{suffix}"
    if suffix == ".ts":
        path.write_bytes(recording(part, 100) + recording(part, 5))
    else:
        matroska_twice(part, path)
    with open_reader(path) as reader:
        whole = [(frame.time - reader.origin, frame.planes[0]) for frame in reader]
    first, stop = Fraction(str(start or 0)), Fraction(str(end or 9))
    wanted = [(time, plane) for time, plane in whole if first <= time < stop]
    with open_reader(path, start=start, end=end) as reader:
        cut = [(frame.time - reader.origin, frame.planes[0]) for frame in reader]
    assert len(wanted) > 4
    assert [time for time, _ in cut] == [time for time, _ in wanted]
    assert all((a == b).all() for (_, a), (_, b) in zip(cut, wanted, strict=True))
    target = tmp_path / "b.mp4"
    restore_video(Identity(), path, target, codec="h264-lossless", start=first, end=stop)
    heard = packets(target, "audio")
    length = wanted[-1][0] - wanted[0][0] + STEP
    assert abs(len(heard) * 0.024 - length) < 0.05
    assert all(0 < b - a < 0.06 for (a, _), (b, _) in pairwise(heard))


@pytest.mark.parametrize("begins", [[100, 100 + 3 * PART], [100, 5], [100, 20000]])
def test_a_large_file_tells_about_how_long_it_is(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: list[Fraction]
):
    monkeypatch.setattr("s2svr.media.begin.WHOLE", 0)
    monkeypatch.setattr("s2svr.media.begin.PLACES", 12)
    path = tmp_path / "a.ts"
    path.write_bytes(
        b"".join(recording(part, begin + i * PART) for begin in begins for i in (0, 1, 2))
    )
    with open_reader(path) as reader:
        assert abs(reader.info.duration - 6 * PART) < PART


def test_a_preview_takes_the_middle_of_what_follows_each_other(part: Path, tmp_path: Path):
    path, target = tmp_path / "a.ts", tmp_path / "b.mp4"
    path.write_bytes(recording(part, 100) + recording(part, 20000))
    shown = preview_video(Identity(), Job(path, target), Fraction(1, 5))
    assert (shown.frames, shown.damage) == (6, [])


def test_a_restoration_goes_on_in_the_second_part(part: Path, tmp_path: Path):
    path, whole, target = tmp_path / "a.ts", tmp_path / "whole.mp4", tmp_path / "b.mp4"
    path.write_bytes(recording(part, 100) + recording(part, 5))
    restore = partial(restore_video, Identity(), path, window=4, segment=8, codec="h264-lossless")
    restore(whole)
    stops = iter([False, False, False, True, False, True])
    for _ in range(2):
        with pytest.raises(Stopped):
            restore(target, stop=lambda: next(stops))
    assert restore(target).resumed > COUNT
    assert target.read_bytes() == whole.read_bytes()
