"""Conversion of subtitles that the output cannot hold into a kind of text that it can."""

import re

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
