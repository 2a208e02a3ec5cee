"""Side data of a video that PyAV neither carries over nor writes: HDR10 and the display matrix."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import av
from av.sidedata.sidedata import Type


@dataclass(frozen=True)
class Light:
    """What a video says about its display."""

    matrix: tuple[int, ...] | None = None  # 3 x 3 display matrix as FFmpeg stores it
    mastering: tuple[Fraction, ...] | None = None  # x, y of red, green, blue, white; luminance
    levels: tuple[int, int] | None = None  # largest, and largest mean, light level of content
    dynamic: tuple[str, ...] = ()  # names of what cannot be written again


def light_of(picture: av.VideoFrame) -> Light:
    """Read the side data of a decoded picture."""
    data = {item.type: bytes(item) for item in picture.side_data}
    matrix = data.get(Type.DISPLAYMATRIX)
    mastering = data.get(Type.MASTERING_DISPLAY_METADATA)
    levels = data.get(Type.CONTENT_LIGHT_LEVEL)
    numbers = struct.unpack_from("<22i", mastering) if mastering else ()
    known = len(numbers) == 22 and all(numbers[1:20:2]) and numbers[20] and numbers[21]
    names = {
        Type.DYNAMIC_HDR_PLUS: "HDR10+",
        Type.DOVI_METADATA: "Dolby Vision",
        Type.DOVI_RPU_BUFFER: "Dolby Vision",
        Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    }
    return Light(
        matrix=struct.unpack_from("<9i", matrix) if matrix else None,
        mastering=tuple(Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2)) if known else None,
        levels=struct.unpack_from("<2I", levels) if levels else None,
        dynamic=tuple(sorted({names[kind] for kind in data if kind in names})),
    )


def x265_params(light: Light) -> str:
    """HDR10 side data as options of x265, in units of 0.00002 and 0.0001 cd/m2."""
    parts = []
    if light.mastering:
        red, green, blue, white = (tuple(round(v * 50000) for v in p) for p in points(light))
        low, high = (round(value * 10000) for value in luminance(light))
        parts.append(
            f"master-display=G({green[0]},{green[1]})B({blue[0]},{blue[1]})R({red[0]},{red[1]})"
            f"WP({white[0]},{white[1]})L({high},{low})"
        )
    if light.levels:
        parts.append(f"max-cll={light.levels[0]},{light.levels[1]}")
    return ":".join(parts)


def svt_params(light: Light) -> str:
    """HDR10 side data as options of SVT-AV1."""
    parts = []
    if light.mastering:
        red, green, blue, white = (f"({float(x):.5f},{float(y):.5f})" for x, y in points(light))
        low, high = (f"{float(value):.4f}" for value in luminance(light))
        parts.append(f"mastering-display=G{green}B{blue}R{red}WP{white}L({high},{low})")
    if light.levels:
        parts.append(f"content-light={light.levels[0]},{light.levels[1]}")
    return ":".join(parts)


def points(light: Light) -> list[tuple[Fraction, Fraction]]:
    """Chromaticities of red, green, blue and white."""
    values = light.mastering[:8] if light.mastering else ()
    return list(zip(values[::2], values[1::2], strict=True))


def luminance(light: Light) -> tuple[Fraction, ...]:
    """Least and largest luminance in cd/m2."""
    return light.mastering[8:] if light.mastering else ()
