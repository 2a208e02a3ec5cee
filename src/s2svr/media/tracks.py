"""Everything in a file beside the video: sound, subtitles, cover art, attachments."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer
from av.stream import Stream

from .container import codec_name, is_cover, open_container, video_stream
from .frame import Reader
from .sound import Transcoder

TEXT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
READABLE = {"subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"}
SOUND = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus", "mpegts": "aac"}
# Of a stream's metadata: what describes the file it was in, and is written anew.
STALE = re.compile(r"(BPS|DURATION|NUMBER_OF_|_STATISTICS|encoder$|ENCODER$)")
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass
class Route:
    """Where the packets of one source stream go."""

    source: Stream
    action: str  # copy, text, sound or cover
    codec: str = ""  # of the output where it is converted
    target: Stream | None = None
    transcoder: Transcoder | None = None
    last: int | None = None  # decoding time of the last packet


class Companions:
    """The streams that go from a source file into an output beside the video."""

    def __init__(self, reader: Reader, container: str) -> None:
        self.format, self.warnings = container, []  # type: str, list[str]
        self.input = open_container(reader.path)
        self.video = video_stream(self.input, reader.path)
        self.start, self.end, self.shift = reader.start, reader.end, reader.shift
        self.routes: dict[int, Route] = {}
        for stream in self.input.streams:
            if stream.index != self.video.index:
                route = self.plan(stream)
                if route is not None:
                    self.routes[stream.index] = route

    def plan(self, stream: Stream) -> Route | None:
        """Copy a stream where the container can hold it, else convert it or leave it out."""
        name, kind = codec_name(stream), stream.type
        what = f"{kind} track {stream.index} ({', '.join(filter(None, (name, stream.language)))})"
        if kind == "video" and is_cover(stream):
            if self.format == "matroska" or holds(self.format, stream):
                return Route(stream, "cover")
        elif kind == "data" and (name in ("bin_data", "") or "timecode" in stream.metadata):
            return None  # chapter titles and time codes, written anew from the metadata
        elif kind == "attachment":
            if self.format == "matroska":
                return Route(stream, "copy")
        elif kind != "video" and holds(self.format, stream):
            return Route(stream, "copy")
        elif kind == "subtitle" and name in READABLE and self.format in TEXT:
            self.warnings.append(f"{what} is converted to {TEXT[self.format]}")
            return Route(stream, "text", TEXT[self.format])
        elif kind == "audio" and stream.codec_context is not None:
            self.warnings.append(f"{what} is converted to {SOUND[self.format]}")
            return Route(stream, "sound", SOUND[self.format])
        self.warnings.append(f"{what} is left out: {self.format} cannot hold it")
        return None

    def attach(self, output: OutputContainer) -> None:
        """Make the output's streams and chapters."""
        for route in self.routes.values():
            source = route.source
            if route.action == "copy" or (route.action == "cover" and self.format != "matroska"):
                route.target = output.add_stream_from_template(source, opaque=True)
            elif route.action == "text":
                route.target = output.add_stream(route.codec)
                route.target.codec_context.subtitle_header = ASS_HEADER
                route.target.time_base = Fraction(1, 1000)
            elif route.action == "sound":
                route.transcoder = Transcoder(source, output, route.codec)
                route.target = route.transcoder.target
            else:
                add_cover(output, source, self.input)
            if route.target is not None:
                route.target.metadata.update(kept(source.metadata))
                route.target.disposition = source.disposition
        output.set_chapters(self.chapters())

    def chapters(self) -> list[dict]:
        """The source's chapters, cut and shifted with the video."""
        found = []
        for chapter in self.input.chapters():
            base = chapter["time_base"]
            start, end = chapter["start"] * base, chapter["end"] * base
            if (self.end is None or start < self.end) and (self.start is None or end > self.start):
                start, end = max(start, self.start or start), min(end, self.end or end)
                times = {"start": round((start - self.shift) / base)}
                times["end"] = round((end - self.shift) / base)
                found.append({**chapter, **times})
        return found

    def packets(self) -> Iterator[tuple[Fraction, av.Packet]]:
        """Packets for the output with their times, cut to start and end."""
        if not any(route.target is not None for route in self.routes.values()):
            return
        if self.start is not None:
            # Some time before the cut, for subtitles that are shown already.
            self.input.seek(max(0, int((self.start - 30) * 1_000_000)))
        for packet in self.input.demux():
            route = self.routes.get(packet.stream_index)
            if route is None or route.target is None:
                continue
            if packet.size == 0:
                made = route.transcoder.flush() if route.transcoder else []
            else:
                made = self.convert(route, packet)
            for item in made:
                stamp = item.dts if item.dts is not None else item.pts
                yield (stamp or 0) * item.time_base, item

    def convert(self, route: Route, packet: av.Packet) -> list[av.Packet]:
        """One source packet -> packets for the output."""
        base = packet.time_base
        if codec_name(route.source) == "mov_text" and packet.size <= 2:
            return []  # a pause, which mp4 writers fill in themselves
        if packet.pts is None:
            packet.pts = packet.dts if packet.dts is not None else route.last
        if packet.pts is None:
            return []
        time = packet.pts * base
        late = self.end is not None and time >= self.end
        early = self.start is not None and time < self.start
        if route.source.type == "subtitle":
            stop = time + (packet.duration or 0) * base
            if early and self.start is not None and stop > self.start:
                early, time = False, self.start
            stop = min(stop, self.end or stop)
            packet.pts = packet.dts = round(time / base)
            packet.duration = max(0, round((stop - time) / base))
        if (early or late) and route.action != "cover":
            return []
        shift = round(self.shift / base) if route.action != "cover" else 0
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        if route.transcoder is not None:
            return route.transcoder.convert(packet)
        if route.last is not None and packet.dts <= route.last and route.source.type != "subtitle":
            packet.dts = route.last + 1
            packet.pts = max(packet.pts, packet.dts)
        route.last = packet.dts
        if route.action == "text":
            return text_packet(packet, route)
        packet.stream = route.target
        return [packet]

    def close(self) -> None:
        """Close the source."""
        self.input.close()


