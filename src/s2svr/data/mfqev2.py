"""MFQEv2 (Guan et al., 2019): raw videos, and the same through HEVC's reference encoder."""

import re
from pathlib import Path

from ..media import frame_bytes
from .clip import Clip
from .tree import absent, clips_of_split, refuse_faults

PUBLISHED = "https://github.com/RyanXingQL/MFQEv2.0/wiki/MFQEv2-Dataset"
CODED = "HM16.5_LDP/QP37"  # low delay P
FOLDERS = {"train": "train_108", "test": "test_18"}
TRAIN = 108  # videos
# The JCT-VC test sequences of the classes A to E.
TEST = (
    "Traffic_2560x1600_150",
    "PeopleOnStreet_2560x1600_150",
    "Kimono_1920x1080_240",
    "ParkScene_1920x1080_240",
    "Cactus_1920x1080_500",
    "BQTerrace_1920x1080_600",
    "BasketballDrive_1920x1080_500",
    "RaceHorses_832x480_300",
    "BQMall_832x480_600",
    "PartyScene_832x480_500",
    "BasketballDrill_832x480_500",
    "RaceHorses_416x240_300",
    "BQSquare_416x240_600",
    "BlowingBubbles_416x240_500",
    "BasketballPass_416x240_500",
    "FourPeople_1280x720_600",
    "Johnny_1280x720_600",
    "KristenAndSara_1280x720_600",
)
NAME = re.compile(r"(.+)_(\d+)x(\d+)_(\d+)")


def mfqev2(root: Path, split: str) -> list[Clip]:
    """The 108 videos of ``train`` or the 18 of ``test``, 8-bit 4:2:0, compressed at QP 37.

    Expects ``train_108/raw`` and ``train_108/HM16.5_LDP/QP37`` with the same ``.yuv`` names, which
    carry size and frame count (BQSquare_416x240_600.yuv), and ``test_18/...``. Only the raw videos
    are published; the compressed ones come from HM. Raises DatasetError.
    """
    folder = root / clips_of_split("MFQEv2", split, FOLDERS)
    raw, coded = folder / "raw", folder / CODED
    files = {path.stem for place in (raw, coded) for path in place.glob("*.yuv")}
    names = list(TEST) if split == "test" else sorted(files)
    faults = [absent(place) for place in (raw, coded) if not place.is_dir()]
    if not faults:
        if split == "train" and len(names) != TRAIN:
            faults.append(f"expected {TRAIN} videos in {raw}, got {len(names)}")
        for place in (raw, coded):
            faults += [fault for name in names if (fault := yuv_fault(place / f"{name}.yuv"))]
    refuse_faults(f"the {split} split of MFQEv2 below {root}", faults, PUBLISHED)
    return [
        Clip(name, raw / f"{name}.yuv", coded / f"{name}.yuv", name.split("_")[0]) for name in names
    ]


def yuv_fault(path: Path) -> str | None:
    """The fault of a raw video, judged by the size and frame count in its name, or None."""
    match = NAME.fullmatch(path.stem)
    if not match:
        return f"expected a name like BQSquare_416x240_600.yuv, got {path}"
    if not path.is_file():
        return absent(path)
    width, height, frames = (int(number) for number in match.groups()[1:])
    frame, size = frame_bytes(width, height), path.stat().st_size
    if size != frames * frame:
        return (
            f"expected {frames * frame} bytes ({frames} frames of {width}x{height}) in {path}, "
            f"got {size} ({size / frame:.2f} frames)"
        )
    return None
