"""Opening of video files, and facts from their headers."""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from .errors import MediaError, ffmpeg_speaks
from .frame import Track
from .integrity import PNG, ends_inside_unit, scrambled
from .stills import hide_png_profile

# Files only, and only formats that hold a picture or sound: no playlists or scripts that name
# other files, and no text.
FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,nut,"
    "yuv4mpegpipe,dv,mxf,gif,apng,rm,vc1,wav,w64,caf,aiff,mp3,aac,flac,ac3,eac3"
)
MAX_PIXELS = 2**27  # 15360 x 8640; a header that asks for more is taken for a broken one
MOST_BOXES = 1_000_000  # of an mp4 that are looked at
# Those on its first level; cameras write others, and bytes that are none, behind the last.
BOXES = b"ftyp moov mdat moof mfra free skip wide uuid udta meta sidx ssix styp emsg prft pdin pnot"
HEADER_LOOK = 1 << 16  # bytes that say whether a file is encrypted
ENCRYPTED_ENTRY = re.compile(rb"stsd.{12}(encv|enca|drmi|drms)", re.DOTALL)
# Elements ContentEncodings, ContentEncoding (with their sizes) and ContentEncryption, each in the
# one before. The last two alone are met by chance in the pictures of one file in a thousand.
MATROSKA_KEY = re.compile(rb"\x6d\x80.{1,16}?\x62\x40.{1,80}?\x50\x35", re.DOTALL)
ASF_KEYS = (  # the objects ContentEncryption and ExtendedContentEncryption
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
FLV_HEAD = 13  # bytes before the first tag


def file_url(path: Path) -> str:
    """Name of a file as FFmpeg takes it; by itself, what stands before a colon is a protocol."""
    return f"file:{path}"


SITINGS = ("left", "center", "topleft", "top", "bottomleft", "bottom")
STREAM = re.compile(r"  Stream #\d+:(\d+)\b(.*)")
TAG = re.compile(r"\((\S{4}|\[\S+?) / 0x[0-9A-Fa-f]{4,8}\)")
PIXELS = re.compile(r"Video: .*?\b[a-z0-9]+\(([^()]*)\)")
CROPPING = re.compile(r"(\d+)/(\d+)/(\d+)/(\d+)")


@dataclass
class StreamFacts:
    """Facts of one stream; what the file does not say is empty."""

    siting: str = ""  # position of chroma, one of SITINGS
    tag: str = ""  # four characters by which a container calls its codec
    sides: dict[str, str] = field(default_factory=dict)  # side data: name and value, as words

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Pixels that a player hides: left, right, top, bottom."""
        found = CROPPING.match(self.sides.get("Frame Cropping", ""))
        left, right, top, bottom = map(int, found.groups()) if found else (0, 0, 0, 0)
        return left, right, top, bottom


@dataclass
class Facts:
    """Facts of a file: of each stream by its index, and the metadata of programs (of MPEG-TS)."""

    streams: dict[int, StreamFacts] = field(default_factory=dict)
    programs: list[dict[str, str]] = field(default_factory=list)

    def of(self, index: int) -> StreamFacts:
        """Facts of a stream; empty ones where the description leaves it out."""
        return self.streams.get(index, StreamFacts())


def open_container(path: Path) -> InputContainer:
    """Open a media file. Raises MediaError with the reason in one sentence."""
    if not path.exists():
        raise MediaError(f"there is no file {path}")
    if not path.is_file():
        raise MediaError(f"expected a video file, {path} is none")
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    options["merge_pmt_versions"] = "1"  # streams of a second recording are those of the first
    try:
        return without_profile(av.open(file_url(path), options=options, metadata_errors="replace"))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise MediaError(f"{path} may not be read: permission denied") from error
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty") from error
        raise MediaError(f"{path} is not a video that can be read{why_unreadable(path)}") from error


def without_profile(container: InputContainer) -> InputContainer:
    """The open file, of whose animated PNG the decoder sees no profile: see hide_png_profile."""
    for stream in container.streams.video:
        context = stream.codec_context
        if context and context.name == "apng" and context.extradata:
            context.extradata = hide_png_profile(PNG + context.extradata)[len(PNG) :]
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Choose the main video stream: the default one, or the first, that is no cover picture.

    Raises MediaError where there is none that can be decoded.
    """
    streams = [s for s in container.streams.video if not is_cover(s)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        found = f", only {' and '.join(kinds)}" if kinds else ""
        raise MediaError(f"{path} has no video{found}{why_unreadable(path)}")
    if is_moving_avif(container):
        streams = [s for s in streams if s.duration] or streams
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if stream.codec_context is None or not stream.codec_context.codec.is_decoder:
        raise MediaError(f"{path} has a video that no decoder here knows{why_unreadable(path)}")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise MediaError(f"{path} claims a picture of {width}x{height}, too large to be true")
    return stream


def header_end(container: InputContainer, stream: VideoStream, origin: Fraction) -> Fraction | None:
    """End of a video that begins at ``origin``, as the headers say; both in seconds."""
    if (tagged := tagged_end(stream)) is not None:
        return tagged
    if stream.duration and stream.duration > 0:  # of tiny frames in a pipe FFmpeg counts less
        return origin + stream.duration * (stream.time_base or 0)
    if not container.duration:
        return None
    stop = Fraction(container.duration, 1_000_000)
    begin = Fraction(container.start_time or 0, 1_000_000)
    return stop if "matroska" in container.format.name else begin + stop


def tagged_end(stream: VideoStream) -> Fraction | None:
    """End of a Matroska track in seconds, if its tag has it; the header has the longest track's."""
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return found and Fraction(found[3]) + 60 * int(found[2]) + 3600 * int(found[1])


def why_unreadable(path: Path) -> str:
    """Words that an error adds about a file that ends too early or is scrambled; else empty.

    There are none of what came through a pipe, which cannot be looked at again.
    """
    if not path.is_file():
        return ""
    if is_cut_off(path):
        return ": it is cut off before its index"
    return ": it is encrypted (scrambled packets)" if scrambled(path) else ""


def is_cover(stream: Stream) -> bool:
    """True if a video stream is a single attached picture."""
    return bool(stream.disposition & Disposition.attached_pic)


def other_tracks(container: InputContainer, video: VideoStream) -> list[Track]:
    """Describe the streams of a file other than ``video``."""
    return [
        Track(s.type, codec_name(s), s.metadata.get("language", ""), s.metadata.get("title", ""))
        for s in streams_beside(container, video)
    ]


def streams_beside(container: InputContainer, video: VideoStream) -> list[Stream]:
    """The streams of a file other than ``video``, without the stills of an AVIF that moves."""
    moving = is_moving_avif(container)
    streams = [s for s in container.streams if s.index != video.index]
    return [s for s in streams if not (moving and s.type == "video" and not s.duration)]


def is_moving_avif(container: InputContainer) -> bool:
    """True for an animated AVIF: beside its film it holds one still of it."""
    return container.metadata.get("major_brand") == "avis"


def codec_name(stream: Stream) -> str:
    """Name of a stream's codec, as a decoder calls it; empty where it is not known."""
    if stream.codec_context:
        return stream.codec_context.name
    return getattr(stream, "name", None) or ""  # sound and video have none without a decoder


def is_cut_off(path: Path) -> bool:
    """True if a file ends earlier than its own sizes say.

    Known for mp4, mov, mkv, webm, avi and the formats of ``ends_inside_unit``.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        if head[:4] == b"RIFF":
            return ends_inside_riff(file, size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return end_of_segment(head) > size
        if ends_inside_unit(path, head):
            return True
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return False
        return ends_inside_box(file, size)


def ends_inside_riff(file: BinaryIO, size: int) -> bool:
    """True if a file ends inside a RIFF, of which a large AVI has several."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        if head[:4] != b"RIFF":
            break
        place += 8 + int.from_bytes(head[4:], "little")
        place += place % 2 * (place < size)
    return place > size


def ends_inside_box(file: BinaryIO, size: int) -> bool:
    """True if an mp4 ends inside one of BOXES, or before its index."""
    place, seen = 0, set()
    for _ in range(MOST_BOXES):
        if place + 8 > size:
            break
        file.seek(place)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        seen.add(name)
        if 0 < length < 8 or place + length > size:  # also a box of 64 bits without its length
            return name in BOXES.split()
        if length == 0:  # up to the end
            return False
        place += length
    # What is too short for a box may be the begin of one where fragments follow each other.
    return place < size and (b"moov" not in seen or b"moof" in seen)


def end_of_segment(head: bytes) -> int:
    """Byte at which the Matroska segment after the header ends; 0 if its length is not given."""

    def number(place: int) -> tuple[int, int, bool]:
        width = 9 - head[place].bit_length()
        value = int.from_bytes(head[place : place + width], "big") & (1 << 7 * width) - 1
        return value, place + width, value == (1 << 7 * width) - 1

    length, place, _ = number(4)
    place += length
    if place + 12 > len(head) or head[place : place + 4] != b"\x18\x53\x80\x67":
        return 0
    length, place, unknown = number(place + 4)
    return 0 if unknown else place + length


def read_facts(container: InputContainer) -> Facts:
    """Facts of an open file."""
    with ffmpeg_speaks():
        text = container.dumps_format()  # type: ignore[attr-defined]
    return parse_facts(text)


def parse_facts(text: str) -> Facts:
    """Facts that FFmpeg's description of a file names."""
    facts, section = Facts(), ""
    stream: StreamFacts | None = None
    for line in text.splitlines():
        depth, words = len(line) - len(line.lstrip()), line.strip()
        if found := STREAM.match(line):
            stream = facts.streams[int(found[1])] = stream_facts(found[2])
        elif re.match(r"  Program \d+", line):
            stream, section = None, "program"
            facts.programs.append({})
        elif depth == 2:
            stream, section = None, ""
        elif depth == 4 and stream is not None:
            section = words
        elif depth == 6 and ":" in words:
            name, _, value = (part.strip() for part in words.partition(":"))
            if stream is not None and section == "Side data:":
                stream.sides[name] = value
            elif section == "program":
                facts.programs[-1][name] = value
        elif depth == 6 and stream is not None and section == "Side data:":
            stream.sides[words] = "yes"
    return facts


def stream_facts(text: str) -> StreamFacts:
    """Facts that the line of a stream names."""
    tag, pixels = TAG.search(text), PIXELS.search(text)
    words = pixels[1].split(", ") if pixels else []
    siting = next((word for word in words if word in SITINGS), "")
    return StreamFacts(siting, tag[1] if tag else "")


def encryption_in(path: Path) -> str:
    """How a file's header says that it is encrypted, in words; empty where it does not.

    Looked at are mp4 and mov, Matroska and WebM, ASF and FLV.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        head = file.read(HEADER_LOOK)
        if head[4:8] in (b"ftyp", b"moov", b"styp", b"wide", b"free", b"skip", b"mdat"):
            found = ENCRYPTED_ENTRY.search(movie_header(file, size))
            return {b"drm": "FairPlay"}.get(found[1][:3], "CENC") if found else ""
        if head[:4] == b"\x1a\x45\xdf\xa3" and MATROSKA_KEY.search(head):
            return "Matroska's encryption"
        if head[:4] == b"\x30\x26\xb2\x75" and any(name in head for name in ASF_KEYS):
            return "Windows Media DRM"
        if head[:3] == b"FLV" and len(head) > FLV_HEAD and head[FLV_HEAD] & 0x20:
            return "Flash Access"
    return ""


def movie_header(file: BinaryIO, size: int) -> bytes:
    """The box ``moov`` of an mp4; empty where there is none."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            file.seek(place)
            return file.read(length or size)
        if length < 8:
            break
        place += length
    return b""
