"""Subtitles: an end for those without, overlaps, and text where the output cannot hold them."""

import re
from fractions import Fraction
from html import escape

import av
from av.stream import Stream

from ..media import codec_name

# Codecs that text is converted to where a container cannot hold it as it is.
TEXT_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
READABLE_TEXT = {"subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"}
WITH_TAGS = {"subrip", "webvtt"}  # codecs with tags for a few styles
OVERRIDE = re.compile(r"(\{\\[^}]*\})")  # a style of ASS
IN_BRACES = re.compile(r"(\{[^}]*\})")  # and comments, which ASS hides too
TAG = re.compile(r"\{\\([ibu])([01])\}")  # italics, bold and underlined: on and off
LONGEST_TEXT = 2**16 - 1  # bytes of one in mp4
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
LATE = 5  # seconds by which subtitles may lie behind the other tracks of a file
LAST = Fraction(10)  # seconds that the last one is shown where the end of the film is not known
TOO_LONG = Fraction(86400)  # seconds: a subtitle of a day stands for one without an end


class Subtitles:
    """A track of subtitles on its way: each gets an end, and in mp4 and mov none overlap.

    ``film`` is the film's end in seconds, ``codec`` what they were converted to, or empty.
    """

    def __init__(self, film: Fraction | None, container: str, codec: str) -> None:
        self.ends = OpenEnds(film, needed=container in ("mp4", "mov"))
        self.layers = Layers() if codec == "mov_text" else None

    def add(self, packet: av.Packet) -> list[av.Packet]:
        """Take the next subtitle; return those that are known by now."""
        found = self.ends.add(packet)
        if self.layers is None:
            return found
        return [made for packet in found for made in self.layers.add(packet)]

    def reach(self, time: Fraction) -> list[av.Packet]:
        """Return what has ended LATE seconds before a time that another track has come to."""
        return [] if self.layers is None else self.layers.reach(time - LATE)

    def finish(self) -> list[av.Packet]:
        """Return what is still held back."""
        found = self.ends.finish()
        if self.layers is None:
            return found
        made = [made for packet in found for made in self.layers.add(packet)]
        return made + self.layers.reach(None)


class Layers:
    """Cuts subtitles of mp4 that overlap into stretches, each with all texts that are shown in it.

    The container shows one packet at a time. A stretch is returned once its end is known.
    """

    def __init__(self) -> None:
        self.shown: list[tuple[Fraction, av.Packet]] = []  # with the time in seconds of their end
        self.begin = Fraction(0)  # since which they are shown

    def add(self, packet: av.Packet) -> list[av.Packet]:
        """Take the next subtitle; return what was shown before it."""
        base = packet.time_base
        begin, length = (packet.pts or 0) * base, max(1, packet.duration or 0) * base
        made = self.reach(begin)
        if self.shown and self.begin < begin:
            made.append(self.stretch(begin))
        self.begin = max(begin, self.begin)  # it may come too late
        self.shown.append((max(begin + length, self.begin + base), packet))
        return made

    def reach(self, time: Fraction | None) -> list[av.Packet]:
        """Return the stretches that end until a time in seconds; all of them for None."""
        made = []
        while self.shown:
            end = min(end for end, _ in self.shown)
            if time is not None and end > time:
                break
            made.append(self.stretch(end))
            self.shown = [(stop, packet) for stop, packet in self.shown if stop > end]
        return made

    def stretch(self, end: Fraction) -> av.Packet:
        """One packet with all that is shown until a time in seconds."""
        first = self.shown[0][1]
        made = av.Packet(with_size(b"\n".join(bytes(packet)[2:] for _, packet in self.shown)))
        base = made.time_base = first.time_base
        made.pts = made.dts = round(self.begin / base)
        made.duration, made.is_keyframe = round((end - self.begin) / base), True
        made.stream, self.begin = first.stream, end
        return made


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


def with_size(text: bytes) -> bytes:
    """A text of mp4, after its length."""
    text = text[:LONGEST_TEXT]
    return len(text).to_bytes(2, "big") + text


def convert_text(packet: av.Packet, codec: str, target: Stream | None) -> list[av.Packet]:
    """Convert a text subtitle to the codec of its target stream.

    Of its styles italics, bold and underlined stay, where the codec has tags for them.
    """
    hidden = IN_BRACES if codec_name(packet.stream) in ("ass", "ssa") else OVERRIDE
    lines = []
    for part in packet.decode():
        text = getattr(part, "ass", b"").decode("utf-8", "replace").split(",", 8)[-1]
        pieces = hidden.split(text)  # every second one is hidden
        pieces[::2] = (spoken(piece, codec) for piece in pieces[::2])
        pieces[1::2] = (style_tag(piece, codec) for piece in pieces[1::2])
        lines.append("".join(pieces))
    data = "\n".join(lines).strip().encode()
    if not data:
        return []
    made = av.Packet(with_size(data) if codec == "mov_text" else data)
    made.pts, made.dts, made.duration = packet.pts, packet.pts, packet.duration
    made.time_base, made.is_keyframe = packet.time_base, True
    made.stream = target
    return [made]


def spoken(text: str, codec: str) -> str:
    """A text from the dialogue of a decoder, as ASS, as a codec has it."""
    text = text.replace("\\N", "\n").replace("\\h", " ")
    text = text.replace("\\{{}", "{").replace("\\\u2060", "\\")  # as decoders escape { and \
    return escape(text, quote=False) if codec == "webvtt" else text


def style_tag(override: str, codec: str) -> str:
    """The tag of a codec for an override of ASS; empty where it has none."""
    found = TAG.fullmatch(override)
    if found is None or codec not in WITH_TAGS:
        return ""
    return f"<{found[1]}>" if found[2] == "1" else f"</{found[1]}>"
