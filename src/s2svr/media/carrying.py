"""Name tags that travel beside what is processed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Tag = TypeVar("Tag")
Item = TypeVar("Item")
Result = TypeVar("Result")


def carried(
    tagged: Iterable[tuple[Tag, Item]], process: Callable[[Iterator[Item]], Iterable[Result]]
) -> Iterator[tuple[Tag, Result]]:
    """Results of a process, each with the tag of the item that it was made of.

    ``process`` turns an iterator of items into as many results, in their order; it may look ahead
    as far as it likes. So a frame that was decoded gets back what it has become, at its own time
    stamp. Raises RuntimeError where there are not as many results as items.
    """
    tags: deque[Tag] = deque()

    def items() -> Iterator[Item]:
        for tag, item in tagged:
            tags.append(tag)
            yield item

    for result in process(items()):
        if not tags:
            raise RuntimeError("expected one result for each item, got one more")
        yield tags.popleft(), result
    if tags:
        raise RuntimeError(f"expected one result for each item, {len(tags)} are missing")
