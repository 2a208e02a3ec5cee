"""A model over clips -> a table: what came in, what comes out, and the gain.

Numbers are mmedit's variants (PSNR and SSIM of rounded 8-bit RGB, no crop; Y by BT.601): the mean
over a clip's frames, then the mean of the clips.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from .data.clips import Degradation, Sequence
from .data.flowio import read_flo
from .media import read_clip, write_png
from .metrics import end_point_error, mean_finite, psnr_rgb, psnr_y, ssim_rgb
from .ops import resize_bicubic, resize_flow, warp
from .restoration import restore

Say = Callable[[str], None]
PROTOCOL = "rounded 8-bit, no crop; RGB jointly, Y BT.601; SSIM 11x11 Gaussian, RGB"


@dataclass(frozen=True)
class Row:
    """One clip: PSNR in dB and SSIM, of the base (bicubic, or the input itself) and of ours."""

    clip: str
    frames: int
    base_psnr: float
    psnr: float
    gain: float
    base_psnr_y: float
    psnr_y: float
    base_ssim: float
    ssim: float
    equal_frames: int = 0  # of infinite PSNR, left out of the mean


@dataclass(frozen=True)
class FlowRow:
    """One pair of frames: end-point error and photometric error, and those of no motion at all."""

    pair: str
    error: float  # pixels
    zero_error: float
    photometric: float  # mean |a - warped b| in [0, 1]
    zero_photometric: float


def evaluate(
    model: nn.Module,
    sequences: list[Sequence],
    degrade: Degradation,
    *,
    frames: int | None = None,
    pictures: Path | None = None,
    say: Say = lambda line: None,
) -> list[Row]:
    """Restore every sequence's low-quality frames and compare with its high-quality ones.

    Sequences without low quality are damaged by ``degrade`` (seeded by their name's place).
    ``frames`` limits each clip; ``pictures`` is a folder for the worst frame of every clip beside
    its base and its truth.
    """
    rows = []
    for index, sequence in enumerate(sequences):
        hq = read_clip(sequence.hq, count=frames).float() / 255
        if sequence.lq is None:
            lq, hq = degrade(hq, Generator().manual_seed(index))
        else:
            lq = read_clip(sequence.lq, count=frames).float() / 255
        rows.append(evaluate_clip(model, sequence.name, lq, hq, pictures))
        say(f"{sequence.name}: {rows[-1].psnr:.2f} dB, {rows[-1].gain:+.2f}")
    return rows


def evaluate_clip(
    model: nn.Module, name: str, lq: Tensor, hq: Tensor, pictures: Path | None = None
) -> Row:
    """One row: lq (T, 3, h, w) restored as ``restore`` does, against hq (T, 3, H, W)."""
    scale = hq.shape[-1] // lq.shape[-1]
    if lq.shape[0] != hq.shape[0] or hq.shape[-2:] != (lq.shape[-2] * scale, lq.shape[-1] * scale):
        raise ValueError(
            f"expected frames of one size ratio and number in {name}, "
            f"got {tuple(lq.shape)} and {tuple(hq.shape)}"
        )
    columns: dict[str, list[float]] = {key: [] for key in ("p", "bp", "y", "by", "s", "bs")}
    worst: tuple[float, Tensor | None] = (float("inf"), None)
    ours = (frame.to(hq.device) for frame in restore(model, iter(lq)))
    for x, restored, truth in zip(lq, ours, hq, strict=True):
        base = resize_bicubic(x, scale) if scale > 1 else x
        for prefix, picture in (("", restored), ("b", base)):
            columns[f"{prefix}p"].append(psnr_rgb(picture, truth))
            columns[f"{prefix}y"].append(psnr_y(picture, truth))
            columns[f"{prefix}s"].append(ssim_rgb(picture, truth))
        if columns["p"][-1] < worst[0]:
            worst = (columns["p"][-1], torch.cat((base, restored, truth), -1))
    if pictures is not None and worst[1] is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        write_png(pictures / f"{Path(name).stem}.png", worst[1].clamp(0, 1))
    mean = {key: mean_finite(values)[0] for key, values in columns.items()}
    return Row(
        clip=name,
        frames=len(hq),
        base_psnr=mean["bp"],
        psnr=mean["p"],
        gain=mean["p"] - mean["bp"],
        base_psnr_y=mean["by"],
        psnr_y=mean["y"],
        base_ssim=mean["bs"],
        ssim=mean["s"],
        equal_frames=mean_finite(columns["p"])[1],
    )


def mean_row(rows: list[Row]) -> Row:
    """The mean of the clips, each counted once."""
    numbers = {
        field.name: sum(getattr(row, field.name) for row in rows) / len(rows)
        for field in fields(Row)
        if field.type is float
    }
    frames, equal = sum(row.frames for row in rows), sum(row.equal_frames for row in rows)
    return Row(clip="mean", frames=frames, equal_frames=equal, **numbers)


@torch.inference_mode()
def evaluate_flow(
    flow: Callable[[Tensor, Tensor], Tensor], root: Path, *, reduced: int = 1
) -> list[FlowRow]:
    """Flow against .flo truth: every ``NAME.flo`` below root with the frame of that name and next.

    With ``reduced`` of 4 the network sees frames reduced bicubically and its flow is enlarged
    (a student for super-resolution); errors are always in pixels of the full size.
    """
    rows = []
    for path in sorted(Path(root).rglob("*.flo")):
        truth = read_flo(path)[None]
        stem, number = path.stem.rsplit("_", 1)
        following = path.with_name(f"{stem}_{int(number) + 1:0{len(number)}d}.png")
        a, b = (read_clip(p).float() / 255 for p in (path.with_suffix(".png"), following))
        small = [resize_bicubic(x, 1 / reduced) if reduced > 1 else x for x in (a, b)]
        estimate = resize_flow(flow(*small), (truth.shape[-2], truth.shape[-1]))
        rows.append(
            FlowRow(
                pair=str(path.relative_to(root)),
                error=end_point_error(estimate, truth),
                zero_error=end_point_error(torch.zeros_like(truth), truth),
                photometric=(a - warp(b, estimate)).abs().mean().item(),
                zero_photometric=(a - b).abs().mean().item(),
            )
        )
    if not rows:
        raise ValueError(f"expected .flo files with their frames below {root}, found none")
    return rows


def markdown(rows: list[Row] | list[FlowRow]) -> str:
    """The rows as a Markdown table, in full."""
    names = [field.name for field in fields(rows[0])]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [
            f"{value:.4f}" if isinstance(value, float) else str(value)
            for value in asdict(row).values()
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_table(path: Path, rows: list[Row] | list[FlowRow]) -> None:
    """Write .json, .csv or .md, by the path's suffix."""
    table = [asdict(row) for row in rows]
    if path.suffix == ".json":
        path.write_text(json.dumps({"protocol": PROTOCOL, "rows": table}, indent=1) + "\n")
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    elif path.suffix == ".md":
        path.write_text(f"{PROTOCOL}\n\n{markdown(rows)}\n")
    else:
        raise ValueError(f"expected a table's name with .json, .csv or .md, got {path.name}")
