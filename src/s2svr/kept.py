"""What an evaluation leaves on the disk for each clip: its scores, and pictures of it."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from .media import write_png
from .media.beside import sync
from .scores import Row, Tally


def keep(place: Path, stamp: dict, rows: list[Row], tallies: dict[str, Tally]) -> None:
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


def reopened(place: Path, stamp: dict) -> list[Row] | None:
    """The rows that an earlier call kept, if one did; ValueError where it did so in another way."""
    if not place.exists():
        return None
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        made, rows = kept["stamp"], [Row(**row) for row in kept["rows"]]
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


def digest(model: object) -> str:
    """A fingerprint of a network and its weights; of other things, whether they are there."""
    if not isinstance(model, nn.Module):
        return "" if model is None else "a function"
    found = hashlib.sha256(repr(getattr(model, "config", "")).encode())
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def file_name(clip: str) -> str:
    """A clip's name as that of one file."""
    return clip.replace("/", "_")


class Gallery:
    """A folder of pictures: of each clip's frames that score worst and best.

    Where only the middle frame is scored, ``centre``, it is the one that is shown.
    """

    def __init__(self, folder: Path, *, centre: bool) -> None:
        self.folder, self.centre = folder, centre
        self.kinds = ("middle",) if centre else ("worst", "best")
        self.seen: list[tuple[float, Tensor]] = []  # frames that may be drawn, with their scores

    def place(self, clip: str, kind: str) -> Path:
        return self.folder / f"{file_name(clip)}-{kind}.png"

    def has(self, clip: str) -> bool:
        """Whether an earlier evaluation drew this clip."""
        return all(self.place(clip, kind).exists() for kind in self.kinds)

    def see(self, score: float, strip: Tensor) -> None:
        """The next frame of a clip, (3, H, W) with what stands beside it."""
        self.seen.append((score, strip))
        if not self.centre:
            self.seen = [pick(self.seen, key=lambda entry: entry[0]) for pick in (min, max)]

    def draw(self, clip: str) -> None:
        """Write the pictures of the clip that was seen."""
        self.folder.mkdir(parents=True, exist_ok=True)
        drawn = [self.seen[len(self.seen) // 2]] if self.centre else self.seen
        for kind, (_, strip) in zip(self.kinds, drawn, strict=True):
            beside = self.folder / f".{os.getpid()}.png"
            write_png(beside, strip)
            beside.replace(self.place(clip, kind))
        self.seen = []
