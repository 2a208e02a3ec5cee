"""Everything in a file but its video: sound, subtitles, cover art, attachments, chapters."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from ..media import (
    MediaError,
    Reader,
    added_timecode,
    can_be_entered,
    codec_name,
    demuxed,
    earliest_packet,
    is_cover,
    is_hidden,
    is_moving_avif,
    open_container,
    read_facts,
    streams_beside,
    video_stream,
    with_timecode,
)
from .audio import (
    Shape,
    Transcoder,
    choose_shape,
    chosen_sound,
    decode_sound,
    describe_change,
    named_layout,
    shape_of,
    sound_codec,
)
from .holding import (
    BROADCAST,
    MUXER_KEYS,
    REMADE,
    attach_cover,
    can_hold_copy,
    cut_chapters,
    describe,
    keep_order,
    portable_metadata,
    service_metadata,
)
from .protocol import SoundChoice
from .texts import (
    ASS_HEADER,
    EMPTY_TEXT,
    READABLE_TEXT,
    TEXT_CODECS,
    Subtitles,
    convert_text,
    without_envelope,
)

EVERYTHING = SoundChoice()
MISREAD = "QuickTime, browsers and television sets play no PCM in mp4"
LEAD = 30  # seconds: a subtitle that is still shown at a cut began at most so long before


@dataclass
class Route:
    """Path of one source stream's packets into the output; ``codec`` is empty for a copy."""

    source: Stream
    codec: str = ""
    shape: Shape | None = None  # of sound that is converted
    target: Stream | None = None
    transcoder: Transcoder | None = None
    last: Fraction | None = None  # decoding time of the last packet, in seconds
    shown: bool = False  # a packet that no edit list hides came already
    texts: Subtitles | None = None


