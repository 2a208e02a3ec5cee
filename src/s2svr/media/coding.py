"""How a video is written: encoder, pixel format, colour, quality."""

import io
import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import av
import torch

from ..color import ColorInfo, guess_matrix
from .display import Display, svt_params, x265_params
from .frame import MediaError, MediaInfo
from .planes import planar_name


class Kind(NamedTuple):
    """An encoder; its quality option, our choice and the worst; and what else it is told."""

    encoder: str
    quality: tuple[str, int, int] | None = None
    options: dict[str, str] = {}  # noqa: RUF012


CODECS = {
    "h264": Kind("libx264", ("crf", 18, 51)),
    "hevc": Kind("libx265", ("crf", 20, 51)),
    "av1": Kind("libsvtav1", ("crf", 26, 63), {"preset": "6"}),
    "vp9": Kind("libvpx-vp9", ("crf", 24, 63), {"b": "0", "row-mt": "1"}),
    "ffv1": Kind("ffv1", None, {"level": "3", "slicecrc": "1"}),
    "prores": Kind("prores_ks"),
    "h264_nvenc": Kind("h264_nvenc", ("cq", 19, 51), {"preset": "p5"}),
    "hevc_nvenc": Kind("hevc_nvenc", ("cq", 21, 51), {"preset": "p5"}),
}
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}
LOSSLESS = {"ffv1"}
BLOCK = 64  # pixels; x265 4.2 reads and writes beyond its memory where one block spans the picture


@dataclass(frozen=True)
class Coding:
    """Everything an encoder is opened with."""

    codec: str  # a key of CODECS
    form: str  # the encoder's pixel format
    planar: str  # the planar format of the same codes
    color: ColorInfo
    chroma: tuple[int, int]
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    aspect: Fraction  # of a pixel
    container: str  # FFmpeg's name of the format
    crf: int | None = None
    display: Display = field(default_factory=Display)


def choose(
    info: MediaInfo,
    display: Display,
    suffix: str,
    *,
    width: int,
    height: int,
    bits: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
) -> tuple[Coding, list[str]]:
    """Choose how to write a video like ``info`` with frames of width x height, with warnings."""
    container = CONTAINERS[suffix.lower()]
    warnings: list[str] = []
    if codec is None:
        codec = default_codec(container, bits or info.color.bits, width, height)
    if codec not in CODECS:
        raise MediaError(f"there is no codec {codec}; choose one of {', '.join(CODECS)}")
    kind = CODECS[codec]
    if crf is not None and kind.quality is None:
        raise MediaError(f"{codec} takes no quality (crf)")
    if crf is not None and kind.quality and not 0 <= crf <= kind.quality[2]:
        raise MediaError(f"expected a crf between 0 and {kind.quality[2]}, got {crf}")
    if kind.encoder == "libx265" and min(width, height) <= BLOCK:
        least = f"more than {BLOCK}x{BLOCK} pixels"
        raise MediaError(f"hevc needs {least}, got {width}x{height}; choose h264")
    try:
        av.open(io.BytesIO(), "w", format=container).add_stream(kind.encoder)
    except ValueError as error:
        text = f"{suffix} files cannot hold {codec}; choose another codec or name"
        raise MediaError(text) from error
    wanted = bits or (info.color.bits if codec in LOSSLESS else 8 if info.color.bits <= 8 else 10)
    form, planar = pick_format(kind.encoder, info, wanted, (width, height), codec in LOSSLESS)
    picked = av.VideoFormat(planar, 64, 64)
    depth = picked.components[0].bits
    if depth < min(wanted, info.color.bits):
        warnings.append(f"written with {depth} bits, {codec} has no {wanted}")
    if display.dynamic:
        warnings.append(f"{' and '.join(display.dynamic)} metadata are left out")
    aspect = info.aspect * Fraction(info.width * height, info.height * width)
    if aspect != 1 and container in ("matroska", "webm") and codec not in ("h264", "hevc"):
        warnings.append(f"the pixel aspect {aspect} cannot be written with {codec} in {suffix}")
    if display.matrix and container == "mpegts":
        warnings.append("the rotation cannot be written in .ts files")
    return Coding(
        codec=codec,
        form=form,
        planar=planar,
        color=output_color(info.color, planar, depth, width, height),
        chroma=(1, 1) if planar.startswith(("gbr", "gray")) else chroma_of(picked),
        width=width,
        height=height,
        rate=info.rate,
        time_base=info.time_base,
        aspect=aspect.limit_denominator(10000),
        container=container,
        crf=crf,
        display=display.scaled(Fraction(width, info.width), Fraction(height, info.height)),
    ), warnings


