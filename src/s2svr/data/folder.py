"""Any folder of videos, or of folders of images, as clips."""

from pathlib import Path

from .clip import Clip, source_of

VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".ts", ".y4m"}
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def folder_clips(root: Path, split: str = "") -> list[Clip]:
    """Every video file and every folder of images below ``root``, by name, without low quality.

    ``split`` names a folder below the root that is used alone where it exists.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"expected a folder of videos or image folders, {root} is none")
    if split and (root / split).is_dir():
        root = root / split
    paths = {path for path in root.rglob("*") if path.suffix.lower() in VIDEOS}
    paths |= {path.parent for path in root.rglob("*") if path.suffix.lower() in IMAGES}
    if not paths:
        raise ValueError(
            f"expected videos ({', '.join(sorted(VIDEOS))}) or image folders in {root}"
        )
    return [
        Clip(str(path.relative_to(root)), path, source=source_of(path.stem))
        for path in sorted(paths)
    ]
