"""Labelled pictures of what the networks do, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..damage import degradation
from ..media import flow_to_color, read_clip
from ..metrics import end_point_error, psnr_rgb
from ..ops import resize_bicubic, resize_flow, resize_to, warp
from ..render import draw_text
from ..writing import write_png
from .score import Flow

REACH = 8  # frames before and after the pair that the damage may need
LETTERS = 9  # pixels high; around them is as much again
GAP = 4  # white pixels between pictures


def flow_figure(
    source: Path,
    target: Path,
    *,
    teacher: Flow,
    others: Mapping[str, Flow],
    damage: str = "bicubic",
    frame: int = 8,
    reduced: int = 1,
) -> dict[str, float]:
    """Write the paper's Fig. 1 of a frame and the one after it as a PNG.

    Upper row: the damaged frame, the teacher's flow on clean frames, then the flow on damaged ones
    by each of ``others`` (name -> estimator; with ``reduced`` of 4 on frames reduced further), with
    the end-point error in pixels against the second picture. Lower row: the clean frame, and the
    clean next one aligned to it by the flow above, with the PSNR in dB. Returns the end-point
    errors. Raises ValueError where the clip has too few frames around ``frame``.
    """
    seen, clean = damaged_pair(Path(source), damage, frame)
    size = (clean.shape[-2], clean.shape[-1])
    small = seen
    if reduced > 1 and seen.shape == clean.shape:
        small = resize_bicubic(seen, 1 / reduced).clamp(0, 1)
    with torch.inference_mode():
        wanted = teacher(clean[:1], clean[1:])
        flows = {
            name: resize_flow(flow(small[:1], small[1:]), size) for name, flow in others.items()
        }
    errors = {name: end_point_error(flow, wanted) for name, flow in flows.items()}
    longest = float(wanted.norm(dim=1).flatten().quantile(0.99))
    upper = [captioned(resize_to(seen[:1], size)[0].clamp(0, 1), f"{damage} frame")]
    lower = [captioned(clean[0], "clean frame")]
    texts = {"teacher on clean": wanted} | flows
    for name, flow in texts.items():
        error = f": EPE {errors[name]:.2f}" if name in errors else ""
        aligned = warp(clean[1:], flow)[0]
        upper.append(captioned(flow_to_color(flow[0], longest), f"{name}{error}"))
        lower.append(captioned(aligned, f"aligned: {psnr_rgb(aligned, clean[0]):.2f} dB"))
    write_png(target, picture_grid([upper, lower]))
    return errors


def damaged_pair(source: Path, damage: str, frame: int) -> tuple[Tensor, Tensor]:
    """Frames ``frame`` and the next one, damaged (2, 3, h, w) and clean (2, 3, H, W), in [0, 1]."""
    start = max(frame - REACH, 0)
    clip = read_clip(source, start=start, count=frame - start + 2 + REACH).float() / 255
    pair = degradation(damage)(clip, Generator().manual_seed(0))
    at = frame - start - (len(clip) - len(pair.lq)) // 2  # blur takes frames from both ends
    if not 0 <= at < len(pair.lq) - 1:
        raise ValueError(
            f"expected a frame with neighbours enough for {damage}, got frame {frame} of {source}"
        )
    return pair.lq[at : at + 2], pair.hq[at : at + 2]


def captioned(picture: Tensor, text: str) -> Tensor:
    """A picture (3, H, W) in [0, 1] with a line of text above it, black on white."""
    ink = draw_text(text, LETTERS)[:, : picture.shape[-1]]
    band = picture.new_ones(3, len(ink), picture.shape[-1])
    band[..., : ink.shape[-1]] -= ink.to(picture)
    return torch.cat((band, picture), 1)


def picture_grid(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Pictures (3, H, W) of one size in rows of equal length, with white between them."""
    lines = [torch.cat([F.pad(x, (GAP, 0), value=1.0) for x in row], -1) for row in rows]
    return torch.cat([F.pad(line, (0, GAP, GAP, 0), value=1.0) for line in lines], -2)