def chroma_of(form: av.VideoFormat) -> tuple[int, int]:
    part = form.components[1]
    return form.width // part.width, form.height // part.height


def default_codec(container: str, bits: int, width: int, height: int) -> str:
    """H.264, and HEVC for more than 8 bits; VP9 and AV1 in WebM."""
    if container == "webm":
        return "vp9" if bits <= 8 else "av1"
    fits = min(width, height) > BLOCK and width % 2 == height % 2 == 0  # x264 has 10 bits too
    return "hevc" if bits > 8 and fits else "h264"


def pick_format(
    encoder: str, info: MediaInfo, bits: int, size: tuple[int, int], lossless: bool
) -> tuple[str, str]:
    """The encoder's pixel format nearest to the source's, and the planar one of the same codes."""
    choices: dict[str, str] = {}
    for form in av.Codec(encoder, "w").video_formats or []:
        if (
            not form.name.startswith(("yuvj", "yuva", "gbra", "ya", "xv"))
            and "f16" not in form.name
        ):
            planar = planar_name(form)
            if planar == form.name or planar not in choices:
                choices[planar] = form.name
    if lossless and info.color.matrix in ("rgb", "gray"):
        kinds = ["gbrp" if info.color.matrix == "rgb" else "gray"]
    else:
        chroma = info.chroma if info.color.matrix not in ("rgb", "gray") else (2, 2)
        if size[0] % chroma[0] or size[1] % chroma[1]:
            chroma = (1, 1)  # most encoders take no odd sizes where chroma is subsampled
        order = {(2, 2): "420 422 444", (2, 1): "422 444 420", (1, 1): "444 422 420"}
        kinds = [f"yuv{k}p" for k in order.get(chroma, "444 422 420").split()]
    for kind in kinds:
        depths = sorted(int(p[len(kind) : -2] or 8) for p in choices if depth_of(p, kind))
        if depths:
            depth = next((d for d in depths if d >= bits), depths[-1])
            planar = kind if depth == 8 else f"{kind}{depth}le"
            return choices[planar], planar
    raise MediaError(f"the encoder {encoder} takes no picture like this one")


def depth_of(planar: str, kind: str) -> bool:
    """Whether ``planar`` is ``kind`` at some depth."""
    return planar == kind or (planar.startswith(kind) and planar[len(kind) : -2].isdecimal())


def output_color(color: ColorInfo, planar: str, bits: int, width: int, height: int) -> ColorInfo:
    """The source's colour with the codes of the output."""
    color = replace(color, bits=bits)
    if planar.startswith("gbr") or planar.startswith("gray") or color.matrix not in ("rgb", "gray"):
        return color
    matrix = guess_matrix(width, height)
    return replace(color, matrix=matrix, full_range=False, siting="left", matrix_code=None)


def configure(context: av.VideoCodecContext, coding: Coding) -> None:
    """Give an encoder that is not open yet all its settings."""
    kind = CODECS[coding.codec]
    flags = av.codec.context.Flags
    context.width, context.height, context.pix_fmt = coding.width, coding.height, coding.form
    context.time_base, context.framerate = coding.time_base, coding.rate
    context.sample_aspect_ratio = coding.aspect
    context.color_range = 2 if coding.color.full_range else 1
    context.colorspace = coding.color.code
    context.color_primaries, context.color_trc = coding.color.primaries, coding.color.transfer
    context.thread_type = "AUTO"  # PyAV's own choice cuts every picture into slices
    context.flags |= flags.frame_duration
    if av.ContainerFormat(coding.container, "w").flags & av.format.Flags.global_header.value:
        context.flags |= flags.global_header
    options = dict(kind.options)
    if kind.quality:
        name, quality, _ = kind.quality
        options[name] = str(quality if coding.crf is None else coding.crf)
    if coding.chroma == (2, 2):
        options["chroma_sample_location"] = coding.color.siting
    if kind.encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
        # x264's macroblock tree reads beyond its memory with AVX-512: no two runs are the same.
        options["x264-params"] = "asm=AVX2"
    if kind.encoder == "libx265":
        # Closed groups of pictures can be cut and joined; its log would break progress bars.
        params = ["log-level=none:open-gop=0", x265_params(coding.display)]
        options["x265-params"] = ":".join(filter(None, params))
        if coding.container in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players want
    if kind.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")
        options["svtav1-params"] = svt_params(coding.display)
    context.options = {name: value for name, value in options.items() if value}
