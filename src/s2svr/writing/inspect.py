"""Inspection of a media file by PyAV alone, without our readers, to compare files."""

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream

from ..media import (
    Facts,
    PictureCodes,
    SteadyClock,
    StreamFacts,
    added_timecode,
    bits_of,
    codec_name,
    demuxed,
    display_of,
    is_cover,
    is_gray,
    is_hidden,
    is_rgb,
    is_transparent,
    lost_side_data,
    message_name,
    messages_of,
    open_container,
    read_facts,
    side_data_name,
    side_data_of,
    streams_beside,
    subsampling,
    video_stream,
)
from .holding import CONTAINER_KEYS, REMADE, portable_metadata, service_metadata
from .texts import EMPTY_TEXT, without_envelope

STREAM_KEYS = {"handler_name", "vendor_id", "language", "creation_time", "encoder", "duration"}
MILLISECOND = Fraction(1, 1000)
RANGES = {0: "", 1: "limited", 2: "full"}


@dataclass
class Packets:
    """Times at which a stream's packets are shown, and a checksum of all their payloads."""

    base: Fraction  # seconds: unit of the times
    times: array = field(default_factory=lambda: array("q"))
    digest: str = ""

    def seconds(self, index: int) -> Fraction:
        """Time of one packet."""
        return self.times[index] * self.base


@dataclass
class Companion:
    """A stream beside the video."""

    index: int
    kind: str  # audio, subtitle, attachment, cover, data, video, unknown, or a value of REMADE
    codec: str
    tags: dict[str, str]  # language, disposition, metadata and side data
    packets: Packets


@dataclass
class Inspection:
    """Contents of a media file; a tag that it lacks is an empty text."""

    index: int  # of the video stream
    picture: dict[str, str]  # coding and display of the video, by property
    carried: dict[str, str]  # what its pictures carry beside their codes
    tags: dict[str, str]  # of the video, as Companion.tags
    metadata: dict[str, str]  # keys in small letters
    chapters: list[tuple[float, float, str]]  # begin and end in seconds, title
    companions: list[Companion]
    video: Packets  # frames, in the order they are shown, without payloads


class Pictures:
    """Gathers what the pictures of a video carry, picture by picture."""

    def __init__(self, video: av.VideoStream) -> None:
        self.base = video.time_base or MILLISECOND
        self.rate = video.average_rate or Fraction(25)
        self.codes = PictureCodes("", Fraction(0))
        self.began = False
        self.counts: Counter[str] = Counter()  # pictures with a kind of message
        self.sums: dict[str, hashlib._Hash] = {}
        self.lost: set[str] = set()  # names of side data that no output holds
        self.kinds: set[str] = set()
        self.transparent = False

    def add(self, picture: av.VideoFrame) -> None:
        """Look at the next picture, in the order in which they are shown."""
        sides = side_data_of(picture)
        time = (picture.pts or 0) * self.base
        if not self.began:
            self.codes, self.began = PictureCodes("", time), True
        self.codes.look(sides, time, self.rate)
        for message in messages_of(sides):
            name = message_name(message)
            self.counts[name] += 1
            self.sums.setdefault(name, hashlib.sha256()).update(message.payload)
        new = [(kind, data) for kind, data in sides if kind not in self.kinds]
        self.kinds |= {kind for kind, _ in new}
        self.lost |= set(lost_side_data(new))
        self.transparent = self.transparent or is_transparent(picture)

    def found(self) -> dict[str, str]:
        """What the pictures carry, by name; equal texts mean equal contents."""
        carried = {
            name: f"of {count} pictures, {self.sums[name].hexdigest()[:8]}"
            for name, count in sorted(self.counts.items())
        }
        alpha = {"alpha": "yes"} if self.transparent else {}
        return alpha | carried | dict.fromkeys(sorted(self.lost), "yes")


