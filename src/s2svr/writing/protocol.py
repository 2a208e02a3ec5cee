"""The contract of writers, and what they are asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from ..color import ColorInfo
from ..media import Frame

if TYPE_CHECKING:
    from .workfolder import WorkFolder


@dataclass(frozen=True)
class SoundChoice:
    """The sound that goes into an output, and how."""

    form: str | None = None  # of SOUND_FORMS; None: copied where container and players take it
    tracks: tuple[str, ...] = ()  # numbers of streams, or languages; none: all of it


@dataclass(frozen=True)
class OutputFormat:
    """Size and coding of an output; what is None follows the source or is our choice."""

    width: int  # pixels
    height: int
    bits: int | None = None  # of each code
    codec: str | None = None  # a key of CODECS, or of IMAGES
    crf: int | None = None  # quality of the codec, lower is better
    bitrate: int | None = None  # bits a second, in place of crf
    preset: str | None = None  # of the encoder: its speed
    sound: SoundChoice = SoundChoice()


class Position(NamedTuple):
    """Progress of a writer: all that another one needs to go on in the same work folder."""

    frames: int
    segments: int  # files of encoded video
    last: int | None  # time stamp of the last frame
    moved: int  # number of time stamps that were moved forward
    lost: tuple[str, ...] = ()  # names of the tags of images that the output does not hold


class Writer(Protocol):
    """Takes frames in the format it names; the file appears if ``with`` ends without exception."""

    path: Path
    color: ColorInfo  # of the planes that ``write`` takes
    chroma: tuple[int, int]
    warnings: list[str]  # sentences about what was converted or dropped

    @property
    def work(self) -> "WorkFolder | None":
        """Where it works; None for one that keeps nothing."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None: ...

    def write(self, frame: Frame) -> None:
        """Take the next frame."""

    def end_segment(self) -> Position:
        """Wait until all frames so far are on the disk; return how far that is."""

    def go_on(self, position: Position) -> None:
        """Continue after what the work folder holds; before the first ``write``."""

    def discard(self) -> None:
        """Close everything that is open, and remove what is not finished."""
