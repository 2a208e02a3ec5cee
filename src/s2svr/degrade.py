"""High-quality clips -> low-quality ones: the damage that the three tasks undo."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .blur import FLOW, blur, blurred, bundled_flow, exposure, motion_blur, opened, shutter
from .checkpoint import find
from .color import from_rgb, to_rgb
from .data.clips import Degradation, Pair
from .media import Frame, open_reader, open_writer
from .metrics import gaussian_line
from .mixed import mixed
from .ops import cut_to_multiple, quantised, resize_bicubic
from .recode import h264, hevc, kvazaar, ldp

Stream = Callable[[Iterable[Tensor]], Iterator[Tensor]]  # frames (3, H, W), one for one, in order


def bicubic_down(clip: Tensor, generator: Generator | None = None) -> Pair:
    """MATLAB's bicubic reduction by 4 (BI), rounded; (T, 3, H, W), cut to sides divisible by 4."""
    hq = cut_to_multiple(clip, 4)
    return Pair(quantised(resize_bicubic(hq, 1 / 4)), hq)


def gaussian_down(clip: Tensor, generator: Generator | None = None) -> Pair:
    """Blur and reduction by 4 (BD), rounded: 12x12 Gaussian of sigma 1.6, each 4th pixel from 1.

    The kernel is even, so the result lies in the middle of its 4x4 pixels; edges are repeated.
    (T, 3, H, W), cut to sides divisible by 4.
    """
    hq = cut_to_multiple(clip, 4)
    line = gaussian_line(12, 1.6).to(hq)
    x = F.pad(hq, (4, 5, 4, 5), mode="replicate")  # the first window spans pixels -4 to 7
    x = x.reshape(-1, 1, *x.shape[-2:])
    x = F.conv2d(x, line.view(1, 1, -1, 1), stride=(4, 1))
    x = F.conv2d(x, line.view(1, 1, 1, -1), stride=(1, 4))
    return Pair(quantised(x.view(*hq.shape[:2], *x.shape[-2:])), hq)


def compressed(
    clip: Tensor, codec: Callable[[Iterable[Tensor], int], Iterator[Tensor]], quality: int
) -> Pair:
    """A clip (T, 3, H, W), cut to sides divisible by 4, through ``hevc`` or ``h264``."""
    hq = cut_to_multiple(clip, 4)
    return Pair(torch.stack(list(codec(hq, quality))).to(hq.device), hq)


def compress_hevc(clip: Tensor, generator: Generator) -> Pair:
    """``hevc`` at a QP of 22 to 42, drawn at random for the clip."""
    return compressed(clip, hevc, int(torch.randint(22, 43, (), generator=generator)))


def compress_h264(clip: Tensor, generator: Generator) -> Pair:
    """``h264`` at a rate factor of 18 to 36, drawn at random for the clip."""
    return compressed(clip, h264, int(torch.randint(18, 37, (), generator=generator)))


def compress_coded(clip: Tensor, generator: Generator) -> Pair:
    """What users meet: ``hevc`` for half of the clips, ``h264`` or ``ldp`` for a quarter each.

    ``ldp`` at a QP of 20 to 38, to which it adds up to 5.
    """
    drawn = float(torch.rand((), generator=generator))
    if drawn < 0.5:
        return compress_hevc(clip, generator)
    if drawn < 0.75:
        return compress_h264(clip, generator)
    return compressed(clip, ldp, int(torch.randint(20, 39, (), generator=generator)))


DEGRADATIONS: dict[str, Degradation] = {
    "bicubic": bicubic_down,
    "gaussian": gaussian_down,
    "blur": motion_blur,
    "shutter": shutter,
    "exposure": exposure,
    "hevc": compress_hevc,
    "h264": compress_h264,
    "coded": compress_coded,
    "mixed": mixed,
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
        return lambda clip, generator: blur(clip, value)
    if kind == "shutter":
        return lambda clip, generator: opened(clip, value, bundled_flow())
    return lambda clip, generator: compressed(clip, CODECS[kind], value)


def kept_as(name: str) -> str:
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
        return lambda frames: blurred(frames, value)
    return lambda frames: CODECS[kind](frames, value)


def shrinks(name: str) -> int:
    """How many times smaller the damage makes a frame's sides."""
    return 4 ** sum(part in ("bicubic", "gaussian") for part in name.split("+"))


def degrade_video(
    source: Path,
    target: Path,
    damage: str,
    *,
    fps: Fraction | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Make a damaged test video from any video; returns the number of frames.

    ``damage`` is a name of ``stream``. What the damage left is stored without further loss, 8 bits
    deep: FFV1 in .mkv, lossless H.264 elsewhere, or a folder of PNGs; sound, times and tags are
    kept. fps, start, end (seconds) and overwrite are those of the reader and writer. Raises
    MediaError for files that cannot be read or written, ValueError for impossible damage.
    """
    damaged, shrink = stream(damage), shrinks(damage)
    waiting: deque[Frame] = deque()  # without their planes
    with open_reader(Path(source), fps=fps, start=start, end=end) as reader:

        def rgb() -> Iterator[Tensor]:
            for frame in reader:
                waiting.append(replace(frame, planes=()))
                yield to_rgb(frame.planes, frame.color)

        count = 0
        matroska = Path(target).suffix.lower() == ".mkv"
        width, height = reader.info.width // shrink, reader.info.height // shrink
        if min(width, height) < 1:
            raise ValueError(f"expected frames of at least 4x4 pixels, {source} has smaller ones")
        with open_writer(
            Path(target), reader=reader, width=width, height=height, bits=8, overwrite=overwrite,
            codec="ffv1" if matroska else "h264", crf=None if matroska else 0,
        ) as writer:  # fmt: skip
            for picture in damaged(rgb()):
                planes = from_rgb(picture, writer.color, writer.chroma)
                writer.write(replace(waiting.popleft(), planes=planes, color=writer.color))
                count += 1
    for line in [*reader.warnings, *reader.damage, *writer.warnings]:
        say(line)
    return count
