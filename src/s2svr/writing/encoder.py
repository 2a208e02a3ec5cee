"""Encoding of frames into packets."""

from fractions import Fraction
from pathlib import Path

import av

from ..color import ColorInfo
from ..media import Frame, MediaError, convert_format, to_picture
from .codecs import CODECS, Coding, configure_encoder
from .packets import PacketFile


class TimeStamps:
    """Time stamps of frames, in units of ``coding``'s time base; ``shift`` (seconds) becomes 0."""

    def __init__(self, coding: Coding, shift: Fraction) -> None:
        self.coding, self.shift = coding, shift
        self.count = 0
        self.moved = 0  # frames whose time stamp was not after the one before
        self.last: int | None = None

    def next(self, frame: Frame) -> int:
        """Return the next frame's time stamp, moved forward where it is not after the last one."""
        time = self.count / self.coding.rate if frame.time is None else frame.time - self.shift
        stamp = round(time / self.coding.time_base)
        if self.last is not None and stamp <= self.last:
            stamp = self.last + 1
            self.moved += 1
        self.last = stamp
        self.count += 1
        return stamp


class VideoEncoder:
    """Encodes frames and keeps their packets in a file until they are joined with the sound."""

    def __init__(self, path: Path, coding: Coding, stamps: TimeStamps) -> None:
        self.coding, self.stamps = coding, stamps
        self.context = av.VideoCodecContext.create(CODECS[coding.codec].encoder, "w")
        configure_encoder(self.context, coding)
        try:
            self.context.open()
        except (av.error.FFmpegError, ValueError) as error:
            name = CODECS[coding.codec].encoder
            raise MediaError(
                f"the encoder {name} does not open for a video of {coding.width}x{coding.height} "
                "pixels like this here; choose another codec, or a smaller size"
            ) from error
        self.packets = PacketFile(path)

    def write(self, frame: Frame) -> None:
        """Encode a frame whose planes are as ``coding`` says; ValueError for others."""
        c = self.coding
        size, bits = tuple(frame.planes[0].shape), frame.color.bits
        if size != (c.height, c.width) or bits != c.color.bits:
            raise ValueError(
                f"expected a frame of {c.height}x{c.width} pixels with {c.color.bits} bits, "
                f"got {size[0]}x{size[1]} with {bits}"
            )
        picture = to_picture(frame.planes, c.planar_format)
        if c.pixel_format != c.planar_format:
            picture = convert_format(picture, c.pixel_format)
        tag_color(picture, c.color)
        picture.pts, picture.time_base = self.stamps.next(frame), c.time_base
        picture.duration = max(1, round((frame.duration or 1 / c.rate) / c.time_base))
        for packet in self.context.encode(picture):
            self.packets.append(packet)

    def close(self) -> None:
        """Encode what the encoder still holds back, and wait until all is on the disk."""
        for packet in self.context.encode(None):
            self.packets.append(packet)
        self.packets.close()
        del self.context  # and its memory, since joining opens another


def tag_color(picture: av.VideoFrame, color: ColorInfo) -> None:
    """Tag a picture with its colour, which ProRes encoders take from pictures alone."""
    picture.colorspace, picture.color_range = color.code, 2 if color.full_range else 1
    picture.color_primaries, picture.color_trc = color.primaries, color.transfer
