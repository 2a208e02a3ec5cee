"""Vimeo-90K's septuplets (Xue et al., 2019)."""

from pathlib import Path

from .clip import Clip
from .tree import absent, clip_faults, clips_of_split, refuse_faults

PUBLISHED = "http://toflow.csail.mit.edu"
LISTS = {"train": "sep_trainlist.txt", "test": "sep_testlist.txt"}
COUNTS = {"train": 64612, "test": 7824}
FRAMES = [f"im{n}.png" for n in range(1, 8)]
SIZE = (448, 256)


def vimeo90k(root: Path, split: str) -> list[Clip]:
    """The septuplets that ``sep_trainlist.txt`` or ``sep_testlist.txt`` names.

    Expects the published ``vimeo_septuplet`` folder, or what it holds: the lists and
    ``sequences/00001/0001/im1.png``. There is no published low-quality half: it is made from the
    frames. Raises DatasetError.
    """
    listed = clips_of_split("Vimeo-90K", split, LISTS)
    if (root / "vimeo_septuplet").is_dir():
        root = root / "vimeo_septuplet"
    names: list[str] = []
    faults: list[str] = []
    if (root / listed).is_file():
        names = (root / listed).read_text(encoding="utf-8").split()
        if len(names) != COUNTS[split]:
            faults.append(
                f"expected {COUNTS[split]} septuplets in {root / listed}, got {len(names)}"
            )
    else:
        faults.append(absent(root / listed))
    sequences = [Clip(n, root / "sequences" / n, source=n.split("/")[0]) for n in names]
    for sequence in sequences:
        faults += clip_faults(sequence.hq, FRAMES, SIZE)
    refuse_faults(f"the {split} split of Vimeo-90K below {root}", faults, PUBLISHED)
    return sequences
