"""Vid4 (Liu and Sun, 2014), four clips for super-resolution, in the form that BasicVSR uses."""

from pathlib import Path

from .clip import Clip
from .tree import clip_faults, clips_of_split, refuse_faults

PUBLISHED = "https://drive.google.com/file/d/1ZuvNNLgR85TV_whJoHM7uVb-XW1y70DW"
# Name -> frames, (width, height).
CLIPS = {
    "calendar": (41, (720, 576)),
    "city": (34, (704, 576)),
    "foliage": (49, (720, 480)),
    "walk": (47, (720, 480)),
}
INPUTS = {"test": "BIx4", "bd": "BDx4"}  # bicubic; Gaussian blur, then every fourth pixel


def vid4(root: Path, split: str) -> list[Clip]:
    """The four clips with bicubic (``test``) or blurred and subsampled (``bd``) input.

    Expects ``GT/calendar`` and ``BIx4/calendar`` or ``BDx4/calendar``. Raises DatasetError.
    """
    inputs = clips_of_split("Vid4", split, INPUTS)
    faults = []
    for name, (frames, (width, height)) in CLIPS.items():
        faults += clip_faults(root / "GT" / name, frames, (width, height))
        faults += clip_faults(root / inputs / name, frames, (width // 4, height // 4))
    refuse_faults(f"Vid4 with {inputs} below {root}", faults, PUBLISHED)
    return [Clip(name, root / "GT" / name, root / inputs / name) for name in CLIPS]
