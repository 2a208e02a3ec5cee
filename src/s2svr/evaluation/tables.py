"""Tables of an evaluation's rows: means, text and files."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..damage import made_here
from ..data import about as describe_data
from ..flow import FlowRow
from ..metrics import finite_or_none
from .protocols import PROTOCOLS
from .scores import OURS, ScoreRow

MEAN = "mean"  # the clip's name in rows that stand for all
NUMBERS = ("psnr", "ssim", "gain", "ssim_gain", "spread", "flicker", "flicker_truth")
TABLE_KINDS = (".json", ".csv", ".md")


@dataclass(frozen=True)
class Origin:
    """Data and weights that the numbers of an evaluation come from."""

    dataset: str
    split: str
    degradation: str  # that clips without low quality were damaged by
    frames: int | None = None  # of each clip, the first; None: all
    part: tuple[int, int] = (0, 1)  # share of the clips
    weights: str = ""  # of our model

    def text(self) -> str:
        """One line that goes with the numbers."""
        parts = [describe_data(self.dataset, self.split, made_here(self.degradation))]
        if self.frames is not None:
            parts.append(f"the first {self.frames} frames of each clip")
        if self.part[1] > 1:
            parts.append("share {}/{} of the clips".format(*self.part))
        if self.weights:
            parts.append(f"ours: {self.weights}")
        return "; ".join(parts)


def means(rows: list[ScoreRow]) -> list[ScoreRow]:
    """The mean of the clips, each counted once, for every protocol and method.

    A clip whose PSNR is infinite is left out of the means that it would make infinite.
    """
    groups: dict[tuple[str, str], list[ScoreRow]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.method), []).append(row)
    found = []
    for group in groups.values():
        numbers: dict[str, Any] = {}
        for name in NUMBERS:
            values = [getattr(row, name) for row in group]
            finite = [value for value in values if value is not None and math.isfinite(value)]
            numbers[name] = fmean(finite) if finite else values[0]
        frames, equal = sum(row.frames for row in group), sum(row.equal for row in group)
        found.append(replace(group[0], clip=MEAN, frames=frames, equal=equal, **numbers))
    return found


def side_by_side(rows: list[ScoreRow], protocol: str) -> list[dict[str, Any]]:
    """One line a clip and one for the mean: every method's PSNR and SSIM, and what ours gains.

    "std" is the standard deviation of PSNR over a clip's frames, "flicker" the warping error.
    """
    clips: dict[str, dict[str, ScoreRow]] = {}
    for row in rows:
        if row.protocol == protocol:
            clips.setdefault(row.clip, {})[row.method] = row
    spread = any(of[OURS].frames > 1 for clip, of in clips.items() if clip != MEAN)
    equal = any(row.equal for of in clips.values() for row in of.values())
    lines = []
    for clip, of in clips.items():
        own, base = of[OURS], next(iter(of.values()))
        line: dict[str, Any] = {"clip": clip, "frames": own.frames}
        line |= {method: row.psnr for method, row in of.items()} | {"gain": own.gain}
        line |= {f"SSIM {method}": row.ssim for method, row in of.items()}
        line |= {"SSIM gain": own.ssim_gain}
        if spread:
            line |= {f"std {row.method}": row.spread for row in (base, own)}
        if own.flicker is not None:
            line |= {f"flicker {method}": row.flicker for method, row in of.items()}
            line |= {"flicker truth": own.flicker_truth}
        if equal:
            line["equal frames"] = own.equal
        lines.append(line)
    return lines


def markdown(rows: list[ScoreRow] | list[FlowRow]) -> str:
    """The rows as Markdown tables, one for each protocol."""
    if isinstance(rows[0], FlowRow):
        return markdown_table([asdict(row) for row in rows])
    scores = [row for row in rows if isinstance(row, ScoreRow)]
    parts = [
        f"PSNR (dB) and SSIM, {name}: {PROTOCOLS[name].text}\n\n"
        + markdown_table(side_by_side(scores, name))
        for name in dict.fromkeys(row.protocol for row in scores)
    ]
    return "\n\n".join(parts)


def markdown_table(lines: Sequence[dict[str, Any]]) -> str:
    """Dicts as a Markdown table, with a column for every key of any."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for line in lines:
        rows.append(f"| {' | '.join(cell_text(name, line.get(name)) for name in names)} |")
    return "\n".join(rows)


def cell_text(name: str, value: Any) -> str:
    """Text of a cell: decibels with 3 decimals, other floats with 4, gains with their sign."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    decibels = name == "gain" or name.startswith("std ") or value >= 2
    return f"{value:{'+' if name.endswith('gain') else ''}.{3 if decibels else 4}f}"


def write_table(
    path: Path, rows: list[ScoreRow] | list[FlowRow], origin: Origin | None = None
) -> None:
    """Write .json, .csv or .md, by the path's suffix; all but .csv also hold ``origin``.

    Raises ValueError for other suffixes.
    """
    check_place(path, *TABLE_KINDS)
    lines = [finite_or_none(asdict(row)) for row in rows]
    about = origin.text() if origin else ""
    if path.suffix == ".json":
        names = dict.fromkeys(row.protocol for row in rows if isinstance(row, ScoreRow))
        texts = {name: PROTOCOLS[name].text for name in names}
        source = asdict(origin) if origin else None
        content = {"about": about, "origin": source, "protocols": texts, "rows": lines}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
            writer.writeheader()
            writer.writerows(lines)
    else:
        text = "\n\n".join(filter(None, (about, markdown(rows))))
        path.write_text(text + "\n", encoding="utf-8")


def check_place(path: Path, *suffixes: str) -> None:
    """Raise ValueError if a result cannot be written there: to be called before it is measured."""
    if path.suffix not in suffixes:
        raise ValueError(f"expected a name with {' or '.join(suffixes)}, got {path.name}")
    if not path.parent.is_dir():
        raise ValueError(f"expected a folder for {path.name}, {path.parent} is none")
