"""Stages of a pipeline in threads of their own, joined to the caller by short queues.

What a stage raises is raised again at its caller, and a caller that leaves early, by an error or
Ctrl-C, waits for the item in work and no longer.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import TypeVar

import torch

T = TypeVar("T")
WAIT = 0.1  # seconds between looks at whether the other side is still there
STARTING = Lock()  # held while PyTorch's number of threads is one for all that ask


class _End:
    """The last entry of a queue, with what ended it early."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(source: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The items of ``source``, taken in a thread that is up to ``depth`` items ahead.

    Close the iterator (``contextlib.closing``) where it may be left before its end.
    """
    queue: Queue[T | _End] = Queue(depth)
    left = Event()

    def work() -> None:
        end = _End()
        try:
            for item in source:
                if not offer(queue, item, left):
                    return
        except BaseException as error:
            end = _End(error)
        offer(queue, end, left)

    thread = start_alone(work)
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        left.set()
        thread.join()


@contextmanager
def write_behind(write: Callable[[T], None], depth: int) -> Iterator[Callable[[T], None]]:
    """A function that hands items to ``write`` in a thread, up to ``depth`` items behind.

    The block ends when the last item is written; where it ends by an error, the rest is dropped.
    """
    queue: Queue[T | _End] = Queue(depth)
    left = Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            while not isinstance(item := take(queue, left), _End):
                write(item)
        except BaseException as error:
            failure.append(error)
            left.set()

    def put(item: T | _End) -> None:
        if not offer(queue, item, left) and failure:
            raise failure[0]

    thread = start_alone(work)
    try:
        yield put
        put(_End())
        thread.join()
        if failure:
            raise failure[0]
    finally:
        left.set()
        thread.join()


def start_alone(work: Callable[[], None]) -> Thread:
    """Start a thread in which PyTorch computes on one core.

    Beside a second team of OpenMP's threads the caller's own go to sleep after every operation, and
    a network of many small ones takes a third longer.
    """
    begun = Event()

    def run() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread's number is settled when it is first asked for
        begun.set()
        work()

    thread = Thread(target=run, daemon=True)
    with STARTING:
        threads = torch.get_num_threads()
        thread.start()
        begun.wait()
        torch.set_num_threads(threads)  # of the caller, as before, and of threads to come
    return thread


def offer(queue: Queue[T | _End], item: T | _End, left: Event) -> bool:
    """Put an item, unless the other side leaves first."""
    while not left.is_set():
        try:
            queue.put(item, timeout=WAIT)
        except Full:
            continue
        return True
    return False


def take(queue: Queue[T | _End], left: Event) -> T | _End:
    """Get an item, or the end when the other side leaves first."""
    while not left.is_set():
        try:
            return queue.get(timeout=WAIT)
        except Empty:
            continue
    return _End()
