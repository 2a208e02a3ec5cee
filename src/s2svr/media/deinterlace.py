"""Deinterlacing of the pictures that are interlaced."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, groupby, islice
from math import lcm

import av
from av.filter import Graph

from .combing import Combing
from .errors import MediaError
from .planes import bits_of, from_picture

DEINTERLACE = ("auto", "off", "refuse", "bob", "ivtc")
LEAST_SIZE = (3, 4)  # width and height in pixels that the filter takes
# Film in video: frames a second with every fourth frame's fields shown longer, and of the film.
FILM = {
    Fraction(30000, 1001): Fraction(24000, 1001),
    Fraction(30): Fraction(24),
}
NEAR = Fraction(1, 80)  # frames a second by which a file may be wrong about its rate
MATCHED = re.compile(r"yuv4(11|20|22|44)p")  # formats whose fields can be matched
FIRST_FEW = 16  # pictures that tell the order of fields where none is marked


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
    base = picture.time_base or Fraction(1, 90000)
    return graph_of(picture, base, [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")])


def graph_of(picture: av.VideoFrame, base: Fraction, filters: list[tuple[str, str]]) -> Graph:
    """Join filters for pictures of this format, whose times count in ``base`` (seconds)."""
    graph = Graph()
    node = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format.name, time_base=base
    )
    for name, options in [*filters, ("buffersink", "")]:
        following = graph.add(name, options)
        node.link_to(following)
        node = following
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


def frame_times(mode: str, rates: Iterable[Fraction], base: Fraction) -> tuple[Fraction, Fraction]:
    """Frames a second that a mode of DEINTERLACE gives, and the unit of their times in seconds.

    ``rates`` are those that the file claims, the best first. MediaError where it is no telecine.
    """
    claimed = list(rates)
    if mode == "bob":
        return 2 * claimed[0], base / 2
    if mode != "ivtc":
        return claimed[0], base
    film = film_rate(claimed)
    if film is None:
        raise MediaError(
            f"expected film in video of 29.97 frames a second for ivtc, got {float(claimed[0]):.2f}"
        )
    common = lcm(film.numerator, base.denominator)
    return film, Fraction(1, common if common < 2**31 else lcm(film.numerator, 90000))


def film_rate(claimed: list[Fraction]) -> Fraction | None:
    """The rate of the film in a video of these rates; None where there can be none."""
    for rate in claimed:
        for telecined, film in FILM.items():
            if min(abs(rate - telecined), abs(rate - film)) < NEAR:
                return film
    return None


def bobbed(
    pictures: Iterator[av.VideoFrame], base: Fraction, rate: Fraction, unit: Fraction
) -> Iterator[av.VideoFrame]:
    """Yield a whole picture for each field, so many a second, by ``bwdif``.

    Times count in units of ``base``, those of the fields in ``unit``, half of it (seconds). Raises
    MediaError for pictures that are too small.
    """
    order, pictures = field_order(pictures)
    options = f"mode=send_field:parity={order}:deint=all"
    for _, run in groupby(with_times(pictures, base, rate / 2), size_and_format):
        last, after = -1, 0
        for number, made in enumerate(filtered(run, base, [("bwdif", options)])):
            made.time_base = unit
            if number and made.pts is not None and made.pts <= last:
                made.pts = after  # bwdif gives both fields of a single picture one time
            last = made.pts or 0
            after = last + (made.duration or round(1 / rate / unit))
            yield made


def film_of(
    pictures: Iterator[av.VideoFrame], base: Fraction, film: Fraction, unit: Fraction
) -> Iterator[av.VideoFrame]:
    """Yield the pictures of a film of so many a second that a video shows in a 3:2 telecine.

    Fields are matched, pictures that still comb are deinterlaced, and of five pictures the one that
    repeats most is left out. Times are even, in units of ``unit`` (seconds). Raises MediaError for
    formats whose fields cannot be matched.
    """
    order, pictures = field_order(pictures)
    rate = film * 5 / 4
    filters = [
        ("fps", f"{rate}"),  # also what is marked to be repeated is, as the others are
        ("fieldmatch", f"order={order}"),
        ("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        ("decimate", ""),
    ]
    for (_, _, name), run in groupby(with_times(pictures, base, rate), size_and_format):
        if not MATCHED.fullmatch(name):
            raise MediaError(f"expected YCbCr of 8 bits for ivtc, got {name}: choose bob")
        yield from evenly_timed(run, base, filters, film, unit)


def evenly_timed(
    pictures: Iterator[av.VideoFrame],
    base: Fraction,
    filters: list[tuple[str, str]],
    rate: Fraction,
    unit: Fraction,
) -> Iterator[av.VideoFrame]:
    """Yield what filters make of pictures, so many a second from the time of the first on."""
    first = next(pictures)
    begin = (first.pts or 0) * base
    for number, made in enumerate(filtered(chain([first], pictures), base, filters)):
        made.pts, made.time_base = round((begin + number / rate) / unit), unit
        made.duration = round(1 / rate / unit)
        yield made


def filtered(
    pictures: Iterator[av.VideoFrame], base: Fraction, filters: list[tuple[str, str]]
) -> Iterator[av.VideoFrame]:
    """Yield what filters make of pictures of one size and format, at least one."""
    first = next(pictures)
    if first.width < LEAST_SIZE[0] or first.height < LEAST_SIZE[1]:
        raise MediaError(f"pictures of {first.width}x{first.height} have no fields")
    graph = graph_of(first, base, filters)
    for picture in chain([first], pictures, [None]):
        graph.push(picture)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                made = graph.pull()
                assert isinstance(made, av.VideoFrame)
                yield made


def with_times(
    pictures: Iterable[av.VideoFrame], base: Fraction, rate: Fraction
) -> Iterator[av.VideoFrame]:
    """Yield pictures, of which those without a time follow the one before at a rate."""
    last = None
    for picture in pictures:
        if picture.pts is None:
            picture.pts = 0 if last is None else last + round(1 / rate / base)
        last = picture.pts
        picture.time_base = base
        yield picture


def field_order(
    pictures: Iterator[av.VideoFrame],
) -> tuple[str, Iterator[av.VideoFrame]]:
    """The field that comes first, tff or bff, as measured, or auto: as marked; and all pictures."""
    first = list(islice(pictures, 1))
    if first and first[0].interlaced_frame:
        return "auto", chain(first, pictures)
    first += islice(pictures, FIRST_FEW - 1)
    combing = Combing()
    for picture in first:
        combing.look(from_picture(picture)[0], bits_of(picture.format))
    return combing.order or "auto", chain(first, pictures)


# Modes that change the number of frames: what they do, how many they make of one of the file's, and
# the function that does it.
CHANGES = {
    "bob": ("each field is made a frame with bwdif", Fraction(2), bobbed),
    "ivtc": ("the telecine of film is undone", Fraction(4, 5), film_of),
}
