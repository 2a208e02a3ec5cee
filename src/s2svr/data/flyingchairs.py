"""FlyingChairs: rendered pairs with their true flow (Dosovitskiy et al., 2015)."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..media import MediaError
from .tree import absent, clips_of_split, first_of, refuse_faults

PUBLISHED = "https://lmb.informatik.uni-freiburg.de/resources/datasets/FlyingChairs.en.html"
LIST = "FlyingChairs_train_val.txt"  # a line for each pair
MARKS = {"train": "1", "val": "2"}
COUNT = 22872
SIZE = (512, 384)
HEADER = re.compile(rb"P6\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+255\s")


class FlowPair(NamedTuple):
    """Two frames with the true flow from the first to the second, as files."""

    name: str
    first: Path
    second: Path
    flow: Path


def flyingchairs(root: Path, split: str) -> list[FlowPair]:
    """The pairs that ``FlyingChairs_train_val.txt`` puts into a split.

    Expects the published folder or ``FlyingChairs_release`` in it: ``data/00001_img1.ppm``,
    ``00001_img2.ppm`` and ``00001_flow.flo``, and the list beside ``data`` or one folder above.
    Raises DatasetError.
    """
    mark = clips_of_split("FlyingChairs", split, MARKS)
    root = first_of(Path(root), "FlyingChairs_release", ".")
    listed = root / LIST if (root / LIST).is_file() else root.parent / LIST
    if not listed.is_file():
        refuse_faults(f"FlyingChairs below {root}", [absent(root / LIST)], PUBLISHED)
    marks = listed.read_text(encoding="utf-8").split()
    faults = []
    if len(marks) != COUNT:
        faults.append(f"expected {COUNT} lines in {listed}, got {len(marks)}")
    unknown = sorted(set(marks) - set(MARKS.values()))
    if unknown:
        faults.append(f"expected lines of 1 or 2 in {listed}, got {unknown[0]!r}")
    found = []
    for number, its in enumerate(marks, 1):
        if its == mark:
            name, data = f"{number:05}", root / "data"
            first, second = (data / f"{name}_img{n}.ppm" for n in (1, 2))
            found.append(FlowPair(name, first, second, data / f"{name}_flow.flo"))
    faults += [fault for pair in found for fault in pair_faults(pair)]
    refuse_faults(f"the {split} split of FlyingChairs below {root}", faults, PUBLISHED)
    return found


def pair_faults(pair: FlowPair) -> list[str]:
    """The faults of a pair's files, judged by their sizes."""
    width, height = SIZE
    pixels = width * height
    faults = []
    for path, least, most in (
        (pair.first, 3 * pixels, 3 * pixels + 64),  # a header of a few words
        (pair.second, 3 * pixels, 3 * pixels + 64),
        (pair.flow, 12 + 8 * pixels, 12 + 8 * pixels),
    ):
        if not path.is_file():
            faults.append(absent(path))
        elif not least <= path.stat().st_size <= most:
            faults.append(f"expected {width}x{height} pixels in {path}; it may be cut off")
    return faults


def read_ppm(path: Path) -> Tensor:
    """Read a binary PPM of 8 bits: (3, H, W) uint8. Raises MediaError."""
    data = Path(path).read_bytes()
    header = HEADER.match(data)
    if header is None:
        raise MediaError(f"expected a binary PPM of 8 bits, {path} is none")
    width, height = int(header[1]), int(header[2])
    codes = np.frombuffer(data, np.uint8, offset=header.end())
    if codes.size != 3 * width * height:
        raise MediaError(
            f"expected {3 * width * height} bytes for {width}x{height} pixels, {path} has "
            f"{codes.size}; it may be cut off"
        )
    return torch.from_numpy(codes.reshape(height, width, 3).copy()).permute(2, 0, 1)
