"""High-quality clips -> low-quality ones: the damage that the three tasks undo."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .blur import blur, blurred, bundled_flow, exposure, motion_blur, opened, shutter
from .color import ColorInfo, from_rgb, to_rgb
from .data.clips import Degradation, Pair
from .media import Frame, open_reader, open_writer
from .media.planes import from_picture, to_picture
from .metrics import gaussian_line
from .ops import pad_to_multiple, quantised, resize_bicubic

Stream = Callable[[Iterable[Tensor]], Iterator[Tensor]]  # frames (3, H, W), one for one, in order

# A flat-QP stand-in for HM's low-delay P: no B-frames, no rate control, no psychovisual tuning.
# One frame at a time, so that the result does not depend on the number of processors.
X265 = (
    "qp={}:bframes=0:keyint=-1:scenecut=0:ref=4:rc-lookahead=0:no-weightp=1:cutree=0:"
    "aq-mode=0:ipratio=1:psy-rd=0:psy-rdoq=0:frame-threads=1:log-level=none"
)
BLOCK = 64  # pixels; x265 reads beyond its memory where one block spans the picture
BT709 = ColorInfo("bt709")
RATE = Fraction(25)  # frames a second, for encoders that want one


def cut_to_multiple(clip: Tensor, multiple: int) -> Tensor:
    """The upper left part whose sides divide by ``multiple``."""
    height, width = (side - side % multiple for side in clip.shape[-2:])
    return clip[..., :height, :width]


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


def coded(
    frames: Iterable[Tensor], encoder: str, decoder: str, options: dict[str, str]
) -> Iterator[Tensor]:
    """Encode RGB frames (3, H, W) as 8-bit 4:2:0 BT.709, and decode them again, rounded."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return
    height, width = first.shape[-2:]
    sent = came = 0

    def packets() -> Iterator[av.Packet]:
        nonlocal sent
        context = av.VideoCodecContext.create(encoder, "w")
        context.height, context.width = height + height % 2, width + width % 2
        context.pix_fmt, context.options = "yuv420p", options
        context.time_base, context.framerate = 1 / RATE, RATE
        for frame in chain([first], frames):
            even = pad_to_multiple(frame[None].cpu(), 2)[0]
            picture = to_picture(from_rgb(even, BT709, (2, 2)), "yuv420p")
            picture.pts, picture.time_base = sent, 1 / RATE
            sent += 1
            yield from context.encode(picture)
        yield from context.encode(None)

    context = av.VideoCodecContext.create(decoder, "r")
    for packet in chain(packets(), [None]):
        for picture in context.decode(packet):
            came += 1
            yield quantised(to_rgb(from_picture(picture), BT709)[:, :height, :width])
    if came != sent:
        raise RuntimeError(f"expected {sent} frames from {encoder}, got {came}")


def hevc(frames: Iterable[Tensor], qp: int) -> Iterator[Tensor]:
    """HEVC by x265 at a fixed QP: a stand-in for HM's low delay, not HM itself."""
    return coded(
        (large(frame) for frame in frames), "libx265", "hevc", {"x265-params": X265.format(qp)}
    )


def large(frame: Tensor) -> Tensor:
    """The frame, if x265 can take it."""
    if min(frame.shape[-2:]) <= BLOCK:
        raise ValueError(
            f"expected frames of more than {BLOCK}x{BLOCK} pixels for HEVC, "
            f"got {frame.shape[-1]}x{frame.shape[-2]}"
        )
    return frame


def h264(frames: Iterable[Tensor], crf: int) -> Iterator[Tensor]:
    """H.264 by x264 at a constant rate factor, as web video is.

    In one thread, since the result depends on their number.
    """
    options = {"crf": str(crf), "preset": "medium", "threads": "1"}
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        options["x264-params"] = "asm=AVX2"  # see media.coding: it reads beyond its memory
    return coded(frames, "libx264", "h264", options)


def compressed(
    clip: Tensor, codec: Callable[[Iterable[Tensor], int], Iterator[Tensor]], quality: int
) -> Pair:
    """A clip (T, 3, H, W), cut to sides divisible by 4, through ``hevc`` or ``h264``."""
    hq = cut_to_multiple(clip, 4)
    return Pair(torch.stack(list(codec(hq, quality))).to(hq.device), hq)


def compress_hevc(clip: Tensor, generator: Generator) -> Pair:
    """``hevc`` at a QP of 27 to 42, drawn at random for the clip."""
    return compressed(clip, hevc, int(torch.randint(27, 43, (), generator=generator)))


def compress_h264(clip: Tensor, generator: Generator) -> Pair:
    """``h264`` at a rate factor of 22 to 36, drawn at random for the clip."""
    return compressed(clip, h264, int(torch.randint(22, 37, (), generator=generator)))


DEGRADATIONS: dict[str, Degradation] = {
    "bicubic": bicubic_down,
    "gaussian": gaussian_down,
    "blur": motion_blur,
    "shutter": shutter,
    "exposure": exposure,
    "hevc": compress_hevc,
    "h264": compress_h264,
}
CODECS = {"hevc": hevc, "h264": h264}
NAMES = (
    f"{', '.join(DEGRADATIONS)}, or at one strength blur-7 (frames), "
    "shutter-2 (frames it is open), hevc-37 (QP), h264-32 (crf)"
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
    kind, value = strength(name)
    if kind == "blur":
        return lambda clip, generator: blur(clip, value)
    if kind == "shutter":
        return lambda clip, generator: opened(clip, value, bundled_flow())
    return lambda clip, generator: compressed(clip, CODECS[kind], value)


def stream(name: str) -> Stream:
    """``bicubic``, ``gaussian``, or a damage of one strength, frame after frame."""
    if name in ("bicubic", "gaussian"):
        down = DEGRADATIONS[name]
        return lambda frames: (down(frame[None], Generator()).lq[0] for frame in frames)
    kind, value = strength(name)
    if kind == "shutter":
        raise ValueError("expected a damage made frame after frame, got shutter; blur-N is near it")
    if kind == "blur":
        return lambda frames: blurred(frames, value)
    return lambda frames: CODECS[kind](frames, value)


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
    damaged, shrink = stream(damage), 4 if damage in ("bicubic", "gaussian") else 1
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
