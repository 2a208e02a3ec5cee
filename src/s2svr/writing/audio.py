"""Conversion of sound that the output cannot hold into a codec that it can."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer

from ..media import MediaError, codec_name, demuxed, open_container
from .protocol import SoundChoice

# Codecs that sound is converted to where a container cannot hold it as it is.
SOUND_CODECS = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus", "mpegts": "aac"}
SOUND_FORMS = ("copy", "aac", "flac", "none")
# Containers that hold what can be asked for by name, and whose players read it.
HOLD = {"aac": {"mp4", "mov", "matroska", "mpegts"}, "flac": {"mp4", "matroska"}}
LAYOUTS = ["mono", "stereo", "2.1", "3.0", "quad", "4.0", "5.0", "5.1", "6.1", "7.1"]
# Layouts whose channels come back in their places. AAC has no name for the other ones that its
# encoder takes, and FFmpeg's Opus exchanges channels of 5.0 and 6.1.
FAITHFUL = {"aac": LAYOUTS, "libopus": ["mono", "stereo", "3.0", "quad", "5.1", "7.1"]}
# Sample formats, planar or not, by what they can tell apart.
PRECISION = ["u8", "s16", "s32", "flt", "s64", "dbl"]
OPUS_RATE = 48000  # at which every decoder of Opus plays, whatever the encoder was given


@dataclass(frozen=True)
class Shape:
    """Form of sound: the name of its channel layout, samples per second, and their format."""

    layout: str
    rate: int
    format: str

    @property
    def channels(self) -> int:
        return av.AudioLayout(self.layout).nb_channels


def sound_codec(choice: SoundChoice, container: str) -> str:
    """Codec that sound is converted to; MediaError where the container cannot hold it."""
    if choice.form not in (None, *SOUND_FORMS):
        kinds = ", ".join(SOUND_FORMS)
        raise MediaError(f"expected the sound {kinds}, got {choice.form!r}")
    if choice.form == "none" and choice.tracks:
        raise MediaError("expected tracks of sound or no sound at all, got both")
    if choice.form not in HOLD:
        return SOUND_CODECS[container]
    if container not in HOLD[choice.form]:
        raise MediaError(
            f"{container} cannot hold {choice.form}; choose another form of sound, or container"
        )
    return choice.form


def chosen_sound(
    choice: SoundChoice, streams: Iterable[av.AudioStream], path: Path
) -> list[av.AudioStream]:
    """The streams of a file that a choice names; MediaError where it names one that is not there.

    Languages are as the file has them, in any case.
    """
    streams = list(streams)
    if choice.form == "none":
        return []
    for word in choice.tracks:
        if not any(is_called(stream, word) for stream in streams):
            found = ", ".join(track_name(stream) for stream in streams) or "no sound"
            raise MediaError(f"expected tracks of sound in {path}, which has {found}; got {word}")
    chosen = [s for s in streams if any(is_called(s, word) for word in choice.tracks)]
    return chosen if choice.tracks else streams


def is_called(stream: av.AudioStream, word: str) -> bool:
    """True if a word is a stream's number or its language."""
    return word == str(stream.index) or word.lower() == (stream.language or "").lower()


def track_name(stream: av.AudioStream) -> str:
    """Number, codec and language of a stream."""
    words = ", ".join(filter(None, (codec_name(stream), stream.language)))
    return f"{stream.index} ({words})"


def shape_of(sound: AudioCodecContext | av.AudioFrame) -> Shape | None:
    """Shape of a frame, or of a stream as its header says; None where that is not enough."""
    if sound.format is None or not (sound.sample_rate and sound.layout.nb_channels):
        return None
    return Shape(sound.layout.name, sound.sample_rate, sound.format.name)


