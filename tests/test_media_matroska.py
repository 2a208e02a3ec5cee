"""The shown size in Matroska and WebM files, which is written into the finished file."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from media_clips import make_video, packets
from s2svr.restoration.verify import check_video
from s2svr.writing.matroska import SEGMENT, VOID, display_size, elements, set_display_size


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_shown_size_is_added_and_nothing_else_changes(tmp_path: Path, suffix: str):
    codec = "ffv1" if suffix == ".mkv" else "libvpx-vp9"
    path = make_video(
        tmp_path / f"a{suffix}", codec=codec, options={}, sound=["libopus"], chapters=True,
        metadata={"title": "Harbour"},
    )  # fmt: skip
    size = path.stat().st_size
    before = [packets(path, "video"), packets(path, "audio")]
    for shown, aspect in [((128, 48), Fraction(2)), ((64, 960), Fraction(1, 20))]:
        assert set_display_size(path, *shown)
        assert path.stat().st_size == size
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            assert stream.sample_aspect_ratio == aspect
            assert source.metadata["title"] == "Harbour"
            assert [c["metadata"]["title"] for c in source.chapters()] == ["one", "two"]
            source.seek(500_000, backward=True)  # by the index, whose place has to be found
            assert next(source.decode(stream)).pts is not None
        assert [packets(path, "video"), packets(path, "audio")] == before


def test_elements_are_where_the_list_of_places_says(tmp_path: Path):
    path = make_video(tmp_path / "a.mkv", codec="ffv1", options={}, pts=[0, 3000])
    assert set_display_size(path, 100, 48)
    data = path.read_bytes()
    segment = next(e for e in elements(data, 0, len(data)) if e.name == SEGMENT)
    inside = list(elements(data, segment.body, len(data)))
    assert inside[-1].stop == len(data)
    starts = {e.name: e.start - segment.body for e in inside if e.name != VOID}
    head = inside[0]
    found = {}
    for seek in elements(data, head.body, head.stop):
        parts = list(elements(data, seek.body, seek.stop))
        values = [int.from_bytes(data[p.body : p.stop], "big") for p in parts]
        if len(values) == 2:
            found[values[0]] = values[1]
    assert len(found) >= 4
    assert all(starts[name] == place for name, place in found.items())


def test_a_file_without_room_is_left_as_it_is(tmp_path: Path):
    path = make_video(tmp_path / "a.mkv", codec="ffv1", options={}, pts=[0, 3000])
    data = path.read_bytes()
    path.write_bytes(data[:40])
    assert not set_display_size(path, 100, 48)
    assert path.read_bytes() == data[:40]


def test_a_shown_size_never_shrinks_the_picture():
    assert display_size(720, 576, Fraction(16, 15)) == (768, 576)
    assert display_size(720, 480, Fraction(8, 9)) == (720, 540)


@pytest.mark.parametrize("name", ["b.mkv", "b.webm"])
def test_the_pixel_aspect_passes_the_check(tmp_path: Path, name: str):
    source = make_video(tmp_path / "a.mp4", pts=[0, 3003], aspect=Fraction(3, 2))
    check = check_video(source, tmp_path / name)
    assert check.failures == []
    (row,) = (row for row in check.rows if row.what == "pixel aspect")
    assert (row.fate, row.output) == ("kept", "3/2")
