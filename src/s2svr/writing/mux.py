"""Joining of encoded video, and everything that goes with it, into one container."""

import heapq
import io
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import TypedDict

import av
from av.container import OutputContainer

from ..media import file_url
from .begins import first_packets, small_coding
from .codecs import Coding, codec_stores_aspect
from .holding import has_rare_keys
from .matroska import display_size, set_display_size
from .sphere import add_video, hide_apple_box, view_aspect
from .tracks import Companions


class OpenArguments(TypedDict):
    """Arguments of ``av.open``."""

    format: str
    options: dict[str, str]


def mux(
    path: Path,
    coding: Coding,
    video: Iterable[av.Packet],
    companions: Companions | None,
    *,
    comment: str = "",
) -> None:
    """Write ``path``: the packets of a video encoded with ``coding``, and the companions' tracks.

    Errors are those of FFmpeg and the system.
    """
    with av.open(file_url(path), "w", **file_arguments(coding, companions)) as output:
        stream = write_header(output, coding, companions, comment)
        others = companions.packets() if companions is not None else iter(())
        for _, packet in heapq.merge(timed_packets(video, stream), others, key=itemgetter(0)):
            try:
                output.mux_one(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError):
                if companions is None or packet.stream_index == stream.index:
                    raise
                companions.refused += 1  # broken sound is no reason to lose the video
    hide_apple_box(path, coding)


def mux_begin(
    path: Path,
    coding: Coding,
    video: Iterable[av.Packet],
    companions: Companions | None,
    *,
    comment: str = "",
) -> None:
    """Write a file with what a video and its companions begin with; errors as those of ``mux``.

    The encoder is opened in the video's own size, whatever the size of the packets.
    """
    with av.open(file_url(path), "w", **file_arguments(coding, companions)) as output:
        stream = write_header(output, coding, companions, comment)
        for _, packet in timed_packets(video, stream):
            output.mux_one(packet)
        if companions is not None:
            mux_first_packets(output, companions)


def mux_first_packets(output: OutputContainer, companions: Companions) -> bool:
    """Write what each track begins with; False where all that one has is refused."""
    held = True
    for packets in first_packets(companions):
        accepted = 0
        for packet in packets:
            with suppress(av.error.ArgumentError, av.error.InvalidDataError):
                output.mux_one(packet)
                accepted += 1
        held = held and (accepted > 0 or not packets)
    return held


def write_header(
    output: OutputContainer, coding: Coding, companions: Companions | None, comment: str
) -> av.VideoStream:
    """Make the streams and write the header; return the video stream."""
    stream = add_video(output, coding)
    stream.time_base = coding.time_base
    stream.set_display_matrix(coding.display.matrix)
    output.metadata["comment"] = comment
    if companions is not None:
        companions.attach(output)
        stream.metadata.update(companions.video_metadata)
        stream.disposition = companions.video.disposition
        output.metadata.update(companions.metadata)
        output.metadata["comment"] = "; ".join(filter(None, (companions.comment, comment)))
    output.start_encoding()
    return stream


def open_arguments(coding: Coding, companions: Companions | None) -> OpenArguments:
    """Arguments that the container is opened with."""
    options = {"fflags": "+bitexact"}  # the same packets give the same file
    if coding.container in ("mp4", "mov"):
        # Starts are written in units of the movie, by default milliseconds: too coarse.
        options["strict"] = "unofficial"  # for spheres and views
        options["movie_timescale"] = str(movie_timescale(coding, companions))
    if companions is not None and has_rare_keys(coding.container, companions.metadata):
        options["movflags"] = "use_metadata_tags"
    return {"format": coding.container, "options": options}


def file_arguments(coding: Coding, companions: Companions | None) -> OpenArguments:
    """Arguments that a file is opened with: mp4 and mov get their index at the begin.

    What follows is moved within the file; there is no second one.
    """
    found = open_arguments(coding, companions)
    if coding.container in ("mp4", "mov"):
        flags = found["options"].get("movflags", "")
        found["options"]["movflags"] = "+".join(filter(None, (flags, "faststart")))
    return found


def write_aspect(path: Path, coding: Coding) -> list[str]:
    """Write the pixel aspect into a Matroska or WebM file; return a warning if it has no room.

    H.264 and HEVC store it too, and a size in whole pixels must not contradict them.
    """
    aspect = view_aspect(coding)
    size = display_size(coding.width, coding.height, aspect)
    exact = aspect == Fraction(size[0] * coding.height, size[1] * coding.width)
    if coding.aspect == 1 or coding.container not in ("matroska", "webm"):
        return []
    if (codec_stores_aspect(coding.codec) and not exact) or set_display_size(path, *size):
        return []
    return [f"the pixel aspect {coding.aspect} is not written: the file's header has no room"]


def holds_all_tracks(coding: Coding, companions: Companions) -> bool:
    """True if the container holds all tracks together: tried in memory with their begin."""
    small = small_coding(coding)
    try:
        with av.open(io.BytesIO(), "w", **open_arguments(small, companions)) as trial:
            write_header(trial, small, companions, "")
            return mux_first_packets(trial, companions)
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def keep_held_tracks(coding: Coding, companions: Companions) -> None:
    """Convert or leave out, by name, each track that the container does not hold with the others.

    Sound that is copied is converted instead, if that helps.
    """
    routes, companions.routes = companions.routes, []
    for route in routes:
        kept, stream = companions.routes, route.source
        companions.routes = [*kept, route]
        if holds_all_tracks(coding, companions):
            continue
        other = None
        if isinstance(stream, av.AudioStream) and not route.codec:
            other = companions.convert_sound(stream)
        companions.routes = [*kept, other] if other is not None else kept
        if other is None or not holds_all_tracks(coding, companions):
            companions.routes = kept
            companions.leave_out(stream, companions.refusal)


def timed_packets(
    packets: Iterable[av.Packet], stream: av.VideoStream
) -> Iterator[tuple[Fraction, av.Packet]]:
    """Yield video packets with their decoding times in seconds."""
    for packet in packets:
        packet.stream = stream
        yield (packet.dts or 0) * packet.time_base, packet


def movie_timescale(coding: Coding, companions: Companions | None) -> int:
    """Units per second that express every track's start exactly, or else the video's alone."""
    streams = [route.source for route in companions.routes] if companions else []
    bases = [coding.time_base, *(s.time_base for s in streams if s.time_base)]
    common = math.lcm(*(base.denominator for base in bases))
    return common if common < 2**31 else coding.time_base.denominator
