"""REDS (Nah et al., 2019), the super-resolution set with clips of 100 frames."""

from pathlib import Path

from .clip import Clip
from .tree import clip_faults, clips_of_split, first_of, refuse_faults

PUBLISHED = "https://seungjunnah.github.io/Datasets/reds.html"
TEST = ("000", "011", "015", "020")  # REDS4, of the training set
TRAIN = tuple(name for name in (f"{n:03d}" for n in range(270)) if name not in TEST)
VALIDATION = 240  # the validation clips 000-029 count as 240-269
FRAMES = [f"{n:08d}.png" for n in range(100)]
SIZE = (1280, 720)


def reds(root: Path, split: str) -> list[Clip]:
    """The 266 clips of ``train`` or the four of ``test`` (REDS4), with REDS's own bicubic x4.

    Expects ``train/train_sharp`` and ``train/train_sharp_bicubic/X4``, and for ``train`` the same
    of ``val``; without the outer folders, or with the validation clips renamed to 240-269 among the
    training clips, will do. Raises DatasetError.
    """
    sequences = [
        Clip(name, clip_path(root, "", name), clip_path(root, "_bicubic/X4", name))
        for name in clips_of_split("REDS", split, {"train": TRAIN, "test": TEST})
    ]
    small = (SIZE[0] // 4, SIZE[1] // 4)
    faults = []
    for sequence in sequences:
        assert sequence.lq is not None
        faults += clip_faults(sequence.hq, FRAMES, SIZE)
        faults += clip_faults(sequence.lq, FRAMES, small)
    refuse_faults(f"the {split} split of REDS below {root}", faults, PUBLISHED)
    return sequences


def clip_path(root: Path, kind: str, name: str) -> Path:
    """The folder of a clip, by its name in the merged numbering."""
    merged = first_of(root, f"train/train_sharp{kind}", f"train_sharp{kind}") / name
    if int(name) < VALIDATION or merged.is_dir():
        return merged
    return first_of(root, f"val/val_sharp{kind}", f"val_sharp{kind}") / (
        f"{int(name) - VALIDATION:03d}"
    )
