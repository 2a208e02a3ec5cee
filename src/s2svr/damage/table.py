"""The kinds of damage in one table, and how their names are read."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from math import prod

import torch
from torch import Generator, Tensor

from ..checkpoint import find
from ..data import Degradation, Pair
from ..ops import cut_to_multiple
from .blur import (
    FLOW,
    blur_by_shutter,
    blur_clip,
    blur_stream,
    bundled_flow,
    motion_blur,
    random_exposure,
    shutter,
)
from .codecs import (
    BLOCK,
    OFFSETS,
    av1,
    compress,
    compress_coded,
    compress_h264,
    compress_hevc,
    compress_mpeg,
    compress_web,
    h264,
    hevc,
    kvazaar,
    ldp,
    mpeg2,
    mpeg4,
    vp9,
    x265,
)
from .realistic import realistic_damage
from .reduce import bicubic_down, gaussian_down

Stream = Callable[[Iterable[Tensor]], Iterator[Tensor]]  # frames (3, H, W), one for one, in order
StreamAt = Callable[[Iterable[Tensor], int], Iterator[Tensor]]  # the same at a strength


@dataclass(frozen=True)
class Strength:
    """A damage at the strength N that its name ends in, as ``hevc-37``."""

    unit: str  # of N
    usual: int  # N in examples
    text: str  # one sentence that says what is done
    clip: Callable[[Tensor, int], Pair]  # (T', 3, H, W) in [0, 1] and N -> Pair
    stream: StreamAt | None = None  # None: it cannot be made frame after frame
    near: str = ""  # the damage to take where there is no stream
    least: int = 0  # the smallest N
    most: int | None = None  # the largest N
    odd: bool = False  # N is an odd number


@dataclass(frozen=True)
class Damage:
    """A kind of damage: by its name alone, and at a strength that is given."""

    text: str = ""  # one sentence that says what the name alone does
    clip: Degradation | None = None  # of the name alone; None: it needs a strength
    stream: Stream | None = None  # of the name alone; None: it needs a strength, or draws it
    strength: Strength | None = None  # None: it takes none
    shrinks: int = 1  # how many times smaller the sides become
    note: str = ""  # what has to be said beside its scores
    by_flow: bool = False  # caches also know it by the weights of the flow network
    since: str = ""  # and by this, where the name once meant something else
    blurs: bool = False  # it makes a frame of several
    least: int = 1  # sides in pixels that frames must have


def each_frame(damage: Degradation) -> Stream:
    """A stream in which every frame is damaged by itself."""
    return lambda frames: (damage(frame[None], Generator()).lq[0] for frame in frames)


def coding(
    codec: StreamAt, unit: str, usual: int, text: str, least: int = 0, most: int = 51
) -> Strength:
    """The strengths of a codec: qualities from ``least`` to ``most``, higher is coarser."""
    return Strength(
        unit, usual, text, lambda clip, quality: compress(clip, codec, quality), codec,
        least=least, most=most,
    )  # fmt: skip


LDP = f"QPs {OFFSETS}"

DAMAGES = {
    "bicubic": Damage(
        "Reduce 4 times, bicubic as in MATLAB (BI).",
        clip=bicubic_down, stream=each_frame(bicubic_down), shrinks=4,
    ),
    "gaussian": Damage(
        "Blur by a Gaussian of sigma 1.6 and reduce 4 times (BD).",
        clip=gaussian_down, stream=each_frame(gaussian_down), shrinks=4,
    ),
    "blur": Damage(
        "`blur-N` over 5, 7, 9 or 11 frames.",
        clip=motion_blur, blurs=True,
        strength=Strength(
            "frames", 7, "Average this many frames in linear light, an odd number: motion blur.",
            clip=blur_clip, stream=blur_stream, odd=True,
        ),
    ),
    "shutter": Damage(
        "`blur` for half of the clips; for the others a shutter that is open for 0.75 to 4 frames.",
        clip=shutter, by_flow=True, blurs=True,
        strength=Strength(
            "frames it is open", 2,
            "Average what a shutter sees that is open for this many frames: motion blur, for which "
            "frames are interpolated along the motion.",
            clip=lambda clip, count: blur_by_shutter(clip, count, bundled_flow(clip.device)),
            near="blur-N", least=1,
        ),
    ),
    "exposure": Damage(
        "Average 7 to 15 frames of a clip that was filmed at a high rate, and keep one for all.",
        clip=random_exposure, by_flow=True, blurs=True,
    ),
    "hevc": Damage(
        "`hevc-N` at a QP of 22 to 42.",
        clip=compress_hevc, note="by x265, which is not HM", least=BLOCK + 1,
        strength=coding(hevc, "QP", 37, "Compress with x265 at this fixed QP, without B frames."),
    ),
    "ldp": Damage(
        since=LDP, least=BLOCK + 1,
        strength=coding(
            ldp, "QP", 37,
            "Compress with x265 at the QPs of HM 16.5's low-delay P: every fourth frame is better.",
        ),
    ),
    "kvazaar": Damage(
        strength=coding(
            kvazaar, "QP", 37,
            "Compress with kvazaar in its low-delay pattern; needs the extra `kvazaar`.",
        ),
    ),
    "h264": Damage(
        "`h264-N` at a CRF of 18 to 36.",
        clip=compress_h264,
        strength=coding(
            h264, "crf", 32, "Compress with x264 at this rate factor, as web video is."
        ),
    ),
    "x265": Damage(
        least=BLOCK + 1,
        strength=coding(
            x265, "crf", 28, "Compress with x265 at this rate factor, as films are kept."
        ),
    ),
    "mpeg2": Damage(
        strength=coding(
            mpeg2, "quantiser", 5,
            "Compress as MPEG-2 at this quantiser, in groups of 15 frames, as on a DVD.",
            least=1, most=31,
        ),
    ),
    "mpeg4": Damage(
        strength=coding(
            mpeg4, "quantiser", 5,
            "Compress as MPEG-4 Part 2 at this quantiser, as DivX and Xvid did.", least=1, most=31,
        ),
    ),
    "mpeg": Damage(
        "`mpeg2` or `mpeg4` at a quantiser of 2 to 14.",
        clip=compress_mpeg,
    ),
    "vp9": Damage(
        strength=coding(vp9, "crf", 40, "Compress with libvpx's VP9 at this rate factor.", most=63),
    ),
    "av1": Damage(
        strength=coding(av1, "crf", 40, "Compress with SVT-AV1 at this rate factor.", most=63),
    ),
    "web": Damage(
        "`vp9` or `av1` at a CRF of 24 to 52.",
        clip=compress_web,
    ),
    "coded": Damage(
        "`hevc` for half of the clips, `h264` or `ldp` for a quarter each.",
        clip=compress_coded, since=LDP, least=BLOCK + 1,
    ),
    "mixed": Damage(
        "Blur, reduce 4 times in one of three ways, add noise and compress, each with some "
        "probability.",
        clip=realistic_damage, shrinks=4, least=4 * (BLOCK + 1),
    ),
}  # fmt: skip


def known_names() -> str:
    """All names that a damage can have, for the messages of errors."""
    alone = ", ".join(name for name, damage in DAMAGES.items() if damage.clip)
    strong = [(name, damage.strength) for name, damage in DAMAGES.items() if damage.strength]
    units = [
        f"{', '.join(f'{name}-{one.usual}' for name, one in same)} ({unit})"
        for unit, same in groupby(strong, lambda entry: entry[1].unit)
    ]
    return (
        f"{alone}, or at one strength {', '.join(units)}; or one after another, as h264-28+bicubic"
    )


def strength(name: str) -> tuple[Strength, int]:
    """The strength that a name like ``hevc-37`` means, and its number N.

    Raises ValueError for other names and for an N that is not allowed.
    """
    kind, _, number = name.partition("-")
    found = DAMAGES[kind].strength if kind in DAMAGES else None
    if found is None or not number.isdecimal():
        raise ValueError(f"expected a degradation ({known_names()}), got {name!r}")
    value = int(number)
    if found.odd and value % 2 == 0:
        raise ValueError(f"expected {kind} over an odd count of {found.unit}, got {name!r}")
    if value < found.least:
        raise ValueError(f"expected {kind}-N with N of at least {found.least}, got {name!r}")
    if found.most is not None and value > found.most:
        raise ValueError(f"expected a {kind} quality of at most {found.most}, got {name!r}")
    return found, value


def degradation(name: str) -> Degradation:
    """The damage of a clip by its name: alone, at a strength, or several joined by ``+``."""
    if name in DAMAGES and (alone := DAMAGES[name].clip):
        return alone
    if "+" in name:
        return lambda clip, generator: in_turn(clip, name)
    at, value = strength(name)
    return lambda clip, generator: at.clip(clip, value)


def in_turn(clip: Tensor, name: str) -> Pair:
    """A clip (T, 3, H, W), cut to sides divisible by 4, through the damages that ``name`` joins."""
    hq = cut_to_multiple(clip, 4)
    return Pair(torch.stack(list(stream(name)(hq))).to(hq.device), hq)


def stream(name: str) -> Stream:
    """The damage of frames one after another, by a name that leaves nothing to chance.

    Names joined by ``+`` are made in turn. Raises ValueError for damage that is drawn at random or
    needs the clip as a whole.
    """
    if "+" in name:
        parts = [stream(part) for part in name.split("+")]
        return lambda frames: reduce(lambda seen, part: part(seen), parts, iter(frames))
    if name in DAMAGES and (alone := DAMAGES[name].stream):
        return alone
    at, value = strength(name)
    damaged = at.stream
    if damaged is None:
        kind, near = name.partition("-")[0], f"; {at.near} is near it" if at.near else ""
        raise ValueError(f"expected a damage made frame after frame, got {kind}{near}")
    return lambda frames: damaged(frames, value)


def joined(name: str) -> list[Damage]:
    """The kinds of damage that ``+`` joins in a name; those that the table lacks are left out."""
    kinds = (part.partition("-")[0] for part in name.split("+"))
    return [DAMAGES[kind] for kind in kinds if kind in DAMAGES]


def shrinks(name: str) -> int:
    """The number of times that the damage makes a frame's sides smaller."""
    return prod(damage.shrinks for damage in joined(name))


def blurs_motion(name: str) -> bool:
    """True for damage that makes a frame of several."""
    return any(damage.blurs for damage in joined(name))


def smallest_side(name: str) -> int:
    """The smallest side of frames that can always take the damage: in pixels, divisible by 4."""
    least, shrunk = 1, 1
    for damage in joined(name):
        least, shrunk = max(least, shrunk * damage.least), shrunk * damage.shrinks
    return 4 * -(-least // 4)


def made_here(name: str) -> str:
    """The words that stand beside scores of clips with this damage."""
    notes = [damage.note for damage in joined(name) if damage.note]
    return " ".join([f"{name}, made here", *dict.fromkeys(notes)])


def cache_name(name: str) -> str:
    """The name under which caches keep a damage; a flow network that takes part is in it."""
    kinds = joined(name)
    facts = dict.fromkeys(damage.since for damage in kinds if damage.since)
    if any(damage.by_flow for damage in kinds):
        facts[hashlib.sha256(find(FLOW).read_bytes()).hexdigest()[:16]] = None
    return ", ".join([name, *facts])
