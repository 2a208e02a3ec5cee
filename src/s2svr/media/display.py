"""Orientation and HDR10 data of a video, which PyAV does not copy from file to file."""

import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import Type

DYNAMIC = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DOVI_METADATA: "Dolby Vision",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
}

# The numbers a, b, c, d of a display matrix, by rotation in degrees.
ROTATIONS = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), -180: (-1, 0, 0, -1), -90: (0, 1, -1, 0)}


@dataclass(frozen=True)
class Display:
    """Side data of a video stream; None where it has none."""

    matrix: tuple[int, ...] | None = None  # 3 x 3, as FFmpeg stores it: 16.16, last column 2.30
    mastering: tuple[Fraction, ...] | None = None  # x, y of red, green, blue, white; cd/m2 from, to
    light: tuple[int, int] | None = None  # brightest pixel and brightest mean of a frame, cd/m2
    dynamic: tuple[str, ...] = ()  # names of what changes by frame and cannot be written again

    def scaled(self, across: Fraction, down: Fraction) -> "Display":
        """Return that of a picture whose width and height are that many times larger."""
        if self.matrix is None:
            return self
        a, b, u, c, d, v, x, y, w = self.matrix
        if abs(b) > abs(a):
            across, down = down, across
        return replace(self, matrix=(a, b, u, c, d, v, round(x * across), round(y * down), w))

    @property
    def orientation(self) -> int:
        """Rotation and mirroring that a player applies, by EXIF's number for it: 1 to 8."""
        if self.matrix is None:
            return 1
        a, b, _, c, d, *_ = self.matrix
        if abs(b) > abs(a):
            return {(0, 0): 5, (1, 0): 6, (1, 1): 7, (0, 1): 8}[c < 0, b < 0]
        return {(0, 0): 1, (1, 0): 2, (1, 1): 3, (0, 1): 4}[a < 0, d < 0]


def display_of(picture: av.VideoFrame) -> Display:
    """Read the side data of a decoded picture."""
    try:
        items: Any = picture.side_data  # a mapping that iterates over its values
        data = {item.type: bytes(item) for item in items}
    except ValueError:  # PyAV gives none of it where there is a kind that is newer than itself
        if picture.rotation not in ROTATIONS:
            return Display()
        a, b, c, d = (value << 16 for value in ROTATIONS[picture.rotation])
        return Display(matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    matrix = data.get(Type.DISPLAYMATRIX)
    mastering = data.get(Type.MASTERING_DISPLAY_METADATA)
    light = data.get(Type.CONTENT_LIGHT_LEVEL)
    numbers = struct.unpack_from("=22i", mastering) if mastering else ()
    known = len(numbers) == 22 and all(numbers[1:20:2]) and numbers[20] and numbers[21]
    return Display(
        matrix=struct.unpack_from("=9i", matrix) if matrix else None,
        mastering=tuple(Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2)) if known else None,
        light=struct.unpack_from("=2I", light) if light else None,
        dynamic=tuple(sorted({DYNAMIC[kind] for kind in data if kind in DYNAMIC})),
    )
