"""Files that a restoration may be given by bad luck or malice, made with PyAV, Pillow and bytes.

Each case says how many pictures it was made of and how a restoration has to end.
"""

import os
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import OutputContainer
from PIL import Image

SIZE = (48, 32)
COUNT = 12  # frames of a clip, three groups of pictures
MILLI = Fraction(1, 1000)
HUGE = 65535


class Case(NamedTuple):
    """One input. ``exits`` are the exit codes that are right; ``frames`` what went into it."""

    name: str
    make: Callable[[Path], Path | None]  # writes into a folder of its own and returns the input
    frames: int | None
    exits: tuple[int, ...]
    says: str = ""  # pattern of what has to be said
    blind: bool = False  # the loss cannot be seen in the file: it only must not be worse


# Clips -------------------------------------------------------------------------------------------


def pictures(form: str, size: tuple[int, int], count: int, first: int = 0) -> Iterator[Any]:
    """A moving smooth pattern in any pixel format."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    for index in range(first, first + count):
        waves = [127 + 90 * np.sin(x / 7 + y / 9 + k + index / 3) for k in range(3)]
        picture = av.VideoFrame.from_ndarray(np.stack(waves, -1).astype(np.uint8), "rgb24")
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
    line.codec_context.subtitle_header = b"[Script Info]\n\n[Events]\n"
    line.time_base = MILLI
    line.metadata["language"] = "swe"
    chapter = {"id": 1, "start": 0, "end": 100, "time_base": MILLI, "metadata": {"title": "one"}}
    output.set_chapters([chapter, chapter | {"id": 2, "start": 100, "end": 300}])
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


def clip(name: str, codec: str = "libx264", form: str = "yuv420p", **how: object) -> Callable:
    """A maker of one ``film``."""
    return lambda folder: film(folder / name, codec, form, **how)  # type: ignore[arg-type]


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
MOV = clip("a.mov", "png", "rgb24")
RAW = clip("a.h264")
FFV1 = clip("a.mkv", "ffv1")
Y4M = clip("a.y4m", "wrapped_avframe")
GIF = clip("a.gif", "gif", "rgb8")


# Damage ------------------------------------------------------------------------------------------


def changed(make: Callable[[Path], Path], change: Callable[[bytearray], object]) -> Callable:
    """A maker of a file whose bytes are changed; what ``change`` returns replaces them."""

    def made(folder: Path) -> Path:
        path = make(folder)
        data = bytearray(path.read_bytes())
        result = change(data)
        path.write_bytes(result if isinstance(result, bytes | bytearray) else data)
        return path

    return made


def cut(share: float) -> Callable[[bytearray], bytearray]:
    return lambda data: data[: int(len(data) * share)]


def cut_packets(data: bytearray) -> bytearray:
    """The first two thirds of a transport stream's packets."""
    return data[: len(data) * 2 // 3 // 188 * 188]


def flip(seed: int, count: int, since: float = 0.1, until: float = 1.0) -> Callable:
    """Turn over ``count`` bits of a part of the file."""

    def change(data: bytearray) -> None:
        chance = random.Random(seed)
        for _ in range(count):
            place = chance.randrange(int(since * len(data)), int(until * len(data)))
            data[place] ^= 1 << chance.randrange(8)

    return change


def zero(since: float, until: float) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        start, stop = int(since * len(data)), int(until * len(data))
        data[start:stop] = bytes(stop - start)

    return change


def without(since: float, until: float, unit: int = 1) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        start, stop = (int(share * len(data)) // unit * unit for share in (since, until))
        del data[start:stop]

    return change


def put(box: bytes, offset: int, value: bytes) -> Callable[[bytearray], None]:
    """Overwrite bytes after the name of every box of an mp4."""

    def change(data: bytearray) -> None:
        for match in re.finditer(re.escape(box), bytes(data)):
            data[match.end() + offset : match.end() + offset + len(value)] = value

    return change


def stamped(stamp: Callable[[int, int], int | None]) -> Callable[[bytearray], None]:
    """Give the video of a transport stream other time stamps, made of number and old one; or none.

    Decoding time stamps go.
    """

    def change(data: bytearray) -> None:
        places = [m.start() for m in re.finditer(rb"\0\0\x01\xe0", bytes(data))]
        for number, place in enumerate(places):
            head = data[place + 9 : place + 14]
            old = (head[0] >> 1 & 7) << 30 | head[1] << 22 | (head[2] >> 1) << 15
            new = stamp(number, old | head[3] << 7 | head[4] >> 1)
            data[place + 7] &= 0x3F
            if new is None:
                data[place + 9 : place + 14] = b"\xff" * 5
                continue
            data[place + 7] |= 0x80
            new %= 2**33
            data[place + 9 : place + 14] = bytes(
                (0x21 | new >> 29 & 0xE, new >> 22 & 255, new >> 14 & 254 | 1)
            ) + bytes((new >> 7 & 255, new << 1 & 254 | 1))
            if data[place + 8] >= 10:
                data[place + 14 : place + 19] = b"\xff" * 5

    return change


NOBFRAMES = {"bf": "0"}
TIMES = clip("a.ts", options=NOBFRAMES)


def joined(*makes: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The bytes of several files one after the other."""

    def made(folder: Path) -> Path:
        parts = []
        for make in makes:
            path = make(folder)
            parts.append(path.read_bytes())
        path.write_bytes(b"".join(parts))
        return path

    return made


# Things that are no video ------------------------------------------------------------------------


def holding(name: str, data: bytes) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return made


def renamed(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    return lambda folder: make(folder).rename(folder / name)


def link(name: str, target: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return made


def fifo(name: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return made


def sock(folder: Path) -> Path:
    with closing(socket.socket(socket.AF_UNIX)) as plug:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        try:
            plug.bind("a.mp4")
        finally:
            os.chdir(here)
    return folder / "a.mp4"


def locked(folder: Path) -> Path | None:
    """A file that nobody may read; root may, so there is none for root."""
    if os.geteuid() == 0:
        return None
    path = MP4(folder)
    path.chmod(0)
    return path


def empty_folder(folder: Path) -> Path:
    (folder / "a.mp4").mkdir()
    return folder / "a.mp4"


def no_pictures(folder: Path) -> Path:
    """A video track without a packet."""
    return changed(MP4, put(b"stsz", 8, bytes(4)))(folder)


def playlist(name: str, text: str) -> Callable[[Path], Path]:
    """A text that names {secret}, a video of its own; nobody asked for that one."""

    def made(folder: Path) -> Path:
        secret = film(folder / "secret.ts", size=(80, 64), count=5)
        (folder / name).write_text(text.format(secret=secret, uri=secret.as_uri()))
        return folder / name

    return made


M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{secret}'\nduration 0.2\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp2t">'
    '<Representation id="1" bandwidth="1" width="80" height="64"><BaseURL>{uri}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)
ELSEWHERE = "http://127.0.0.1:9/secret.ts"


# Folders of images -------------------------------------------------------------------------------


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


def png_head(width: int, height: int) -> bytes:
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + head


def saved(name: str, mode: str = "RGB", **how: object) -> Callable[[Path], Path]:
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


def bad_sum(data: bytearray) -> None:
    data[data.index(b"IDAT") + 20] ^= 0xFF


def gaps(folder: Path) -> None:
    for old, new in ((1, 4), (2, 7)):
        (folder / f"f{old}.png").rename(folder / f"f{new}.png")


BMP = saved("a.bmp")
NO = (2,)
LOST = (1,)
WELL = (0,)

CASES = [
    # Cut short
    Case("mp4 cut at 50 %, index at the end", changed(LATE, cut(0.5)), COUNT, NO, "cut off"),
    Case("mp4 cut at 60 %, index first", changed(MP4, cut(0.6)), COUNT, LOST, "cut off"),
    Case("mp4 cut at 98 %, index first", changed(MP4, cut(0.98)), COUNT, LOST, "cut off"),
    Case("mp4 cut in its header, 40 bytes", changed(MP4, lambda d: d[:40]), COUNT, NO, "cut off"),
    Case("fragmented mp4 cut at 60 %", changed(PIECES, cut(0.6)), COUNT, LOST, "cut off"),
    Case("mkv cut at 60 %", changed(MKV, cut(0.6)), COUNT, LOST, "cut off"),
    Case("mkv cut at 97 %", changed(MKV, cut(0.97)), COUNT, LOST, "cut off"),
    Case("mkv cut in its header, 300 bytes", changed(MKV, lambda d: d[:300]), COUNT, NO),
    Case("webm (VP9, Opus) cut at 60 %", changed(WEBM, cut(0.6)), COUNT, LOST, "cut off"),
    Case("ts cut at 60 %, in a packet", changed(TS, cut(0.6)), COUNT, LOST, "cut off"),
    Case("ts cut between packets", changed(TS, cut_packets), COUNT, (0, 1), blind=True),
    Case("avi cut at 60 %", changed(AVI, cut(0.6)), COUNT, LOST, "cut off"),
    Case("flv cut at 60 %", changed(FLV, cut(0.6)), COUNT, LOST, "cut off|missing"),
    Case("mpg cut at 60 %", changed(MPG, cut(0.6)), COUNT, (0, 1), blind=True),
    Case("raw h264 cut at 60 %", changed(RAW, cut(0.6)), COUNT, (0, 1), blind=True),
    Case("y4m cut at 60 %", changed(Y4M, cut(0.6)), COUNT, LOST),
    Case("gif cut at 60 %", changed(GIF, cut(0.6)), COUNT, LOST),
    # Bits and blocks
    Case("mp4 with 20 bits flipped", changed(MP4, flip(1, 20, 0.3)), COUNT, (0, 1, 2)),
    Case("mp4 with 20 bits of the index flipped", changed(MP4, flip(2, 20, 0, 0.15)), COUNT,
         (0, 1, 2)),
    Case("mkv with 20 bits flipped", changed(MKV, flip(3, 20)), COUNT, (0, 1, 2)),
    Case("webm with 20 bits flipped", changed(WEBM, flip(4, 20, 0.3)), COUNT, (0, 1, 2)),
    Case("avi with 20 bits flipped", changed(AVI, flip(5, 20, 0.3)), COUNT, (0, 1, 2)),
    Case("ts with 20 bits flipped", changed(TS, flip(6, 20)), COUNT, (0, 1, 2)),
    Case("ffv1 with 20 bits flipped", changed(FFV1, flip(7, 20, 0.3)), COUNT, LOST),
    Case("mkv with zeros at 40 to 55 %", changed(MKV, zero(0.4, 0.55)), COUNT, LOST),
    Case("mp4 with zeros at 50 to 70 %", changed(MP4, zero(0.5, 0.7)), COUNT, LOST),
    Case("ts with zeros at 40 to 55 %", changed(TS, zero(0.4, 0.55)), COUNT, LOST),
    Case("ts without packets from 40 to 55 %", changed(TS, without(0.4, 0.55, 188)), COUNT, LOST),
    Case("avi without bytes from 40 to 55 %", changed(AVI, without(0.4, 0.55)), COUNT, LOST),
    # Not what the name says
    Case("empty file", holding("a.mp4", b""), 0, NO, "is empty"),
    Case("4096 zero bytes named .mp4", holding("a.mp4", bytes(4096)), 0, NO, "not a video"),
    Case("text named .mp4", holding("a.mp4", b"Not a film.\n" * 99), 0, NO, "not a video"),
    Case("zip named .mkv", holding("a.mkv", b"PK\3\4" + bytes(999)), 0, NO, "not a video"),
    Case("random bytes named .ts", holding("a.ts", random.Random(8).randbytes(9999)), 0, NO),
    Case("mp4 named .avi", renamed(MP4, "a.avi"), COUNT, WELL),
    Case("mkv named .xyz", renamed(MKV, "a.xyz"), COUNT, WELL),
    Case("mp4 named .png", renamed(MP4, "a.png"), COUNT, NO, "expected a PNG"),
    Case("png named .mp4", renamed(saved("a.png"), "a.mp4"), 1, NO, "not a video"),
    Case("name with a line break and %03d", renamed(MP4, "-a\n%03d:é.mp4"), COUNT, WELL),
    # Huge headers
    Case("y4m that declares 65535x65535",
         changed(Y4M, lambda d: d.replace(b"W48 H32", b"W65535 H65535")), COUNT, NO),
    Case("gif that declares 65535x65535", changed(GIF, put(b"GIF89a", 0, b"\xff" * 4)), COUNT, NO),
    Case("mp4 that declares 65535x65535", changed(MP4, put(b"avc1", 24, b"\xff" * 4)), COUNT,
         (0, 2)),
    Case("mp4 that declares 4294967295 frames of a duration",
         changed(MP4, put(b"stts", 8, b"\xff" * 4)), COUNT, (0, 1, 2)),
    Case("mp4 that declares 4294967295 bytes of a frame",
         changed(MP4, put(b"stsz", 12, b"\xff" * 4)), COUNT, (1, 2)),
    Case("mp4 that declares a length of 49 days",
         changed(MP4, put(b"mdhd", 16, b"\xff" * 4)), COUNT, (0, 1, 2)),
    Case("bmp that declares 65535x65535",
         changed(BMP, lambda d: d[:18] + (HUGE).to_bytes(4, "little") * 2 + d[26:]), 1, NO),
    Case("yuv of 99999x99999", holding("a_99999x99999.yuv", bytes(999)), 0, NO, "no whole frame"),
    Case("yuv with a part of a frame", holding("a_32x16.yuv", bytes(768 * 2 + 5)), 2, LOST),
    # Sizes and formats
    Case("1x1", clip("a.mkv", "ffv1", "yuv444p", size=(1, 1)), COUNT, WELL),
    Case("3x5, 4:2:0", clip("a.mkv", "mjpeg", "yuvj420p", size=(3, 5)), COUNT, WELL),
    Case("4096x16", clip("a.mkv", "ffv1", size=(4096, 16), count=2), 2, WELL),
    Case("16x4096", clip("a.mkv", "ffv1", size=(16, 4096), count=2), 2, WELL),
    Case("one frame", clip("a.mp4", count=1), 1, WELL),
    Case("4:4:4", clip("a.mp4", form="yuv444p"), COUNT, WELL),
    Case("4:2:2", clip("a.mp4", form="yuv422p"), COUNT, WELL),
    Case("4:1:0", clip("a.mkv", "ffv1", "yuv410p"), COUNT, WELL),
    Case("10 bit", clip("a.mkv", "libx264", "yuv420p10le"), COUNT, WELL),
    Case("12 bit 4:2:2", clip("a.mkv", "ffv1", "yuv422p12le"), COUNT, WELL),
    Case("grey", clip("a.mkv", "ffv1", "gray"), COUNT, WELL),
    Case("grey of 16 bits", clip("a.mkv", "ffv1", "gray16le"), COUNT, WELL),
    Case("RGB of 8 bits with a palette (gif)", GIF, COUNT, WELL),
    Case("alpha in VP9", clip("a.webm", "libvpx-vp9", "yuva420p", options={"auto-alt-ref": "0"}),
         COUNT, WELL),
    Case("alpha in qtrle", clip("a.mov", "qtrle", "argb"), COUNT, WELL, "alpha"),
    Case("alpha in ProRes 4444", clip("a.mov", "prores_ks", "yuva444p10le"), COUNT, WELL, "alpha"),
    Case("alpha in ffv1", clip("a.mkv", "ffv1", "yuva420p"), COUNT, WELL, "alpha"),
    Case("rotated by 90 degrees",
         clip("a.mp4", matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 2**30)), COUNT, WELL),
    Case("interlaced", clip("a.mpg", "mpeg2video", options={"flags": "+ilme+ildct"}), COUNT,
         WELL, "interlaced"),
    Case("two video tracks", clip("a.mkv", videos=2), COUNT, WELL, "video track 1"),
    Case("sound only (mp4)", clip("a.mp4", sound="aac", videos=0), 0, NO, "only audio"),
    Case("sound only (wav)", clip("a.wav", sound="pcm_s16le", videos=0), 0, NO, "only audio"),
    Case("sound of an unknown code",
         changed(clip("a.mov", sound="pcm_s16le"), put(b"sowt", -4, b"zzzz")), COUNT, WELL,
         "audio track 1 .* is left out"),
    Case("video of an unknown code", changed(MP4, put(b"avc1", -4, b"zzzz")), COUNT, NO,
         "no decoder"),
    Case("zero frames", no_pictures, 0, NO),
    Case("size changes in the middle (ts)",
         joined(clip("a.ts"), clip("a.ts", size=(64, 48), stamps=list(range(480, 960, 40)))),
         2 * COUNT, LOST, "changes from 48x32 to 64x48"),
    Case("pixel format changes in the middle (ts)",
         joined(clip("a.ts"), clip("a.ts", form="yuv444p", stamps=list(range(480, 960, 40)))),
         2 * COUNT, (0, 1, 2)),
    # Times
    Case("variable rate with a gap of 100 s",
         clip("a.mkv", stamps=[0, 40, 45, 90, 400, 401, 402, *range(100000, 101500, 300)]), COUNT,
         WELL),
    Case("first time stamp at 10 hours", clip("a.ts", stamps=list(range(36000000, 36000480, 40))),
         COUNT, WELL),
    Case("negative time stamps",
         clip("a.mkv", stamps=[40 * n - 200 for n in range(12)],
              container={"avoid_negative_ts": "disabled"}), COUNT, WELL),
    Case("time stamps that jump back", changed(TIMES, stamped(lambda n, t: t - 20000 * (n % 3))),
         COUNT, (0, 1)),
    Case("equal time stamps", changed(TIMES, stamped(lambda n, t: 200000)), COUNT, (0, 1)),
    Case("time stamps that wrap around",
         changed(TIMES, stamped(lambda n, t: 2**33 + 3600 * (n - 5))), COUNT, WELL),
    Case("random time stamps", changed(TIMES, stamped(lambda n, t: n * 7919**3)), COUNT, (0, 1)),
    Case("no time stamps (ts)", changed(TIMES, stamped(lambda n, t: None)), COUNT, (0, 1)),
    Case("no time stamps (raw h264)", RAW, COUNT, WELL),
    # Playlists and scripts: the secret must stay one
    Case("m3u8 that names a local file", playlist("a.m3u8", M3U8.format("{secret}")), 0, NO,
         "not a video"),
    Case("m3u8 named .mp4", playlist("a.mp4", M3U8.format("{uri}")), 0, NO, "not a video"),
    Case("m3u8 named .ts with a relative name", playlist("a.ts", M3U8.format("secret.ts")), 0, NO),
    Case("m3u8 that names a URL", playlist("a.m3u8", M3U8.format(ELSEWHERE)), 0, NO, "not a video"),
    Case("ffconcat script", playlist("a.ffconcat", CONCAT), 0, NO, "not a video"),
    Case("ffconcat script named .mp4", playlist("a.mp4", CONCAT), 0, NO, "not a video"),
    Case("ffconcat script with a relative name",
         playlist("a.mkv", "ffconcat version 1.0\nfile secret.ts\n"), 0, NO, "not a video"),
    Case("ffconcat script with a URL",
         playlist("a.mkv", f"ffconcat version 1.0\nfile {ELSEWHERE}\n"), 0, NO, "not a video"),
    Case("sdp", playlist("a.sdp", SDP), 0, NO, "not a video"),
    Case("dash manifest", playlist("a.mpd", DASH), 0, NO, "not a video"),
    Case("name that is a protocol", lambda folder: Path("concat:secret.ts|secret.ts"), 0, NO,
         "there is no file"),
    # Images
    Case("folder with images of two sizes",
         folder_of(3, lambda f: photo(3, (50, 32)).save(f / "f3.png")), 4, NO, "of one size"),
    Case("folder with a text, a folder and a hidden file",
         folder_of(3, holding("b.txt", b"hello"), holding(".b.png", b""),
                   lambda f: (f / "c.png").mkdir()), 3, WELL),
    Case("folder with a text named .png", folder_of(3, holding("b.png", b"hi")), 3, NO,
         "b.png is none"),
    Case("folder with a link to an image", folder_of(3, link("f3.png", "f0.png")), 4, WELL),
    Case("folder with a link that leads nowhere", folder_of(3, link("f3.png", "gone.png")), 3,
         NO, "f3.png"),
    Case("folder with a fifo named .png", folder_of(3, fifo("f3.png")), 3, NO, "f3.png"),
    Case("folder with gaps in its numbers", folder_of(3, gaps), 3, WELL, "no image between"),
    Case("png bomb, 50000x50000 declared",
         holding("a.png", png_head(50000, 50000) + bytes(999)), 1, NO, "too large"),
    Case("folder with a png bomb",
         folder_of(2, holding("f2.png", png_head(50000, 50000) + bytes(999))), 3, NO, "too large"),
    Case("truncated png", changed(saved("a.png"), cut(0.6)), 1, NO, "broken"),
    Case("png with a wrong check sum", changed(saved("a.png"), bad_sum), 1, (1, 2)),
    Case("truncated jpeg", changed(saved("a.jpg"), cut(0.6)), 1, (1, 2)),
    Case("truncated tiff", changed(saved("a.tif"), cut(0.6)), 1, (1, 2)),
    Case("truncated bmp", changed(saved("a.bmp"), cut(0.6)), 1, (1, 2)),
    Case("truncated webp", changed(saved("a.webp"), cut(0.6)), 1, (1, 2)),
    Case("png of 16 bits", deep, 1, WELL),
    Case("png with alpha", saved("a.png", "RGBA"), 1, WELL, "alpha"),
    Case("jpeg in CMYK", saved("a.jpg", "CMYK"), 1, (0, 2)),
    Case("jpeg turned by EXIF", turned, 1, WELL),
    Case("folder of one jpeg", in_folder(saved("a.jpg")), 1, WELL),
    # Not files
    Case("folder named a.mp4, empty", empty_folder, 0, NO, "holds no images"),
    Case("fifo named .mp4", fifo("a.mp4"), 0, NO, "expected a"),
    Case("fifo named .png", fifo("a.png"), 0, NO, "expected a"),
    Case("fifo named .yuv", fifo("a_32x16.yuv"), 0, NO, "expected a"),
    Case("device of endless zeros named .mp4", link("a.mp4", "/dev/zero"), 0, NO, "expected a"),
    Case("device of endless zeros named .png", link("a.png", "/dev/zero"), 0, NO, "expected a"),
    Case("socket named .mp4", sock, 0, NO, "expected a"),
    Case("link that leads nowhere", link("a.mp4", "gone"), 0, NO, "there is no file"),
    Case("link to itself", link("a.mp4", "a.mp4"), 0, NO, "there is no file"),
    Case("file that gives read errors", link("a.mp4", "/proc/self/mem"), 0, NO),
    Case("unreadable file", locked, 0, NO, "permission denied"),
]  # fmt: skip
