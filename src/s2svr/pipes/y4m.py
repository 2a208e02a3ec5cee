"""y4m: a line of text, then frames of raw planes, each after a line of its own."""

import re
from dataclasses import dataclass
from math import ceil, prod
from typing import BinaryIO

from torch import Tensor

from ..media import CHROMA, MediaError
from ..writing import Coding

MAGIC = b"YUV4MPEG2 "
FRAME = b"FRAME"
LONGEST = 1024  # bytes of a line
# Subsampling by the first letters of the header's C; the second number counts planes.
SPACES = {
    "420": ((2, 2), 3),
    "422": ((2, 1), 3),
    "444alpha": ((1, 1), 4),
    "444": ((1, 1), 3),
    "411": ((4, 1), 3),
    "mono": ((1, 1), 1),
}
# Names of 8-bit 4:2:0, by where chroma lies.
SITED = {"left": "420mpeg2", "center": "420jpeg", "topleft": "420paldv"}
WRITTEN = (1, 1), (2, 1), (2, 2)  # subsampling that is written


@dataclass(frozen=True)
class Y4mHeader:
    """The first line of a y4m."""

    width: int  # pixels
    height: int
    frame_bytes: int  # of the planes of a frame
    range_tagged: bool  # it says which codes are black and white


def parse_y4m(line: bytes) -> Y4mHeader:
    """The header in a line; MediaError, with the reason, where it is none."""
    text = line.decode("ascii", "replace").strip()
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    if not line.startswith(MAGIC) or not line.endswith(b"\n"):
        raise MediaError(f"expected a y4m header, a line that begins YUV4MPEG2, got {shown!r}")
    fields = {word[0]: word[1:] for word in text.split()[1:] if word[0] != "X"}
    sides = [fields.get(name, "") for name in "WH"]
    if not all(re.fullmatch(r"[1-9]\d{0,5}", side) for side in sides):
        raise MediaError(f"expected a y4m header with a width W and a height H, got {shown!r}")
    space = fields.get("C", "420")
    kind = next((name for name in SPACES if space.startswith(name)), None)
    depth = re.search(r"(?:p|mono)(\d+)$", space)
    if kind is None or (depth and not 8 <= int(depth[1]) <= 16):
        known = ", ".join(SPACES)
        raise MediaError(f"the y4m header names the colour space {space}; known are {known}")
    width, height = map(int, sides)
    (across, down), planes = SPACES[kind]
    sizes = [(width, height)] + [(ceil(width / across), ceil(height / down))] * min(planes - 1, 2)
    sizes += [(width, height)] * (planes == 4)
    codes = 2 if depth and int(depth[1]) > 8 else 1
    return Y4mHeader(width, height, codes * sum(map(prod, sizes)), "XCOLORRANGE=" in text)


class Y4mWatch:
    """Follows the bytes of a y4m after its header, to know whether it ends inside a frame."""

    def __init__(self, frame_bytes: int) -> None:
        self.frame_bytes = frame_bytes
        self.frames = 0  # that are whole
        self.left = 0  # bytes of the frame that is under way
        self.line = b""  # what there is of the line before a frame
        self.broken = False  # a line before a frame was none

    def see(self, data: bytes) -> None:
        """Follow the next bytes."""
        place = 0
        while place < len(data) and not self.broken:
            if self.left:
                step = min(self.left, len(data) - place)
                self.left, place = self.left - step, place + step
                self.frames += self.left == 0
                continue
            end = data.find(b"\n", place)
            stop = len(data) if end < 0 else end
            self.line += data[place:stop]
            place = stop + 1
            self.broken = len(self.line) > LONGEST or not FRAME.startswith(self.line[:5])
            if end >= 0 and not self.broken:
                self.broken = len(self.line) < len(FRAME)
                self.line, self.left = b"", self.frame_bytes

    @property
    def inside(self) -> bool:
        """True where the bytes end inside a frame."""
        return bool(self.left or self.line)


def space_of(coding: Coding) -> str:
    """The colour space of a coding, as a header's C names it."""
    bits = coding.color.bits
    if coding.color.matrix == "gray":
        return "mono" if bits == 8 else f"mono{bits}"
    if bits > 8:
        return f"{CHROMA[coding.chroma]}p{bits}"
    if coding.chroma == (2, 2):
        return SITED.get(coding.color.siting, SITED["left"])
    return CHROMA[coding.chroma]


class Y4mSink:
    """Writes frames as y4m."""

    def __init__(self, file: BinaryIO, coding: Coding) -> None:
        """Write the header."""
        self.file = file
        space, rate, aspect = space_of(coding), coding.rate, coding.aspect
        # FFmpeg reads the range, and older programs of more than 8 bits the first X.
        full = "FULL" if coding.color.full_range else "LIMITED"
        shape = f"{aspect.numerator}:{aspect.denominator}"
        self.file.write(
            f"YUV4MPEG2 W{coding.width} H{coding.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{shape} C{space} XYSCSS={space.upper()} XCOLORRANGE={full}\n".encode()
        )

    def write(self, planes: tuple[Tensor, ...], stamp: int) -> None:
        """Write a frame; y4m has no time stamps."""
        self.file.write(FRAME + b"\n")
        for plane in planes:
            codes = plane.contiguous().numpy()
            self.file.write(codes.astype(codes.dtype.newbyteorder("<"), copy=False).data.cast("B"))
        self.file.flush()

    def close(self) -> None:
        """There is nothing after the last frame."""
        self.file.flush()
