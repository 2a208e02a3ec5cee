"""A short piece of a video, restored, beside what it was made from."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from .color import from_rgb, to_rgb
from .devices import total_memory
from .footprint import footprint
from .media import Frame, MediaError, Reader, open_reader, open_writer
from .ops import resize_to
from .plan import WHERE, choose
from .restoration import fitting_window, output_size, restore
from .windows import Say


def preview(
    model: nn.Module,
    source: Path,
    target: Path,
    *,
    seconds: Fraction,
    window: int = 16,
    tile: int | None = None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    codec: str | None = None,
    crf: int | None = None,
    bits: int | None = None,
    scale: int | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction | None = None,
    start: Fraction | None = None,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> int:
    """Restore ``seconds`` from ``start`` (None: in the middle) into ``target``; returns the frames.

    As shown, the left half is the input, enlarged bicubically, and the right half the result. The
    settings are those of ``restore_video``, and so are the errors.
    """
    start = middle(source, fps, seconds) if start is None else start
    with open_reader(source, fps=fps, start=start, end=start + seconds) as reader:
        width, height = output_size(model, reader.info, scale, size)
        counted = footprint(model.to(device))
        window, tile = choose(
            counted, reader.info, (2 * width, height), fitting_window(window, model, reader.info),
            tile, total_memory(device),
        )  # fmt: skip
        held: deque[tuple[Frame, Tensor]] = deque()
        restored = restore(
            model, seen(reader, held, device), window=window, tile=tile, device=device, dtype=dtype,
            say=say,
        )  # fmt: skip
        turned = reader.info.rotation % 180 != 0  # a player turns the picture
        count = 0
        with open_writer(
            target, reader=reader, width=width * (1 if turned else 2),
            height=height * (2 if turned else 1), bits=bits, codec=codec, crf=crf,
            overwrite=overwrite, comment="left: input, right: restored with s2svr",
        ) as writer:  # fmt: skip
            for result in restored:
                frame, before = held.popleft()
                both = beside(before, result, (height, width), reader.info.rotation)
                planes = from_rgb(both, writer.color, writer.chroma)
                planes = tuple(plane.to("cpu") for plane in planes)
                writer.write(replace(frame, planes=planes, color=writer.color))
                count += 1
            if not count:
                raise MediaError(f"{source} has no frame in the {float(seconds):g} s from {start}")
    for line in [*reader.warnings, *writer.warnings]:
        say(line)
    return count


def seen(
    reader: Reader, held: deque[tuple[Frame, Tensor]], device: torch.device
) -> Iterator[Tensor]:
    """The frames as the model takes them; they are held until they have been restored."""
    for frame in reader:
        rgb = to_rgb(tuple(plane.to(device) for plane in frame.planes), frame.color)
        held.append((replace(frame, planes=()), rgb))
        yield rgb


def beside(left: Tensor, right: Tensor, size: tuple[int, int], rotation: int) -> Tensor:
    """Two pictures (3, h, w), each resized to ``size``, left and right as a player turns them."""
    both = [resize_to(x, size).clamp(0, 1) for x in (left, right)]
    if rotation % 360 in (180, 270):  # what is coded last is shown left
        both.reverse()
    return torch.cat(both, 1 if rotation % 180 else 2)


def middle(source: Path, fps: Fraction | None, seconds: Fraction) -> Fraction:
    """Where a piece of the middle begins, in seconds."""
    with open_reader(source, fps=fps) as reader:
        duration = reader.info.duration or Fraction(0)
    return max(Fraction(0), min(WHERE * duration, duration - seconds))
