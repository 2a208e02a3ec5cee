"""How coarsely a film was coded, as its decoder knows: the step between quantised coefficients."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean

import av
import numpy as np

from ..media import ASKED, Quantisers, open_container, quantisers_of, video_stream


def coding_step(path: Path, starts: list[Fraction], count: int) -> float | None:
    """The quantiser's step in codes of 8 bits, of ``count`` pictures at each start (seconds).

    The geometric mean over all blocks of the pictures. None where the decoder does not tell it.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        context.options = context.options | ASKED
        begin = (stream.start_time or 0) * (stream.time_base or Fraction(0))
        found: list[float] = []
        for number, start in enumerate(starts):
            if start or number:  # the begin, too, is behind what was read
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
