"""Sound in a code that the output cannot hold -> one that it can."""

from fractions import Fraction

import av
from av.container import OutputContainer


class Transcoder:
    """Decodes the packets of one audio stream and encodes them again."""

    def __init__(self, source: av.AudioStream, output: OutputContainer, codec: str) -> None:
        context = source.codec_context
        rate = 48000 if codec == "libopus" else context.sample_rate
        self.target = output.add_stream(codec, rate=rate, layout=context.layout.name)
        self.target.codec_context.time_base = Fraction(1, rate)
        self.resampler: av.AudioResampler | None = None
        self.rate = rate

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Encoded packets of what one packet holds; broken packets are left out."""
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return []
        return [made for frame in frames for made in self.encode(frame)]

    def encode(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        """Resample and encode a frame; None encodes what is still held back."""
        context = self.target.codec_context
        if self.resampler is None:
            context.open(strict=False)
            self.resampler = av.AudioResampler(
                context.format, context.layout, self.rate, context.frame_size or None
            )
        packets = []
        for ready in self.resampler.resample(frame):
            packets += context.encode(ready)
        for packet in packets:
            packet.stream = self.target
        return packets

    def flush(self) -> list[av.Packet]:
        """The last packets."""
        packets = self.encode(None) if self.resampler else []
        packets += self.target.codec_context.encode(None) if self.resampler else []
        for packet in packets:
            packet.stream = self.target
        return packets
