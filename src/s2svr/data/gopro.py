"""GoPro (Nah et al., 2017), the deblurring set, in its GOPRO_Large form."""

from pathlib import Path

from .clip import Clip
from .tree import absent, clip_faults, clips_of_split, names_in, refuse_faults

PUBLISHED = "https://seungjunnah.github.io/Datasets/gopro.html"
SIZE = (1280, 720)
TRAIN_FRAMES = 2103
# Name and frames; how the training frames are shared out is not stated anywhere.
TRAIN: dict[str, int | None] = dict.fromkeys(
    (
        *("GOPR0372_07_00", "GOPR0372_07_01", "GOPR0374_11_00", "GOPR0374_11_01"),
        *("GOPR0374_11_02", "GOPR0374_11_03", "GOPR0378_13_00", "GOPR0379_11_00"),
        *("GOPR0380_11_00", "GOPR0384_11_01", "GOPR0384_11_02", "GOPR0384_11_03"),
        *("GOPR0384_11_04", "GOPR0385_11_00", "GOPR0386_11_00", "GOPR0477_11_00"),
        *("GOPR0857_11_00", "GOPR0868_11_01", "GOPR0868_11_02", "GOPR0871_11_01"),
        *("GOPR0881_11_00", "GOPR0884_11_00"),
    )
)
TEST: dict[str, int | None] = {
    "GOPR0384_11_00": 100,
    "GOPR0384_11_05": 100,
    "GOPR0385_11_01": 100,
    "GOPR0396_11_00": 100,
    "GOPR0410_11_00": 134,
    "GOPR0854_11_00": 100,
    "GOPR0862_11_00": 77,
    "GOPR0868_11_00": 100,
    "GOPR0869_11_00": 100,
    "GOPR0871_11_00": 100,
    "GOPR0881_11_01": 100,
}


def gopro(root: Path, split: str) -> list[Clip]:
    """The 22 clips of ``train`` or the eleven of ``test``; the input is ``blur``, not blur_gamma.

    Expects ``train/GOPR.../{blur,sharp}`` and ``test/...``. Raises DatasetError.
    """
    clips = clips_of_split("GoPro", split, {"train": TRAIN, "test": TEST})
    sequences = [
        Clip(name, root / split / name / "sharp", root / split / name / "blur", name[:8])
        for name in clips
    ]
    faults, total = [], 0
    for sequence in sequences:
        assert sequence.lq is not None
        if not sequence.hq.is_dir():
            faults.append(absent(sequence.hq))
            continue
        names = names_in(sequence.hq)
        total += len(names)
        faults += clip_faults(sequence.hq, clips[sequence.name] or len(names), SIZE)
        faults += clip_faults(sequence.lq, names, SIZE)
    if split == "train" and not faults and total != TRAIN_FRAMES:
        faults.append(f"expected {TRAIN_FRAMES} frames in {root / split}, got {total}")
    refuse_faults(f"the {split} split of GoPro below {root}", faults, PUBLISHED)
    return sequences