def choose_shape(codec: str, source: Shape) -> Shape | None:
    """The shape nearest to ``source`` that an encoder takes, tried by opening it; None if none.

    Channels keep their number and place if they can. Else they become part of a larger layout whose
    other channels are silent, or the channels of the next layout with as many or more, or fewer.
    """
    encoder = av.Codec(codec, "w")
    rate, sample_format = nearest_rate(encoder, source.rate), nearest_format(encoder, source.format)
    for layout in nearest_layouts(codec, source.layout):
        shape = Shape(layout, rate, sample_format)
        if can_encode(codec, shape) and can_resample(source, shape):
            return shape
    return None


def nearest_rate(encoder: av.Codec, rate: int) -> int:
    """The lowest rate of an encoder that loses nothing of ``rate``, or else its highest."""
    if encoder.name == "libopus":
        return OPUS_RATE
    rates = encoder.audio_rates or [rate]
    return min((found for found in rates if found >= rate), default=max(rates))


def nearest_format(encoder: av.Codec, name: str) -> str:
    """The sample format of an encoder that loses least of the format ``name``."""
    least = PRECISION.index(name.removesuffix("p"))
    ranks = {PRECISION.index(f.name.removesuffix("p")): f.name for f in encoder.audio_formats or []}
    return ranks[min((rank for rank in ranks if rank >= least), default=max(ranks))]


def nearest_layouts(codec: str, name: str) -> list[str]:
    """Layouts for sound of a layout, the best first. One without a name gets the usual name."""
    count, name = av.AudioLayout(name).nb_channels, named_layout(name)
    if not name:
        return []
    own = places(name)

    def distance(other: str) -> tuple[int, int]:
        theirs = places(other)
        more = theirs.total() - count
        enough = more >= 0 and theirs["LFE"] >= own["LFE"]  # which is not mixed into others
        tier = 0 if theirs == own else 1 if theirs >= own else 2 if enough else 3
        return tier, abs(more)

    return sorted(FAITHFUL.get(codec) or [name, *LAYOUTS], key=distance)


def named_layout(name: str) -> str:
    """A layout's name; the usual one of its number of channels where it has none; else empty."""
    if "channels" not in name:
        return name
    try:
        return av.AudioLayout(f"{av.AudioLayout(name).nb_channels}c").name
    except ValueError:  # nobody has so many loudspeakers
        return ""


def places(name: str) -> Counter[str]:
    """Places of a layout's loudspeakers; those at the sides count as behind, where none is."""
    found = [channel.name for channel in av.AudioLayout(name).channels]
    if {"BL", "BR", "BC"}.isdisjoint(found):
        found = [{"SL": "BL", "SR": "BR"}.get(place, place) for place in found]
    return Counter(found)


