"""How coarsely a film was coded, as its file says: the quantiser, or the step that it means."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeVar, cast

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.stream import VideoStream
from torch import Tensor

from .checkpoint import EXPERTS, load
from .color import to_rgb
from .ensemble import SURER, SelfEnsemble, network_of
from .media import (
    ASKED,
    MediaError,
    Quantisers,
    color_of,
    from_picture,
    header_fields,
    open_container,
    quantisers_of,
    video_stream,
)
from .models import S2SVR, Earlier, share_of_coding, signs
from .ops import quantised

# Of a film that are looked at, spread over it, and pictures of each. One that has fewer is read as
# a whole: the first pictures of a group, which others are made from, are coded better than most.
PLACES, SPAN = 8, 12
USUAL = Fraction(25)  # pictures a second, where a file does not say
SEEN = 3  # first pictures of each place, whose frames are asked too: the surest,
LARGEST = (368, 640)  # and how much of large ones
# From the first probability on that a film was coded before that coding counts, from the second
# on it counts alone (lab/2026-11-30-earlier-codings.md).
SURE, CERTAIN = 0.9, 0.97
MOST_ASKED = 1.0  # of files that ask for a larger share, no earlier coding is told
# Where blocks of HEVC have quantisers of their own, slices begin with one so much coarser: those of
# x265's rate factors (lab/2026-11-30-share-by-coding.md).
ADAPTED = 5.0
Network = TypeVar("Network")
Found = TypeVar("Found")
Tell = Callable[[InputContainer, VideoStream, int], list[Found]]


class ExpertPair(NamedTuple):
    """A network's experts for films coded finely, and coarsely, and how much of a blend they are.

    Measured in lab/2026-11-30-experts.md, and by codec in lab/2026-11-30-experts-by-codec.md.
    """

    names: tuple[str, str]  # of S2SVR.experts
    # Shares that files ask for of a network's change: up to the first the expert for finely coded
    # films counts alone, from the second on the other.
    alone: tuple[float, float]
    larger: tuple[float, float]  # how large their changes are beside the network's, each at best
    plain: float = 0.0  # part of the network itself in the middle between them


# HEVC's, of one quantiser for all blocks, serve all codecs that have none of their own.
HEVC = ExpertPair(("hevc-fine", "hevc-coarse"), (0.55, 1.05), (2 / 3, 1.2), 0.6)
# x265's as films are kept: a rate factor, and quantisers by block.
X265 = ExpertPair(("x265-fine", "x265-coarse"), (0.45, 0.9), (0.49, 0.91))
H264 = ExpertPair(("h264-fine", "h264-coarse"), (0.7, 1.25), (0.62, 1.15))
WEB = ExpertPair(("web", "web"), (0.4, 0.9), (0.72, 0.77))  # one of all qualities
# HEVC's is better for fine codings than the one of all qualities that learned from MPEG.
MPEG = ExpertPair(("hevc-fine", "mpeg"), (0.5, 0.85), (2 / 3, 1.0))
# By the names that FFmpeg has for codecs.
PAIRS = {"h264": H264, "vp9": WEB, "av1": WEB, "mpeg2video": MPEG, "mpeg4": MPEG}


class Coarseness(NamedTuple):
    """How coarsely a film was coded."""

    codec: str  # FFmpeg's name of it
    # As the codec counts, to 255 in VP9 and AV1; of MPEG as H.264 would count the same step, to 51.
    quantiser: float
    adapted: bool = False  # blocks of HEVC have quantisers of their own

    @property
    def share(self) -> float | None:
        """Of a network's change, as ``share_of_coding`` says."""
        return share_of_coding(self.codec, self.quantiser)

    @property
    def pair(self) -> ExpertPair:
        """The experts for such films."""
        return X265 if self.adapted else PAIRS.get(self.codec, HEVC)


def coarseness_of(path: Path) -> Coarseness | None:
    """The coding of a video file: the mean of a few places. None where the file does not tell."""
    try:
        with open_container(path) as container:
            stream = video_stream(container, path)
            codec = stream.codec_context.codec.canonical_name
            if codec not in TELL:
                return None
            starts = starts_in(container, stream)
            count = PLACES * SPAN // len(starts)
            quantiser = mean_told(container, stream, starts, count, TELL[codec])
        if quantiser is None:
            return None
        return Coarseness(codec, quantiser, codec == "hevc" and adapts_blocks(path))
    except MediaError:
        return None


