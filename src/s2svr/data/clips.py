"""Crops of stored clips, drawn at random for a training."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor
from torch.utils.data import Dataset

from .clip import as_float
from .store import MOVING, Stored

Smaller = Annotated[float, Field(ge=1)]  # so many times


class Data(BaseModel):
    """A choice of clips and crops; lengths in frames, sizes in low-quality pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    degradation: str = "bicubic"  # a name of damage.degradation
    dataset: str = "folder"  # a name of data.DATASETS
    split: str = "train"
    without: tuple[str, ...] = ()  # sources (see source_of) that are left out
    copies: int = Field(1, ge=1)  # of each clip, each damaged anew
    sizes: tuple[Smaller, ...] = Field((1.0,), min_length=1)  # of copies or codings, in turn
    part: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None  # frames, rows, columns
    frames: int = Field(7, ge=1)
    mirrored: bool = False  # the clip followed by itself backward in time (Vimeo-90K)
    crop: int = Field(64, ge=8)  # square that is restored
    context: tuple[int, int] = (88, 160)  # height, width of the part around the crop
    skip: int = Field(1, ge=1)  # largest step between frames
    reverse: bool = True  # time reversal
    transpose: bool = False  # rows for columns, where a crop or a square context allows it
    jitter: float = Field(0.0, ge=0, lt=1)  # change of each colour's strength, up to this share
    rendered: float = Field(0.0, ge=0, le=1)  # share of moving photographs
    moving: int = Field(100, ge=1)  # how many of them are rendered, for restoration
    reduce: int = Field(1, ge=1)  # flow trainings: low-quality frames are so many times smaller
    speed: float = Field(8.0, gt=0)  # largest motion of moving photographs, pixels a frame
    text: int = Field(0, ge=0)  # most lines of text before them
    rolling: float = Field(0.0, ge=0)  # longest readout of theirs, where the frame's time is 1
    parallax: float = Field(1.0, ge=1)  # their nearest layers pan so many times as fast, at most
    defocus: float = Field(0.0, ge=0)  # largest radius that their backgrounds are blurred by
    clean: float = Field(0.0, ge=0, le=1)  # share of undamaged clips, where both are of one size
    batch: int = Field(4, ge=1)  # clips a step, over all processes


@dataclass(frozen=True)
class Draw:
    """A training clip's place in a stored clip; positions in low-quality pixels."""

    sequence: int
    frames: tuple[int, ...]
    top: int  # of the context
    left: int
    crop_top: int  # of the crop inside the context
    crop_left: int
    flip: tuple[bool, bool]  # vertically, horizontally
    clean: bool  # the high-quality frames are the low-quality ones too
    transposed: bool  # after the flips
    colour: tuple[float, ...]  # factors of red, green and blue


