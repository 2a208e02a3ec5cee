"""Any folder of videos, or of folders of images, as training or evaluation sequences."""

from pathlib import Path

from .clips import Sequence, source_of

VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".ts", ".y4m"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def folder(root: Path, split: str = "") -> list[Sequence]:
    """Every video file and every folder of images below ``root``, by name.

    Where the root holds ``hq`` and ``lq``, they are the high-quality clips and, under the same
    names, the low-quality ones; otherwise no lower quality is given. ``split`` names a folder below
    the root that is used alone where it exists.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"expected a folder of videos or image folders, {root} is none")
    if split and (root / split).is_dir():
        root = root / split
    high, low = root / "hq", root / "lq"
    if not (high.is_dir() and low.is_dir()):
        return [
            Sequence(name, path, source=source_of(path.stem)) for name, path in clips(root).items()
        ]
    sharp, damaged = clips(high), clips(low)
    if sharp.keys() != damaged.keys():
        lone = sorted(sharp.keys() ^ damaged.keys())
        raise ValueError(f"expected the same names in {high} and {low}, {lone[0]} is in one only")
    return [
        Sequence(name, path, damaged[name], source_of(path.stem)) for name, path in sharp.items()
    ]


def clips(root: Path) -> dict[str, Path]:
    """Videos and folders of images below a folder, by their names in it."""
    paths = {path for path in root.rglob("*") if path.suffix.lower() in VIDEOS}
    paths |= {path.parent for path in root.rglob("*") if path.suffix.lower() in IMAGES}
    if not paths:
        raise ValueError(
            f"expected videos ({', '.join(sorted(VIDEOS))}) or image folders in {root}"
        )
    return {str(path.relative_to(root)): path for path in sorted(paths)}
