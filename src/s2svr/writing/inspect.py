"""What a media file holds, as PyAV tells it, without our readers: to compare files."""

import hashlib
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream

from ..media import (
    bits_of,
    chroma_siting,
    codec_name,
    display_of,
    has_alpha,
    is_cover,
    is_gray,
    is_rgb,
    open_container,
    subsampling,
    video_stream,
)
from .tracks import PAUSE, kept

RANGES = {0: "", 1: "limited", 2: "full"}
# Of a file's metadata: what its container says of itself.
OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
OWN_OF_STREAMS = {"handler_name", "vendor_id", "language", "creation_time", "encoder", "duration"}
MILLISECOND = Fraction(1, 1000)


@dataclass
class Packets:
    """The packets of a stream: when they are shown, and a checksum of all their payloads."""

    base: Fraction  # seconds: unit of the times
    times: array = field(default_factory=lambda: array("q"))
    digest: str = ""

    def seconds(self, index: int) -> Fraction:
        return self.times[index] * self.base


@dataclass
class Companion:
    """A stream beside the video."""

    index: int
    kind: str  # audio, subtitle, attachment, cover or data
    codec: str
    tags: dict[str, str]  # language, disposition and metadata
    packets: Packets


@dataclass
class Inspection:
    """What a file holds; a tag that it does not say is an empty text."""

    index: int  # of the video stream
    picture: dict[str, str]  # how the video is coded and shown
    tags: dict[str, str]  # what the video says besides, as Companion.tags
    metadata: dict[str, str]  # keys in small letters
    chapters: list[tuple[float, float, str]]  # begin and end in seconds, title
    companions: list[Companion]
    video: Packets  # frames, in the order they are shown, without payloads


def inspect_file(path: Path) -> Inspection:
    """Read a video file from begin to end. Raises MediaError."""
    container = open_container(path)
    try:
        video = video_stream(container, path)
        others = [
            Companion(
                s.index, kind_of(s), codec_name(s), tags(s), Packets(s.time_base or MILLISECOND)
            )
            for s in container.streams
            if s.index != video.index
            and (s.type != "data" or codec_name(s) not in ("", "bin_data"))
        ]
        siting = chroma_siting(container, video)
        first, shown = read_packets(container, video, {other.index: other for other in others})
        picture = {} if first is None else describe_picture(first, video, siting or "")
        for other in others:
            stream = container.streams[other.index]
            if isinstance(stream, AttachmentStream):
                other.packets.digest = hashlib.sha256(stream.data or b"").hexdigest()
        return Inspection(
            index=video.index,
            picture=picture,
            tags=tags(video),
            metadata=metadata_of(container),
            chapters=[chapter(entry) for entry in container.chapters()],
            companions=others,
            video=shown,
        )
    finally:
        container.close()


def metadata_of(container: InputContainer) -> dict[str, str]:
    """A file's metadata, without what its container says of itself; keys in small letters."""
    return {k.lower(): v for k, v in container.metadata.items() if k.lower() not in OWN}


def chapter(entry: Any) -> tuple[float, float, str]:
    """Begin and end in seconds, and the title."""
    base = entry["time_base"] or MILLISECOND
    begin, end = (round(float(entry[key] * base), 3) for key in ("start", "end"))
    return begin, end, entry["metadata"].get("title", "")


def read_packets(
    container: InputContainer,
    video: av.VideoStream,
    others: dict[int, Companion],
) -> tuple[av.VideoFrame | None, Packets]:
    """Every packet: counts those of the others, decodes those of the video."""
    video.thread_type = "AUTO"
    sums = {index: hashlib.sha256() for index in others}
    shown, first = Packets(video.time_base or MILLISECOND), None
    try:
        for packet in container.demux():
            index = packet.stream_index
            if index == video.index:
                for picture in decode_packet(video, packet):
                    first = first or picture
                    if picture.pts is not None:
                        shown.times.append(picture.pts)
            elif packet.size and index in others and (data := payload(packet, others[index])):
                sums[index].update(data)
                time = packet.pts if packet.pts is not None else packet.dts
                others[index].packets.times.append(time or 0)
    except (av.error.FFmpegError, OSError):
        pass  # what the file lacks is missing on both sides, and said by the reader
    for index, other in others.items():
        other.packets.digest = sums[index].hexdigest()
    return first, shown


