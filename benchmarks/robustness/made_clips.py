"""Clips and images to try things with, made with PyAV and Pillow."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.subtitles.stream import SubtitleStream
from PIL import Image

SIZE = (48, 32)
COUNT = 12  # frames of a clip, three groups of pictures
MILLI = Fraction(1, 1000)


def pictures(form: str, size: tuple[int, int], count: int, first: int = 0) -> Iterator[Any]:
    """A moving smooth pattern in any pixel format; partly transparent where that has alpha."""
    clear = any(part.is_alpha for part in av.VideoFormat(form).components)
    width, height = size
    y, x = np.mgrid[:height, :width]
    for index in range(first, first + count):
        waves = [127 + 90 * np.sin(x / 7 + y / 9 + k + index / 3) for k in range(3)]
        waves += [255 * (x < width / 2)] if clear else []
        pixels = np.stack(waves, -1).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(pixels, "rgba" if clear else "rgb24")
        yield picture.reformat(format=form)


def film(
    path: Path,
    codec: str = "libx264",
    form: str = "yuv420p",
    *,
    size: tuple[int, int] = SIZE,
    count: int = COUNT,
    stamps: list[int] | None = None,  # milliseconds
    sound: str | None = None,
    matrix: tuple[int, ...] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    videos: int = 1,
    text: str | None = None,  # of a subtitle track; brings chapters and metadata along
) -> Path:
    """Write a clip of 25 frames a second; all ``videos`` show the same."""
    stamps = [40 * n for n in range(count)] if stamps is None else stamps
    with av.open(str(path), "w", options=container or {}) as output:
        streams = [output.add_stream(codec, rate=25) for _ in range(videos)]
        for stream in streams:
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *size, form
            whole = path.suffix in (".avi", ".mpg", ".ogv", ".gif", ".apng", ".h264", ".y4m")
            stream.codec_context.time_base = Fraction(1, 25) if whole else MILLI
            stream.codec_context.gop_size = 4
            stream.codec_context.thread_count = 1
            stream.options = options or {}
            if matrix:
                stream.set_display_matrix(matrix)
        voice = output.add_stream(sound, rate=48000, layout="stereo") if sound else None
        line = describe(output, text) if text else None
        for picture, stamp in zip(pictures(form, size, count), stamps, strict=True):
            for stream in streams:
                picture.pts, picture.time_base = stamp, MILLI
                if stream.codec_context.time_base != MILLI:
                    picture.pts, picture.time_base = stamp // 40, Fraction(1, 25)
                output.mux(stream.encode(picture))
        for stream in streams:
            output.mux(stream.encode(None))
        if voice is not None:
            speak(output, voice, max(count, 1) / 25)
        if line is not None:
            write(output, line)
    return path


def describe(output: OutputContainer, codec: str) -> av.stream.Stream:
    """A subtitle track, chapters and metadata."""
    line = output.add_stream(codec)
    assert isinstance(line, SubtitleStream)
    line.codec_context.subtitle_header = b"[Script Info]\n\n[Events]\n"
    line.time_base = MILLI
    line.metadata["language"] = "swe"
    title = {"title": "one"}
    output.set_chapters([
        {"id": 1, "start": 0, "end": 100, "time_base": MILLI, "metadata": title},
        {"id": 2, "start": 100, "end": 300, "time_base": MILLI, "metadata": title},
    ])  # fmt: skip
    output.metadata.update({"title": "A film", "artist": "somebody"})
    return line


def write(output: OutputContainer, line: av.stream.Stream) -> None:
    """Two subtitles."""
    for start, text in [(20, b"Hello"), (160, b"World & more")]:
        head = len(text).to_bytes(2, "big") if line.codec_context.name == "mov_text" else b""
        packet = av.Packet(head + text)
        packet.pts = packet.dts = start
        packet.duration, packet.time_base, packet.stream = 80, MILLI, line
        packet.is_keyframe = True
        output.mux(packet)


def speak(output: OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """A tone."""
    size = stream.codec_context.frame_size or 1024
    for start in range(0, int(seconds * 48000), size):
        wave = 0.3 * np.sin(np.arange(start, start + size) * 0.05)
        tone = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp")
        tone.sample_rate, tone.pts, tone.time_base = 48000, start, Fraction(1, 48000)
        tone = av.AudioResampler(stream.codec_context.format, "stereo", 48000).resample(tone)[0]
        output.mux(stream.encode(tone))
    output.mux(stream.encode(None))


def clip(name: str, codec: str = "libx264", form: str = "yuv420p", **how: Any) -> Callable:
    """A maker of one ``film``."""
    return lambda folder: film(folder / name, codec, form, **how)


FAST = {"movflags": "faststart"}
MP4 = clip("a.mp4", sound="aac", container=FAST)
LATE = clip("a.mp4", sound="aac")  # the index comes last
PIECES = clip("a.mp4", sound="aac", container={"movflags": "frag_keyframe+empty_moov"})
MKV = clip("a.mkv", sound="aac")
WEBM = clip("a.webm", "libvpx-vp9", sound="libopus", options={"cpu-used": "8", "deadline": "1"})
TS = clip("a.ts", sound="aac")
AVI = clip("a.avi", "mpeg4", sound="libmp3lame")
FLV = clip("a.flv", sound="aac")
MPG = clip("a.mpg", "mpeg2video", sound="mp2")
RAW = clip("a.h264")
FFV1 = clip("a.mkv", "ffv1")
Y4M = clip("a.y4m", "wrapped_avframe")
GIF = clip("a.gif", "gif", "rgb8")


def photo(seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(next(pictures("rgb24", size, 1, seed)).to_ndarray())


def folder_of(count: int, *extras: Callable[[Path], object]) -> Callable[[Path], Path]:
    """A folder f0.png, f1.png, ... to which ``extras`` do something more."""

    def made(folder: Path) -> Path:
        for index in range(count):
            photo(index).save(folder / f"f{index}.png")
        for extra in extras:
            extra(folder)
        return folder

    return made


def saved(name: str, mode: str = "RGB", **how: Any) -> Callable[[Path], Path]:
    """One image written by Pillow."""

    def made(folder: Path) -> Path:
        photo().convert(mode).save(folder / name, **how)
        return folder / name

    return made


def deep(folder: Path) -> Path:
    codes = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[::-1]) * 40
    Image.fromarray(codes.astype(np.uint16)).save(folder / "a.png")
    return folder / "a.png"


def turned(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved("a.jpg", exif=exif)(folder)


def in_folder(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The folder that a file was made in."""
    return lambda folder: make(folder).parent


BMP = saved("a.bmp")