class ClipPairs(Dataset):
    """Endless training clips; item i depends on the seed and i alone.

    An item is {"lq": (T, 3, h, w) context, "hq": (T, 3, s crop, s crop), "crop": (2,) top, left of
    the crop in the context}, frames as float in [0, 1]. With ``alone``, "lq" is the crop itself,
    (T, 3, crop, crop), and there is no "crop". Contexts and crops begin at multiples of ``align``
    low-quality pixels.
    """

    def __init__(
        self,
        clips: list[Stored],
        data: Data,
        *,
        seed: int = 0,
        align: int = 1,
        alone: bool = False,
    ) -> None:
        self.data, self.seed, self.context = data, seed, data.context
        self.align, self.alone = align, alone
        height, width = data.context
        self.clips = [c for c in clips if c.lq.shape[-2] >= height and c.lq.shape[-1] >= width]
        if not self.clips or min(data.context) < data.crop or data.crop % align:
            raise ValueError(
                f"expected sequences with low-quality frames of at least {height}x{width} pixels "
                f"(data.context) and a data.crop within them that divides by {align}, got "
                f"{len(clips)} sequences, {len(self.clips)} of them large enough, and a crop of "
                f"{data.crop}"
            )
        by_source: dict[str, list[int]] = {}
        for index, clip in enumerate(self.clips):
            by_source.setdefault(clip.source, []).append(index)
        self.moving = by_source.pop(MOVING, [])
        self.sources = list(by_source.values())
        self.scale = self.clips[0].hq.shape[-1] // self.clips[0].lq.shape[-1]
        if data.clean and self.scale != 1:
            raise ValueError("expected data.clean = 0 where the frames differ in size")

    def draw(self, index: int) -> Draw:
        """Choose source, sequence, frames, place and flips of item ``index``."""
        rng = np.random.default_rng((self.seed, index))
        chosen = self.moving
        if not chosen or rng.random() >= self.data.rendered:
            chosen = self.sources[rng.integers(len(self.sources))]
        sequence = int(rng.choice(chosen))
        data = self.data
        length, (height, width) = len(self.clips[sequence].lq), self.clips[sequence].lq.shape[-2:]
        wanted = (data.frames + 1) // 2 if data.mirrored else data.frames
        skip = int(rng.integers(1, max(1, min(data.skip, (length - 1) // max(wanted - 1, 1))) + 1))
        span = (wanted - 1) * skip + 1
        start = int(rng.integers(max(length - span, 0) + 1))
        frames = [bounced(t, length) for t in range(start, start + span, skip)]
        if data.reverse and rng.random() < 0.5:
            frames.reverse()
        if data.mirrored:
            frames = (frames + frames[::-1])[: data.frames]
        places = [height - self.context[0], width - self.context[1]]
        places += [self.context[0] - data.crop, self.context[1] - data.crop]
        top, left, crop_top, crop_left = (
            self.align * int(rng.integers(room // self.align + 1)) for room in places
        )
        flip = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
        clean = bool(data.clean and rng.random() < data.clean)
        square = self.alone or self.context[0] == self.context[1]
        transposed = bool(data.transpose and rng.random() < 0.5 and square)
        colour = tuple(rng.uniform(1 - data.jitter, 1 + data.jitter, 3)) if data.jitter else ()
        return Draw(
            sequence, tuple(frames), top, left, crop_top, crop_left, flip, clean, transposed, colour
        )

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.cut(self.draw(index))

    def cut(self, d: Draw) -> dict[str, Tensor]:
        """The item of a draw."""
        (height, width), crop, s = self.context, self.data.crop, self.scale
        clip, frames = self.clips[d.sequence], list(d.frames)
        damaged = clip.hq if d.clean else clip.lq
        top, left = d.top + d.crop_top, d.left + d.crop_left
        hq = clip.hq[frames, :, s * top : s * (top + crop), s * left : s * (left + crop)]
        if self.alone:
            lq = damaged[frames, :, top : top + crop, left : left + crop]
            return {"lq": as_drawn(lq, d), "hq": as_drawn(hq, d)}
        lq = damaged[frames, :, d.top : d.top + height, d.left : d.left + width]
        place = [d.crop_top, d.crop_left]
        for axis, room in ((0, height - crop), (1, width - crop)):
            if d.flip[axis]:
                place[axis] = room - place[axis]
        if d.transposed:
            place.reverse()
        return {"lq": as_drawn(lq, d), "hq": as_drawn(hq, d), "crop": torch.tensor(place)}


def bounced(t: int, length: int) -> int:
    """The index of the frame at time t of a clip that is played to and fro."""
    t %= max(2 * length - 2, 1)
    return min(t, 2 * length - 2 - t) if length > 1 else 0


def as_drawn(codes: np.ndarray, d: Draw) -> Tensor:
    """Frames (T, 3, H, W) as a draw turns and colours them, as float in [0, 1]."""
    frames = as_float(flipped(codes, d.flip))
    if d.transposed:
        frames = frames.mT
    if d.colour:
        frames = (frames * torch.tensor(d.colour, dtype=frames.dtype).view(3, 1, 1)).clamp(0, 1)
    return frames.contiguous()


def flipped(array: np.ndarray, flip: tuple[bool, bool]) -> np.ndarray:
    """Flip the last two axes, vertically and horizontally."""
    axes = tuple(axis for axis, wanted in zip((-2, -1), flip, strict=True) if wanted)
    return np.flip(array, axes) if axes else array