def decode_packet(video: av.VideoStream, packet: av.Packet) -> list[av.VideoFrame]:
    """The pictures that a packet brings; none where it is broken."""
    try:
        return video.decode(packet)
    except (av.error.FFmpegError, OSError):
        return []


def payload(packet: av.Packet, other: Companion) -> bytes:
    """A packet's data without what only its container needs; nothing for a pause in mp4's texts."""
    data = bytes(packet)
    if other.codec == "mov_text" and data == PAUSE:
        return b""
    if other.codec == "aac" and len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]  # ADTS, with a checksum or without
    return data


def kind_of(stream: Stream) -> str:
    """Audio, subtitle, attachment, cover or data."""
    return "cover" if stream.type == "video" and is_cover(stream) else stream.type


def tags(stream: Stream) -> dict[str, str]:
    """What a stream says of itself."""
    found = {k.lower(): v for k, v in kept(stream.metadata).items()}
    language = found.get("language", "")
    return {
        "language": "" if language == "und" else language,
        "disposition": disposition_words(stream),
        **{k: v for k, v in found.items() if k not in OWN_OF_STREAMS},
    }


def disposition_words(stream: Stream) -> str:
    """The flags that are set, by name; the first of a kind is the default anyhow."""
    flags = stream.disposition
    if next(s for s in stream.container.streams if s.type == stream.type).index == stream.index:
        flags &= ~Disposition.default
    return " ".join(flag.name or "" for flag in Disposition if flags & flag)


def describe_picture(picture: av.VideoFrame, stream: av.VideoStream, siting: str) -> dict[str, str]:
    """How the video is coded, shown and tagged."""
    form, display = picture.format, display_of(picture)
    across, down = subsampling(form)
    kind = "RGB" if is_rgb(form) else "grey" if is_gray(form) else f"{across}x{down}"
    code = int(picture.colorspace)
    aspect = stream.sample_aspect_ratio
    return {
        "codec": stream.codec_context.name,
        "size": f"{picture.width}x{picture.height}",
        "components": kind if kind in ("RGB", "grey") else f"YCbCr, chroma {kind}",
        "bits": str(bits_of(form)),
        "alpha": "yes" if has_alpha(form) else "",
        "range": "full" if form.name.startswith("yuvj") else RANGES[int(picture.color_range)],
        "matrix": "" if code == 2 or kind in ("RGB", "grey") else str(code),
        "primaries": number(int(picture.color_primaries)),
        "transfer": number(int(picture.color_trc)),
        "chroma siting": siting if (across, down) == (2, 2) else "",
        "pixel aspect": "" if aspect in (None, 1) else str(aspect),
        "rotation": turn(display.matrix),
        "mastering display": " ".join(f"{float(v):g}" for v in display.mastering or ()),
        "content light": " ".join(map(str, display.light or ())),
        "dynamic metadata": ", ".join(display.dynamic),
        "interlaced": "yes" if picture.interlaced_frame else "",
    }


def turn(matrix: tuple[int, ...] | None) -> str:
    """How a picture is turned or mirrored, without the shift that brings it into view in mp4."""
    parts = [matrix[i] / 65536 for i in (0, 1, 3, 4)] if matrix else []
    return "" if parts in ([], [1, 0, 0, 1]) else " ".join(f"{part:g}" for part in parts)


def number(code: int) -> str:
    """A number of ITU-T H.273; 2 and 0 say nothing."""
    return "" if code in (0, 2) else str(code)
