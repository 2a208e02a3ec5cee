"""The begin of an output, to try what takes it before anything is restored."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from math import ceil

import av
import torch

from ..media import FIRST_PACKETS, Frame, demuxed, open_container
from .codecs import Coding
from .texts import convert_text
from .tracks import Companions, Route

SAMPLES = 1024  # of silence that a sound encoder is tried with
SMALL = 256  # pixels a side at most of the frame that is encoded; encoders of GPUs take no less
TRIED = 3  # packets of a track: the first may be a broken one


def first_packets(companions: Companions) -> Iterator[list[av.Packet]]:
    """Yield for each track of the output a few packets: the source's first, or encoded silence.

    Its targets are those that were attached last. Tracks that begin later have none.
    """
    found: dict[int, list[av.Packet]] = defaultdict(list)
    container = open_container(companions.path)
    try:
        indices = [route.source.index for route in companions.routes]
        streams = [container.streams[index] for index in indices]
        for packet in islice(demuxed(container, *streams) if streams else (), FIRST_PACKETS):
            if packet.size:
                found[packet.stream_index].append(packet)
    except (av.error.FFmpegError, OSError):
        pass  # whoever reads it all says what is broken
    finally:
        container.close()
    for route in companions.routes:
        if route.target is not None:
            yield list(made_of(route, found[route.source.index][:TRIED]))


def made_of(route: Route, packets: list[av.Packet]) -> Iterator[av.Packet]:
    """Yield what a track's first packets become in the output, from time 0 on."""
    if route.transcoder is not None:
        source = route.source.codec_context
        assert isinstance(source, av.AudioCodecContext)
        silence = av.AudioFrame(source.format.name, source.layout.name, SAMPLES)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.pts = source.sample_rate, 0
        silence.time_base = Fraction(1, source.sample_rate)
        yield from [*route.transcoder.encode(silence), *route.transcoder.encode(None)]
        return
    for count, packet in enumerate(packets):
        if route.source.type == "subtitle":
            packet.duration = round(1 / packet.time_base)  # its own may stand for none
        packet.pts = packet.dts = count * max(1, packet.duration or 0)
        if route.codec:
            yield from convert_text(packet, route.codec, route.target)
        else:
            packet.stream = route.target
            yield packet


def small_coding(coding: Coding) -> Coding:
    """The same coding of small pictures: for packets whose size does not matter.

    Opening an encoder is quick at any size, but a frame of 4K takes seconds in some.
    """
    return replace(coding, width=min(coding.width, SMALL), height=min(coding.height, SMALL))


def gray_frame(coding: Coding) -> Frame:
    """A frame of one value, of the size, chroma and bits of a coding."""
    code, kind = 1 << coding.color.bits - 1, torch.uint8 if coding.color.bits == 8 else torch.uint16
    across, down = coding.chroma
    sizes = [(coding.height, coding.width)]
    if coding.color.matrix != "gray":
        sizes += [(ceil(coding.height / down), ceil(coding.width / across))] * 2
    planes = tuple(torch.full(size, code, dtype=kind) for size in sizes)
    return Frame(planes, coding.color, None)
