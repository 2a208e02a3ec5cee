"""The kinds of damage by name: of a clip, and of a stream of frames."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import reduce

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
from .codecs import compress, compress_coded, compress_h264, compress_hevc, h264, hevc, kvazaar, ldp
from .realistic import realistic_damage
from .reduce import bicubic_down, gaussian_down

Stream = Callable[[Iterable[Tensor]], Iterator[Tensor]]  # frames (3, H, W), one for one, in order

DEGRADATIONS: dict[str, Degradation] = {
    "bicubic": bicubic_down,
    "gaussian": gaussian_down,
    "blur": motion_blur,
    "shutter": shutter,
    "exposure": random_exposure,
    "hevc": compress_hevc,
    "h264": compress_h264,
    "coded": compress_coded,
    "mixed": realistic_damage,
}

CODECS = {"hevc": hevc, "h264": h264, "ldp": ldp, "kvazaar": kvazaar}
NAMES = (
    f"{', '.join(DEGRADATIONS)}, or at one strength blur-7 (frames), "
    "shutter-2 (frames it is open), hevc-37, ldp-37, kvazaar-37 (QP), h264-32 (crf); or one after "
    "another, as h264-28+bicubic"
)


def strength(name: str) -> tuple[str, int]:
    """``hevc-37`` -> (``hevc``, 37). Raises ValueError for what is none of these names."""
    kind, _, number = name.partition("-")
    if kind not in ("blur", "shutter", *CODECS) or not number.isdecimal():
        raise ValueError(f"expected a degradation ({NAMES}), got {name!r}")
    value = int(number)
    if kind == "blur" and value % 2 == 0:
        raise ValueError(f"expected blur over an odd count of frames, got {name!r}")
    if kind in CODECS and value > 51:
        raise ValueError(f"expected a {kind} quality of at most 51, got {name!r}")
    return kind, value


def degradation(name: str) -> Degradation:
    """A degradation by its name in DEGRADATIONS, or of one strength, as NAMES says."""
    if name in DEGRADATIONS:
        return DEGRADATIONS[name]
    if "+" in name:
        return lambda clip, generator: in_turn(clip, name)
    kind, value = strength(name)
    if kind == "blur":
        return lambda clip, generator: blur_clip(clip, value)
    if kind == "shutter":
        return lambda clip, generator: blur_by_shutter(clip, value, bundled_flow())
    return lambda clip, generator: compress(clip, CODECS[kind], value)


def cache_name(name: str) -> str:
    """What a cache knows a damage by: its name, and the flow network's weights if it takes part."""
    if not {part.partition("-")[0] for part in name.split("+")} & {"shutter", "exposure"}:
        return name
    return f"{name}, {hashlib.sha256(find(FLOW).read_bytes()).hexdigest()[:16]}"


def in_turn(clip: Tensor, name: str) -> Pair:
    """A clip (T, 3, H, W), cut to sides divisible by 4, through the damages that ``name`` joins."""
    hq = cut_to_multiple(clip, 4)
    return Pair(torch.stack(list(stream(name)(hq))), hq)


def stream(name: str) -> Stream:
    """``bicubic``, ``gaussian``, or a damage of one strength, or several, frame after frame."""
    if "+" in name:
        parts = [stream(part) for part in name.split("+")]
        return lambda frames: reduce(lambda seen, part: part(seen), parts, iter(frames))
    if name in ("bicubic", "gaussian"):
        down = DEGRADATIONS[name]
        return lambda frames: (down(frame[None], Generator()).lq[0] for frame in frames)
    kind, value = strength(name)
    if kind == "shutter":
        raise ValueError("expected a damage made frame after frame, got shutter; blur-N is near it")
    if kind == "blur":
        return lambda frames: blur_stream(frames, value)
    return lambda frames: CODECS[kind](frames, value)


def shrinks(name: str) -> int:
    """How many times smaller the damage makes a frame's sides."""
    return 4 ** sum(part in ("bicubic", "gaussian") for part in name.split("+"))
