"""Side data of a video that PyAV neither carries over nor writes: HDR10 and the display matrix."""

import struct
from dataclasses import dataclass

import av
from av.sidedata.sidedata import Type


@dataclass(frozen=True)
class Light:
    """What a video says about its display."""

    matrix: tuple[int, ...] | None = None  # 3 x 3 display matrix as FFmpeg stores it
    mastering: tuple[tuple[int, int], ...] | None = None  # ten fractions: R, G, B, white; luminance
    levels: tuple[int, int] | None = None  # largest, and largest mean, light level of content
    dynamic: tuple[str, ...] = ()  # names of what cannot be written again


def light_of(picture: av.VideoFrame) -> Light:
    """Read the side data of a decoded picture."""
    data = {item.type: bytes(item) for item in picture.side_data}
    matrix = data.get(Type.DISPLAYMATRIX)
    mastering = data.get(Type.MASTERING_DISPLAY_METADATA)
    levels = data.get(Type.CONTENT_LIGHT_LEVEL)
    numbers = struct.unpack_from("<20i", mastering) if mastering else ()
    names = {
        Type.DYNAMIC_HDR_PLUS: "HDR10+",
        Type.DOVI_METADATA: "Dolby Vision",
        Type.DOVI_RPU_BUFFER: "Dolby Vision",
        Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    }
    return Light(
        matrix=struct.unpack_from("<9i", matrix) if matrix else None,
        mastering=tuple(zip(numbers[::2], numbers[1::2], strict=True)) or None,
        levels=struct.unpack_from("<2I", levels) if levels else None,
        dynamic=tuple(sorted({names[kind] for kind in data if kind in names})),
    )


def x265_params(light: Light) -> str:
    """The options by which x265 writes the HDR10 side data again: units of 0.00002 and 0.0001."""
    parts = []
    if light.mastering:
        units = [50000] * 8 + [10000] * 2
        red, green, blue, white, (low, high) = pairs(
            [
                round(top * unit / bottom)
                for (top, bottom), unit in zip(light.mastering, units, strict=True)
            ]
        )
        parts.append(
            f"master-display=G({green[0]},{green[1]})B({blue[0]},{blue[1]})R({red[0]},{red[1]})"
            f"WP({white[0]},{white[1]})L({high},{low})"
        )
    if light.levels:
        parts.append(f"max-cll={light.levels[0]},{light.levels[1]}")
    return ":".join(parts)


def pairs(values: list[int]) -> list[tuple[int, int]]:
    """[a, b, c, d] -> [(a, b), (c, d)]"""
    return list(zip(values[::2], values[1::2], strict=True))
