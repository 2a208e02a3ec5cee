"""Side data of pictures: what a video says beside its codes, and which kinds are known here."""

import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import av
import av.logging
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from .errors import ffmpeg_speaks
from .planes import bits_of

SideData = list[tuple[str, bytes]]  # names of kinds, as FFmpeg calls them, and their contents


class Message(NamedTuple):
    """A message that H.264 and HEVC carry with a picture: SEI, of ITU-T H.274."""

    kind: int  # payload type
    payload: bytes


# Kinds that reach the output in another way: as Display, messages or time code.
SHOWN = {
    *("DISPLAYMATRIX", "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "SPHERICAL"),
    *("STEREO3D", "DYNAMIC_HDR_PLUS", "DOVI_METADATA", "DOVI_RPU_BUFFER", "DYNAMIC_HDR_VIVID"),
    *("GOP_TIMECODE", "S12M_TIMECODE"),
}
CARRIED = {
    "A53_CC": "closed captions",
    "AFD": "active format description",
    "SEI_UNREGISTERED": "user data",
}
ASKED = {"export_side_data": "venc_params"}  # option of decoders that tell their quantisers
BLOCK_QUANTISER = 16  # bytes of FFmpeg's AVVideoBlockParams before the block's own difference
HEADER_FIELD = re.compile(r"\d+ +(\w+) +[01]+ = (-?\d+)")  # in FFmpeg's words on a header
# Kinds that say how the old video was coded, which a new coding makes untrue.
CODING = {"MOTION_VECTORS", "VIDEO_ENC_PARAMS", "VIDEO_HINT", "SKIP_SAMPLES", "VIEW_ID"}
# Kinds that are known and cannot be written.
DROPPED = {
    "PANSCAN": "pan and scan window",
    "ICC_PROFILE": "ICC profile",
    "FILM_GRAIN_PARAMS": "film grain",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "REGIONS_OF_INTEREST": "regions of interest",
    "DETECTION_BBOXES": "boxes around what was detected",
    "LCEVC": "LCEVC enhancement layer",
    "3D_REFERENCE_DISPLAYS": "3D reference displays",
    "EXIF": "EXIF",
}
# Names in FFmpeg's descriptions of streams and packets: those that pictures have too, once decoded.
ON_PICTURES = {
    *("Display Matrix", "Stereo 3D", "Mastering display metadata", "Spherical Mapping"),
    *("Content light level metadata", "A53 Closed Captions", "ICC Profile"),
    *("Active Format Description data", "DOVI configuration record", "LCEVC NAL data"),
    *("SMPTE ST 12-1:2014 timecode", "HDR10+ Dynamic Metadata (SMPTE 2094-40)", "EXIF metadata"),
    *("Ambient viewing environment", "3D Reference Displays Info"),
}
# Those that say how old packets lie in an old file, and the crop, which is applied.
OF_PACKETS = {
    *("Palette", "New Extradata", "Param Change", "H263 MB Info", "Quality stats", "Skip Samples"),
    *(
        "CPB properties",
        "MPEGTS Stream ID",
        "Fallback track",
        "Frame Cropping",
        "Audio Service Type",
    ),
    *("Matroska BlockAdditional", "Encryption info", "Encryption initialization data"),
}
# Those that are known, and that only some containers hold.
KNOWN = {
    *("Replay Gain", "Strings Metadata", "Metadata Update", "WebVTT ID", "WebVTT Settings"),
    *("Subtitle Position", "JP Dual Mono", "Producer Reference Time", "RTCP Sender Report"),
}
# Names that PyAV does not have, by FFmpeg's number.
NEWER = {28: "LCEVC", 29: "VIEW_ID", 30: "3D_REFERENCE_DISPLAYS", 31: "EXIF"}
ATSC = b"\xb5\x00\x31"  # country and provider of registered user data
REGISTERED, UNREGISTERED = 4, 5  # payload types
# Identifiers of messages in which encoders name themselves: x264, x265, SVT, NVENC and Apple's.
ENCODERS = {
    bytes.fromhex(name)
    for name in (
        "dc45e9bde6d948b7962cd820d923eeef",
        "2ca2de09b51747dbbb55a4fe7fc2fc4e",
        "47564adc5c4c433f94efc5113cd143a8",
    )
}


def side_data_of(picture: av.VideoFrame) -> SideData:
    """Side data of a decoded picture.

    PyAV gives none at all where it does not know the kind of one: then only that kind is named.
    """
    try:
        items: Any = picture.side_data  # a mapping that iterates over its values
        return [(item.type.name, bytes(item)) for item in items]
    except ValueError as error:
        found = re.match(r"\d+", str(error))
        number = int(found[0]) if found else -1
        return [(NEWER.get(number, f"number {number}"), b"")]


class Quantisers(NamedTuple):
    """How coarsely a picture was coded, as its decoder knows; those of H.264 as of 8 bits."""

    kind: str  # H264, MPEG2 or VP9, which count in different ways
    first: int  # the picture begins with it
    blocks: np.ndarray  # (N,) of all its blocks


def quantisers_of(picture: av.VideoFrame) -> Quantisers | None:
    """The quantisers of a picture from a decoder with ASKED among its options; None if untold."""
    try:
        told: Any = picture.side_data.get("VIDEO_ENC_PARAMS")
    except ValueError:  # PyAV does not know another kind, and gives none
        return None
    if told is None:
        return None
    own: np.ndarray | int = 0  # the differences of blocks; pictures may have none
    if told.nb_blocks:
        start, step = told.blocks_offset + BLOCK_QUANTISER, (told.block_size,)
        own = np.ndarray(told.nb_blocks, np.int32, bytes(told), start, step)
    # With six more the step doubles; each bit beyond 8 begins so much higher.
    above = 6 * (bits_of(picture.format) - 8) if told.codec_type.name == "H264" else 0
    first = told.qp - above
    return Quantisers(told.codec_type.name, first, np.atleast_1d(first + own))


def header_fields(stream: VideoStream, packets: list[av.Packet]) -> list[tuple[str, int]]:
    """All fields of the headers in a stream and its packets, in turn, by their names in FFmpeg.

    It speaks of each field in a line of its log, so a few packets suffice. They are read as far as
    they are whole; none for codecs that its filter ``trace_headers`` does not know.
    """
    with ffmpeg_speaks(), av.logging.Capture() as lines, suppress(av.error.FFmpegError):
        headers = BitStreamFilterContext("trace_headers", stream)
        for packet in packets:
            headers.filter(packet)
    found = (HEADER_FIELD.match(line) for _, _, line in lines)
    return [(said[1], int(said[2])) for said in found if said]


def messages_of(sides: Iterable[tuple[str, bytes]]) -> tuple[Message, ...]:
    """Side data that a new coding of the picture can carry, as messages."""
    found = []
    for kind, data in sides:
        if kind == "A53_CC" and 0 < len(data) // 3 < 32:
            count = len(data) // 3
            payload = ATSC + b"GA94\x03" + bytes([0x40 | count, 0xFF]) + data[: 3 * count] + b"\xff"
            found.append(Message(REGISTERED, payload))
        elif kind == "AFD" and data:
            found.append(Message(REGISTERED, ATSC + b"DTG1" + bytes([0x41, 0xF0 | data[0]])))
        elif kind == "SEI_UNREGISTERED" and len(data) >= 16 and data[:16] not in ENCODERS:
            found.append(Message(UNREGISTERED, data))
    return tuple(found)


def messages_once(messages: tuple[Message, ...], last: tuple[Message, ...]) -> tuple[Message, ...]:
    """Messages of a field's frame; none where the other field's, the ``last``, has the same."""
    return () if messages == last else messages


def message_name(message: Message) -> str:
    """Name of a message's kind, of CARRIED."""
    if message.kind == UNREGISTERED:
        return CARRIED["SEI_UNREGISTERED"]
    return CARRIED["AFD" if message.payload[3:7] == b"DTG1" else "A53_CC"]


def lost_side_data(sides: Iterable[tuple[str, bytes]]) -> list[str]:
    """Names of the side data that no output holds; an unknown kind is called so."""
    return [
        DROPPED.get(kind) or f"unknown side data ({kind})"
        for kind, data in sides
        if kind not in SHOWN | CARRIED.keys() | CODING and not is_void(kind, data)
    ]


def is_void(kind: str, data: bytes) -> bool:
    """True for side data that every picture of its coding has, and that says nothing."""
    if kind == "PANSCAN" and len(data) >= 24:
        return not any(struct.unpack_from("=6h", data, 12))  # it is in the middle
    return False


def side_data_name(name: str) -> str:
    """Name of side data of a stream or packet that has to be kept or named; empty for others."""
    if name.lower() in map(str.lower, ON_PICTURES | OF_PACKETS):
        return ""
    known = name.lower() in map(str.lower, KNOWN)
    return f"side data {name}" if known else f"unknown side data ({name})"
