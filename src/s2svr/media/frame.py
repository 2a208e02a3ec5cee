"""Frames as readers yield them, what is known of a file, and name tags for what is processed."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self, TypeVar

import av
import torch
from torch import Tensor

from ..color import ColorInfo
from .display import Display
from .photos import NO_TAGS, PhotoTags
from .sidedata import Message

Tag = TypeVar("Tag")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Frame:
    """One picture, in coded orientation (a rotation tag is not applied)."""

    # Y, Cb, Cr, subsampled as coded, or R, G, B, or grey: uint8, or uint16 above 8 bits.
    planes: tuple[Tensor, ...]
    color: ColorInfo
    time: Fraction | None  # seconds, as in the file; None in image folders
    duration: Fraction | None = None  # seconds, where the file says so
    corrupt: bool = False  # the decoder met damage in this frame
    messages: tuple[Message, ...] = ()  # captions and the like, which travel with the picture
    tags: PhotoTags = NO_TAGS  # of an image file

    def shows(self, other: "Frame | None") -> bool:
        """True if it shows the same as another frame: equal codes that mean the same."""
        if other is None or self.color != other.color or len(self.planes) != len(other.planes):
            return False
        pairs = zip(self.planes, other.planes, strict=True)
        return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@dataclass(frozen=True)
class Track:
    """One stream of a file, other than its video."""

    kind: str  # audio, subtitle, attachment, data or video
    codec: str
    language: str = ""
    title: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.codec, self.language, self.title)))


@dataclass(frozen=True)
class MediaInfo:
    """Facts about a video that are known before its frames are read."""

    width: int  # pixels, as coded
    height: int
    rate: Fraction  # frames per second, the mean where it varies
    time_base: Fraction  # seconds; every time stamp is a multiple
    color: ColorInfo
    chroma: tuple[int, int]  # subsampling, horizontal and vertical
    rotation: int = 0  # degrees, anticlockwise, that a player applies
    aspect: Fraction = Fraction(1)  # of one pixel: width / height
    duration: Fraction | None = None  # seconds, between start and end where they are given
    tracks: list[Track] = field(default_factory=list)
    kind: str = "video"  # or "images"
    codec: str = ""
    container: str = ""
    interlaced: bool = False
    names: tuple[str, ...] = ()  # of images, without their suffixes
    timecode: str = ""  # of the first frame that is read

    @property
    def frames(self) -> int | None:
        """Number of frames, for progress bars: exact only for images."""
        return None if self.duration is None else max(1, round(self.duration * self.rate))

    @property
    def lossy(self) -> bool:
        """True if coding may have lost detail; codecs that can also be lossless count as lossy."""
        return av.Codec(self.codec, "r").lossy


class Reader(Protocol):
    """An iterator of frames that closes its file at the end of a ``with`` block."""

    path: Path
    info: MediaInfo
    damage: list[str]  # filled while reading: sentences about what is missing or broken
    warnings: list[str]  # sentences about what is dropped or assumed
    messages: Counter[str]  # filled while reading: messages of frames, by the names of their kinds
    start: Fraction | None  # seconds in the file's time; None: its begin
    end: Fraction | None
    shift: Fraction  # the time that becomes 0 in an output
    display: Display  # orientation and HDR10 side data

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...


class FrameReader:
    """What readers share: their ``frames``, one after another, and none when they are closed."""

    frames: Iterator[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.frames = iter(())
        self.close()

    def close(self) -> None:
        """Let go of the file, where one is open."""


def lasting(picture: av.VideoFrame, seconds: Fraction, unit: Fraction) -> av.VideoFrame:
    """Give a picture a duration, of one unit (seconds) at least."""
    picture.duration = max(1, round(seconds / unit))
    return picture


def carried(
    tagged: Iterable[tuple[Tag, Item]], process: Callable[[Iterator[Item]], Iterable[Result]]
) -> Iterator[tuple[Tag, Result]]:
    """Results of a process, each with the tag of the item that it was made of.

    ``process`` turns an iterator of items into as many results, in their order; it may look ahead
    as far as it likes. So a frame that was decoded gets back what it has become, at its own time
    stamp. Raises RuntimeError where there are not as many results as items.
    """
    tags: deque[Tag] = deque()

    def items() -> Iterator[Item]:
        for tag, item in tagged:
            tags.append(tag)
            yield item

    for result in process(items()):
        if not tags:
            raise RuntimeError("expected one result for each item, got one more")
        yield tags.popleft(), result
    if tags:
        raise RuntimeError(f"expected one result for each item, {len(tags)} are missing")
