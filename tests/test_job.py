"""restore_video: pixels, times, sizes and counts; nothing is left behind by an error."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from media_clips import make_video, packets, video_times
from networks import TINY
from s2svr.color import from_rgb, to_rgb
from s2svr.media import open_reader
from s2svr.media.errors import MediaError
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_to
from s2svr.restoration import Encoding
from s2svr.restoration.frames import restore
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.video import fitting_window, output_size, restore_video
from s2svr.writing.images import write_png


class Enlarge(nn.Module):
    """Repeats pixels; the n-th frame is dimmed by what it remembers, to catch mixed-up frames."""

    lookahead = 1

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.ones(()))

    def forward(
        self, x: Tensor, state: list[Tensor] | None = None, lookahead: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        count = state[0] if state else torch.zeros_like(x[:, 0])
        out = []
        for frame in x.unbind(1)[: x.shape[1] - lookahead]:
            count = count + 1
            y = frame * (0.5 + 0.5 / count)
            out.append(y.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2))
        return torch.stack(out, 1), [count]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 64x48 at uneven times, with sound and a title."""
    path = tmp_path_factory.mktemp("movie") / "in.mkv"
    return make_video(path, codec="ffv1", sound=["flac"], metadata={"title": "A test"})


def decoded(path: Path) -> list[tuple[Tensor, ...]]:
    with open_reader(path) as reader:
        return [frame.planes for frame in reader]


def expected(model: nn.Module, path: Path, size: tuple[int, int]) -> list[tuple[Tensor, ...]]:
    """What restoring means, without threads, queues or files."""
    with open_reader(path) as reader:
        color = reader.info.color
        rgb = [to_rgb(frame.planes, frame.color) for frame in reader]
    restored = (resize_to(frame, size[::-1]).clamp(0, 1) for frame in restore(model, rgb))
    return [from_rgb(frame, color, (2, 2)) for frame in restored]


