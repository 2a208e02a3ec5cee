"""A short piece of a video, restored, beside what it was made from."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from ..color import from_rgb, to_rgb
from ..devices import total_memory
from ..media import Frame, MediaError, Reader, open_reader
from ..ops import resize_to
from ..writing import OutputFormat, WorkPolicy, open_writer
from .cuts import find_cuts
from .frames import restore
from .memory import count_footprint
from .plan import WHERE, choose_window
from .video import fitting_window, output_size
from .windows import Say


@dataclass(frozen=True)
class Preview:
    """A piece that was restored."""

    target: Path
    frames: int
    damage: list[str]  # met in this piece


def preview_video(
    model: nn.Module,
    source: Path,
    target: Path,
    *,
    seconds: Fraction,
    window: int = 16,
    tile: int | None = None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    bits: int | None = None,
    scale: int | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    deinterlace: str = "auto",
    scene_cuts: bool = True,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> Preview:
    """Restore ``seconds`` from ``start`` (None: in the middle), not beyond ``end``.

    As shown, the left half is the input, enlarged bicubically, and the right half the result. The
    settings are those of ``restore_video``, and so are the errors.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    start = middle(source, fps, seconds, end) if start is None else start
    stop = start + seconds if end is None else min(end, start + seconds)
    with open_reader(source, fps=fps, start=start, end=stop, deinterlace=deinterlace) as reader:
        width, height = output_size(model, reader.info, scale, size)
        counted = count_footprint(model.to(device))
        window, tile = choose_window(
            counted, reader.info, (2 * width, height), fitting_window(window, model, reader.info),
            tile, total_memory(device),
        )  # fmt: skip
        held: deque[tuple[Frame, Tensor]] = deque()
        restored = restore(
            model, frames_to_restore(reader, held, device), window=window, tile=tile,
            device=device, dtype=dtype, cuts=find_cuts if scene_cuts else None, say=say,
        )  # fmt: skip
        count, corrupt = write_preview(
            target, reader, restored, held, (width, height), codec=codec, crf=crf, bits=bits,
            overwrite=overwrite, say=say,
        )  # fmt: skip
    spoilt = [f"{corrupt} frames were decoded with errors"] if corrupt else []
    return Preview(target, count, spoilt + reader.damage)


def write_preview(
    target: Path,
    reader: Reader,
    restored: Iterator[Tensor],
    held: deque[tuple[Frame, Tensor]],
    size: tuple[int, int],
    *,
    codec: str | None,
    crf: int | None,
    bits: int | None,
    overwrite: bool,
    say: Say,
) -> tuple[int, int]:
    """Write results of a size (width, height) beside their inputs; how many, how many corrupt."""
    rotation, (width, height), count, corrupt = reader.info.rotation, size, 0, 0
    turned = rotation % 180 != 0  # a player turns the picture
    # The writer keeps the shape of the source, which is that of one half.
    aspect = reader.info.aspect * (Fraction(1, 2) if turned else 2)
    reader.info = replace(reader.info, aspect=aspect)
    wide, high = width * (1 if turned else 2), height * (2 if turned else 1)
    with open_writer(
        target, reader=reader, output=OutputFormat(wide, high, bits, codec, crf),
        policy=WorkPolicy(overwrite), comment="left: input, right: restored with s2svr",
    ) as writer:  # fmt: skip
        for result in restored:
            frame, before = held.popleft()
            both = halves(before, result, (height, width), rotation)
            planes = tuple(p.to("cpu") for p in from_rgb(both, writer.color, writer.chroma))
            writer.write(replace(frame, planes=planes, color=writer.color))
            count += 1
            corrupt += frame.corrupt
        if not count:
            raise MediaError(f"{reader.path} has no frame in the time asked for")
    for line in [*reader.warnings, *writer.warnings]:
        say(line)
    return count, corrupt


def frames_to_restore(
    reader: Reader, held: deque[tuple[Frame, Tensor]], device: torch.device
) -> Iterator[Tensor]:
    """The frames as the model takes them; they are held until they have been restored."""
    for frame in reader:
        rgb = to_rgb(tuple(plane.to(device) for plane in frame.planes), frame.color)
        held.append((replace(frame, planes=()), rgb))
        yield rgb


def halves(left: Tensor, right: Tensor, size: tuple[int, int], rotation: int) -> Tensor:
    """Two pictures (3, h, w), each resized to ``size``, left and right as a player turns them."""
    both = [resize_to(x, size).clamp(0, 1) for x in (left, right)]
    if rotation % 360 in (180, 270):  # what is coded last is shown left
        both.reverse()
    return torch.cat(both, 1 if rotation % 180 else 2)


def middle(
    source: Path, fps: Fraction | None, seconds: Fraction, end: Fraction | None = None
) -> Fraction:
    """Where a piece of the middle of what is before ``end`` begins, in seconds."""
    with open_reader(source, fps=fps, end=end) as reader:
        duration = reader.info.duration or Fraction(0)
    return max(Fraction(0), min(WHERE * duration, duration - seconds))
