"""Video streams that say they show a sphere, or two views: PyAV has no setter for that.

A stream takes such side data over from a template. The template is the track of a Matroska file
without pictures, made here in memory; element names are those of RFC 9559.
"""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from ..media import Spherical
from .codecs import CODECS, Coding
from .encoder import configure_encoder, open_encoder
from .matroska import element_bytes

CODEC_IDS = {
    "libx264": b"V_MPEG4/ISO/AVC",
    "libx264rgb": b"V_MPEG4/ISO/AVC",
    "h264_nvenc": b"V_MPEG4/ISO/AVC",
    "libx265": b"V_MPEGH/ISO/HEVC",
    "hevc_nvenc": b"V_MPEGH/ISO/HEVC",
    "libvpx-vp9": b"V_VP9",
    "ffv1": b"V_FFV1",
    "prores_ks": b"V_PRORES",
}
PROJECTIONS = {0: 1, 1: 2, 2: 1}  # Matroska's number of a projection, by FFmpeg's
# Matroska's name of two views, by FFmpeg's number of their layout and whether the right is first.
VIEWS = {
    (1, False): "left_right",
    (1, True): "right_left",
    (2, False): "top_bottom",
    (2, True): "bottom_top",
    (3, False): "block_lr",
    (3, True): "block_rl",
    (4, False): "checkerboard_lr",
    (4, True): "checkerboard_rl",
    (6, False): "row_interleaved_lr",
    (6, True): "row_interleaved_rl",
    (7, False): "col_interleaved_lr",
    (7, True): "col_interleaved_rl",
}
WEBM_VIEWS = ("left_right", "right_left", "top_bottom", "bottom_top")
MP4_VIEWS = {"left_right": 1, "top_bottom": 3}  # with Matroska's numbers
SITINGS = {"left": (1, 2), "center": (2, 2), "topleft": (1, 1), "top": (2, 1)}  # Matroska's numbers
# Boxes on the way to the description of a track, and the bytes before the first box in each.
WAY = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8}
ENTRY = 78  # bytes of a description before its boxes
APPLE = b"vexu"


def held_sphere(coding: Coding) -> Spherical | None:
    """The part of a sphere that a video shows, where its output can say it."""
    sphere = coding.display.spherical
    can = coding.container in ("mp4", "matroska", "webm")
    can = can and CODECS[coding.codec].encoder in CODEC_IDS
    return sphere if can and sphere is not None and sphere.projection in PROJECTIONS else None


def held_views(coding: Coding) -> str:
    """Matroska's name of the two views of a video, where its output can say it; else empty."""
    stereo = coding.display.stereo
    name = VIEWS.get((stereo.layout, stereo.right_first), "") if stereo is not None else ""
    encoder = CODECS[coding.codec].encoder
    can = {
        "matroska": True,
        "webm": name in WEBM_VIEWS,
        "mp4": name in MP4_VIEWS and encoder in CODEC_IDS,
    }
    return name if can.get(coding.container) else ""


def view_aspect(coding: Coding) -> Fraction:
    """The pixel aspect by which a Matroska file sizes one of two views, or the only one."""
    views = held_views(coding)
    if views in ("left_right", "right_left") or views.startswith("col_"):
        return coding.aspect / 2
    if views in ("top_bottom", "bottom_top") or views.startswith("row_"):
        return coding.aspect * 2
    return coding.aspect


def sphere_losses(coding: Coding) -> list[str]:
    """Sentences about what of a video's sphere and views cannot be written."""
    sphere, stereo = coding.display.spherical, coding.display.stereo
    where = f"is left out: {coding.codec} in {coding.container} cannot say it"
    lines = []
    if sphere is not None and held_sphere(coding) is None:
        lines.append(f"the spherical projection ({sphere}) {where}")
    if stereo is not None and not held_views(coding):
        lines.append(f"the stereo 3D ({stereo}) {where}")
    return lines


