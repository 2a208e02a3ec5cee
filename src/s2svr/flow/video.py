"""The flow of any video, as a video in Middlebury's colours or as .flo files."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from ..color import from_rgb, to_rgb
from ..files import whole_folder
from ..media import Frame, Reader, flow_to_color, open_reader, write_flo
from ..ops import resize_bicubic, resize_flow
from ..writing import OutputFormat, WorkPolicy, open_writer
from .score import Flow

FULL_COLOR = 1 / 40  # of the longer side: motion a frame that has the full colour


def flow_video(
    flow: Flow,
    source: Path,
    target: Path,
    *,
    reduced: int = 1,
    longest: float | None = None,
    fps: Fraction | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Write the flow from each frame to the next one; returns the number of flows.

    A target with a video's suffix becomes a colour video in which motion of ``longest`` pixels a
    frame has the full colour (FULL_COLOR of the longer side if not given), with the source's times
    and sound; any other becomes a new folder of frame_0001.flo ... in pixels. With ``reduced`` of 4
    the estimator sees frames reduced bicubically. fps, start, end (seconds) and overwrite are those
    of the reader and writer. Raises MediaError, and ValueError for less than two frames.
    """
    source, target = Path(source), Path(target)
    with open_reader(source, fps=fps, start=start, end=end) as reader:
        flows = estimated_flows(flow, reader, reduced)
        if target.suffix:
            scale = longest or FULL_COLOR * max(reader.info.width, reader.info.height)
            count = write_colors(flows, target, reader, scale, overwrite)
        else:
            count = write_folder(flows, target)
    for line in [*reader.warnings, *reader.damage]:
        say(line)
    return count


@torch.inference_mode()
def estimated_flows(flow: Flow, reader: Reader, reduced: int) -> Iterator[tuple[Frame, Tensor]]:
    """Each frame but the last, and its flow (2, H, W) to the next one in pixels."""
    count = 0
    for this, following in pairwise(reader):
        pair = [to_rgb(frame.planes, frame.color)[None] for frame in (this, following)]
        size = (pair[0].shape[-2], pair[0].shape[-1])
        if reduced > 1:
            pair = [resize_bicubic(frame, 1 / reduced).clamp(0, 1) for frame in pair]
        count += 1
        yield this, resize_flow(flow(*pair), size)[0]
    if not count:
        raise ValueError(f"expected two frames at least for a flow, {reader.path} has less")


def write_colors(
    flows: Iterator[tuple[Frame, Tensor]],
    target: Path,
    reader: Reader,
    longest: float,
    overwrite: bool,
) -> int:
    """Write the colour video; returns the number of its frames."""
    count, output = 0, OutputFormat(reader.info.width, reader.info.height, bits=8)
    with open_writer(target, reader=reader, output=output, policy=WorkPolicy(overwrite)) as writer:
        for frame, flow in flows:
            planes = from_rgb(flow_to_color(flow, longest), writer.color, writer.chroma)
            writer.write(replace(frame, planes=planes, color=writer.color))
            count += 1
    return count


def write_folder(flows: Iterator[tuple[Frame, Tensor]], target: Path) -> int:
    """Write .flo files into a folder that has its name when all are there; returns their number."""
    if target.exists():
        raise ValueError(f"expected a new folder to write to, {target} exists; choose another name")
    count = 0
    with whole_folder(target) as folder:
        for _, flow in flows:
            count += 1
            write_flo(folder / f"frame_{count:04}.flo", flow)
    return count
