"""Encoder, pixel format, colour and quality of a video that is written."""

import io
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import av

from ..color import ColorInfo, guess_matrix
from ..media import (
    CHROMA,
    Display,
    MediaError,
    MediaInfo,
    bits_of,
    planar_kind,
    planar_name,
    subsampling,
)
from .matroska import display_size
from .protocol import OutputFormat


class EncoderKind(NamedTuple):
    """FFmpeg's name of an encoder, and its options."""

    encoder: str
    quality: tuple[str, int, int] | None = None  # name of the option, our choice, the worst
    options: dict[str, str] = {}  # noqa: RUF012
    presets: tuple[str, ...] = ()  # values of the option ``speed``
    speed: str = "preset"


X26X = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)
SVT = tuple(map(str, range(14)))
VPX = tuple(map(str, range(6)))
NVENC = tuple(f"p{number}" for number in range(1, 8))
CODECS = {
    "h264": EncoderKind("libx264", ("crf", 18, 51), presets=X26X),
    "hevc": EncoderKind("libx265", ("crf", 20, 51), presets=X26X),
    "av1": EncoderKind("libsvtav1", ("crf", 26, 63), {"preset": "6"}, SVT),
    "vp9": EncoderKind("libvpx-vp9", ("crf", 24, 63), {"b": "0", "row-mt": "1"}, VPX, "cpu-used"),
    "ffv1": EncoderKind("ffv1", None, {"level": "3", "slicecrc": "1"}),
    "prores": EncoderKind("prores_ks"),
    "h264-lossless": EncoderKind("libx264", None, {"qp": "0"}, X26X),
    "h264rgb-lossless": EncoderKind("libx264rgb", None, {"qp": "0"}, X26X),
    "hevc-lossless": EncoderKind("libx265", None, {"x265-params": "lossless=1"}, X26X),
    "vp9-lossless": EncoderKind(
        "libvpx-vp9", None, {"lossless": "1", "row-mt": "1"}, VPX, "cpu-used"
    ),
    "h264_nvenc": EncoderKind("h264_nvenc", ("cq", 19, 51), {"preset": "p5"}, NVENC),
    "hevc_nvenc": EncoderKind("hevc_nvenc", ("cq", 21, 51), {"preset": "p5"}, NVENC),
}
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",  # by this name FFmpeg writes packets of 192 bytes, as Blu-rays have them
}
BITS = 8, 10, 12, 16  # that can be asked for; the last in FFV1 and in some images
# Matrices, by their numbers in ITU-T H.273, that a codec cannot write down here.
UNWRITTEN = {
    **dict.fromkeys(("h264", "h264-lossless"), {15}),
    **dict.fromkeys(("vp9", "vp9-lossless"), {4, 8, *range(10, 16)}),
}
HDR_ENCODERS = ("libx264", "libx265", "libsvtav1")  # which take HDR10 side data
NOT_YCBCR = {"rgb": "RGB", "gray": "grey"}
LOSSLESS = {"ffv1", *(name for name in CODECS if name.endswith("-lossless"))}
# Less crf where frames keep their size: what deblurring and the removal of compression change is
# fainter than the noise of the usual crf (benchmarks/product/output_quality.py).
FINER = 8
LEAST_RATE = 1000  # bits a second: who asks for less has meant kilobits
BT2020 = 9  # primaries whose matrix is no matter of the size
BLOCK = 64  # pixels; x265 4.2 reads and writes beyond its memory where one block spans the picture


@dataclass(frozen=True)
class Coding:
    """All settings that an encoder is opened with."""

    codec: str  # a key of CODECS
    pixel_format: str  # of the encoder
    planar_format: str  # with the same codes in a plane each
    color: ColorInfo
    chroma: tuple[int, int]
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    aspect: Fraction  # of a pixel
    container: str  # FFmpeg's name of the format
    crf: int | None = None
    bitrate: int | None = None  # bits a second, in place of crf
    preset: str | None = None
    display: Display = field(default_factory=Display)


