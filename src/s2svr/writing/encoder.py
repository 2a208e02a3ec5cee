"""Encoding of frames into packets."""

import os
from fractions import Fraction
from pathlib import Path

import av
import torch

from ..color import ColorInfo
from ..media import Display, Frame, MediaError, Message, convert_format, to_picture
from .codecs import CODECS, Coding
from .packets import PacketFile, holds_messages, with_messages


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
        open_encoder(self.context, coding)
        self.packets = PacketFile(path)
        self.messages: dict[int, tuple[Message, ...]] = {}  # of pictures inside, by time stamp

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
        if frame.messages and holds_messages(c.codec):
            self.messages[picture.pts] = frame.messages
        self.append(self.context.encode(picture))

    def append(self, packets: list[av.Packet]) -> None:
        """Keep packets, each with the messages of its picture."""
        for packet in packets:
            data = bytes(packet)
            if messages := self.messages.pop(packet.pts or 0, ()):
                data = with_messages(data, self.coding.codec, messages)
            self.packets.append(packet, data)

    def close(self) -> None:
        """Encode what the encoder still holds back, and wait until all is on the disk."""
        self.append(self.context.encode(None))
        self.packets.close()
        del self.context  # and its memory, since joining opens another


def open_encoder(context: av.VideoCodecContext, coding: Coding) -> None:
    """Open an encoder with all its settings; MediaError where it refuses them."""
    configure_encoder(context, coding)
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        name = CODECS[coding.codec].encoder
        if name.endswith("nvenc"):
            raise MediaError(
                f"{name} needs an NVIDIA GPU that has an encoder, and its driver, and none opens "
                f"here for {coding.width}x{coding.height} pixels; choose "
                f"{coding.codec.removesuffix('_nvenc')}"
            ) from error
        raise MediaError(
            f"the encoder {name} does not open for a video of {coding.width}x{coding.height} "
            "pixels like this here; choose another codec, or a smaller size"
        ) from error


def tag_color(picture: av.VideoFrame, color: ColorInfo) -> None:
    """Tag a picture with its colour, which ProRes encoders take from pictures alone."""
    picture.colorspace, picture.color_range = color.code, 2 if color.full_range else 1
    picture.color_primaries, picture.color_trc = color.primaries, color.transfer


def configure_encoder(context: av.VideoCodecContext, coding: Coding) -> None:
    """Give an encoder that is not open yet all its settings."""
    kind = CODECS[coding.codec]
    flags = av.codec.context.Flags
    context.width, context.height = coding.width, coding.height
    context.pix_fmt = coding.pixel_format
    context.time_base, context.framerate = coding.time_base, coding.rate
    context.sample_aspect_ratio = coding.aspect
    context.color_range = 2 if coding.color.full_range else 1
    context.colorspace = coding.color.code
    context.color_primaries, context.color_trc = coding.color.primaries, coding.color.transfer
    context.thread_type = "AUTO"  # PyAV's own choice cuts every picture into slices
    context.flags |= flags.frame_duration
    if av.ContainerFormat(coding.container, "w").flags & av.format.Flags.global_header.value:
        context.flags |= flags.global_header
    options = dict(kind.options)
    if coding.preset is not None:
        options[kind.speed] = coding.preset
    if coding.bitrate is not None:
        context.bit_rate = coding.bitrate
        options.pop("b", None)
    elif kind.quality:
        name, quality, _ = kind.quality
        options[name] = str(quality if coding.crf is None else coding.crf)
    if coding.chroma == (2, 2):
        options["chroma_sample_location"] = coding.color.siting
    if kind.encoder == "libx264":
        options["x264-params"] = x264_params(coding.display)
    if kind.encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
        # x264's macroblock tree reads beyond its memory with AVX-512: no two runs are the same.
        options["x264-params"] = ":".join(filter(None, (options["x264-params"], "asm=AVX2")))
    if kind.encoder == "libx265":
        # Closed groups of pictures can be cut and joined; its log would break progress bars.
        lossless = kind.options.get("x265-params", "")
        params = ["log-level=none:open-gop=0", lossless, x265_params(coding.display)]
        options["x265-params"] = ":".join(filter(None, params))
        if coding.container in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players want
    if kind.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")
        options["svtav1-params"] = svt_params(coding.display)
    context.options = {name: value for name, value in options.items() if value}


def x265_params(display: Display) -> str:
    """HDR10 side data as options of x265, in units of 0.00002 and 0.0001 cd/m2."""
    parts = []
    if display.mastering:
        rx, ry, gx, gy, bx, by, wx, wy = (round(v * 50000) for v in display.mastering[:8])
        low, high = (round(v * 10000) for v in display.mastering[8:])
        parts.append(
            f"master-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
        )
    if display.light:
        parts.append(f"max-cll={display.light[0]},{display.light[1]}")
    return ":".join(parts)


def x264_params(display: Display) -> str:
    """HDR10 side data as options of x264, whose names differ from those of x265."""
    params = x265_params(display)
    return params.replace("master-display", "mastering-display").replace("max-cll", "cll")


def svt_params(display: Display) -> str:
    """HDR10 side data as options of SVT-AV1."""
    parts = []
    if display.mastering:
        rx, ry, gx, gy, bx, by, wx, wy, low, high = (f"{float(v):.5f}" for v in display.mastering)
        parts.append(
            f"mastering-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
        )
    if display.light:
        parts.append(f"content-light={display.light[0]},{display.light[1]}")
    return ":".join(parts)