def kept(metadata: dict[str, str]) -> dict[str, str]:
    """A stream's metadata without what describes its old file."""
    return {key: value for key, value in metadata.items() if not STALE.match(key)}


def holds(container: str, stream: Stream) -> bool:
    """Whether a container of that format can hold a copy of a stream: tried in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as probe:
            probe.add_stream_from_template(stream, opaque=True)
            probe.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


def text_packet(packet: av.Packet, route: Route) -> list[av.Packet]:
    """A text subtitle in any code -> one in the route's, without styles."""
    lines = []
    for rect in packet.decode():
        event = getattr(rect, "ass", b"").decode("utf-8", "replace")
        text = event.split(",", 8)[-1]
        lines.append(re.sub(r"\{[^}]*\}", "", text).replace("\\N", "\n").replace("\\h", " "))
    text = "\n".join(filter(None, lines)).strip().encode()
    if not text:
        return []
    made = av.Packet(len(text).to_bytes(2, "big") + text if route.codec == "mov_text" else text)
    made.pts, made.dts, made.duration = packet.pts, packet.pts, packet.duration
    made.time_base, made.stream = packet.time_base, route.target
    made.is_keyframe = True
    return [made]


def add_cover(
    output: OutputContainer, source: Stream, container: av.container.InputContainer
) -> None:
    """Attach a cover picture to a Matroska file."""
    for packet in container.demux(source):
        if packet.size:
            name = codec_name(source)
            kind = {"mjpeg": "jpg"}.get(name, name)
            mime = {"jpg": "image/jpeg"}.get(kind, f"image/{kind}")
            output.add_attachment(f"cover.{kind}", mime, bytes(packet))
            break
    container.seek(0)
