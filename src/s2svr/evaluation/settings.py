"""Settings of an evaluation: rules of scoring, and folders for what it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..flow import Flow
from .protocols import PROTOCOLS


@dataclass(frozen=True)
class Scoring:
    """Rules by which clips are scored. Raises ValueError for protocols that do not exist."""

    protocols: Sequence[str] = ("rgb", "y")  # names of PROTOCOLS
    frames: int | None = None  # of each clip, the first; None: all
    segments: Sequence[int] = ()  # for each, the model is also run afresh after so many frames
    flow: Flow | None = None  # estimates the motion that flicker is measured along
    motion: Path | None = None  # folder of .flo files, by clip, that ours aligns by
    damage: str = ""  # of clips that are damaged: networks are told its coding as by a file

    def __post_init__(self) -> None:
        for name in self.protocols:
            if name not in PROTOCOLS:
                raise ValueError(f"expected a protocol ({', '.join(PROTOCOLS)}), got {name!r}")


@dataclass(frozen=True)
class Storage:
    """Folders in which an evaluation keeps files; where None, it keeps none of that kind."""

    scores: Path | None = None  # each clip's scores, for an evaluation that goes on later
    pictures: Path | None = None  # the worst and the best frame of each clip
    damaged: Path | None = None  # damaged clips, shared by all evaluations of one label
    label: str = ""  # of the damage: scores of another label are refused


DEFAULT_SCORING, NO_STORAGE = Scoring(), Storage()
