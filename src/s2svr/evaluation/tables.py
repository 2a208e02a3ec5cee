"""Rows of an evaluation as tables: means, what people read, and files."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..damage import made_here
from ..data import about
from ..flow import FlowRow
from .protocols import PROTOCOLS
from .scores import OURS, ScoreRow

MEAN = "mean"  # the clip's name in rows that stand for all
NUMBERS = ("psnr", "ssim", "gain", "ssim_gain", "spread", "flicker", "flicker_truth")
TABLE_KINDS = (".json", ".csv", ".md")


@dataclass(frozen=True)
class Origin:
    """What the numbers of an evaluation are of."""

    dataset: str
    split: str
    degradation: str  # made here, of clips that have no low quality
    frames: int | None = None  # of each clip, the first; None: all
    part: tuple[int, int] = (0, 1)  # share of the clips
    weights: str = ""  # of ours

    def text(self) -> str:
        """In a sentence that goes with the numbers."""
        parts = [about(self.dataset, self.split, made_here(self.degradation))]
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
    for mine in groups.values():
        numbers: dict[str, Any] = {}
        for name in NUMBERS:
            values = [getattr(row, name) for row in mine]
            finite = [value for value in values if value is not None and math.isfinite(value)]
            numbers[name] = fmean(finite) if finite else values[0]
        frames, equal = sum(row.frames for row in mine), sum(row.equal for row in mine)
        found.append(replace(mine[0], clip=MEAN, frames=frames, equal=equal, **numbers))
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
    mine = [row for row in rows if isinstance(row, ScoreRow)]
    parts = [
        f"PSNR (dB) and SSIM, {name}: {PROTOCOLS[name].text}\n\n"
        + markdown_table(side_by_side(mine, name))
        for name in dict.fromkeys(row.protocol for row in mine)
    ]
    return "\n\n".join(parts)


def markdown_table(lines: Sequence[dict[str, Any]]) -> str:
    """Dicts of (almost) equal keys as a Markdown table."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for line in lines:
        rows.append(f"| {' | '.join(cell_text(name, line.get(name)) for name in names)} |")
    return "\n".join(rows)


def cell_text(name: str, value: Any) -> str:
    """A cell as people read it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    decibels = name == "gain" or name.startswith("std ") or value >= 2
    return f"{value:{'+' if name.endswith('gain') else ''}.{3 if decibels else 4}f}"


def write_table(
    path: Path, rows: list[ScoreRow] | list[FlowRow], origin: Origin | None = None
) -> None:
    """Write .json, .csv or .md, by the path's suffix; ``origin`` (not in .csv) says what of."""
    check_place(path, *TABLE_KINDS)
    lines = [{name: json_value(value) for name, value in asdict(row).items()} for row in rows]
    what = origin.text() if origin else ""
    if path.suffix == ".json":
        names = dict.fromkeys(row.protocol for row in rows if isinstance(row, ScoreRow))
        texts = {name: PROTOCOLS[name].text for name in names}
        made = asdict(origin) if origin else None
        whole = {"about": what, "origin": made, "protocols": texts, "rows": lines}
        path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
            writer.writeheader()
            writer.writerows(lines)
    else:
        text = "\n\n".join(filter(None, (what, markdown(rows))))
        path.write_text(text + "\n", encoding="utf-8")


def check_place(path: Path, *suffixes: str) -> None:
    """ValueError if a result cannot be written there: to be asked before it is measured."""
    if path.suffix not in suffixes:
        raise ValueError(f"expected a name with {' or '.join(suffixes)}, got {path.name}")
    if not path.parent.is_dir():
        raise ValueError(f"expected a folder for {path.name}, {path.parent} is none")


def json_value(value: Any) -> Any:
    """A value as JSON has it, which knows no infinite numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