def choose_coding(info: MediaInfo, display: Display, suffix: str, output: OutputFormat) -> Coding:
    """Choose how to write a video like ``info`` as ``output`` asks; MediaError where none fits."""
    container, codec, crf = CONTAINERS[suffix.lower()], output.codec, output.crf
    width, height = output.width, output.height
    if output.bits not in (None, *BITS):
        raise MediaError(f"expected 8, 10, 12 or 16 bits, got {output.bits}")
    if codec is None:
        codec = default_codec(container, output.bits or info.color.bits, width, height)
    check_coding(codec, crf, suffix, width, height)
    check_effort(codec, output)
    quality = CODECS[codec].quality
    if crf is None and quality and (width, height) == (info.width, info.height):
        crf = quality[1] - FINER
    bits = output.bits or (
        info.color.bits if codec in LOSSLESS else 8 if info.color.bits <= 8 else 10
    )
    kind, depth, pixel_format = pick_format(codec, info, bits, (width, height))
    if output.bits and depth != output.bits:
        raise MediaError(bits_refusal(codec, output.bits, container))
    color = output_color(info.color, kind, depth, width, height)
    if codec == "prores":  # it cannot signal another range
        color = replace(color, full_range=False)
    aspect = info.aspect * Fraction(info.width * height, info.height * width)
    return Coding(
        codec=codec,
        pixel_format=pixel_format,
        planar_format=planar_name(av.VideoFormat(pixel_format)),
        color=color,
        chroma=subsampling(av.VideoFormat(kind)),
        width=width,
        height=height,
        rate=info.rate,
        time_base=info.time_base,
        aspect=aspect.limit_denominator(10000),
        container=container,
        crf=crf,
        bitrate=output.bitrate,
        preset=output.preset,
        display=display.scaled(Fraction(width, info.width), Fraction(height, info.height)),
    )


def lossless_codec(suffix: str, info: MediaInfo, *, carries: bool = False) -> str:
    """Choose the codec that keeps every code of a video like ``info`` in a file of that suffix.

    ``carries``: it has to carry captions and the like too, if one can.
    """
    container, bits, matrix = CONTAINERS[suffix.lower()], info.color.bits, info.color.matrix
    if container == "webm":
        return "vp9-lossless"
    if container == "matroska" and not (carries and bits <= 10):
        return "ffv1"
    hevc_only = bits > 10 or matrix == "gray" or (bits > 8 and matrix == "rgb")
    if hevc_only and min(info.width, info.height) > BLOCK:
        return "hevc-lossless"
    return "h264rgb-lossless" if matrix == "rgb" else "h264-lossless"


def default_codec(container: str, bits: int, width: int, height: int) -> str:
    """Choose H.264, or HEVC for more than 8 bits; in WebM VP9 or AV1."""
    if container == "webm":
        return "vp9" if bits <= 8 else "av1"
    fits = min(width, height) > BLOCK and width % 2 == height % 2 == 0  # x264 has 10 bits too
    return "hevc" if bits > 8 and fits else "h264"


def check_coding(codec: str, crf: int | None, suffix: str, width: int, height: int) -> None:
    """Raise MediaError where the codec, its quality, the container and the size do not agree."""
    if codec not in CODECS:
        raise MediaError(f"there is no codec {codec}; choose one of {', '.join(CODECS)}")
    kind, container = CODECS[codec], CONTAINERS[suffix.lower()]
    if crf is not None and kind.quality is None:
        raise MediaError(f"{codec} takes no quality (crf)")
    if crf is not None and kind.quality and not 0 <= crf <= kind.quality[2]:
        raise MediaError(f"expected a crf between 0 and {kind.quality[2]}, got {crf}")
    if kind.encoder == "libx265" and min(width, height) <= BLOCK:
        least = f"more than {BLOCK}x{BLOCK} pixels"
        raise MediaError(f"hevc needs {least}, got {width}x{height}; choose h264")
    if not holds_codec(container, codec):
        raise MediaError(f"{suffix} files cannot hold {codec}; choose another codec or name")


def holds_codec(container: str, codec: str) -> bool:
    """True if a container can hold a codec."""
    try:
        av.open(io.BytesIO(), "w", format=container).add_stream(CODECS[codec].encoder)
    except ValueError:
        return False
    return container != "mpegts" or codec.startswith(("h264", "hevc"))


def formats_of(codec: str) -> list[av.VideoFormat]:
    """Pixel formats that an encoder takes here; raw ones of sensors, which FFV1 has, are no use."""
    formats = av.Codec(CODECS[codec].encoder, "w").video_formats or []
    return [form for form in formats if not form.name.startswith(("bayer", "xyz"))]


def depths_of(codec: str) -> set[int]:
    """Bits that a codec can have here; NVENC takes more than it keeps."""
    formats = formats_of(codec)
    most = 10 if codec.endswith("nvenc") else max(BITS)
    return {bits for bits in map(bits_of, formats) if bits <= most}


def bits_refusal(codec: str, bits: int, container: str) -> str:
    """Sentence for bits that a codec does not have: those it has, and codecs that have them."""
    has = " or ".join(str(depth) for depth in BITS if depth in depths_of(codec))
    others = [c for c in CODECS if bits in depths_of(c) and holds_codec(container, c)]
    advice = f"or --codec {' or '.join(others)}" if others else "or another kind of file, as .mkv"
    return f"{codec} cannot be written with {bits} bits here; choose --bits {has}, {advice}"