def can_encode(codec: str, shape: Shape) -> bool:
    """True if an encoder opens with that shape."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.time_base = shape.rate, Fraction(1, shape.rate)
    context.layout, context.format = shape.layout, shape.format
    try:
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def can_resample(source: Shape, target: Shape) -> bool:
    """True if libswresample converts the one into the other: tried with a little of it."""
    try:
        frame = av.AudioFrame(source.format, source.layout, 64)
        frame.sample_rate = source.rate
        av.AudioResampler(target.format, target.layout, target.rate).resample(frame)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def describe_change(source: Shape, target: Shape) -> str:
    """What a conversion changes beside the codec, as words in brackets; empty if nothing."""
    layouts = f"{source.layout} as {target.layout}" if source.layout != target.layout else ""
    rates = f"{source.rate} Hz as {target.rate} Hz" if source.rate != target.rate else ""
    words = ", ".join(filter(None, (layouts, rates)))
    return f" ({words})" if words else ""


def shapes_within(
    path: Path, index: int, start: Fraction | None, end: Fraction | None
) -> list[Shape]:
    """Every shape that the sound of a file's stream has between two times in seconds.

    All of it is decoded, which takes a small part of the time that a video takes.
    """
    found: dict[tuple[str, int], Shape] = {}
    container = open_container(path)
    try:
        stream = container.streams[index]
        assert isinstance(stream, av.AudioStream)
        for packet in demuxed(container, stream):
            time = (packet.dts or 0) * packet.time_base
            if (start is not None and time < start) or (end is not None and time >= end):
                continue
            for frame in decode_sound(stream, packet):
                if shape := shape_of(frame):
                    found.setdefault((shape.layout, shape.rate), shape)
    except (av.error.FFmpegError, OSError):
        pass  # a broken file lacks the rest; whoever copies its packets says so
    finally:
        container.close()
    return list(found.values())


def decode_sound(stream: av.AudioStream, packet: av.Packet | None) -> list[av.AudioFrame]:
    """Frames of a packet; none where it is broken. None brings what the decoder holds back."""
    try:
        return stream.decode(packet)
    except (av.error.FFmpegError, ValueError):
        return []


def widest(shapes: list[Shape]) -> Shape:
    """The layout with the most channels, the highest rate and the finest format of some shapes."""
    layout = max(shapes, key=lambda shape: shape.channels).layout
    finest = max(shapes, key=lambda shape: PRECISION.index(shape.format.removesuffix("p")))
    return Shape(layout, max(shape.rate for shape in shapes), finest.format)


class Transcoder:
    """Decodes the packets of one audio stream and encodes them again in one shape."""

    def __init__(
        self, source: av.AudioStream, output: OutputContainer, codec: str, shape: Shape
    ) -> None:
        self.source, self.shape = source, shape
        stream = output.add_stream(codec, rate=shape.rate, layout=shape.layout)
        assert isinstance(stream, av.AudioStream)
        self.target, self.context = stream, stream.codec_context
        self.context.time_base, self.context.format = Fraction(1, shape.rate), shape.format
        self.resampler: av.AudioResampler | None = None
        self.form: Shape | None = None  # of the last frame
        self.queue = av.AudioFifo()
        self.next: int | None = None  # time of the next sample, in samples

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Decode one packet and return its sound, encoded anew."""
        return [made for frame in self.source.decode(packet) for made in self.encode(frame)]

    def finish(self) -> list[av.Packet]:
        """Return what the decoder, the resampler and the encoder still hold back."""
        frames = decode_sound(self.source, None)
        return [made for frame in [*frames, None] for made in self.encode(frame)]

    def encode(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        """Resample and encode a frame; None returns all that is still held back."""
        size = self.context.frame_size  # which the encoder names once it is open
        packets = []
        for part in self.resample(frame):
            self.append(part)
            while self.queue.samples >= size:
                packets += self.encode_queued(size)
        if frame is None:
            packets += self.encode_queued(self.queue.samples) if self.queue.samples else []
            packets += self.context.encode(None)
        for packet in packets:
            packet.stream = self.target
        return packets

    def resample(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """Convert a frame to the shape of the output; the frames before may have had another."""
        form = None if frame is None else shape_of(frame)
        parts: list[av.AudioFrame | None] = []
        if self.resampler is not None and form != self.form:
            parts += self.resampler.resample(None)
            self.resampler = None
        self.form = form
        if frame is not None:
            if self.resampler is None:
                shape = self.shape
                self.resampler = av.AudioResampler(shape.format, shape.layout, shape.rate)
            parts += self.resampler.resample(frame)
        return [part for part in parts if part is not None]

    def append(self, part: av.AudioFrame) -> None:
        """Put a frame at the end of the queue, which begins as much earlier as it is long."""
        if part.pts is not None and part.time_base is not None:
            begin = round(part.pts * part.time_base * self.shape.rate) - self.queue.samples
            self.next = begin if self.next is None else max(begin, self.next)
        part.pts, part.time_base = None, self.context.time_base
        self.queue.write(part)

    def encode_queued(self, samples: int) -> list[av.Packet]:
        """Encode so many samples of the queue."""
        frame = self.queue.read(samples)
        frame.pts, frame.time_base = self.next or 0, self.context.time_base
        self.next = frame.pts + frame.samples
        return self.context.encode(frame)
