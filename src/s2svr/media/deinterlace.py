"""Deinterlacing of the pictures that are interlaced."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph

DEINTERLACE = ("auto", "off", "refuse")
LEAST_SIZE = (3, 4)  # width and height in pixels that the filter takes


def deinterlaced(
    pictures: Iterator[av.VideoFrame], on_interlaced: Callable[[], bool]
) -> Iterator[av.VideoFrame]:
    """Yield as many pictures at the same times; interlaced ones are deinterlaced by ``bwdif``.

    ``on_interlaced`` is called at the first interlaced one; if it returns False, all stay as they
    are. Else the rest goes through the filter, which looks at neighbours and leaves progressive
    pictures as they are.
    """
    noticed = False  # an interlaced picture
    for picture in pictures:
        large = picture.width >= LEAST_SIZE[0] and picture.height >= LEAST_SIZE[1]
        if picture.interlaced_frame and large and not noticed:
            noticed = True
            if on_interlaced():
                yield from filter_pictures(picture, pictures)
                return
        yield picture


def filter_pictures(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Filter ``first`` and the rest; from a change of size or format on they pass as they are."""
    graph = bwdif(first)
    inside: deque[av.VideoFrame] = deque()  # pictures in the filter, which keeps their order
    picture: av.VideoFrame | None = first
    while picture is not None and size_and_format(picture) == size_and_format(first):
        inside.append(picture)
        graph.push(picture)
        yield from finished_pictures(graph, inside)
        picture = next(rest, None)
    graph.push(None)
    yield from finished_pictures(graph, inside)
    if picture is not None:
        yield picture
        yield from rest


def size_and_format(picture: av.VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def bwdif(picture: av.VideoFrame) -> Graph:
    """Make a filter for pictures of this format, with one picture out for each one in."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format.name,
        time_base=picture.time_base or Fraction(1, 90000),
    )  # fmt: skip
    node = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    source.link_to(node)
    node.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def finished_pictures(graph: Graph, inside: deque[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield the pictures that the filter has finished, with the times of those that went in."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            made = graph.pull()
            assert isinstance(made, av.VideoFrame)
            old = inside.popleft()
            made.pts, made.time_base, made.duration = old.pts, old.time_base, old.duration
            yield made