@pytest.mark.parametrize("scale", [4, 2, None])
def test_every_pixel_and_time_stamp_is_as_it_should_be(
    movie: Path, tmp_path: Path, scale: int | None
) -> None:
    model, target = Enlarge(4), tmp_path / "out.mkv"
    seen: list[tuple[int, int | None]] = []
    summary = restore_video(
        model,
        movie,
        target,
        window=5,
        scale=scale,
        codec="ffv1",
        progress=lambda done, total: seen.append((done, total)),
    )
    size = (64 * (scale or 4), 48 * (scale or 4))
    got, wanted = decoded(target), expected(model, movie, size)
    assert len(got) == len(wanted) == 12
    for ours, theirs in zip(got, wanted, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)
    assert video_times(target) == video_times(movie)
    assert packets(target, "audio") == packets(movie, "audio")
    assert (summary.frames, summary.size_in, summary.size_out) == (12, (64, 48), size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {done for done, _ in seen} == {0, 5, 12}  # a window, and the last two
    assert seen[-1] == (12, 12)
    assert summary.shots == 1
    assert summary.damage == []
    assert summary.seconds > 0
    assert sum(summary.shares.values()) == pytest.approx(1)
    assert summary.frames_per_second == pytest.approx(12 / summary.seconds)
    assert summary.peak_memory > 2**20


def test_the_real_model_gives_the_same_as_frame_by_frame(movie: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = S2SVR(TINY)
    target = tmp_path / "out.mkv"
    restore_video(model, movie, target, window=3, codec="ffv1", threads=1)
    for ours, theirs in zip(decoded(target), expected(model, movie, (256, 192)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_cuts_reset_the_memory_and_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    g = torch.Generator().manual_seed(0)
    scenes = [torch.rand(3, 24, 32, generator=g) * w for w in (0.3, 1.0)]
    for index in range(8):
        write_png(source / f"{index}.png", scenes[index // 5] * (1 - index / 100))
    summary = restore_video(Enlarge(1), source, tmp_path / "out", window=3)
    assert summary.shots == 2
    first = [planes[0] for planes in decoded(tmp_path / "out")]
    assert torch.equal(first[5], decoded(source)[5][0])  # not dimmed: a fresh start
    assert not torch.equal(first[6], first[5])
    whole = restore_video(Enlarge(1), source, tmp_path / "whole", scene_cuts=False)
    assert whole.shots == 1
    assert not torch.equal(decoded(tmp_path / "whole")[5][0], first[5])


def test_a_span_is_cut_out(movie: Path, tmp_path: Path) -> None:
    times = video_times(movie)
    target = tmp_path / "out.mkv"
    summary = restore_video(Enlarge(1), movie, target, start=times[2], end=times[7], codec="ffv1")
    assert summary.frames == 5
    assert [t - times[2] for t in times[2:7]] == video_times(target)


def test_frames_can_be_turned_to_and_from_images(movie: Path, tmp_path: Path) -> None:
    restore_video(Enlarge(2), movie, tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").iterdir())) == 12
    summary = restore_video(
        Enlarge(1), tmp_path / "pictures", tmp_path / "back.mkv", fps=Fraction(10)
    )
    assert summary.frames == 12
    assert video_times(tmp_path / "back.mkv")[-1] == Fraction(11, 10)


class Broken(Enlarge):
    """Fails in its second window."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(1)
        self.error = error

    def forward(
        self, x: Tensor, state: list[Tensor] | None = None, lookahead: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        if state is not None:
            raise self.error
        return super().forward(x, state, lookahead)


@pytest.mark.parametrize("error", [RuntimeError("bad weights"), KeyboardInterrupt()])
def test_an_error_leaves_nothing_and_hides_nothing(
    movie: Path, tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        restore_video(Broken(error), movie, tmp_path / "out.mkv", window=2)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_file_that_was_to_be_overwritten(movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    target.write_bytes(b"precious")
    with pytest.raises(RuntimeError):
        restore_video(Broken(RuntimeError()), movie, target, window=2, overwrite=True)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_no_frames_is_an_error(movie: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no (frame|picture)"):
        restore_video(Enlarge(1), movie, tmp_path / "out.mkv", start=Fraction(50))
    assert list(tmp_path.iterdir()) == []


def test_fallbacks_are_told_and_kept(movie: Path, tmp_path: Path) -> None:
    class Small(Enlarge):
        def forward(
            self, x: Tensor, state: list[Tensor] | None = None, lookahead: int = 0
        ) -> tuple[Tensor, list[Tensor]]:
            if x.shape[1] > 3:
                raise torch.OutOfMemoryError
            return super().forward(x, state, lookahead)

    told: list[str] = []
    summary = restore_video(Small(1), movie, tmp_path / "out.mkv", window=4, say=told.append)
    assert told[0] == "out of memory, going on with windows of 2 frames"
    assert summary.warnings == told
    assert summary.frames == 12


def test_sizes(movie: Path) -> None:
    with open_reader(movie) as reader:
        info = reader.info
    model = Enlarge(4)
    assert output_size(model, info, Encoding()) == (256, 192)
    assert output_size(model, info, Encoding(scale=3)) == (192, 144)
    assert output_size(model, info, Encoding(size=(100, 50))) == (100, 50)
    assert output_size(model, replace(info, rotation=90), Encoding(size=(100, 50))) == (50, 100)
    with pytest.raises(ValueError, match="expected a scale from 1 to 4, .*, got 5"):
        output_size(model, info, Encoding(scale=5))
    with pytest.raises(ValueError, match="size from 1x1 to 256x192 .*, got 257x10"):
        output_size(model, info, Encoding(size=(257, 10)))
    with pytest.raises(ValueError, match="a scale or a size, got both"):
        output_size(model, info, Encoding(scale=2, size=(10, 10)))


def test_windows_shrink_with_large_frames(movie: Path) -> None:
    with open_reader(movie) as reader:
        info = reader.info
    assert fitting_window(16, 4, replace(info, width=320, height=180)) == 16
    assert fitting_window(16, 4, replace(info, width=1280, height=720)) == 6
    assert fitting_window(16, 4, replace(info, width=8000, height=8000)) == 1
    assert fitting_window(2, 1, info) == 2


@pytest.mark.parametrize("frozen", [64, 2])
def test_equal_frames_are_restored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: int
) -> None:
    monkeypatch.setattr("s2svr.restoration.pipeline.FROZEN", frozen)
    shown = [0, 0, 1, 2, 2, 2, 2, 3, 4, 5, 5, 6, 7, 7]
    for name, numbers in (("shown", shown), ("distinct", sorted(set(shown)))):
        (tmp_path / name).mkdir()
        generator = torch.Generator().manual_seed(0)
        pictures = torch.rand(8, 3, 32, 48, generator=generator)
        for place, number in enumerate(numbers):
            write_png(tmp_path / name / f"{place:02}.png", pictures[number])
    settings = {"window": 3, "scene_cuts": False, "segment": 4}
    restore_video(Enlarge(2), tmp_path / "distinct", tmp_path / "once", **settings)
    once = [planes[0] for planes in decoded(tmp_path / "once")]

    def found(**more: object) -> tuple[int, int, list[Tensor]]:
        target = tmp_path / "out"
        summary = restore_video(Enlarge(2), tmp_path / "shown", target, **settings, **more)
        return summary.repeats, summary.resumed, [planes[0] for planes in decoded(target)]

    repeats, _, out = found()
    assert len(out) == len(shown)
    if frozen == 64:
        assert repeats == 6
        assert all(torch.equal(a, once[n]) for a, n in zip(out, shown, strict=True))
    else:  # the third repetition is restored: dimmed by one step more
        assert repeats == 5
        assert torch.equal(out[5], out[3])
        assert not torch.equal(out[6], out[3])
    tries = 0
    while True:
        tries += 1
        try:
            again, resumed, parts = found(stop=lambda: True, overwrite=True)
            break
        except Stopped:
            pass
    assert tries > 1
    assert resumed > 0
    assert again == repeats
    assert all(torch.equal(a, b) for a, b in zip(parts, out, strict=True))
