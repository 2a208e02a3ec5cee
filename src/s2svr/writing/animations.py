"""Images joined to one that moves: animated GIF, WebP and PNG, shown ``plays`` times; 0: always."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from ..media import PNG, png_chunk, png_chunks, riff_chunks

CENTISECOND, MILLISECOND = Fraction(1, 100), Fraction(1, 1000)
SHORTEST = 2  # hundredths of a second of a GIF's frame; players show shorter ones for ten
GIF_HEAD = 13  # bytes before its table of colours
REPEATS = b"!\xff\x0bNETSCAPE2.0\x03\x01%s\0"  # of a GIF, after the first time; 0: for ever
U16 = 65535


class Delays:
    """How long each frame of an animation is shown, from the times (begin, duration) in seconds."""

    def __init__(self, times: list[tuple[Fraction, Fraction]]) -> None:
        begins = [begin for begin, _ in times]
        self.stamps = [*begins, begins[-1] + times[-1][1]]
        self.warnings: list[str] = []

    def exact(self) -> Iterator[Fraction]:
        """Seconds of each frame."""
        return (after - before for before, after in pairwise(self.stamps))

    def units(self, unit: Fraction, least: int = 1) -> list[int]:
        """Whole units of each frame, at least ``least``; roundings do not add up."""
        places = [round(stamp / unit) for stamp in self.stamps]
        counts = [after - before for before, after in pairwise(places)]
        if short := sum(count < least for count in counts):
            self.warnings.append(
                f"{short} frames are shown for {float(least * unit):g} s, longer than in the "
                "source: this kind of image shows none shorter"
            )
        return [max(least, count) for count in counts]


def join_gif(path: Path, frames: list[Path], delays: Delays, plays: int) -> None:
    """Write GIF images of one size as one that moves, each with the colours that it has."""
    repeats = b"" if plays == 1 else REPEATS % struct.pack("<H", min(max(0, plays - 1), U16))
    with path.open("wb") as file:
        for index, delay in enumerate(delays.units(CENTISECOND, SHORTEST)):
            data = frames[index].read_bytes()
            flags = data[10]
            table = 3 << (flags & 7) + 1 if flags & 0x80 else 0
            if index == 0:
                file.write(data[:10] + b"\0" + data[11:GIF_HEAD] + repeats)
            place = GIF_HEAD + table
            while data[place : place + 1] == b"!":  # extensions of its own
                place += 2
                while data[place]:
                    place += 1 + data[place]
                place += 1
            local = flags & 0x87 if not data[place + 9] & 0x80 else data[place + 9]
            file.write(b"!\xf9\x04\x04" + struct.pack("<H", min(delay, U16)) + b"\0\0")
            file.write(data[place : place + 9] + bytes([local]))
            file.write(data[GIF_HEAD : GIF_HEAD + table] if local == flags & 0x87 else b"")
            file.write(data[place + 10 : -1])
        file.write(b";")


def join_webp(path: Path, frames: list[Path], delays: Delays, plays: int) -> None:
    """Write WebP images of one size as one that moves."""
    shown = struct.pack("<H", min(plays, U16))
    with path.open("w+b") as file:
        for index, delay in enumerate(delays.units(MILLISECOND)):
            data = frames[index].read_bytes()
            size = webp_size(data)
            if index == 0:
                file.write(b"RIFF\0\0\0\0WEBP")
                file.write(riff_chunk(b"VP8X", b"\x02\0\0\0" + size))
                file.write(riff_chunk(b"ANIM", b"\xff\xff\xff\xff" + shown))
            picture = b"".join(riff_chunk(*chunk) for chunk in riff_chunks(data))
            length = min(delay, 2**24 - 1).to_bytes(3, "little") + b"\x02"
            file.write(riff_chunk(b"ANMF", bytes(6) + size + length + picture))
        end = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", end - 8))


def webp_size(data: bytes) -> bytes:
    """Width and height of a WebP image, less 1, in three bytes each."""
    name, content = next(riff_chunks(data))
    if name == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
    else:
        width, height = (
            (int.from_bytes(content[i : i + 2], "little") & 0x3FFF) - 1 for i in (6, 8)
        )
    return width.to_bytes(3, "little") + height.to_bytes(3, "little")


def riff_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a RIFF file, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def join_png(path: Path, frames: list[Path], delays: Delays, plays: int) -> None:
    """Write PNG images of one size as one that moves."""
    number = 0
    with path.open("wb") as file:
        for index, delay in enumerate(delays.exact()):
            chunks = list(png_chunks(frames[index].read_bytes()))
            header = chunks[0][1]
            if index == 0:
                file.write(PNG)
                for name, content in chunks:
                    if name == b"IDAT":
                        break
                    file.write(png_chunk(name, content))
                file.write(png_chunk(b"acTL", struct.pack(">II", len(frames), plays)))
            shown = short_fraction(delay)
            control = struct.pack(">I", number) + header[:8] + bytes(8)
            control += struct.pack(">HH", shown.numerator, shown.denominator) + b"\0\0"
            file.write(png_chunk(b"fcTL", control))
            number += 1
            for name, content in chunks:
                if name == b"IDAT" and index == 0:
                    file.write(png_chunk(name, content))
                elif name == b"IDAT":
                    file.write(png_chunk(b"fdAT", struct.pack(">I", number) + content))
                    number += 1
        file.write(png_chunk(b"IEND", b""))


def short_fraction(value: Fraction) -> Fraction:
    """The fraction nearest to a value whose parts have 16 bits."""
    most = U16
    while (near := value.limit_denominator(most)).numerator > U16 and most > 1:
        most //= 2
    return min(near, Fraction(U16))
