"""The scores that an evaluation keeps for each clip, so that it can go on later."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import nn

from ..files import network_fingerprint, write_whole
from .scores import ScoreRow, Tally


def keep_scores(place: Path, stamp: dict, rows: list[ScoreRow], tallies: dict[str, Tally]) -> None:
    """Write a clip's scores beside their place, then rename: what is there is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    frames = {
        method: {"psnr": tally.psnr, "ssim": tally.ssim, "flicker": tally.flicker}
        for method, tally in tallies.items()
    }
    kept = {"stamp": stamp, "rows": [asdict(row) for row in rows], "frames": frames}
    write_whole(place, json.dumps(kept).encode())


def kept_scores(place: Path, stamp: dict) -> list[ScoreRow] | None:
    """The rows that an earlier call kept, if one did; ValueError where it did so in another way."""
    if not place.exists():
        return None
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        made, rows = kept["stamp"], [ScoreRow(**row) for row in kept["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected the scores of a clip in {place}, it holds something else; remove it"
        ) from error
    for name, value in stamp.items():
        if made.get(name) != value:
            raise ValueError(
                f"expected scores made with {name} = {value!r}, {place} was made with "
                f"{made.get(name)!r}; name another folder"
            )
    return rows


def method_fingerprint(method: object) -> str:
    """A fingerprint of a network and its weights; of other things, whether they are there."""
    if not isinstance(method, nn.Module):
        return "" if method is None else "a function"
    return network_fingerprint(method)
