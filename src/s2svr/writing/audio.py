"""Conversion of sound that the output cannot hold into a codec that it can."""

from fractions import Fraction

import av
from av.container import OutputContainer


class Transcoder:
    """Decodes the packets of one audio stream and encodes them again."""

    def __init__(self, source: av.AudioStream, output: OutputContainer, codec: str) -> None:
        self.source = source
        rate = 48000 if codec == "libopus" else source.codec_context.sample_rate
        layout = source.codec_context.layout.name
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        self.target, self.context = stream, stream.codec_context
        self.context.time_base = Fraction(1, rate)
        self.resampler: av.AudioResampler | None = None

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Decode one packet and return its sound, encoded anew."""
        return [made for frame in self.source.decode(packet) for made in self.encode(frame)]

    def encode(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        """Resample and encode a frame; None returns what the encoder still holds back."""
        if self.resampler is None:  # the encoder names its frame size once it is open
            c = self.context
            self.resampler = av.AudioResampler(
                c.format, c.layout, c.sample_rate, c.frame_size or None
            )
        packets = [p for part in self.resampler.resample(frame) for p in self.context.encode(part)]
        packets += self.context.encode(None) if frame is None else []
        for packet in packets:
            packet.stream = self.target
        return packets