def inspect_file(path: Path, *, most: int | None = None) -> Inspection:
    """Read a video file from begin to end, or its first ``most`` pictures. Raises MediaError."""
    container = open_container(path)
    try:
        video, facts = video_stream(container, path), read_facts(container)
        others = [
            Companion(
                s.index,
                stream_kind(s, facts),
                " ".join(filter(None, (codec_name(s), facts.of(s.index).tag * (s.type == "data")))),
                stream_tags(s, facts),
                Packets(s.time_base or MILLISECOND),
            )
            for s in streams_beside(container, video)
        ]
        pictures, clock = Pictures(video), SteadyClock(container)
        first, frames = read_packets(
            container, video, clock, {other.index: other for other in others}, pictures, most
        )
        picture = {} if first is None else describe_picture(first, video, facts.of(video.index))
        picture["clock"] = clock.told(None, None, pictures.codes.origin)
        for other in others:
            stream = container.streams[other.index]
            if isinstance(stream, AttachmentStream):
                other.packets.digest = hashlib.sha256(stream.data or b"").hexdigest()
        return Inspection(
            index=video.index,
            picture=picture,
            carried=pictures.found(),
            tags=stream_tags(video, facts) | added_timecode(container, pictures.codes.begin),
            metadata=file_metadata(container, facts),
            chapters=[chapter_times(entry) for entry in container.chapters()],
            companions=others,
            video=frames,
        )
    finally:
        container.close()


def file_metadata(container: InputContainer, facts: Facts) -> dict[str, str]:
    """A file's metadata without CONTAINER_KEYS; keys in small letters.

    That of the programs of MPEG-TS is in it, the first one's by its own keys.
    """
    found = service_metadata(facts) | dict(container.metadata)
    return {k.lower(): v for k, v in found.items() if k.lower() not in CONTAINER_KEYS}


def chapter_times(entry: Any) -> tuple[float, float, str]:
    """Begin and end of a chapter in seconds, and its title."""
    base = entry["time_base"] or MILLISECOND
    begin, end = (round(float(entry[key] * base), 3) for key in ("start", "end"))
    return begin, end, entry["metadata"].get("title", "")


def read_packets(
    container: InputContainer,
    video: av.VideoStream,
    clock: SteadyClock,
    others: dict[int, Companion],
    pictures: Pictures,
    most: int | None,
) -> tuple[av.VideoFrame | None, Packets]:
    """Read every packet into ``others`` and every picture into ``pictures``, or ``most`` of them.

    Returns the video's first picture and its frames' times.
    """
    video.thread_type = "AUTO"  # frames too: flags of damage are not read here
    sums = {index: hashlib.sha256() for index in others}
    frames, first = Packets(video.time_base or MILLISECOND), None
    shown: set[int] = set()  # streams that began
    try:
        for packet in demuxed(container, *container.streams, clock=clock):
            index = packet.stream.index  # an empty packet has no other
            if index == video.index:
                for picture in decode_packet(video, packet):
                    first = first or picture
                    pictures.add(picture)
                    if picture.pts is not None:
                        frames.times.append(picture.pts)
                if most is not None and len(frames.times) >= most:
                    break
            elif packet.size and index in others and (data := payload(packet, others[index])):
                if is_hidden(packet, index in shown):
                    continue
                if not packet.is_discard:
                    shown.add(index)
                sums[index].update(data)
                time = packet.pts if packet.pts is not None else packet.dts
                others[index].packets.times.append(time or 0)
    except (av.error.FFmpegError, OSError):
        pass  # a broken file lacks the rest on both sides; its reader says so
    for index, other in others.items():
        other.packets.digest = sums[index].hexdigest()
    return first, frames


def decode_packet(video: av.VideoStream, packet: av.Packet) -> list[av.VideoFrame]:
    """Pictures that a packet brings; none where it is broken."""
    try:
        return video.decode(packet)
    except (av.error.FFmpegError, OSError):
        return []


