"""Flow against its truth: end-point errors by what is seen and how fast, and beside no motion."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .data.flowio import read_flo
from .media import read_clip
from .metrics import end_point_error, outliers, speed_masks
from .ops import inside, resize_bicubic, resize_flow, warp

Flow = Callable[[Tensor, Tensor], Tensor]
UNKNOWN = 1e9  # what Middlebury writes where the truth is unknown


@dataclass(frozen=True)
class FlowRow:
    """One pair of frames; errors in pixels of the full size. None: there are no such pixels."""

    pair: str
    error: float  # mean end-point error
    zero_error: float  # of no motion at all
    visible: float | None  # end-point error where the pixel is seen in both frames
    hidden: float | None  # and where it is not
    slow: float | None  # where the truth moves by less than 2 pixels
    medium: float | None  # by 2 to 10
    fast: float | None  # by 10 and more
    outliers: float  # KITTI's Fl: share of errors beyond 3 pixels and 5 %
    photometric: float  # mean |a - warped b| in [0, 1]
    zero_photometric: float
    consistency: float | None  # mean |flow there + flow back| where it stays inside, pixels


@torch.inference_mode()
def evaluate_flow(flow: Flow, root: Path, *, reduced: int = 1) -> list[FlowRow]:
    """Score a flow estimator on every ``NAME.flo`` below root.

    Its frames are NAME.png and the next in number beside it or, as rendered clips and Sintel have
    it, in a folder ``frames``, ``clean`` or ``final`` instead of ``flow``; occlusions (white:
    hidden) in ``occlusions``; folders ``backward`` are left out. With ``reduced`` of 4 the network
    sees frames reduced bicubically and its flow is enlarged (a student for super-resolution).
    """
    root, rows = Path(root), []
    for path in sorted(root.rglob("*.flo")):
        if "backward" in path.relative_to(root).parts:
            continue
        for first, second in frame_pairs(path):
            truth, hidden = read_flo(path)[None], occlusions(path)
            a, b = (read_clip(p).float() / 255 for p in (first, second))
            if a.shape != b.shape or a.shape[-2:] != truth.shape[-2:]:
                raise ValueError(
                    f"expected frames of {truth.shape[-1]}x{truth.shape[-2]} pixels for {path}, "
                    f"got {a.shape[-1]}x{a.shape[-2]} and {b.shape[-1]}x{b.shape[-2]}"
                )
            rows.append(score(flow, str(first.relative_to(root)), a, b, truth, hidden, reduced))
    if not rows:
        raise ValueError(f"expected .flo files with their frames below {root}, found none")
    return rows


def score(
    flow: Flow, name: str, a: Tensor, b: Tensor, truth: Tensor, hidden: Tensor | None, reduced: int
) -> FlowRow:
    """One row; a, b (1, 3, H, W), truth (1, 2, H, W), hidden (1, 1, H, W) or None."""
    small = [resize_bicubic(x, 1 / reduced) if reduced > 1 else x for x in (a, b)]
    size = (truth.shape[-2], truth.shape[-1])
    there = resize_flow(flow(*small), size)
    back = resize_flow(flow(*small[::-1]), size)
    known = (truth.abs() < UNKNOWN).all(1, keepdim=True)
    truth = torch.where(known, truth, there)  # where it is unknown there is no error

    def error(mask: Tensor, against: Tensor = truth) -> float | None:
        value = end_point_error(there, against, mask & known)
        return None if math.isnan(value) else value

    speeds = [error(mask) for mask in speed_masks(truth).values()]
    seen = None if hidden is None else ~hidden
    return FlowRow(
        pair=name,
        error=end_point_error(there, truth, known),
        zero_error=end_point_error(torch.zeros_like(truth), truth, known),
        visible=None if seen is None else error(seen),
        hidden=None if hidden is None else error(hidden),
        slow=speeds[0],
        medium=speeds[1],
        fast=speeds[2],
        outliers=outliers(there, truth) / known.double().mean().item(),
        photometric=(a - warp(b, there)).abs().mean().item(),
        zero_photometric=(a - b).abs().mean().item(),
        consistency=error(inside(there), -warp(back, there)),
    )


def frame_pairs(path: Path) -> list[tuple[Path, Path]]:
    """The frames of a .flo file, in every rendering that is there."""
    stem, _, number = path.stem.rpartition("_")
    following = f"{stem}_{int(number) + 1:0{len(number)}d}.png" if number.isdecimal() else ""
    pairs = []
    for folder in beside(path, ("frames", "clean", "final")):
        first, second = folder / f"{path.stem}.png", folder / following
        if following and first.is_file() and second.is_file():
            pairs.append((first, second))
    if not pairs:
        raise ValueError(f"expected {path.with_suffix('.png')} and the frame after it")
    return pairs


def beside(path: Path, names: tuple[str, ...]) -> list[Path]:
    """The file's own folder, and the same with ``flow`` in its path replaced by each name."""
    folders, parts = [path.parent], path.parent.parts
    if "flow" in parts:
        at = len(parts) - 1 - parts[::-1].index("flow")
        folders += [Path(*parts[:at], name, *parts[at + 1 :]) for name in names]
    return folders


def occlusions(path: Path) -> Tensor | None:
    """The mask of hidden pixels (1, 1, H, W) of a .flo file, where there is one."""
    for folder in beside(path, ("occlusions",))[1:]:
        mask = folder / f"{path.stem}.png"
        if mask.is_file():
            return read_clip(mask)[:, :1] > 127
    return None
