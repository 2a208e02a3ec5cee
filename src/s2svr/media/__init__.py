"""Reading of videos, images and flow: frames, and what is known of a file beforehand."""

import re
from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..color import to_rgb
from .begin import FIRST_PACKETS, PRIMING, Input, can_be_entered, earliest_packet, is_hidden
from .clock import SteadyClock, demuxed
from .container import (
    Facts,
    StreamFacts,
    codec_name,
    encryption_in,
    file_url,
    is_cover,
    is_moving_avif,
    open_container,
    read_facts,
    streams_beside,
    video_stream,
)
from .display import Display, Spherical, Stereo, display_of
from .errors import MediaError
from .flo import flow_folder, flow_to_color, read_flo, read_known_flow, write_flo
from .frame import Frame, MediaInfo, Reader, Track, carried
from .images import ImageReader, animated_form, plays_of
from .photos import PhotoTags, held_photo_tags, with_photo_tags
from .planes import (
    CHROMA,
    bits_of,
    color_of,
    convert_format,
    from_picture,
    has_alpha,
    is_gray,
    is_rgb,
    is_transparent,
    planar_kind,
    planar_name,
    subsampling,
    to_picture,
)
from .sidedata import (
    ASKED,
    Message,
    Quantisers,
    header_fields,
    lost_side_data,
    message_name,
    messages_of,
    quantisers_of,
    side_data_name,
    side_data_of,
)
from .stills import (
    PNG,
    SUFFIXES,
    VIDEO_SUFFIXES,
    count_pictures,
    png_chunk,
    png_chunks,
    riff_chunks,
    upright,
)
from .timecode import PictureCodes, added_timecode, with_timecode
from .video import VideoReader
from .webp import WebPReader
from .yuv import YuvReader, frame_bytes

# What begins like an address; a Path has one slash of its two.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

__all__ = [
    "ASKED",
    "CHROMA",
    "FIRST_PACKETS",
    "PNG",
    "PRIMING",
    "SUFFIXES",
    "URL",
    "VIDEO_SUFFIXES",
    "Display",
    "Facts",
    "Frame",
    "Input",
    "MediaError",
    "MediaInfo",
    "Message",
    "PhotoTags",
    "PictureCodes",
    "Quantisers",
    "Reader",
    "Spherical",
    "SteadyClock",
    "Stereo",
    "StreamFacts",
    "Track",
    "VideoReader",
    "added_timecode",
    "bits_of",
    "can_be_entered",
    "carried",
    "codec_name",
    "color_of",
    "convert_format",
    "count_pictures",
    "demuxed",
    "display_of",
    "earliest_packet",
    "file_url",
    "flow_folder",
    "flow_to_color",
    "frame_bytes",
    "from_picture",
    "has_alpha",
    "header_fields",
    "held_photo_tags",
    "is_cover",
    "is_gray",
    "is_hidden",
    "is_moving_avif",
    "is_rgb",
    "is_transparent",
    "lost_side_data",
    "message_name",
    "messages_of",
    "open_container",
    "open_reader",
    "planar_kind",
    "planar_name",
    "plays_of",
    "png_chunk",
    "png_chunks",
    "read_clip",
    "read_facts",
    "read_flo",
    "read_known_flow",
    "quantisers_of",
    "side_data_name",
    "side_data_of",
    "riff_chunks",
    "streams_beside",
    "subsampling",
    "to_picture",
    "upright",
    "video_stream",
    "with_timecode",
    "with_photo_tags",
    "write_flo",
]


def open_reader(
    path: Path,
    *,
    fps: Fraction | float | None = None,
    start: Fraction | float | None = None,
    end: Fraction | float | None = None,
    deinterlace: str = "auto",
) -> Reader:
    """Open a video file, a folder of images or an image file, from ``start`` to ``end`` in seconds.

    ``fps`` is the frame rate of images and raw video; other videos, and animated images, have their
    own times.
    ``deinterlace`` is what happens to interlaced video: it is deinterlaced ("auto"), left as it is
    ("off") or an error ("refuse"); or, whatever the file says, each field becomes a frame ("bob"),
    or a 3:2 telecine is undone ("ivtc"). Raises MediaError.
    """
    path = Path(path)
    check_source(path)
    if not (path.is_file() or path.is_dir()):
        raise MediaError(f"expected a video file, {path} is none and no folder of images either")
    first, stop = exact_fraction(start), exact_fraction(end)
    if (first is not None and first < 0) or (stop is not None and stop <= (first or 0)):
        raise MediaError(f"expected 0 <= start < end in seconds, got start {start} and end {end}")
    moving = animated_form(path)
    images = path.is_dir() or (path.suffix.lower() in SUFFIXES and not moving)
    raw = path.suffix.lower() == ".yuv"
    if images or raw:
        if fps is not None and fps <= 0:
            raise MediaError(f"expected a frame rate above 0, got {fps}")
        if deinterlace in ("bob", "ivtc"):
            raise MediaError(f"expected a video file to deinterlace, got {path}")
        reader = ImageReader if images else YuvReader
        return reader(path, fps=exact_fraction(fps), start=first, end=stop)
    if fps is not None:
        what = "animated image" if moving else "video"
        raise MediaError(f"a frame rate is for images; the {what} {path} has its own times")
    if moving == "webp":
        return WebPReader(path, start=first, end=stop)
    try:
        if kind := encryption_in(path):
            raise MediaError(f"{path} is encrypted ({kind}): decrypt it first, no keys are taken")
        return VideoReader(path, start=first, end=stop, deinterlace=deinterlace)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}") from error


def check_source(path: Path) -> None:
    """MediaError for what is no file or folder; URLs and pipes are called so."""
    if path.exists():
        return
    if URL.match(str(path)):
        url = str(path).replace(":/", "://", 1)
        raise MediaError(f"{url} is a URL, and only files are read: download it first")
    if str(path) == "-":
        raise MediaError("- stands for a pipe, and only files are read: write it to a file first")
    pattern = "%" in path.name or "*" in path.name
    advice = f"; images are given as a folder, {path.parent}" if pattern else ""
    raise MediaError(f"there is no file or folder {path}{advice}")


def exact_fraction(value: Fraction | float | None) -> Fraction | None:
    """Fraction that equals a number as a person types it: 0.1 is a tenth."""
    return None if value is None else Fraction(str(value))


def read_clip(path: Path, *, start: int = 0, count: int | None = None) -> Tensor:
    """Frames ``start`` to ``start + count`` of a video or image folder: (T, 3, H, W) uint8 RGB.

    They are upright, as they are shown. Raises MediaError where there is none.
    """
    stop = None if count is None else start + count
    with open_reader(path) as reader:
        turn = reader.display.orientation
        frames = [
            upright((to_rgb(frame.planes, frame.color) * 255).round().to(torch.uint8), turn)
            for frame in islice(reader, start, stop)
        ]
    if not frames:
        raise MediaError(f"{path} has no frame {start}")
    return torch.stack(frames)
