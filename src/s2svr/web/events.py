"""Changes of a queue as events for browsers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from ..jobs import Entry, JobQueue
from .views import JobView

LOOK_UP = 0.5  # seconds after which it is looked whether there will be more
TOGETHER = 0.15  # seconds in which changes of one job are told as one


async def changes(
    queue: JobQueue, view: Callable[[Entry], JobView], ended: Callable[[], bool] = lambda: False
) -> AsyncIterator[tuple[str, Any]]:
    """All jobs, then each that changed, until it has ``ended``; names of events and their data."""
    loop, changed, news = asyncio.get_running_loop(), dict[str, Entry | None](), asyncio.Event()

    def note(name: str, entry: Entry | None) -> None:
        changed[name] = entry
        news.set()

    def listener(name: str, entry: Entry | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(note, name, entry)

    stop = queue.listen(listener)
    try:
        yield "jobs", [view(entry).model_dump(mode="json") for entry in queue.all()]
        while not ended():
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), LOOK_UP)
            if not changed:
                continue
            await asyncio.sleep(TOGETHER)
            news.clear()
            told = dict(changed)
            changed.clear()
            for name, entry in told.items():
                if entry is None:
                    yield "gone", {"id": name}
                else:
                    yield "job", view(entry).model_dump(mode="json")
    finally:
        stop()
