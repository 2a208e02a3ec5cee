"""Stages in threads: order, bounds, errors, and no thread left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from media_clips import make_video
from s2svr.media.frame import Frame
from s2svr.media.video import VideoReader
from s2svr.restoration.pipeline import QUEUE
from s2svr.restoration.threads import read_ahead, start_alone, write_behind
from s2svr.restoration.video import restore_video
from s2svr.writing.encoder import VideoEncoder

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class SomeError(Exception):
    pass


def test_all_items_come_in_order() -> None:
    assert list(read_ahead(range(50), 3)) == list(range(50))
    written: list[int] = []
    with write_behind(written.append, 3) as put:
        for item in range(50):
            put(item)
    assert written == list(range(50))
    assert list(read_ahead([], 2)) == []


def test_a_stage_computes_on_one_core() -> None:
    """Its caller, and threads that come later, have as many as before."""
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        numbers = read_ahead((torch.get_num_threads() for _ in range(1)), 1)
        assert list(numbers) == [1]
        start_alone(lambda: seen.append(torch.get_num_threads())).join()
        assert seen == [1]
        assert torch.get_num_threads() == 3
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [1, 3]
    finally:
        torch.set_num_threads(before)


def test_the_reader_is_bounded() -> None:
    taken = []

    def source() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with closing(read_ahead(source(), 2)) as items:
        for item in items:
            assert len(taken) <= item + 5  # 2 wait, 1 is offered, 1 is in hand
            if item == 10:
                break


def test_the_writer_is_bounded() -> None:
    gate, written = threading.Semaphore(0), []

    def write(item: int) -> None:
        gate.acquire()
        written.append(item)

    with write_behind(write, 2) as put:
        for item in range(3):  # one is in work, two wait
            put(item)
        full = threading.Thread(target=put, args=(3,))
        full.start()
        full.join(0.3)
        assert full.is_alive()
        assert written == []
        for _ in range(4):
            gate.release()
        full.join()
    assert written == [0, 1, 2, 3]


def test_an_error_of_the_source_reaches_the_consumer_after_what_came_before() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise SomeError("broken")

    got = []
    with pytest.raises(SomeError, match="broken"):  # noqa: PT012
        for item in read_ahead(source(), 5):
            got.append(item)
    assert got == [0, 1, 2]


def test_an_error_of_the_writer_stops_the_producer() -> None:
    def write(item: int) -> None:
        if item == 3:
            raise SomeError("disk full")

    with pytest.raises(SomeError, match="disk full"), write_behind(write, 2) as put:  # noqa: PT012
        for item in range(10_000):
            put(item)


def test_an_error_of_the_writer_at_the_last_item_is_not_lost() -> None:
    def write(item: int) -> None:
        raise SomeError("late")

    with pytest.raises(SomeError, match="late"), write_behind(write, 2) as put:
        put(1)


@pytest.mark.parametrize("error", [SomeError, KeyboardInterrupt])
def test_leaving_by_an_error_ends_both_threads(error: type[BaseException]) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with (  # noqa: PT012
        pytest.raises(error),
        closing(read_ahead(endless(), 2)) as items,
        write_behind(lambda item: None, 2) as put,
    ):
        for n, item in enumerate(items):
            put(item)
            if n == 20:
                raise error


class Count(nn.Module):
    """Doubles frames; raises at a call that is given."""

    scale, lookahead = 2, 1

    def __init__(self, last: int = 10**9) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls, self.last = 0, last

    def forward(
        self, x: Tensor, state: list[Tensor] | None = None, lookahead: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        self.calls += 1
        if self.calls == self.last:
            raise SomeError("restore")
        y = x[:, : x.shape[1] - lookahead]
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2), []


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pts = [3003 * t for t in range(60)]
    path = tmp_path_factory.mktemp("movie") / "in.mkv"
    return make_video(path, codec="ffv1", pts=pts, size=(16, 16))


@pytest.mark.parametrize("stage", ["decode", "restore", "encode"])
def test_whatever_stage_fails_all_stages_end(
    stage: str, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def failing(work: Callable[..., T]) -> Callable[..., T]:
        def run(*given: object) -> T:
            nonlocal calls
            calls += 1
            if calls == 20:
                raise SomeError(stage)
            return work(*given)

        return run

    if stage == "decode":
        monkeypatch.setattr(VideoReader, "__next__", failing(VideoReader.__next__))
    if stage == "encode":
        monkeypatch.setattr(VideoEncoder, "write", failing(VideoEncoder.write))
    model = Count(5 if stage == "restore" else 10**9)
    with pytest.raises(SomeError, match=stage):
        restore_video(model, movie, tmp_path / "out.mkv", window=4)


def test_slow_encoding_holds_the_other_stages_back(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = written = most = 0
    read, write = VideoReader.__next__, VideoEncoder.write

    def counted_read(reader: VideoReader) -> Frame:
        nonlocal decoded, most
        frame = read(reader)
        decoded += 1
        most = max(most, decoded - written)
        return frame

    def slow_write(encoder: VideoEncoder, frame: Frame) -> None:
        nonlocal written
        time.sleep(0.005)
        write(encoder, frame)
        written += decoded > 0  # not the trial before the first frame

    monkeypatch.setattr(VideoReader, "__next__", counted_read)
    monkeypatch.setattr(VideoEncoder, "write", slow_write)
    restore_video(Count(), movie, tmp_path / "out.mkv", window=4)
    assert written == 60
    # A window and what it sees ahead, two queues, and one frame in each of the five hands between.
    assert most <= 4 + 1 + 2 * QUEUE + 5
