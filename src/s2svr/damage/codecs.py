"""Frames through a lossy video encoder and back: the damage of compression."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import torch
from torch import Generator, Tensor

from ..coarseness import Coarseness, coarseness_of
from ..color import ColorInfo, from_rgb, to_rgb
from ..data import Pair
from ..media import MediaError, from_picture, read_clip, to_picture
from ..ops import cut_to_multiple, pad_to_multiple, quantised

# A flat-QP stand-in for HM's low-delay P: no B-frames, no rate control, no psychovisual tuning.
# One frame at a time, so that the result does not depend on the number of processors.
X265 = (
    "qp={}:bframes=0:keyint=-1:scenecut=0:ref=4:rc-lookahead=0:no-weightp=1:cutree=0:"
    "aq-mode=0:ipratio=1:psy-rd=0:psy-rdoq=0:frame-threads=1:log-level=none"
)
# QP of HM's low-delay P above the sequence's: of every four frames after the first. HM 16.0 to 16.9
# have these (cfg/encoder_lowdelay_P_main.cfg), so that of MFQEv2, 16.5, has them too. Later ones,
# whose lambda follows from the QP (JCTVC-X0038), have 5, 4, 5, 1.
OFFSETS = (3, 2, 3, 1)
BLOCK = 64  # pixels; x265 reads beyond its memory where one block spans the picture
MOST = 96  # frames of a clip that are coded to see how coarse its coding is
BT709 = ColorInfo("bt709")
RATE = Fraction(25)  # frames a second, for encoders that want one


def coded(
    frames: Iterable[Tensor], encoder: str, decoder: str, options: dict[str, str]
) -> Iterator[Tensor]:
    """Encode RGB frames (3, H, W) as 8-bit 4:2:0 BT.709, and decode them again, rounded."""
    sent = came = height = width = 0

    def counted() -> Iterator[Tensor]:
        nonlocal sent, height, width
        for frame in frames:
            sent, (height, width) = sent + 1, frame.shape[-2:]
            yield frame

    context = av.VideoCodecContext.create(encoder, "w")
    for rgb in decode_packets(encoded(counted(), context, options), decoder):
        came += 1
        yield rgb[:, :height, :width]
    if came != sent:
        raise RuntimeError(f"expected {sent} frames from {encoder}, got {came}")


def encoded(
    frames: Iterable[Tensor], context: av.VideoCodecContext, options: dict[str, str]
) -> Iterator[av.Packet]:
    """The packets of RGB frames (3, H, W), encoded as 8-bit 4:2:0 BT.709 by a fresh encoder."""
    for number, frame in enumerate(frames):
        even = pad_to_multiple(frame[None].cpu(), 2)[0]
        if context.name == "libx265":
            check_size(frame)
        if not context.is_open:
            context.height, context.width = even.shape[-2:]
            context.pix_fmt, context.options = "yuv420p", options
            context.time_base, context.framerate = 1 / RATE, RATE
        picture = to_picture(from_rgb(even, BT709, (2, 2)), "yuv420p")
        picture.pts, picture.time_base = number, 1 / RATE
        yield from context.encode(picture)
    if context.is_open:
        yield from context.encode(None)


def decode_packets(packets: Iterable[av.Packet], decoder: str) -> Iterator[Tensor]:
    """All pictures of the packets as RGB (3, H, W), rounded."""
    context = av.VideoCodecContext.create(decoder, "r")
    for packet in chain(packets, [None]):
        for picture in context.decode(packet):
            yield quantised(to_rgb(from_picture(picture), BT709))


def hevc(frames: Iterable[Tensor], qp: int) -> Iterator[Tensor]:
    """Frames through x265 at a fixed QP: HEVC that stands in for HM's low delay, not HM itself."""
    return coded(frames, "libx265", "hevc", {"x265-params": X265.format(qp)})