class Companions:
    """Streams of a source file that go into an output with the video."""

    def __init__(self, reader: Reader, container: str, sound: SoundChoice = EVERYTHING) -> None:
        self.format, self.refusal, self.sound = container, f"{container} cannot hold it", sound
        self.sound_codec = sound_codec(sound, container)
        self.warnings: list[str] = []
        self.refused = 0  # packets that could not be converted or written
        self.path, self.input = reader.path, open_container(reader.path)
        self.video = video_stream(self.input, reader.path)
        self.facts = read_facts(self.input)
        self.start, self.end, self.shift = reader.start, reader.end, reader.shift
        self.heard = chosen_sound(sound, self.input.streams.audio, reader.path)
        self.length = reader.info.duration
        routes = map(self.choose_route, streams_beside(self.input, self.video))
        self.routes = [route for route in routes if route is not None]
        # Matroska's keys are in capitals.
        metadata = service_metadata(self.facts) | dict(self.input.metadata)
        self.metadata = {k: v for k, v in metadata.items() if k.lower() not in MUXER_KEYS}
        self.timecode = reader.info.timecode
        self.metadata = with_timecode(self.metadata, self.timecode)
        self.of_pictures = added_timecode(self.input, self.timecode)
        tags = portable_metadata(self.video.metadata) | self.of_pictures
        self.video_metadata = with_timecode(tags, self.timecode)
        self.comment = next((v for k, v in metadata.items() if k.lower() == "comment"), "")

    def choose_route(self, stream: Stream) -> Route | None:
        """Choose to copy a stream if the container can hold it, else to convert or leave it out."""
        name, kind = codec_name(stream), stream.type
        if kind == "data" and self.facts.of(stream.index).tag in REMADE:
            return None
        if isinstance(stream, av.AudioStream) and stream not in self.heard:
            self.leave_out(stream, "it was not asked for")
            return None
        if self.can_copy(stream):
            return Route(stream)
        if isinstance(stream, av.AudioStream):
            return self.convert_sound(stream)
        codec = TEXT_CODECS.get(self.format) if name in READABLE_TEXT else None
        if kind != "subtitle" or codec is None:
            second = kind == "video" and not is_cover(stream)
            alone = "only one video is restored"
            if second and is_moving_avif(self.input):
                alone = "it is the alpha channel"
            self.leave_out(stream, alone if second else self.refusal)
            return None
        self.warnings.append(f"{describe(stream)} is converted to {codec}: {self.refusal}")
        return Route(stream, codec)

    def convert_sound(self, stream: av.AudioStream) -> Route | None:
        """Choose the codec and shape that sound is converted to, or leave it out."""
        codec = self.sound_codec
        if self.sound.form == "copy":
            raise MediaError(
                f"{describe(stream)} cannot be copied: {self.refusal}; choose another container, "
                "or let it be converted"
            )
        if stream.codec_context is None:  # its codec is unknown
            self.leave_out(stream, self.refusal)
            return None
        source = shape_of(stream.codec_context)
        if source is None:
            self.leave_out(stream, "it cannot be decoded")
            return None
        shape = choose_shape(codec, source)
        if shape is None:
            self.leave_out(stream, f"{codec} takes no sound of {source.layout}")
            return None
        why = MISREAD if self.is_misread(stream) else self.refusal
        why = "as was asked for" if self.sound.form else why
        change = describe_change(source, shape)
        self.warnings.append(f"{describe(stream)} is converted to {codec}{change}: {why}")
        return Route(stream, codec, shape)

    def leave_out(self, stream: Stream, why: str) -> None:
        """Warn that a stream is left out."""
        words = describe(stream, self.facts.of(stream.index).tag)
        self.warnings.append(f"{words} is left out: {why}")

    def is_misread(self, stream: Stream) -> bool:
        """True for sound that the container can hold and that is not wanted so.

        Many players do not read it there, or another codec was asked for.
        """
        if self.sound.form:
            return self.sound.form not in ("copy", codec_name(stream))
        return self.format == "mp4" and codec_name(stream).startswith("pcm_")

    def can_copy(self, stream: Stream) -> bool:
        """True if the output can hold a copy of a stream."""
        if stream.type == "attachment" or is_cover(stream):
            covers = self.format == "mp4" and is_cover(stream)  # lost in mov without an error
            return self.format == "matroska" or (covers and can_hold_copy(self.format, stream))
        if stream.type == "audio" and self.is_misread(stream):
            return False
        if self.format == "mpegts":
            private = codec_name(stream) == "bin_data" and "mpegts" in self.input.format.name
            return codec_name(stream) in BROADCAST or private
        return stream.type != "video" and can_hold_copy(self.format, stream)

    def attach(self, output: OutputContainer) -> None:
        """Add the streams and chapters to the output."""
        for route in self.routes:
            source = route.source
            if isinstance(source, av.AudioStream) and route.shape is not None:
                route.transcoder = Transcoder(source, output, route.codec, route.shape)
                route.target = route.transcoder.target
            elif route.codec:
                route.target = output.add_stream(route.codec)
                context = route.target.codec_context
                assert isinstance(context, SubtitleCodecContext)
                context.subtitle_header = ASS_HEADER
                route.target.time_base = Fraction(1, 1000)
            elif is_cover(source) and self.format == "matroska":
                attach_cover(output, source, next(self.input.demux(source)))
                self.input.seek(0)
                continue
            else:
                route.target = output.add_stream_from_template(source, opaque=True)
                if self.format == "mp4" and codec_name(source).startswith("pcm_"):
                    name = named_layout(source.codec_context.layout.name)  # mp4 wants one
                    route.target.codec_context.layout = name
            route.target.metadata.update(portable_metadata(source.metadata))
            route.target.disposition = source.disposition
        output.set_chapters(self.chapters())

    def chapters(self) -> list[Any]:
        """The source's chapters, cut and shifted with the video."""
        shift = self.shift - self.delay()
        return cut_chapters(self.input.chapters(), self.start, self.end, shift)

    def delay(self) -> Fraction:
        """Seconds by which FFmpeg moves all packets, but no chapter, so that no time is below 0.

        Copied sound can begin below 0, as AAC in mp4 does.
        """
        below = "mp4" in self.input.format.name and self.start is None
        sound = [r.source for r in self.routes if r.source.type == "audio" and not r.codec]
        if not (below and sound) or self.format not in ("matroska", "webm"):
            return Fraction(0)
        earliest = earliest_packet(self.path, [stream.index for stream in sound])
        return max(Fraction(0), self.shift - earliest)

    def packets(self) -> Iterator[tuple[Fraction, av.Packet]]:
        """Yield packets for the output with their times in seconds, cut to start and end."""
        routes = {route.source.index: route for route in self.routes if route.target is not None}
        if not routes:
            return
        for route in routes.values():
            if route.source.type == "subtitle":
                route.texts = Subtitles(self.film_end(), self.format, route.codec)
        texts = [route.texts for route in routes.values() if route.texts is not None]
        for packet in self.read([route.source for route in routes.values()]):
            route = routes[packet.stream_index]
            for made in self.convert(route, packet):
                time, _ = at_decoding(made)
                for track in texts:
                    yield from map(at_decoding, track.reach(time))
                yield from map(at_decoding, route.texts.add(made) if route.texts else [made])
        for route in routes.values():
            held = route.transcoder or route.texts
            yield from map(at_decoding, held.finish() if held else [])

    def given_ends(self) -> list[str]:
        """Sentences about subtitles that had no end, once all packets are written."""
        return [
            f"{describe(route.source)} had {route.texts.ends.ended} subtitles without an end: each "
            f"is shown until {'the next one or ' if route.texts.ends.needed else ''}the film ends"
            for route in self.routes
            if route.texts is not None and route.texts.ends.ended
        ]

    def film_end(self) -> Fraction | None:
        """Time in the output at which the video ends, as far as its header says."""
        if self.length is None:
            return None
        begin = (self.video.start_time or 0) * (self.video.time_base or 0)
        return (begin if self.start is None else self.start) + self.length - self.shift

    def read(self, streams: list[Stream]) -> Iterator[av.Packet]:
        """Yield packets of the source from LEAD seconds before the cut to LEAD seconds after it.

        A file whose clock may jump is read from its begin.
        """
        if self.start is not None and can_be_entered(self.input, self.path):
            with suppress(av.error.FFmpegError):
                self.input.seek(max(0, int((self.start - LEAD) * 1_000_000)))
        packets = demuxed(self.input, *streams)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self.refused += 1
                return
            if packet is None:
                return
            if packet.size:
                yield packet
            time = (packet.dts or 0) * packet.time_base
            if self.end is not None and time > self.end + LEAD:
                return

    def convert(self, route: Route, packet: av.Packet) -> list[av.Packet]:
        """Turn a source packet into packets for the output; none where it is left out."""
        if codec_name(route.source) == "mov_text" and bytes(packet) == EMPTY_TEXT:
            return []
        early = not route.shown and self.format in ("mp4", "mov") and (packet.pts or 0) < 0
        if is_hidden(packet, route.shown) and not early:  # these two have edit lists
            if route.transcoder is not None:  # the next one is decoded on from it
                decode_sound(route.transcoder.source, packet)
            return []
        if not is_cover(route.source) and not self.retime(route, packet):
            return []
        try:
            if route.transcoder is not None:
                return route.transcoder.convert(packet)
            if route.codec:
                return convert_text(packet, route.codec, route.target)
        except (av.error.FFmpegError, ValueError):
            self.refused += 1
            return []
        if codec_name(route.source) == "dvbsub":
            packet = without_envelope(packet)
        packet.stream = route.target
        return [packet]

    def retime(self, route: Route, packet: av.Packet) -> bool:
        """Give a packet its time in the output; False where it lies outside the cut."""
        base, text = packet.time_base, route.source.type == "subtitle"
        if packet.pts is None:
            follows = 0 if route.last is None else round((route.last + self.shift) / base) + 1
            packet.pts = follows if packet.dts is None else packet.dts
        lead = 0 if packet.dts is None else max(0, packet.pts - packet.dts)
        time = packet.pts * base
        stop = time + (packet.duration or 0) * base if text else time
        if self.end is not None and time >= self.end:
            return False
        if self.start is not None and time < self.start:
            if stop <= self.start:
                return False
            time = self.start  # a subtitle that is shown at the cut already
        if text:
            stop = stop if self.end is None else min(stop, self.end)
            packet.duration = round((stop - time) / base)
        route.shown = route.shown or not packet.is_discard
        packet.pts = round((time - self.shift) / base)
        packet.dts = packet.pts - lead
        if not text:
            assert route.target is not None
            if route.transcoder is None:
                keep_order(packet, route.last, route.target.time_base or base, self.format)
            route.last = packet.dts * packet.time_base
        return True

    def close(self) -> None:
        """Close the source."""
        self.input.close()


def at_decoding(packet: av.Packet) -> tuple[Fraction, av.Packet]:
    """A packet after its decoding time in seconds."""
    return (packet.dts or 0) * packet.time_base, packet
