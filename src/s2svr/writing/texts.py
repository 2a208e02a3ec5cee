"""Subtitles: an end for those that have none, and text where the output cannot hold them."""

import re
from fractions import Fraction

import av
from av.stream import Stream

# Codecs that text is converted to where a container cannot hold it as it is.
TEXT_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
READABLE_TEXT = {"subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"}
EMPTY_TEXT = b"\0\0"  # of mp4, whose muxer puts it between texts by itself
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
DVB_ENVELOPE = b"\x20\x00"  # before the segments, each of which begins with 15; 255 follows
LAST = Fraction(10)  # seconds that the last one is shown where the end of the film is not known
TOO_LONG = Fraction(86400)  # seconds: a subtitle of a day stands for one without an end


class OpenEnds:
    """Gives each subtitle of a track an end: its own, the begin of the next, or the film's.

    ``film`` is the film's end in seconds, ``needed`` is True for containers in which every subtitle
    has an end. Elsewhere one may have none, and what is longer than the film is cut to it.
    """

    def __init__(self, film: Fraction | None, *, needed: bool) -> None:
        self.film, self.needed = film, needed
        self.held: av.Packet | None = None  # the last one, until its end is known
        self.ended = 0  # subtitles that were given an end

    def add(self, packet: av.Packet) -> list[av.Packet]:
        """Take the next subtitle; return those whose end is known."""
        begin = (packet.pts or 0) * packet.time_base
        made = self.release(begin)
        if not self.is_open(packet):
            return [*made, packet]
        if self.needed:
            self.held = packet
            return made
        if packet.duration:
            self.close(packet, self.film)
        return [*made, packet]

    def finish(self) -> list[av.Packet]:
        """Return the subtitle that is still held back."""
        return self.release(self.film)

    def is_open(self, packet: av.Packet) -> bool:
        """True if a subtitle has no end, or one that only stands for none."""
        length = (packet.duration or 0) * packet.time_base
        begin = (packet.pts or 0) * packet.time_base
        beyond = self.film is not None and begin + length > self.film + TOO_LONG
        return length <= 0 or length >= TOO_LONG or beyond

    def release(self, end: Fraction | None) -> list[av.Packet]:
        """Return what is held back, if it is shown at all before ``end``."""
        held, self.held = self.held, None
        if held is None:
            return []
        self.close(held, end)
        return [held] if held.duration else []

    def close(self, packet: av.Packet, end: Fraction | None) -> None:
        """Give a subtitle its end, in seconds."""
        begin = (packet.pts or 0) * packet.time_base
        end = begin + LAST if end is None else end
        packet.duration = max(0, round((end - begin) / packet.time_base))
        self.ended += 1


def without_envelope(packet: av.Packet) -> av.Packet:
    """A DVB subtitle without the bytes by which MPEG-TS wraps it, that not every reader removes."""
    data = bytes(packet)
    if data[:3] != DVB_ENVELOPE + b"\x0f":
        return packet
    made = av.Packet(data[len(DVB_ENVELOPE) :].removesuffix(b"\xff"))
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.time_base, made.is_keyframe = packet.time_base, packet.is_keyframe
    return made


def convert_text(packet: av.Packet, codec: str, target: Stream | None) -> list[av.Packet]:
    """Convert a text subtitle to the codec of its target stream, without styles."""
    lines = []
    for part in packet.decode():
        text = getattr(part, "ass", b"").decode("utf-8", "replace").split(",", 8)[-1]
        lines.append(re.sub(r"\{[^}]*\}", "", text).replace("\\N", "\n").replace("\\h", " "))
    data = "\n".join(lines).strip().encode()
    if not data:
        return []
    made = av.Packet(len(data).to_bytes(2, "big") + data if codec == "mov_text" else data)
    made.pts, made.dts, made.duration = packet.pts, packet.pts, packet.duration
    made.time_base, made.is_keyframe = packet.time_base, True
    made.stream = target
    return [made]