def ldp(frames: Iterable[Tensor], qp: int) -> Iterator[Tensor]:
    """``hevc`` with the QPs of HM 16.5's low-delay P configuration: every fourth frame is better.

    As in MFQEv2 (https://arxiv.org/abs/1902.09707); HM's choice of references is not imitated.
    """
    clip = list(frames)
    wanted = [qp] + [min(qp + OFFSETS[t % 4], 51) for t in range(len(clip) - 1)]
    # x265 counts the frames of its zones from 1.
    zones = "/".join(f"{t},{t},q={value}" for t, value in enumerate(wanted, 1))
    return coded(clip, "libx265", "hevc", {"x265-params": f"{X265.format(qp)}:zones={zones}"})


def kvazaar(frames: Iterable[Tensor], qp: int) -> Iterator[Tensor]:
    """Frames through kvazaar in low-delay groups of four: the HEVC nearest to HM's at hand.

    It needs the FFmpeg of imageio-ffmpeg (the extra ``kvazaar``): ModuleNotFoundError without it.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        raise ModuleNotFoundError(
            "the damage kvazaar needs imageio-ffmpeg: pip install 's2svr[kvazaar]' brings it"
        ) from None
    clip = list(frames)
    if not clip:
        return
    height, width = clip[0].shape[-2:]
    planes = [from_rgb(pad_to_multiple(x[None].cpu(), 8)[0], BT709, (2, 2)) for x in clip]
    raw = b"".join(plane.numpy().tobytes() for frame in planes for plane in frame)
    size = f"{planes[0][0].shape[-1]}x{planes[0][0].shape[-2]}"
    run = subprocess.run(
        [
            get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size,
            "-r", str(RATE), "-i", "-", "-c:v", "libkvazaar", "-kvazaar-params",
            f"qp={qp},gop=lp-g4d3t1,period=0,threads=1", "-f", "hevc", "-",
        ],
        input=raw, capture_output=True, check=False,
    )  # fmt: skip
    if run.returncode:
        raise MediaError(f"kvazaar failed: {run.stderr.decode(errors='replace').strip()}")
    parser, came = av.VideoCodecContext.create("hevc", "r"), 0
    for rgb in decode_packets([*parser.parse(run.stdout), *parser.parse(None)], "hevc"):
        came += 1
        yield rgb[:, :height, :width]
    if came != len(clip):
        raise MediaError(f"expected {len(clip)} frames from kvazaar, got {came}")


def check_size(frame: Tensor) -> None:
    """ValueError for a frame (3, H, W) that is too small for x265."""
    if min(frame.shape[-2:]) <= BLOCK:
        raise ValueError(
            f"expected frames of more than {BLOCK}x{BLOCK} pixels for HEVC, "
            f"got {frame.shape[-1]}x{frame.shape[-2]}"
        )


def x264_options(crf: int) -> dict[str, str]:
    """The options of x264 at a constant rate factor."""
    options = {"crf": str(crf), "preset": "medium"}
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        options["x264-params"] = "asm=AVX2"  # see writing.codecs: it reads beyond its memory
    return options


def x265_options(crf: int) -> dict[str, str]:
    """The options of x265 at a constant rate factor."""
    return {"crf": str(crf), "x265-params": "log-level=none:frame-threads=1"}


def fixed(quantiser: int) -> dict[str, str]:
    """The options of FFmpeg's own encoders that give all blocks one quantiser, of 1 to 31."""
    return {"qmin": str(quantiser), "qmax": str(quantiser)}


def av1_options(crf: int) -> dict[str, str]:
    """The options of SVT-AV1 at a constant rate factor."""
    os.environ.setdefault("SVT_LOG", "1")  # errors alone
    return {"crf": str(crf), "preset": "6", "svtav1-params": "lp=1"}


@dataclass(frozen=True)
class Codec:
    """One that is set by a single number; one thread encodes, since results depend on theirs."""

    encoder: str
    decoder: str
    chosen: Callable[[int], dict[str, str]]  # options of the encoder, at that number

    def __call__(self, frames: Iterable[Tensor], quality: int) -> Iterator[Tensor]:
        """Frames (3, H, W) encoded at a quality, and decoded again."""
        return coded(frames, self.encoder, self.decoder, self.options(quality))

    def options(self, quality: int) -> dict[str, str]:
        """All options of the encoder."""
        return self.chosen(quality) | {"threads": "1"}


