"""Portions of a film: where its shots are, which of them are learned from, and their frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..color import to_rgb
from ..data import to_bytes
from ..media import MediaError
from ..restoration import Excerpt, find_cuts

WHOLE = 3000  # frames of a film that is looked at from begin to end; of others, PLACES are,
# or so many frames where its length is not known
PLACES = 30
SPAN = 16  # frames of a portion, about
LEAST = 4  # the same, at least
HELD = 5  # one shot in so many is held out
MOST = 16  # portions that are learned from
MOST_HELD = 8  # and that are held out
GRID = 16  # pixels: parts of frames begin at its multiples, as blocks of codecs do


@dataclass(frozen=True)
class Portion:
    """Frames of one shot; of large frames, a part."""

    start: Fraction | None  # seconds of the place they are counted from; None: the film's begin
    first: int  # frames from there
    count: int
    held: bool  # it is not learned from


@dataclass(frozen=True)
class FilmShot:
    """Frames ``first`` to ``end`` from a place on."""

    start: Fraction | None
    first: int
    end: int


def frames_of(source: Path, excerpt: Excerpt, start: Fraction | None) -> Iterator[Tensor]:
    """Frames (3, H, W) in [0, 1] from a place on: 2 SPAN of them, or WHOLE from the begin."""
    count = WHOLE
    if start is not None:
        excerpt, count = replace(excerpt, start=start), 2 * SPAN
    with excerpt.open(source) as reader:
        for frame in islice(reader, count):
            yield to_rgb(frame.planes, frame.color)


def film_places(source: Path, excerpt: Excerpt) -> list[Fraction | None]:
    """Where a film is looked at: at its begin only, which means WHOLE frames, or at PLACES."""
    with excerpt.open(source) as reader:
        length, rate, frames = reader.info.duration, reader.info.rate, reader.info.frames
    if length is None or (length * rate if frames is None else frames) <= WHOLE:
        return [None]
    begin = excerpt.start or Fraction(0)
    room = length - 2 * SPAN / rate
    return [begin + room * place / (PLACES - 1) for place in range(PLACES)]


def shots_of(
    source: Path, excerpt: Excerpt, fewest: int, going: Callable[[], bool] = lambda: True
) -> list[FilmShot]:
    """The shots of a film, or of the places that are looked at.

    ``going`` is asked every SPAN frames: where it says no, no more than ``fewest`` frames, or two
    places, are looked at. Raises MediaError for fewer than ``fewest`` frames.
    """

    def looked(start: Fraction | None) -> Iterator[Tensor]:
        for index, frame in enumerate(frames_of(source, excerpt, start)):
            if index % SPAN == 0 and not going() and index >= fewest:
                return
            yield frame

    shots: list[FilmShot] = []
    for place, start in enumerate(film_places(source, excerpt)):
        if place > 1 and shots and not going():
            break
        begins = [begins for _, begins in find_cuts(looked(start))]
        firsts = [index for index, begin in enumerate(begins) if begin]
        if start is None and len(begins) < fewest:
            raise MediaError(
                f"expected a film of at least {fewest} frames to learn from, {source} has "
                f"{len(begins)}"
            )
        ends = [*firsts[1:], len(begins)]
        shots += [FilmShot(start, *pair) for pair in zip(firsts, ends, strict=True)]
    return [shot for shot in shots if shot.end - shot.first >= LEAST]


def set_apart(shots: list[FilmShot]) -> list[tuple[FilmShot, bool]]:
    """Shots and whether they are held out: one in HELD, or of few the last part of the time."""
    if len(shots) >= HELD:
        return [(shot, index % HELD == HELD // 2) for index, shot in enumerate(shots)]
    total = sum(shot.end - shot.first for shot in shots)
    left, parts = total - total // HELD, []  # frames to learn from
    for shot in shots:
        middle = min(shot.end, shot.first + left)
        left -= middle - shot.first
        parts += [(replace(shot, end=middle), False), (replace(shot, first=middle), True)]
    return [(shot, held) for shot, held in parts if shot.end - shot.first >= LEAST]


def portions_of(shots: list[FilmShot]) -> list[Portion]:
    """Portions of a film in the order in which they are made ready.

    Those held out and those to learn from, each spread over the film, take turns: as many as there
    is time for can be taken. Raises MediaError where there is nothing of one kind.
    """
    kinds: dict[bool, list[Portion]] = {True: [], False: []}
    for shot, held in set_apart(shots):
        length = shot.end - shot.first
        count = max(1, round(length / SPAN))
        edges = [shot.first + length * i // count for i in range(count + 1)]
        kinds[held] += [
            Portion(shot.start, a, b - a, held) for a, b in zip(edges, edges[1:], strict=False)
        ]
    learned, tested = spread(kinds[False], MOST), spread(kinds[True], MOST_HELD)
    if not learned or not tested:
        raise MediaError(
            f"expected shots of {LEAST} frames or more, the film has {len(shots)} of them: "
            "nothing could be learned, or nothing held out"
        )
    each = max(1, len(learned) // len(tested))
    order = []
    for index, portion in enumerate(tested):
        end = None if index == len(tested) - 1 else each * (index + 1)
        order += [portion, *learned[each * index : end]]
    return order


def spread(portions: list[Portion], most: int) -> list[Portion]:
    """At most so many portions, evenly chosen, in an order that soon reaches everywhere."""
    count = min(most, len(portions))
    chosen = [portions[len(portions) * i // count] for i in range(count)]
    return sorted(chosen, key=lambda portion: scattered(chosen.index(portion)))


def scattered(index: int) -> float:
    """The index with its binary digits reversed, as a number from 0 to 1."""
    value, share = 0.0, 0.5
    while index:
        value, index, share = value + share * (index & 1), index >> 1, share / 2
    return value


def read_portions(
    source: Path,
    excerpt: Excerpt,
    portions: list[Portion],
    size: tuple[int, int],
    tell: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Portion, np.ndarray]]:
    """Portions and their frames as uint8 (T, 3, h, w), in the film's order.

    Of frames larger than ``size`` (height, width), the part with the most detail. Of a portion
    whose last frames cannot be decoded, those that can, if they are LEAST. ``tell`` is called every
    SPAN frames.
    """
    for start in dict.fromkeys(portion.start for portion in portions):
        here = sorted((p for p in portions if p.start == start), key=lambda p: p.first)
        frames = enumerate(frames_of(source, excerpt, start))
        for portion in here:
            taken: list[Tensor] = []
            window = None
            for index, frame in frames:
                if index % SPAN == 0:
                    tell()
                if index < portion.first:
                    continue
                window = window or sharpest(frame, size)
                taken.append(to_bytes(frame[:, *window]))
                if len(taken) == portion.count:
                    break
            if len(taken) >= LEAST:
                yield portion, torch.stack(taken).numpy()


def sharpest(frame: Tensor, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the part of a frame (3, H, W) that has the most detail."""
    ranges = []
    for side, most in zip(frame.shape[-2:], size, strict=True):
        room = max(0, side - most)
        ranges.append([(slice(at, at + min(side, most))) for at in
                       sorted({room * i // 4 // GRID * GRID for i in range(5)})])  # fmt: skip
    grey = frame.mean(0)
    windows = [(rows, columns) for rows in ranges[0] for columns in ranges[1]]
    return max(windows, key=lambda window: detail_of(grey[window]))


def detail_of(grey: Tensor) -> float:
    """Mean difference of neighbouring pixels (h, w)."""
    return float(grey.diff(dim=0).abs().mean() + grey.diff(dim=1).abs().mean())
