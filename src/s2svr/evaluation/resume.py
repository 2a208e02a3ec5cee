"""Scores of each clip on the disk, so that an evaluation can go on later."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import nn

from ..data import key_of
from ..files import network_fingerprint, write_whole
from .scores import ScoreRow, Tally


def save_scores(
    path: Path, conditions: dict, rows: list[ScoreRow], tallies: dict[str, Tally]
) -> None:
    """Write a clip's scores and the conditions they were made under; it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = {
        method: {"psnr": tally.psnr, "ssim": tally.ssim, "flicker": tally.flicker}
        for method, tally in tallies.items()
    }
    content = {"stamp": conditions, "rows": [asdict(row) for row in rows], "frames": frames}
    write_whole(path, json.dumps(content).encode())


def load_scores(path: Path, conditions: dict) -> list[ScoreRow] | None:
    """Read the rows that an earlier call saved; None where there are none.

    Raises ValueError where they were made under other conditions, or are no scores.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        before, rows = content["stamp"], [ScoreRow(**row) for row in content["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected the scores of a clip in {path}, it holds something else; remove it"
        ) from error
    for name, value in conditions.items():
        if before.get(name) != value:
            raise ValueError(
                f"expected scores made with {name} = {value!r}, {path} was made with "
                f"{before.get(name)!r}; name another folder"
            )
    return rows


def folder_fingerprint(folder: Path) -> str:
    """Fingerprint of the .flo files below a folder, as they are now."""
    facts = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*.flo"))
    ]
    return key_of(facts)


def method_fingerprint(method: object) -> str:
    """Fingerprint of a network and its weights; "a function" for others, empty for None."""
    if not isinstance(method, nn.Module):
        return "" if method is None else "a function"
    return network_fingerprint(method)
