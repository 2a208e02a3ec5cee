"""Rules of what containers hold: tracks, tried in memory, keys of metadata, chapters and times."""

import io
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream

from ..media import Facts, codec_name

# Keys of metadata that mp4 and mov write where every player looks for them.
QUICKTIME = {"title", "album", "comment", "genre", "copyright", "date", "creation_time", "location"}
KEYS = {
    "mov": {*QUICKTIME, "make", "model"},
    "mp4": {
        *QUICKTIME,
        *("artist", "description", "synopsis", "show", "network", "episode_id", "track", "disc"),
        *("composer", "album_artist", "grouping", "lyrics", "keywords"),
    },
}
# Keys of a file's metadata by which its container describes itself.
CONTAINER_KEYS = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration"),
    *("iswindowsmediafile", "wmfsdkversion", "wmfsdkneeded", "isvbr", "deviceconformancetemplate"),
    *("metadatacreator", "hasmetadata", "hasvideo", "hasaudio", "haskeyframes", "cuepoints"),
    *("canseektoend", "datasize", "videosize", "audiosize", "lasttimestamp"),
    "lastkeyframetimestamp",
}
MUXER_KEYS = {*CONTAINER_KEYS, "comment"}  # which the output gets in another way
# MPEG-TS takes everything, but only these can be read again.
BROADCAST = {
    *("mp2", "mp2float", "mp3", "mp3float", "aac", "aac_latm", "ac3", "eac3", "dca", "opus"),
    *("libopus", "truehd", "dvbsub", "dvb_teletext", "libzvbi_teletextdec"),
    *("klv", "timed_id3", "smpte_2038"),
}
# Keys of a stream's metadata that describe its old file, or what is read and written in other ways.
STALE = re.compile(
    r"(?i:alpha_mode|stereo_mode)|BPS|DURATION|NUMBER_OF_|_STATISTICS|encoder$|ENCODER$"
)
# Metadata of programs that muxers write by themselves.
SERVICE = {"service_name": "Service01", "service_provider": "FFmpeg"}
# Data tracks by which mp4 and mov keep chapters and time codes: they are made anew from both.
REMADE = {"text": "titles of chapters", "tmcd": "time code"}

# Containers in which packets may have the time of the one before: their ticks are coarse.
EQUAL_TIMES = {"matroska", "webm"}


def has_rare_keys(container: str, metadata: dict[str, str]) -> bool:
    """True if metadata has keys that mp4 or mov keep only in a table that few players read."""
    known = KEYS.get(container)
    return known is not None and not {key.lower().split("-")[0] for key in metadata} <= known


def describe(stream: Stream, tag: str = "") -> str:
    """Kind, number, codec and language of a stream, as words; of data its container's tag too."""
    code = codec_name(stream) or "of an unknown code"
    tag = tag if stream.type in ("data", "unknown") and tag.isalnum() else ""
    words = ", ".join(filter(None, (code, tag, stream.language)))
    return f"{stream.type} track {stream.index} ({words})"


def portable_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """A stream's metadata without the keys that describe its old file."""
    found = {key: value for key, value in metadata.items() if not STALE.match(key)}
    if name := found.pop("name", None):  # as titles are called where they come from mp4
        found.setdefault("title", name)
    return found


def service_metadata(facts: Facts) -> dict[str, str]:
    """Metadata of the programs of a transport stream, unless muxers write it by themselves."""
    found = {}
    for number, program in enumerate(facts.programs):
        for key, value in program.items():
            if SERVICE.get(key) != value:
                found[key if number == 0 else f"program {number + 1} {key}"] = value
    return found


def can_hold_copy(container: str, stream: Stream) -> bool:
    """True if a container of that format can hold a copy of a stream: tried in memory.

    Data has to come back as the same kind too: some muxers write it so that nobody can read it.
    """
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container) as probe:
            copy = probe.add_stream_from_template(stream, opaque=True)
            probe.start_encoding()
            if stream.type == "data":
                for count in range(2):
                    packet = av.Packet(bytes(16))
                    packet.pts = packet.dts = count
                    packet.duration, packet.time_base = 1, Fraction(1)
                    packet.stream = copy
                    probe.mux_one(packet)
        if stream.type != "data":
            return True
        with av.open(io.BytesIO(file.getvalue())) as written:
            kinds = [codec_name(other) for other in written.streams.data]
    except (av.error.FFmpegError, OSError, ValueError):
        return False
    return kinds == [codec_name(stream)]


def cut_chapters(
    chapters: Iterable[Any], start: Fraction | None, end: Fraction | None, shift: Fraction
) -> list[Any]:
    """Chapters between two times, moved so that ``shift`` becomes 0; all in seconds.

    One of no length is a mark, which lasts for one unit of its times.
    """
    found = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        first, last = chapter["start"] * base, chapter["end"] * base
        last = max(last, first + base)
        first = first if start is None else max(first, start)
        last = last if end is None else min(last, end)
        if first < last:
            chapter["start"] = round((first - shift) / base)
            chapter["end"] = round((last - shift) / base)
            found.append(chapter)
    return found


def keep_order(packet: av.Packet, last: Fraction | None, tick: Fraction, container: str) -> None:
    """Move a packet forward to the first time after ``last`` that a container takes; seconds.

    ``tick`` is the container's unit of time. Packets that are later already stay as they are, so
    that no delay is handed on.
    """
    if last is None or packet.dts is None or packet.pts is None:
        return
    scale = packet.time_base / tick
    least = to_ticks(last / tick) + (container not in EQUAL_TIMES)
    if to_ticks(packet.dts * scale) >= least:
        return
    packet.dts, packet.pts = least, max(to_ticks(packet.pts * scale), least)
    packet.duration, packet.time_base = to_ticks((packet.duration or 0) * scale), tick


def to_ticks(time: Fraction) -> int:
    """The nearest whole number, as FFmpeg rounds: of two the one that is farther from 0."""
    return int(time + Fraction(1 if time >= 0 else -1, 2))


def attach_cover(output: OutputContainer, source: Stream, packet: av.Packet) -> None:
    """Add a cover picture to a Matroska file, which holds it as an attachment."""
    kind = codec_name(source).replace("mjpeg", "jpeg")
    output.add_attachment(f"cover.{kind.replace('jpeg', 'jpg')}", f"image/{kind}", bytes(packet))
