"""Tags of photographs: EXIF in JPEG, PNG and WebP, and TIFF's own."""

import re

import torch
from torch import Tensor

# Where the TIFF structure with the tags begins: after the marker of each format.
MARKERS = re.compile(
    rb"\xff\xe1..Exif\0\0|eXIf|EXIF.{4}(?:Exif\0\0)?|^(?=II\*\0|MM\0\*)", re.DOTALL
)
ORIENTATION, COMPRESSION = 0x0112, 0x0103


def read_tag(data: bytes, tag: int) -> int | None:
    """Short integer of a tag in the first directory of an image file; None where it has none."""
    found = MARKERS.search(data)
    tiff = data[found.end() :] if found else b""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order is None:
        return None

    def number(place: int, size: int) -> int:
        return int.from_bytes(tiff[place : place + size], "little" if order == "little" else "big")

    first = number(4, 4)
    for entry in range(number(first, 2)):
        place = first + 2 + 12 * entry
        if number(place, 2) == tag:
            return number(place + 8, 2)
    return None


def upright(plane: Tensor, orientation: int) -> Tensor:
    """Rotate and mirror a stored plane (H, W) as EXIF's orientation, 1 to 8, says."""
    if orientation in (5, 6, 7, 8):
        plane = plane.transpose(0, 1)
    dims = {2: [1], 3: [0, 1], 4: [0], 6: [1], 7: [0, 1], 8: [0]}.get(orientation, [])
    if plane.dtype == torch.uint16:  # flipped by torch only where it has a sign
        return plane.view(torch.int16).flip(dims).view(torch.uint16)
    return plane.flip(dims)
