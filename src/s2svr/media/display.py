"""How a video is shown: orientation, HDR10, sphere, 3D and crop, and where they change.

PyAV copies none of it from file to file.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import av
from torch import Tensor

from .planes import subsampling
from .sidedata import SideData, lost_side_data, side_data_of

DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}
PROJECTIONS = ("equirectangular", "cubemap", "tiled equirectangular", "half equirectangular")
STEREO = {
    1: "side by side",
    2: "one above the other",
    3: "one frame after the other",
    4: "checkerboard",
    5: "side by side, quincunx",
    6: "line by line",
    7: "column by column",
}

# The numbers a, b, c, d of a display matrix, by rotation in degrees.
ROTATIONS = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), -180: (-1, 0, 0, -1), -90: (0, 1, -1, 0)}


@dataclass(frozen=True)
class Spherical:
    """The part of a sphere that a picture shows, as FFmpeg stores it."""

    projection: int  # index of PROJECTIONS
    pose: tuple[int, int, int] = (0, 0, 0)  # yaw, pitch and roll in degrees, 16.16
    bounds: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, right, bottom, 0.32 of the whole
    padding: int = 0  # pixels around each face of a cube

    def __str__(self) -> str:
        turned = [f"{part / 65536:g}" for part in self.pose]
        cut = [f"{part / 2**32:.4g}" for part in self.bounds]
        words = [f"turned by {'/'.join(turned)} degrees"] if any(self.pose) else []
        words += [f"cut by {'/'.join(cut)}"] if any(self.bounds) else []
        return ", ".join([PROJECTIONS[self.projection], *words])


@dataclass(frozen=True)
class Stereo:
    """How a picture holds the views of two eyes."""

    layout: int  # a key of STEREO
    right_first: bool = False

    def __str__(self) -> str:
        return f"{STEREO[self.layout]}, {'right' if self.right_first else 'left'} eye first"


@dataclass(frozen=True)
class Display:
    """Side data of a video stream; None where it has none."""

    matrix: tuple[int, ...] | None = None  # 3 x 3, as FFmpeg stores it: 16.16, last column 2.30
    mastering: tuple[Fraction, ...] | None = None  # x, y of red, green, blue, white; cd/m2 from, to
    light: tuple[int, int] | None = None  # brightest pixel and brightest mean of a frame, cd/m2
    spherical: Spherical | None = None
    stereo: Stereo | None = None
    dynamic: tuple[str, ...] = ()  # names of what changes by frame and cannot be written again

    def scaled(self, across: Fraction, down: Fraction) -> "Display":
        """Side data of a picture whose width and height are that many times larger."""
        sphere = self.spherical and replace(
            self.spherical, padding=round(self.spherical.padding * across)
        )
        if self.matrix is None:
            return replace(self, spherical=sphere)
        a, b, u, c, d, v, x, y, w = self.matrix
        if abs(b) > abs(a):
            across, down = down, across
        matrix = (a, b, u, c, d, v, round(x * across), round(y * down), w)
        return replace(self, matrix=matrix, spherical=sphere)

    def filled(self, earlier: "Display") -> "Display":
        """This side data, with that of an earlier picture where it has none; dynamic is its own."""
        return Display(
            matrix=self.matrix or earlier.matrix,
            mastering=self.mastering or earlier.mastering,
            light=self.light or earlier.light,
            spherical=self.spherical or earlier.spherical,
            stereo=self.stereo or earlier.stereo,
            dynamic=self.dynamic,
        )

    @property
    def orientation(self) -> int:
        """Rotation and mirroring that a player applies, by EXIF's number for it: 1 to 8."""
        if self.matrix is None:
            return 1
        a, b, _, c, d, *_ = self.matrix
        if abs(b) > abs(a):
            return {(0, 0): 5, (1, 0): 6, (1, 1): 7, (0, 1): 8}[c < 0, b < 0]
        return {(0, 0): 1, (1, 0): 2, (1, 1): 3, (0, 1): 4}[a < 0, d < 0]


def display_of(picture: av.VideoFrame, sides: SideData | None = None) -> Display:
    """Read the side data of a decoded picture, or take it where it was read."""
    sides = side_data_of(picture) if sides is None else sides
    data = dict(sides)
    if len(sides) == 1 and sides[0][1] == b"" and picture.rotation in ROTATIONS:
        # A kind that PyAV does not know hides the others.
        a, b, c, d = (value << 16 for value in ROTATIONS[picture.rotation])
        return Display(matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    matrix = data.get("DISPLAYMATRIX")
    mastering = data.get("MASTERING_DISPLAY_METADATA")
    light = data.get("CONTENT_LIGHT_LEVEL")
    numbers = struct.unpack_from("=22i", mastering) if mastering else ()
    known = len(numbers) == 22 and all(numbers[1:20:2]) and numbers[20] and numbers[21]
    return Display(
        matrix=struct.unpack_from("=9i", matrix) if matrix else None,
        mastering=tuple(Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2)) if known else None,
        light=struct.unpack_from("=2I", light) if light else None,
        spherical=read_spherical(data.get("SPHERICAL", b"")),
        stereo=read_stereo(data.get("STEREO3D", b"")),
        dynamic=tuple(sorted({DYNAMIC[kind] for kind in data if kind in DYNAMIC})),
    )


