"""Pairs of frames with their true flow, from files or rendered, which flow is scored on."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ..damage import blurs_motion, degradation
from ..media import read_clip, read_flo
from ..ops import cut_to_multiple, quantised
from ..render import Look, MovingPhotographs, item_seed

CLEAN, FINAL, BLUR = "clean", "final", "blur"  # inputs, beside the names of damage
RENDERINGS = ("frames", "clean", "final", "other-data")  # folders of frames, beside the flow's
FLOWS = ("flow", "other-gt-flow")  # folders of flow: Sintel's and ours, Middlebury's
SUBFRAMES = 13  # pictures of a blurred frame, over the time of SHUTTER frames
SHUTTER = 0.8


class Case(NamedTuple):
    """A pair of frames with its true flow, in pixels of the full size."""

    name: str
    input: str  # CLEAN, FINAL (Sintel's pass with blur and haze), a damage, or "final, damage"
    seen: Tensor  # (2, 3, h, w): the frames as an estimator gets them
    frames: Tensor  # (2, 3, H, W): the undamaged ones
    truth: Tensor  # (1, 2, H, W), beyond 1e9 where it is unknown
    hidden: Tensor | None = None  # (1, 1, H, W) bool: not to be seen in the second frame
    back: Tensor | None = None  # (1, 2, H, W): the true flow of the second frame to the first


def cases_of(root: Path, inputs: Sequence[str] = (CLEAN,)) -> Iterator[Case]:
    """The pair of every ``NAME.flo`` below root, in every rendering that is there.

    Layouts: a frame's .flo beside it; MPI Sintel and rendered clips (``flow`` beside ``clean``,
    ``final`` or ``frames``, and ``occlusions`` with the hidden pixels white); Middlebury
    (``other-gt-flow/X/flow10.flo`` beside ``other-data/X/frame10.png``). Folders ``backward`` are
    left out; what lies in a folder ``final`` is an input of its own.
    """
    root, found = Path(root), False
    for kind in inputs:
        if blurs_motion(kind):
            raise ValueError(
                f"expected damage that two frames can take, got {kind}: give --photos for blur"
            )
    for path in sorted(root.rglob("*.flo")):
        if "backward" in path.relative_to(root).parts:
            continue
        found = True
        for first, second in frame_pairs(path):
            truth, hidden = read_flo(path)[None], occlusions(path)
            a, b = (read_clip(p).float() / 255 for p in (first, second))
            if a.shape != b.shape or a.shape[-2:] != truth.shape[-2:]:
                raise ValueError(
                    f"expected frames of {truth.shape[-1]}x{truth.shape[-2]} pixels for {path}, "
                    f"got {a.shape[-1]}x{a.shape[-2]} and {b.shape[-1]}x{b.shape[-2]}"
                )
            place, frames = first.relative_to(root), torch.cat((a, b))
            name, final = str(place), FINAL in (root.name, *place.parts)
            for kind in inputs:
                if kind == CLEAN:
                    yield Case(name, FINAL if final else CLEAN, frames, frames, truth, hidden)
                    continue
                label = f"{FINAL}, {kind}" if final else kind
                seen = degradation(kind)(frames, Generator().manual_seed(0)).lq
                cut = (None if x is None else cut_to_multiple(x, 4) for x in (truth, hidden))
                yield Case(name, label, seen, cut_to_multiple(frames, 4), *cut)  # type: ignore[arg-type]
    if not found:
        raise ValueError(f"expected .flo files with their frames below {root}, found none")


def rendered_cases(
    photos: Sequence[Tensor],
    inputs: Sequence[str] = (CLEAN,),
    *,
    seed: int,
    clips: int,
    frames: int = 4,
    size: tuple[int, int] = (360, 640),
    speed: float = 24.0,
) -> Iterator[Case]:
    """All pairs of ``clips`` rendered clips of ``size`` (height, width), each with every damage.

    All inputs are of the same clips; cameras move by up to ``speed`` pixels a frame. ``blur``
    is the mean in linear light of SUBFRAMES pictures with the shutter open for SHUTTER frames; any
    other blur is refused with ValueError, since it would take frames away from their flow.
    """
    for kind in inputs:
        if kind != BLUR and blurs_motion(kind):
            raise ValueError(f"expected {BLUR} as the only blur of rendered clips, got {kind}")
    if size[0] % 4 or size[1] % 4 or frames < 2:
        raise ValueError(
            "expected clips of two frames at least and sides that divide by 4, got "
            f"{frames} frames of {size[1]}x{size[0]}"
        )
    count = SUBFRAMES if BLUR in inputs else 1
    look = Look(speed=(0.0, speed), text=(0, 1), subframes=count, shutter=SHUTTER)
    scenes = MovingPhotographs(photos, frames=frames, size=size, seed=seed, look=look)
    for index in range(clips):
        clip = scenes[index]
        for kind in inputs:
            if kind == CLEAN:
                seen = quantised(clip.sharp)
            elif kind == BLUR:
                seen = quantised(clip.frames)
            else:
                generator = Generator().manual_seed(item_seed(seed, index))
                seen = degradation(kind)(quantised(clip.sharp), generator).lq
            for t in range(frames - 1):
                yield Case(
                    f"clip {index} frame {t}", kind, seen[t : t + 2], clip.sharp[t : t + 2],
                    clip.flow_forward[t : t + 1], clip.occlusion_forward[t : t + 1],
                    clip.flow_backward[t : t + 1],
                )  # fmt: skip


def frame_pairs(path: Path) -> list[tuple[Path, Path]]:
    """The frames of a .flo file, in every rendering that is there."""
    named = re.fullmatch(r"(.*?)(\d+)", path.stem)
    pairs = []
    for folder in folders_beside(path, RENDERINGS) if named else []:
        assert named is not None
        stem = "frame" if named[1] == "flow" else named[1]  # Middlebury's
        first = folder / f"{stem}{named[2]}.png"
        second = folder / f"{stem}{int(named[2]) + 1:0{len(named[2])}d}.png"
        if first.is_file() and second.is_file():
            pairs.append((first, second))
    if not pairs:
        raise ValueError(f"expected {path.with_suffix('.png')} and the frame after it")
    return pairs


def folders_beside(path: Path, names: tuple[str, ...]) -> list[Path]:
    """The file's own folder, and the same with the flow's folder replaced by each name."""
    folders, parts = [path.parent], path.parent.parts
    places = [at for at, part in enumerate(parts) if part in FLOWS]
    if places:
        at = places[-1]
        folders += [Path(*parts[:at], name, *parts[at + 1 :]) for name in names]
    return folders


def occlusions(path: Path) -> Tensor | None:
    """The mask of hidden pixels (1, 1, H, W) of a .flo file, where there is one."""
    for folder in folders_beside(path, ("occlusions",))[1:]:
        mask = folder / f"{path.stem}.png"
        if mask.is_file():
            return read_clip(mask)[:, :1] > 127
    return None
