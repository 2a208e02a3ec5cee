"""Stages in threads: order, bounds, errors, and no thread left behind."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from s2svr.queues import read_ahead, write_behind


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
