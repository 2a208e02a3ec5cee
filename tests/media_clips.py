"""Small media files for the tests, made with PyAV directly, without the code under test."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

VARIABLE = [0, 3003, 6006, 20000, 20100, 30000, 31000, 47047, 50050, 60060, 63063, 66066]
LOUDNESS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
ASS = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, "
    b"MarginR, MarginV, Effect, Text\n"
)


def paint(form: str, width: int, height: int, index: int, top: int) -> av.VideoFrame:
    """A moving smooth pattern of codes below ``top`` in every plane; no colour is strong."""
    picture = av.VideoFrame(width, height, form)
    for number, plane in enumerate(picture.planes):
        target = torch.from_dlpack(plane)
        y, x = np.mgrid[: target.shape[0], : target.shape[1]]
        strength = 0.25 if number == 0 or form.startswith("gbr") else 0.06
        codes = top * (0.5 + strength * np.sin(0.15 * x + 0.1 * (number + 1) * y + 0.3 * index))
        if target.ndim == 3:
            codes = np.repeat(codes[..., None], target.shape[2], 2)
        target.copy_(torch.from_numpy(codes.astype(np.int64)).to(target.dtype))
    return picture


def make_video(
    path: Path,
    *,
    codec: str = "libx264",
    form: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, 90000),
    tags: tuple[int, int, int, int] | None = None,  # range, matrix, primaries, transfer
    aspect: Fraction | None = None,
    matrix: tuple[int, ...] | None = None,
    sound: list[str] | None = None,
    texts: list[str] | None = None,
    chapters: bool = False,
    attachment: bool = False,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    last: int = 3003,
) -> Path:
    """Write a file whose streams come in the order video, sound, texts."""
    pts = VARIABLE if pts is None else pts
    end = float((pts[-1] + last) * time_base)
    with av.open(str(path), "w", options=container or {}) as output:
        video = output.add_stream(codec, rate=30)
        video.width, video.height, video.pix_fmt = *size, form
        context = video.codec_context
        context.time_base = time_base
        context.flags |= av.codec.context.Flags.frame_duration
        if tags:
            context.color_range, context.colorspace = tags[:2]
            context.color_primaries, context.color_trc = tags[2:]
        if aspect:
            context.sample_aspect_ratio = aspect
        if matrix:
            video.set_display_matrix(matrix)
        defaults = {"libx264": {"preset": "veryfast"}, "libx265": {"x265-params": "log-level=none"}}
        video.options = options if options is not None else defaults.get(codec, {})
        voices = [add_sound(output, name) for name in sound or []]
        lines = [add_text(output, name) for name in texts or []]
        if attachment:
            output.add_attachment("note.txt", "text/plain", b"kept as it is")
        if chapters:
            base = Fraction(1, 1000)
            titles = [(0, 300, "one"), (300, 700, "two")]
            output.set_chapters(
                [
                    {"id": i + 1, "start": a, "end": b, "time_base": base, "metadata": {"title": t}}
                    for i, (a, b, t) in enumerate(titles)
                ]
            )
        output.metadata.update(metadata or {})
        output.start_encoding()
        top = 256 if picture_bits(form) == 8 else 2 ** picture_bits(form)
        for index, stamp in enumerate(pts):
            picture = paint(form, *size, index, top)
            picture.pts, picture.time_base = stamp, time_base
            following = pts[index + 1] if index + 1 < len(pts) else stamp + last
            picture.duration = max(1, following - stamp)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        for voice in voices:
            write_sound(output, voice, end)
        for line in lines:
            write_text(output, line)
    return path


def picture_bits(form: str) -> int:
    return av.VideoFormat(form, 64, 64).components[0].bits


def add_sound(output: av.container.OutputContainer, name: str) -> av.AudioStream:
    stream = output.add_stream(name, rate=48000, layout="stereo")
    stream.metadata["language"] = "fin"
    return stream


def write_sound(
    output: av.container.OutputContainer, stream: av.AudioStream, seconds: float
) -> None:
    context = stream.codec_context
    size = context.frame_size or 1024
    kind = context.format
    for start in range(0, int(seconds * 48000), size):
        wave = 0.3 * np.sin(np.arange(start, start + size) * 0.05)
        data = np.stack([wave, 0.5 * wave])
        if "s16" in kind.name:
            data = (data * 30000).astype(np.int16)
        data = data.astype(np.float32) if "flt" in kind.name else data
        data = data if kind.is_planar else data.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), kind.name, "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def make_sound(
    path: Path,
    codec: str = "flac",
    layout: str = "stereo",
    rate: int = 48000,
    *,
    seconds: float = 0.4,
    video: str = "mpeg4",
) -> Path:
    """Write a file with a small video and a tone, in channel N as loud as LOUDNESS[N - 1]."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream(video, rate=25)
        pictures.width, pictures.height = 64, 48
        pictures.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
        voice = output.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":  # which has no bit rate of its own
            voice.bit_rate = 128000
        output.start_encoding()
        for index in range(round(seconds * 25)):
            output.mux(pictures.encode(paint(pictures.pix_fmt, 64, 48, index, 256)))
        output.mux(pictures.encode(None))
        context = voice.codec_context
        resampler = av.AudioResampler(context.format, layout, rate, context.frame_size or 1024)
        channels = context.layout.nb_channels
        tone = np.sin(2 * np.pi * 60 * np.arange(round(seconds * rate)) / rate)
        wave = (tone[:, None] * LOUDNESS[:channels]).astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(wave, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(voice.encode(part))
        output.mux(voice.encode(None))
    return path


def hear(path: Path) -> tuple[list[tuple[str, int]], float, list[float]]:
    """Layouts and rates of a file's sound, its seconds, and the loudness of each last channel."""
    forms, seconds = [], 0.0
    waves: list[np.ndarray] = []
    with av.open(str(path)) as source:
        for frame in source.decode(source.streams.audio[0]):
            if (form := (frame.layout.name, frame.sample_rate)) not in forms:
                forms.append(form)
                waves.clear()
            seconds += frame.samples / frame.sample_rate
            plain = av.AudioResampler("flt", frame.layout.name, frame.sample_rate).resample(frame)
            waves += [part.to_ndarray().reshape(-1, frame.layout.nb_channels) for part in plain]
    whole = np.concatenate(waves)
    middle = whole[len(whole) // 4 : -len(whole) // 4]
    return forms, seconds, [float(value) for value in np.sqrt(2) * middle.std(0)]


def add_text(output: av.container.OutputContainer, name: str) -> av.stream.Stream:
    stream = output.add_stream(name)
    stream.codec_context.subtitle_header = ASS
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "swe"
    return stream


def write_text(output: av.container.OutputContainer, stream: av.stream.Stream) -> None:
    for start, text in [(100, "Hello"), (400, "World & more")]:
        data = text.encode()
        if stream.codec_context.name == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        elif stream.codec_context.name == "ass":
            data = b"0,0,Default,,0,0,0,,{\\i1}" + data + b"{\\i0}"
        packet = av.Packet(data)
        packet.pts = packet.dts = start
        packet.duration, packet.time_base, packet.stream = 200, Fraction(1, 1000), stream
        packet.is_keyframe = True
        output.mux(packet)


def video_times(path: Path) -> list[Fraction]:
    """Time stamps of all frames in seconds."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        return [frame.pts * stream.time_base for frame in source.decode(stream)]


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction | None, str]]:
    """Time in seconds and checksum of each packet of a stream."""
    return [(time, hashlib.sha256(data).hexdigest()) for time, data in payloads(path, kind, number)]


def payloads(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction | None, bytes]]:
    """Time in seconds and bytes of each packet of a stream."""
    with av.open(str(path)) as source:
        return [
            (None if packet.pts is None else packet.pts * packet.time_base, bytes(packet))
            for packet in source.demux(getattr(source.streams, kind)[number])
            if packet.size
        ]


def cut_off(path: Path, share: float = 0.6) -> None:
    """End a file in the middle of one of its video packets."""
    with av.open(str(path)) as source:
        places = [(p.pos, p.size) for p in source.demux(source.streams.video[0]) if p.size]
    place, size = places[int(len(places) * share)]
    path.write_bytes(path.read_bytes()[: place + size // 2])
