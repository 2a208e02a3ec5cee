"""Settings of a restoration, as values that can be handed on, compared and stored."""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from ..finish import Finish
from ..media import Reader, open_reader
from ..sizes import Sizing
from ..writing import OutputFormat, SoundChoice, parse_output


@dataclass(frozen=True)
class Excerpt:
    """The frames of a source that are taken, and how they are read."""

    start: Fraction | None = None  # seconds
    end: Fraction | None = None
    fps: Fraction | None = None  # frames a second of images and raw video
    deinterlace: str = "auto"  # or off, refuse, bob or ivtc

    def open(self, source: Path) -> Reader:
        """The reader of these frames; raises MediaError."""
        return open_reader(
            source, fps=self.fps, start=self.start, end=self.end, deinterlace=self.deinterlace
        )


@dataclass(frozen=True)
class Encoding:
    """The form that the result is written in; None leaves the choice to the writer."""

    codec: str | None = None
    crf: int | None = None  # of the encoder: lower is better
    bits: int | None = None  # 8, 10, 12 or 16
    scale: float | Fraction | None = None  # times larger than the input, at most the network's
    size: tuple[int, int] | None = None  # or (width, height) in pixels
    bitrate: int | None = None  # bits a second, in place of crf
    preset: str | None = None  # of the encoder: its speed
    sound: SoundChoice = SoundChoice()
    height: int | None = None  # or one of these three, as Sizing has them
    width: int | None = None
    fit: tuple[int, int] | None = None

    @property
    def sizing(self) -> Sizing:
        """The size that is asked for."""
        return Sizing(self.scale, self.size, self.height, self.width, self.fit)

    def output(self, size: tuple[int, int]) -> OutputFormat:
        """What a writer of frames of a size (width, height) is asked for."""
        return OutputFormat(
            *size, self.bits, self.codec, self.crf, self.bitrate, self.preset, self.sound
        )


@dataclass(frozen=True)
class Compute:
    """The place, precision and pieces in which the network runs."""

    device: torch.device | str | None = None  # None: where the network is
    dtype: torch.dtype | None = torch.float32  # None: the faster one of a CPU, see ``plan``
    threads: int | None = None  # of the CPU; None: as they are
    window: int = 16  # frames that are restored at once, at most
    tile: int | None = None  # longest side of a part of a frame, pixels; None: whole frames


@dataclass(frozen=True)
class Stretch:
    """A part of a film that is restored by itself, to be joined with the others later.

    ``warm`` frames before it are restored as well, only to be remembered: none where a shot begins.
    """

    first: int  # frames: the number of its first in the source
    end: int  # and of the one after its last
    warm: int = 0
    last: int | None = None  # time stamp of the frame before it in the output
    moved: int = 0  # time stamps before it that were moved forward
    exact: bool = True  # nothing before the warm frames matters: a shot begins there


@dataclass(frozen=True)
class Job:
    """One restoration: all of it but the network itself."""

    source: Path
    target: Path
    excerpt: Excerpt = field(default_factory=Excerpt)
    encoding: Encoding = field(default_factory=Encoding)
    compute: Compute = field(default_factory=Compute)
    scene_cuts: bool = True  # memory starts afresh where a shot begins
    overwrite: bool = False  # a target that is there is replaced
    restart: bool = False  # what an earlier try has left is not gone on with
    network: str = ""  # a name for the network, as people know it
    why: str = ""  # it was taken
    finish: Finish = Finish()  # of the restored frames
    stretch: Stretch | None = None  # only this is made, and kept in the work folder of the target
    parts: tuple[Path, ...] = ()  # targets of all stretches: they are joined

    @property
    def place(self) -> Path:
        """The file or folder that appears; MediaError for a target that cannot be."""
        return parse_output(self.target).place

    def is_refused(self) -> bool:
        """True if the target is there and may not be replaced: the writer will refuse it."""
        return os.path.exists(self.place) and not self.overwrite  # also of a name too long to be
