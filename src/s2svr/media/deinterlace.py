"""Interlaced pictures -> whole ones."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph

DEINTERLACE = ("auto", "off", "refuse")
LEAST = (3, 4)  # pixels, width and height, that the filter takes


def whole_pictures(
    pictures: Iterator[av.VideoFrame], found: Callable[[], bool]
) -> Iterator[av.VideoFrame]:
    """As many pictures at the same times, those that are interlaced deinterlaced by ``bwdif``.

    ``found`` is called at the first interlaced one, and says whether to go on so. From there on
    all pass through the filter, which looks at their neighbours and leaves whole ones as they are.
    """
    seen = False
    for picture in pictures:
        large = picture.width >= LEAST[0] and picture.height >= LEAST[1]
        if picture.interlaced_frame and large and not seen:
            seen = True
            if found():
                yield from filtered(picture, pictures)
                return
        yield picture


def filtered(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """``first`` and the rest through the filter, until they change their size or format."""
    graph = bwdif(first)
    held: deque[av.VideoFrame] = deque()  # in the filter; it gives them back in their order
    picture: av.VideoFrame | None = first
    while picture is not None and shape(picture) == shape(first):
        held.append(picture)
        graph.push(picture)
        yield from finished(graph, held)
        picture = next(rest, None)
    graph.push(None)
    yield from finished(graph, held)
    if picture is not None:
        yield picture
        yield from rest


def shape(picture: av.VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def bwdif(picture: av.VideoFrame) -> Graph:
    """A filter for pictures like this: one picture for each, only where they are interlaced."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format.name,
        time_base=picture.time_base or Fraction(1, 90000),
    )  # fmt: skip
    fields = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    source.link_to(fields)
    fields.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def finished(graph: Graph, held: deque[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """What the filter has finished, with the times of what went in."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            made = graph.pull()
            assert isinstance(made, av.VideoFrame)
            old = held.popleft()
            made.pts, made.time_base, made.duration = old.pts, old.time_base, old.duration
            yield made