def read_spherical(data: bytes) -> Spherical | None:
    """The projection that FFmpeg's side data describes; None where there is none."""
    if len(data) < 36:
        return None
    projection, yaw, pitch, roll, *rest = struct.unpack_from("=4i5I", data)
    if projection >= len(PROJECTIONS):
        return None
    left, top, right, bottom, padding = rest
    return Spherical(projection, (yaw, pitch, roll), (left, top, right, bottom), padding)


def read_stereo(data: bytes) -> Stereo | None:
    """The views that FFmpeg's side data describes; None where it names no layout of two."""
    layout, flags = struct.unpack_from("=2i", data) if len(data) >= 8 else (0, 0)
    return Stereo(layout, bool(flags & 1)) if layout in STEREO else None


class Crop(NamedTuple):
    """Pixels at each edge that are not shown."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def size(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Width and height of what is left of a picture."""
        return picture.width - self.left - self.right, picture.height - self.top - self.bottom

    def cut(self, planes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Planes (h, w) without the edges; those of subsampled chroma lose as much of theirs."""
        if not any(self):
            return planes
        height, width = planes[0].shape
        made = []
        for plane in planes:
            across, down = round(width / plane.shape[1]), round(height / plane.shape[0])
            bottom = -(-(height - self.bottom) // down)
            right = -(-(width - self.right) // across)
            made.append(plane[self.top // down : bottom, self.left // across : right])
        return tuple(made)


def choose_crop(
    asked: tuple[int, int, int, int], picture: av.VideoFrame, warn: Callable[[str], None]
) -> Crop:
    """Choose the edges to leave out, and say so: left and top keep whole samples of chroma."""
    if not any(asked):
        return Crop()
    across, down = subsampling(picture.format)
    left, right, top, bottom = asked
    crop = Crop(left - left % across, right, top - top % down, bottom)
    if min(crop.size(picture)) <= 0:
        warn(f"a crop of {left}, {right}, {top} and {bottom} pixels is not heeded: nothing is left")
        return Crop()
    width, height = crop.size(picture)
    lines = {"left": crop.left, "right": right, "top": crop.top, "bottom": bottom}
    edges = ", ".join(f"{pixels} at the {edge}" for edge, pixels in lines.items() if pixels)
    warn(
        f"the crop of the file is applied: of {picture.width}x{picture.height} pixels those that "
        f"players hide are left out ({edges}), and {width}x{height} remain"
    )
    return crop


Look = dict[str, str]  # properties that an output has once for all its pictures


class Observer:
    """Compares each picture with what the output has, and says each change and each loss once."""

    def __init__(self, display: Display) -> None:
        self.display = display  # of the output
        self.first: Look | None = None
        self.dynamic: tuple[str, ...] = ()  # of the first picture, which the writer names
        self.changed: set[str] = set()
        self.kinds: set[str] = set()  # of side data

    def look(
        self, picture: av.VideoFrame, sides: SideData, aspect: Fraction | None, time: Fraction
    ) -> Iterator[str]:
        """Yield sentences about what is new in a picture, shown at ``time`` in seconds."""
        display = display_of(picture, sides)
        if self.first is None:
            display = display.filled(self.display)
            self.first, self.dynamic = look_of(picture, display, aspect), display.dynamic
        now = look_of(picture, display, aspect)
        for what, value in now.items():
            before = self.first[what]
            if value in ("", before) or what in self.changed:
                continue  # some decoders say a thing at key frames only
            self.changed.add(what)
            yield (
                f"the {what} changes from {before or 'none'} to {value} at "
                f"{float(time):.3f} s: the output has {before or 'none'} from begin to end"
            )
        new = [(kind, data) for kind, data in sides if kind not in self.kinds]
        self.kinds |= {kind for kind, _ in new}
        names = [*lost_side_data(new), *(f"{n} metadata" for n in display.dynamic)]
        for name in names:
            if name.removesuffix(" metadata") not in self.dynamic and name not in self.changed:
                self.changed.add(name)
                yield f"the {name} of the pictures is left out: it cannot be written again"


def look_of(picture: av.VideoFrame, display: Display, aspect: Fraction | None) -> Look:
    """Properties of a picture that an output has once; those of HDR only where it says them."""
    mastering = " ".join(f"{float(v):g}" for v in display.mastering or ())
    matrix = " ".join(f"{v / 65536:g}" for v in (display.matrix or ())[:6])
    return {
        "pixel aspect": f"{aspect.numerator}:{aspect.denominator}" if aspect else "1:1",
        "colour primaries": str(int(picture.color_primaries)),
        "colour transfer": str(int(picture.color_trc)),
        "rotation": matrix,
        "mastering display": mastering,
        "content light": " ".join(map(str, display.light or ())),
        "spherical projection": str(display.spherical or ""),
        "stereo 3D": str(display.stereo or ""),
    }