def check_effort(codec: str, output: OutputFormat) -> None:
    """Raise MediaError for a preset or a bit rate that a codec does not take."""
    kind = CODECS[codec]
    if output.bitrate is not None:
        if kind.quality is None:
            raise MediaError(f"{codec} takes no bit rate")
        if output.crf is not None:
            raise MediaError("expected a quality (crf) or a bit rate, got both")
        if output.bitrate < LEAST_RATE:
            raise MediaError(
                f"expected a bit rate of at least {LEAST_RATE} bits a second, got {output.bitrate}"
            )
    if output.preset is not None and output.preset not in kind.presets:
        known = f"expected one of {', '.join(kind.presets)}" if kind.presets else "it has none"
        raise MediaError(f"{codec} has no preset {output.preset}: {known}")


def picture_losses(coding: Coding, info: MediaInfo) -> list[str]:
    """List in words which parts of the source's picture and tags cannot be written."""
    lines, display = [], coding.display
    if coding.color.bits < info.color.bits:
        lines.append(f"written with {coding.color.bits} bits of {info.color.bits}")
    if (name := NOT_YCBCR.get(info.color.matrix)) and coding.color.matrix != info.color.matrix:
        lines.append(
            f"{name} is written as YCbCr {coding.color.matrix}, chroma {chroma_text(coding)}"
        )
    elif coding.chroma != info.chroma:
        lines.append(f"chroma is written as {chroma_text(coding)}")
    narrowed = info.color.full_range and not coding.color.full_range
    if narrowed and info.color.matrix not in NOT_YCBCR:
        lines.append("the full range is written as a limited range")
    if coding.color.code in UNWRITTEN.get(coding.codec, ()):
        lines.append(
            f"the colour matrix {coding.color.code} is written as not specified: {coding.codec} "
            "has no number for it"
        )
    if display.dynamic:
        lines.append(f"the {' and '.join(display.dynamic)} metadata are left out")
    if (display.mastering or display.light) and CODECS[coding.codec].encoder not in HDR_ENCODERS:
        lines.append(f"the HDR10 metadata cannot be written with {coding.codec}")
    if coding.container in ("matroska", "webm") and not codec_stores_aspect(coding.codec):
        across, down = display_size(coding.width, coding.height, coding.aspect)
        aspect = Fraction(across * coding.height, down * coding.width)
        if aspect != coding.aspect:
            lines.append(
                f"the pixel aspect {coding.aspect} is written as {aspect}, in whole pixels"
            )
    if display.matrix and coding.container == "mpegts":
        lines.append("the rotation cannot be written in .ts files")
    return lines


def codec_stores_aspect(codec: str) -> bool:
    """True if the codec itself stores the shape of pixels, so that every container keeps it."""
    return codec.startswith(("h264", "hevc"))


def chroma_text(coding: Coding) -> str:
    """Chroma subsampling as people write it, such as 4:2:0."""
    return ":".join(CHROMA[coding.chroma])


def pick_format(
    codec: str, info: MediaInfo, bits: int, size: tuple[int, int]
) -> tuple[str, int, str]:
    """Pick the encoder's pixel format nearest to the source's: planar kind, bits, its own name.

    ``size`` is (width, height) in pixels. Raises MediaError where the encoder has none.
    """
    choices: dict[tuple[str, int], str] = {}
    for pixel_format in formats_of(codec):
        planar = planar_name(pixel_format)
        key = (planar_kind(pixel_format), bits_of(pixel_format))
        if planar == pixel_format.name or key not in choices:
            choices[key] = pixel_format.name
    known = depths_of(codec)
    matrix, chroma = info.color.matrix, info.chroma
    if matrix in ("rgb", "gray"):
        chroma = (2, 2)
    if codec != "ffv1" and (size[0] % chroma[0] or size[1] % chroma[1]):
        chroma = (1, 1)  # most encoders take no odd sizes where chroma is subsampled
    order = {(2, 2): "420 422 444", (2, 1): "422 444 420", (1, 2): "440 444 422 420"}.get(
        chroma, "444 422 420"
    )
    kinds = [f"yuv{name}p" for name in order.split()]
    grays = CODECS[codec].encoder != "libx264"  # its grey is read back as 4:2:0
    if codec in LOSSLESS and (matrix == "rgb" or (matrix == "gray" and grays)):
        kinds.insert(0, "gbrp" if matrix == "rgb" else "gray")
    for kind in kinds:
        depths = sorted(depth for name, depth in choices if name == kind and depth in known)
        if depths:
            depth = next((depth for depth in depths if depth >= bits), depths[-1])
            return kind, depth, choices[kind, depth]
    raise MediaError(f"{codec} takes no picture like this one; choose another codec")


def output_color(color: ColorInfo, kind: str, bits: int, width: int, height: int) -> ColorInfo:
    """The source's colour, with the matrix and bits of the output."""
    color = replace(color, bits=bits)
    if kind in ("gbrp", "gray") or color.matrix not in ("rgb", "gray"):
        return color
    matrix = "bt2020" if color.primaries == BT2020 else guess_matrix(width, height)
    return replace(color, matrix=matrix, full_range=False, siting="left", matrix_code=None)