h264 = Codec("libx264", "h264", x264_options)
x265 = Codec("libx265", "hevc", x265_options)
mpeg2 = Codec("mpeg2video", "mpeg2video", lambda q: fixed(q) | {"g": "15", "bf": "2"})
mpeg4 = Codec("mpeg4", "mpeg4", lambda q: fixed(q) | {"g": "250", "bf": "1"})
vp9 = Codec("libvpx-vp9", "vp9", lambda crf: {"crf": str(crf), "b": "0", "cpu-used": "2"})
av1 = Codec("libsvtav1", "libdav1d", av1_options)
CODECS = {"h264": h264, "x265": x265, "mpeg2": mpeg2, "mpeg4": mpeg4, "vp9": vp9, "av1": av1}


def told_coarseness(damage: str, clip: Path, count: int | None = None) -> Coarseness | None:
    """What a file of a clip's first ``count`` frames with a damage like ``hevc-37`` would tell.

    The clip is coded for it where the quantisers are up to the encoder. None for other damages than
    these, and where they draw their strength.
    """
    kind, _, number = damage.partition("-")
    if not number.isdecimal():
        return None
    above = {"hevc": 0.0, "ldp": sum(OFFSETS) / len(OFFSETS)}.get(kind)
    if above is not None:
        return Coarseness("hevc", int(number) + above)
    if kind not in CODECS:
        return None
    codec = CODECS[kind]
    frames = cut_to_multiple(read_clip(clip, count=min(count or MOST, MOST)).float() / 255, 4)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mkv"
        with av.open(str(path), "w") as target:
            stream = target.add_stream(codec.encoder, rate=RATE)
            for packet in encoded(frames, stream.codec_context, codec.options(int(number))):
                packet.stream = stream
                target.mux(packet)
        return coarseness_of(path)


def compress(
    clip: Tensor, codec: Callable[[Iterable[Tensor], int], Iterator[Tensor]], quality: int
) -> Pair:
    """A pair of a clip (T, 3, H, W), cut to sides divisible by 4, and what a codec makes of it."""
    hq = cut_to_multiple(clip, 4)
    return Pair(torch.stack(list(codec(hq, quality))).to(hq.device), hq)


def compress_hevc(clip: Tensor, generator: Generator) -> Pair:
    """``hevc`` at a QP of 22 to 42, drawn at random for the clip."""
    return compress(clip, hevc, int(torch.randint(22, 43, (), generator=generator)))


def compress_h264(clip: Tensor, generator: Generator) -> Pair:
    """``h264`` at a rate factor of 18 to 36, drawn at random for the clip."""
    return compress(clip, h264, int(torch.randint(18, 37, (), generator=generator)))


def compress_mpeg(clip: Tensor, generator: Generator) -> Pair:
    """``mpeg2`` or ``mpeg4`` at a quantiser of 2 to 14, drawn at random for the clip."""
    return compress_by((mpeg2, mpeg4), clip, (2, 14), generator)


def compress_web(clip: Tensor, generator: Generator) -> Pair:
    """``vp9`` or ``av1`` at a rate factor of 24 to 52, drawn at random for the clip."""
    return compress_by((vp9, av1), clip, (24, 52), generator)


def compress_by(
    codecs: Sequence[Codec], clip: Tensor, qualities: tuple[int, int], generator: Generator
) -> Pair:
    """``compress`` by one of the codecs, at a quality from the first to the last, both drawn."""
    codec = codecs[int(torch.randint(len(codecs), (), generator=generator))]
    first, last = qualities
    return compress(clip, codec, int(torch.randint(first, last + 1, (), generator=generator)))


def compress_coded(clip: Tensor, generator: Generator) -> Pair:
    """``hevc`` for half of the clips, ``h264`` or ``ldp`` for a quarter each, drawn at random.

    The QP of ``ldp`` is 20 to 38, to which it adds up to 3.
    """
    drawn = float(torch.rand((), generator=generator))
    if drawn < 0.5:
        return compress_hevc(clip, generator)
    if drawn < 0.75:
        return compress_h264(clip, generator)
    return compress(clip, ldp, int(torch.randint(20, 39, (), generator=generator)))
