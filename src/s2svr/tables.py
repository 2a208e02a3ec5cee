"""Rows of an evaluation as tables: means, what people read, and files."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from .evaluate import OURS, Row
from .evaluate_flow import FlowRow
from .protocols import PROTOCOLS

MEAN = "mean"  # the clip's name in rows that stand for all
NUMBERS = ("psnr", "ssim", "gain", "ssim_gain", "spread", "flicker", "flicker_truth")


def means(rows: list[Row]) -> list[Row]:
    """The mean of the clips, each counted once, for every protocol and method.

    A clip whose PSNR is infinite is left out of the means that it would make infinite.
    """
    found = []
    for protocol, method in dict.fromkeys((row.protocol, row.method) for row in rows):
        mine = [row for row in rows if (row.protocol, row.method) == (protocol, method)]
        numbers: dict[str, Any] = {}
        for name in NUMBERS:
            values = [getattr(row, name) for row in mine]
            finite = [value for value in values if value is not None and math.isfinite(value)]
            numbers[name] = fmean(finite) if finite else values[0]
        frames, equal = sum(row.frames for row in mine), sum(row.equal for row in mine)
        found.append(replace(mine[0], clip=MEAN, frames=frames, equal=equal, **numbers))
    return found


def side_by_side(rows: list[Row], protocol: str) -> list[dict[str, Any]]:
    """One line a clip and one for the mean: every method's PSNR and SSIM, and what ours gains.

    "std" is the standard deviation of PSNR over a clip's frames, "flicker" the warping error.
    """
    mine = [row for row in rows if row.protocol == protocol]
    lines = []
    for clip in dict.fromkeys(row.clip for row in mine):
        of = {row.method: row for row in mine if row.clip == clip}
        own, base = of[OURS], next(iter(of.values()))
        line: dict[str, Any] = {"clip": clip, "frames": own.frames}
        line |= {method: row.psnr for method, row in of.items()} | {"gain": own.gain}
        line |= {f"SSIM {method}": row.ssim for method, row in of.items()}
        line |= {"SSIM gain": own.ssim_gain}
        if any(row.frames > 1 for row in mine if row.clip != MEAN):
            line |= {f"std {row.method}": row.spread for row in (base, own)}
        if own.flicker is not None:
            line |= {f"flicker {method}": row.flicker for method, row in of.items()}
            line |= {"flicker truth": own.flicker_truth}
        if any(row.equal for row in mine):
            line["equal frames"] = own.equal
        lines.append(line)
    return lines


def markdown(rows: list[Row] | list[FlowRow]) -> str:
    """The rows as Markdown tables, one for each protocol."""
    if isinstance(rows[0], FlowRow):
        return table([asdict(row) for row in rows])
    mine = [row for row in rows if isinstance(row, Row)]
    parts = [
        f"PSNR (dB) and SSIM, {name}: {PROTOCOLS[name].text}\n\n{table(side_by_side(mine, name))}"
        for name in dict.fromkeys(row.protocol for row in mine)
    ]
    return "\n\n".join(parts)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Dicts of (almost) equal keys as a Markdown table."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for line in lines:
        rows.append(f"| {' | '.join(text(name, line.get(name)) for name in names)} |")
    return "\n".join(rows)


def text(name: str, value: Any) -> str:
    """A cell as people read it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    decibels = name == "gain" or name.startswith("std ") or value >= 2
    return f"{value:{'+' if name.endswith('gain') else ''}.{3 if decibels else 4}f}"


def write_table(path: Path, rows: list[Row] | list[FlowRow], about: str = "") -> None:
    """Write .json, .csv or .md, by the path's suffix; ``about`` (not in .csv) says what of."""
    lines = [{name: plain(value) for name, value in asdict(row).items()} for row in rows]
    if path.suffix == ".json":
        names = dict.fromkeys(row.protocol for row in rows if isinstance(row, Row))
        texts = {name: PROTOCOLS[name].text for name in names}
        whole = {"about": about, "protocols": texts, "rows": lines}
        path.write_text(json.dumps(whole, indent=1) + "\n")
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
            writer.writeheader()
            writer.writerows(lines)
    elif path.suffix == ".md":
        path.write_text("\n\n".join(filter(None, (about, markdown(rows)))) + "\n")
    else:
        raise ValueError(f"expected a table's name with .json, .csv or .md, got {path.name}")


def plain(value: Any) -> Any:
    """A value as JSON has it, which knows no infinite numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