def add_video(output: OutputContainer, coding: Coding) -> av.VideoStream:
    """Add the video's stream to an output, with its sphere and views; its encoder is opened once.

    MediaError where that refuses.
    """
    sphere, views = held_sphere(coding), held_views(coding)
    encoder = CODECS[coding.codec].encoder
    number = MP4_VIEWS[views] if views and coding.container == "mp4" else 0
    if sphere is None and not number:
        stream = output.add_stream(encoder)
        assert isinstance(stream, av.VideoStream)
        open_encoder(stream.codec_context, coding)
    else:
        header = av.VideoCodecContext.create(encoder, "w")
        open_encoder(header, coding)
        with av.open(io.BytesIO(template(coding, sphere, number))) as source:
            stream = output.add_stream_from_template(source.streams.video[0], opaque=False)
        configure_encoder(stream.codec_context, coding)
        stream.codec_context.extradata = header.extradata
    if views and coding.container != "mp4":
        stream.metadata["stereo_mode"] = views
    return stream


def template(coding: Coding, sphere: Spherical | None, views: int) -> bytes:
    """A Matroska file without pictures, of one track with that codec, siting, sphere and views."""
    video = number_element(0xB0, 16) + number_element(0xBA, 16)
    if views:
        video += number_element(0x53B8, views)
    if coding.chroma == (2, 2) and coding.color.siting in SITINGS:
        across, down = SITINGS[coding.color.siting]
        siting = number_element(0x55B7, across) + number_element(0x55B8, down)
        video += element_bytes(0x55B0, siting)
    if sphere is not None:
        video += element_bytes(0x7670, projection(sphere))
    entry = b"".join(number_element(name, 1) for name in (0xD7, 0x73C5, 0x83))
    entry += element_bytes(0x86, CODEC_IDS[CODECS[coding.codec].encoder])
    tracks = element_bytes(0xAE, entry + element_bytes(0xE0, video))
    sizes = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8, 0x4287: 4, 0x4285: 2}
    head = b"".join(number_element(name, value) for name, value in sizes.items())
    info = number_element(0x2AD7B1, 1_000_000)
    info += element_bytes(0x4D80, b"-") + element_bytes(0x5741, b"-")
    segment = element_bytes(0x1549A966, info) + element_bytes(0x1654AE6B, tracks)
    segment += element_bytes(0x1F43B675, number_element(0xE7, 0))
    return element_bytes(0x1A45DFA3, element_bytes(0x4282, b"matroska") + head) + element_bytes(
        0x18538067, segment
    )


def number_element(name: int, value: int) -> bytes:
    """Bytes of an element that holds a number."""
    return element_bytes(name, value.to_bytes(4, "big"))


def projection(sphere: Spherical) -> bytes:
    """Content of Matroska's element Projection."""
    body = element_bytes(0x7671, bytes([PROJECTIONS[sphere.projection]]))
    left, top, right, bottom = sphere.bounds
    if sphere.projection == 2:
        body += element_bytes(0x7672, struct.pack(">5I", 0, top, bottom, left, right))
    if sphere.projection == 1:
        body += element_bytes(0x7672, struct.pack(">3I", 0, 0, sphere.padding))
    for name, part in zip((0x7673, 0x7674, 0x7675), sphere.pose, strict=True):
        body += element_bytes(name, struct.pack(">f", part / 65536))
    return body


def hide_apple_box(path: Path, coding: Coding) -> None:
    """Turn the box in which Apple says a part of the same into an empty one, in mp4.

    It stands beside the usual ones, knows no angle, and readers of FFmpeg 8 believe it alone.
    """
    if coding.container != "mp4" or not (held_sphere(coding) or held_views(coding)):
        return
    with path.open("r+b") as file:
        place, end, depth = 0, path.stat().st_size, list(WAY)
        while place + 8 <= end:
            file.seek(place)
            size, name = struct.unpack(">I4s", file.read(8))
            header = 8
            if size == 1:
                size, header = struct.unpack(">Q", file.read(8))[0], 16
            if depth and name == depth[0]:
                place += header + WAY[name]
                depth = depth[1:]
            elif not depth and name in (b"avc1", b"hvc1", b"hev1", b"vp09", b"FFV1"):
                end, place = place + size, place + header + ENTRY
            elif name == APPLE:
                file.seek(place + 4)
                file.write(b"free")
                return
            else:
                place += max(size, 8)