def starts_in(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """Where a film is looked at, in seconds; at its begin alone where it is short."""
    length = Fraction(container.duration or 0, av.time_base)
    long = length * (stream.average_rate or USUAL) > PLACES * SPAN
    return [length * place / PLACES for place in range(PLACES if long else 1)]


def with_coarseness(model: Network, source: Path) -> Network:
    """``knowing`` the coding of a film, which is read only where the network asks for it."""
    if not tells_share(model):
        return model
    coarseness = coarseness_of(source)
    return knowing(model, coarseness, coarseness and earlier_share(source, coarseness))


def knowing(model: Network, coarseness: Coarseness | None, earlier: float | None = None) -> Network:
    """A copy of a network that makes the share of its changes which a film's coding asks for.

    Where it has experts, their weights are blended into its own. The network itself where frames
    have to tell that share, or it makes all of every change. ``earlier``: the share that a coarser
    coding asks for, which the film had before.
    """
    if coarseness is None or coarseness.share is None or not tells_share(model):
        return model
    copy: Any = deepcopy(model)
    surer = SURER if isinstance(model, SelfEnsemble) else 1.0
    network = network_of(copy)
    share, pair = (coarseness.share, coarseness.pair) if earlier is None else (earlier, H264)
    network.mixer.quality.share = surer * share / blend_experts(network, share, pair)
    return copy


@torch.inference_mode()
def earlier_share(path: Path, coarseness: Coarseness) -> float | None:
    """The share that a film asks for which was coded before, and more coarsely.

    None where it was not, as its frames tell, or where they cannot tell. In hundredths, so that all
    machines hear the same.
    """
    share, codec = coarseness.share, coarseness.codec
    if share is None or share > MOST_ASKED or not (codec == "h264" or coarseness.adapted):
        return None

    def tell(container: InputContainer, stream: VideoStream, count: int) -> list[Tensor]:
        frames: list[Tensor] = []
        with suppress(av.error.FFmpegError, OSError):  # damage: what was read before it counts
            for picture in islice(container.decode(stream), count):
                color = color_of(picture, codec, None, lambda line: None)
                rgb = quantised(to_rgb(from_picture(picture), color))
                frames.append(central_part(rgb, LARGEST)[None])
        return [signs(frames)] if frames else []

    with open_container(path) as container:
        stream = video_stream(container, path)
        seen = told_at(container, stream, starts_in(container, stream), SEEN, tell)
    if not seen:
        return None
    said = torch.tensor([share]), torch.tensor([float(codec == "hevc")])
    logit, before = earlier_network()(torch.cat(seen, 1), *said)[0]
    counts = min((float(logit.sigmoid()) - SURE) / (CERTAIN - SURE), 1.0)
    return round(share + counts * max(float(before) - share, 0.0), 2) if counts > 0 else None


@cache
def earlier_network() -> Earlier:
    """The bundled network that tells earlier codings."""
    return cast(Earlier, load(EXPERTS / "earlier.safetensors"))


def central_part(frame: Tensor, sides: tuple[int, int]) -> Tensor:
    """The middle of a frame (3, H, W), of at most these sides, height first."""
    for axis, most in zip((1, 2), sides, strict=True):
        room = max(frame.shape[axis] - most, 0)
        frame = frame.narrow(axis, room // 2, frame.shape[axis] - room)
    return frame


@torch.no_grad()
def blend_experts(network: S2SVR, share: float, pair: ExpertPair) -> float:
    """Blend a network's weights with those of two experts, by the share that a film asks for.

    Blends of networks that began as one restore what lies between what each learned from (deep
    network interpolation, https://arxiv.org/abs/1811.10515). Returns how large the change of the
    blend is beside the network's own; 1 where it has no such experts.
    """
    if not network.experts.keys() >= set(pair.names):
        return 1.0
    first, last = pair.alone
    coarse = min(max((share - first) / (last - first), 0.0), 1.0)
    experts = 1 - pair.plain * (1 - abs(2 * coarse - 1))
    parts = (experts * (1 - coarse), experts * coarse)
    for name, tensor in network.state_dict().items():
        others = [network.experts[expert][name].to(tensor) for expert in pair.names]
        change = [part * (other - tensor) for part, other in zip(parts, others, strict=True)]
        tensor += change[0] + change[1]
    return 1 + sum(part * (size - 1) for part, size in zip(parts, pair.larger, strict=True))


def tells_share(model: object) -> bool:
    """True for networks that tell what share of a change is made by how the frame was coded."""
    network = network_of(model)
    quality = network.mixer.quality if isinstance(network, S2SVR) and network.mixer else None
    return quality is not None and quality.trust is not None


def coding_step(path: Path, starts: list[Fraction], count: int) -> float | None:
    """The quantiser's step in codes of 8 bits, of ``count`` pictures at each start (seconds).

    The geometric mean over all blocks of the pictures. None where the decoder does not tell it.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        found = mean_told(container, stream, starts, count, steps_by_decoder)
    return None if found is None else 2**found


def mean_told(
    container: InputContainer,
    stream: VideoStream,
    starts: list[Fraction],
    count: int,
    tell: Tell[float],
) -> float | None:
    """The mean of what ``tell`` finds in ``count`` pictures at each start (seconds)."""
    found = told_at(container, stream, starts, count, tell)
    return fmean(found) if found else None


def told_at(
    container: InputContainer,
    stream: VideoStream,
    starts: list[Fraction],
    count: int,
    tell: Tell[Found],
) -> list[Found]:
    """What ``tell`` finds in ``count`` pictures at each start (seconds)."""
    begin = (stream.start_time or 0) * (stream.time_base or Fraction(0))
    found: list[Found] = []
    for number, start in enumerate(starts):
        if start or number:  # the begin, too, is behind what was read
            place = int((begin + start) / (stream.time_base or Fraction(1)))
            try:
                container.seek(place, stream=stream)
            except (av.error.FFmpegError, OSError):
                continue
        found += tell(container, stream, count)
    return found


def steps_by_decoder(container: InputContainer, stream: VideoStream, count: int) -> list[float]:
    """The mean logarithm (base 2) of the blocks' steps of each picture, as its decoder knows."""
    if not stream.codec_context.is_open:
        stream.codec_context.options |= ASKED
    return list(islice(log_steps(container.decode(stream)), count))


def quantisers_by_decoder(
    container: InputContainer, stream: VideoStream, count: int
) -> list[float]:
    """The mean quantiser of each picture, as H.264 counts."""
    return list(map(h264_quantiser, steps_by_decoder(container, stream, count)))


def h264_quantiser(log_step: float) -> float:
    """The quantiser of H.264 that means a step: 1 at 4, and twice as much for 6 more."""
    return 4 + 6 * log_step


def quantisers_by_headers(
    container: InputContainer, stream: VideoStream, count: int
) -> list[float]:
    """The quantiser that each slice or picture begins with; of HEVC about that of its blocks."""
    values: dict[str, int] = {}
    sets: dict[int, float] = {}  # what pictures begin with, by the number of a parameter set
    found: list[float] = []
    for name, value in fields_of(container, stream, count):
        values[name] = value
        if name == "base_q_idx":
            found.append(value)
        elif name == "cu_qp_delta_enabled_flag":  # behind the number and the quantiser of its set
            first = 26 + values["init_qp_minus26"]
            sets[values["pps_pic_parameter_set_id"]] = first - (ADAPTED if value else 0)
        elif name == "slice_qp_delta" and values["slice_pic_parameter_set_id"] in sets:
            found.append(sets[values["slice_pic_parameter_set_id"]] + value)
    return found


def adapts_blocks(path: Path) -> bool:
    """True where blocks of HEVC have quantisers of their own, as its first headers say."""
    with open_container(path) as container:
        fields = fields_of(container, video_stream(container, path), 1)
    return any(value for name, value in fields if name == "cu_qp_delta_enabled_flag")


def fields_of(container: InputContainer, stream: VideoStream, count: int) -> list[tuple[str, int]]:
    """The fields of the next packets' headers, by the names of their standard."""
    packets = []
    with suppress(av.error.FFmpegError, OSError):  # damage: what was read before it counts
        for packet in islice(container.demux(stream), count):
            packets += [packet] if packet.size else []
    return header_fields(stream, packets)


TELL: dict[str, Tell[float]] = {
    "h264": quantisers_by_decoder,
    "mpeg2video": quantisers_by_decoder,
    "mpeg4": quantisers_by_decoder,
    "hevc": quantisers_by_headers,
    "vp9": quantisers_by_headers,
    "av1": quantisers_by_headers,
}


def log_steps(pictures: Iterator[av.VideoFrame]) -> Iterator[float]:
    """Yield the mean logarithm (base 2) of the steps of each picture that tells them."""
    try:
        for picture in pictures:
            told = quantisers_of(picture)
            step = None if told is None else log_step(told)
            if step is not None:
                yield step
    except (av.error.FFmpegError, OSError):  # damage: what was read before it counts
        return


def log_step(told: Quantisers) -> float | None:
    """The mean logarithm (base 2) of the blocks' steps; None for other ways to count them."""
    if told.kind == "H264":
        return float((told.blocks - 4).mean()) / 6
    if told.kind == "MPEG2" and told.blocks.min() > 0:
        return float(np.log2(told.blocks).mean())
    return None
