"""The size of a result, which may be asked for in several ways, from that of its input."""

from fractions import Fraction
from typing import NamedTuple

from .media import MediaInfo


class Sizing(NamedTuple):
    """How large a result is to be: at most one of these; all None: as the network makes it."""

    scale: float | Fraction | None = None  # times the input, on both sides
    size: tuple[int, int] | None = None  # width and height as written; pixels change their shape
    height: int | None = None  # of the picture as shown, in square pixels
    width: int | None = None
    fit: tuple[int, int] | None = None  # the picture as shown lies within these: width, height


WORDS = {"fit": "size to fit in"}  # for what is named otherwise than its word


def result_size(info: MediaInfo, most: int, wanted: Sizing) -> tuple[int, int]:
    """Width and height, as coded, that a result is written in, in pixels.

    ``most`` is how many times the network enlarges: nothing is enlarged further, and what is to fit
    becomes so large at most. A side that follows from another one is even where chroma is
    subsampled. Raises ValueError for more than one wish, and for sizes beyond ``most``.
    """
    given = [WORDS.get(name, name) for name, value in wanted._asdict().items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"expected a {given[0]} or a {given[1]}, got both")
    turned = info.rotation % 180 != 0  # a player turns the picture: people mean what is shown
    if wanted.size is not None:
        size = plain_size(info, most, wanted.size, turned)
        return size[::-1] if turned else size
    if wanted.scale is not None:
        return scaled_size(info, most, Fraction(wanted.scale))
    if wanted == Sizing():
        return info.width * most, info.height * most
    size = size_as_shown(info, most, wanted)
    return size[::-1] if turned else size


def plain_size(info: MediaInfo, most: int, size: tuple[int, int], turned: bool) -> tuple[int, int]:
    """A size, as shown, that is given whole, if it is not too large."""
    width, height = info.width * most, info.height * most
    if turned:
        width, height = height, width
    if not (1 <= size[0] <= width and 1 <= size[1] <= height):
        raise ValueError(
            f"expected a size from 1x1 to {width}x{height} ({most} times the input), "
            f"got {size[0]}x{size[1]}"
        )
    return size


def scaled_size(info: MediaInfo, most: int, scale: Fraction) -> tuple[int, int]:
    """The input's size times ``scale``."""
    if not 1 <= scale <= most:
        raise ValueError(
            f"expected a scale from 1 to {most}, which is the model's, got {float(scale):g}"
        )
    if scale.denominator == 1:
        return info.width * int(scale), info.height * int(scale)
    sides = zip((info.width, info.height), steps_of(info), strict=True)
    width, height = (nearest(side * scale, step, side * most) for side, step in sides)
    return width, height


def size_as_shown(info: MediaInfo, most: int, wanted: Sizing) -> tuple[int, int]:
    """The size (width, height), as shown, for a height, a width or a box; pixels are square."""
    across, down, steps = Fraction(info.width), Fraction(info.height), steps_of(info)
    if info.aspect > 1:  # pixels become square by enlarging: no detail is lost
        across *= info.aspect
    else:
        down /= info.aspect
    if info.rotation % 180:
        across, down, steps = down, across, steps[::-1]
    widest, highest = most * across, most * down
    for word, side, limit in (("width", wanted.width, widest), ("height", wanted.height, highest)):
        if side is not None and not 1 <= side <= limit:
            raise ValueError(
                f"expected a {word} from 1 to {int(limit)} ({most} times the input), got {side}"
            )
    if wanted.height is not None:
        return nearest(wanted.height * across / down, steps[0], widest), wanted.height
    if wanted.width is not None:
        return wanted.width, nearest(wanted.width * down / across, steps[1], highest)
    assert wanted.fit is not None
    if min(wanted.fit) < 1:
        raise ValueError(f"expected a size to fit in, got {wanted.fit[0]}x{wanted.fit[1]}")
    times = min(wanted.fit[0] / across, wanted.fit[1] / down, Fraction(most))
    wide, high = (
        nearest(side * times, step, min(Fraction(max(1, box - box % step)), most * side))
        for side, step, box in zip((across, down), steps, wanted.fit, strict=True)
    )
    return wide, high


def steps_of(info: MediaInfo) -> tuple[int, int]:
    """What width and height should divide by, for the chroma that the result will have."""
    return (2, 2) if info.color.matrix in ("rgb", "gray") else info.chroma


def nearest(side: Fraction, step: int, most: Fraction | int) -> int:
    """The multiple of ``step`` that is nearest to ``side`` and not above ``most``, which may be."""
    if side == most and most == int(most):
        return int(most)
    length = max(step, step * round(side / step))
    return length if length <= most else max(1, int(most) // step * step)


def fit_line(info: MediaInfo, most: int, wanted: Sizing) -> str | None:
    """What is to be said where a result is smaller than the box that it is to fit in."""
    if wanted.fit is None:
        return None
    width, height = size_as_shown(info, most, wanted)
    wide, high = wanted.fit
    if wide - width <= 1 or high - height <= 1:
        return None
    times = f"{most} times the input" if most > 1 else "the input's own size"
    return f"{width}x{height} is {times}, which the network makes: {wide}x{high} is not filled"