def payload(packet: av.Packet, other: Companion) -> bytes:
    """A packet's data without what only its container needs; nothing for an empty text of mp4."""
    data = bytes(without_envelope(packet) if other.codec == "dvbsub" else packet)
    if other.codec == "mov_text" and data == EMPTY_TEXT:
        return b""
    if other.codec == "aac" and len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]  # ADTS, with a checksum or without
    return data


def stream_kind(stream: Stream, facts: Facts) -> str:
    """Kind of a stream, as Companion has it."""
    if stream.type == "data" and (remade := REMADE.get(facts.of(stream.index).tag)):
        return remade
    return "cover" if stream.type == "video" and is_cover(stream) else stream.type


def stream_tags(stream: Stream, facts: Facts) -> dict[str, str]:
    """Language, disposition, side data and other metadata of a stream, without STREAM_KEYS."""
    found = {k.lower(): v for k, v in portable_metadata(stream.metadata).items()}
    language = found.get("language", "")
    sides = facts.of(stream.index).sides
    return {
        "language": "" if language == "und" else language,
        "disposition": disposition_words(stream),
        **{k: v for k, v in found.items() if k not in STREAM_KEYS},
        **{name: value for key, value in sides.items() if (name := side_data_name(key))},
    }


def disposition_words(stream: Stream) -> str:
    """Names of the flags that are set; "default" only where it makes players take another one.

    Matroska sets it for every track that is not marked: it counts for the first of a kind, and says
    nothing if that is the first one anyway.
    """
    flags = stream.disposition
    alike = [s for s in stream.container.streams if s.type == stream.type]
    chosen = next((s for s in alike if s.disposition & Disposition.default), alike[0])
    if chosen.index != stream.index or alike[0].index == stream.index:
        flags &= ~Disposition.default
    return " ".join(flag.name or "" for flag in Disposition if flags & flag)


def describe_picture(
    picture: av.VideoFrame, stream: av.VideoStream, facts: StreamFacts
) -> dict[str, str]:
    """Coding, display and colour tags of the video, by the names of their properties."""
    pixel_format, display, siting = picture.format, display_of(picture), facts.siting
    across, down = subsampling(pixel_format)
    plain = "RGB" if is_rgb(pixel_format) else "grey" if is_gray(pixel_format) else ""
    full = pixel_format.name.startswith("yuvj")
    code = int(picture.colorspace)
    aspect = stream.sample_aspect_ratio
    return {
        "codec": stream.codec_context.name,
        "size": f"{picture.width}x{picture.height}",
        "components": plain or f"YCbCr, chroma {across}x{down}",
        "bits": str(bits_of(pixel_format)),
        "range": "full" if full else RANGES[int(picture.color_range)],
        "matrix": "" if code == 2 or plain else str(code),
        "primaries": tag_text(int(picture.color_primaries)),
        "transfer": tag_text(int(picture.color_trc)),
        "chroma siting": siting if (across, down) == (2, 2) else "",
        "pixel aspect": "" if aspect in (None, 1) else str(aspect),
        "rotation": rotation_text(display.matrix),
        "mastering display": " ".join(f"{float(v):g}" for v in display.mastering or ()),
        "content light": " ".join(map(str, display.light or ())),
        "dynamic metadata": ", ".join(display.dynamic),
        "spherical projection": str(display.spherical or ""),
        "stereo 3D": str(display.stereo or ""),
        "crop": ", ".join(map(str, facts.crop)) if any(facts.crop) else "",
        "interlaced": "yes" if picture.interlaced_frame else "",
    }


def rotation_text(matrix: tuple[int, ...] | None) -> str:
    """Rotation and mirroring of a display matrix, without the shift that mp4 adds to it."""
    parts = [matrix[i] / 65536 for i in (0, 1, 3, 4)] if matrix else []
    return "" if parts in ([], [1, 0, 0, 1]) else " ".join(f"{part:g}" for part in parts)


def tag_text(code: int) -> str:
    """A number of ITU-T H.273 as text; empty for 2 and 0, which mean nothing."""
    return "" if code in (0, 2) else str(code)
