"""How coarsely a film was coded, as its decoder knows: the step between quantised coefficients."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean

import av
import torch

from ..media import bits_of, open_container, video_stream

# What FFmpeg's AVVideoEncParams begin with: blocks, where they lie, the size of each, kind of
# quantiser, and its value for all of them; a block's own difference follows its place and size.
HEAD, PLACES, VALUES, OWN = "I", "NN", "ii", 16
H264, MPEG = 1, 2  # kinds of quantiser that are known here


def coding_step(path: Path, starts: list[Fraction], count: int) -> float | None:
    """The quantiser's step in codes of 8 bits, of ``count`` pictures at each start (seconds).

    The geometric mean over all blocks of the pictures. None where the decoder does not tell it.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        context.options = {**context.options, "export_side_data": "venc_params"}
        begin = (stream.start_time or 0) * (stream.time_base or Fraction(0))
        found: list[float] = []
        for start in starts:
            if start:
                place = int((begin + start) / (stream.time_base or Fraction(1)))
                try:
                    container.seek(place, stream=stream)
                except (av.error.FFmpegError, OSError):
                    continue
            found += islice(log_steps(container.decode(stream)), count)
    return 2 ** fmean(found) if found else None


def log_steps(pictures: Iterator[av.VideoFrame]) -> Iterator[float]:
    """Yield the mean logarithm (base 2) of the steps of each picture that tells them."""
    try:
        for picture in pictures:
            for side in picture.side_data:
                if side.type.name == "VIDEO_ENC_PARAMS":
                    step = log_step(bytes(side), bits_of(picture.format))
                    if step is not None:
                        yield step
    except (av.error.FFmpegError, OSError):  # damage: what was read before it counts
        return


def log_step(data: bytes, bits: int) -> float | None:
    """The mean logarithm (base 2) of the steps in AVVideoEncParams; None for other quantisers."""
    (blocks,) = struct.unpack_from(HEAD, data)
    at = struct.calcsize(f"@{HEAD}0N")
    first, size = struct.unpack_from(PLACES, data, at)
    kind, value = struct.unpack_from(VALUES, data, at + struct.calcsize(PLACES))
    own = [struct.unpack_from("i", data, first + size * k + OWN)[0] for k in range(blocks)]
    values = torch.tensor([value + part for part in own] or [value], dtype=torch.float64)
    if kind == H264:  # six more double the step; more bits begin below 0
        return float((values - 6 * (bits - 8) - 4).mean()) / 6
    if kind == MPEG and float(values.min()) > 0:
        return float(values.log2().mean())
    return None
