"""The scores that an evaluation keeps for each clip, so that it can go on later."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from ..files import sync
from .scores import ScoreRow, Tally


def keep_scores(place: Path, stamp: dict, rows: list[ScoreRow], tallies: dict[str, Tally]) -> None:
    """Write a clip's scores beside their place, then rename: what is there is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    frames = {
        method: {"psnr": tally.psnr, "ssim": tally.ssim, "flicker": tally.flicker}
        for method, tally in tallies.items()
    }
    beside = place.with_suffix(f".{os.getpid()}.part")
    kept = {"stamp": stamp, "rows": [asdict(row) for row in rows], "frames": frames}
    beside.write_text(json.dumps(kept), encoding="utf-8")
    sync([beside])
    beside.replace(place)


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


def model_fingerprint(model: object) -> str:
    """A fingerprint of a network and its weights; of other things, whether they are there."""
    if not isinstance(model, nn.Module):
        return "" if model is None else "a function"
    found = hashlib.sha256(repr(getattr(model, "config", "")).encode())
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]
