"""Clips made ready for a training, once: damaged ones, rendered ones, and their flow."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ..damage import cache_name, degradation, shrinks
from ..data import DATASETS, Clip, Data, Degradation, Pair, Stored, is_stored, store_clips
from ..models import S2SVR
from ..ops import quantised, resize_to
from .clip_flow import ClipFlows, clip_flows
from .recipes import ExposureRecipe, RestorationRecipe
from .rendered import check_rendered, with_moving

SMALLEST = 128  # shorter side in pixels of a reduced clip


class Ready(NamedTuple):
    """The clips that a training draws from, rendered ones last, and the flow of each by its key."""

    clips: list[Stored]
    flows: ClipFlows


def prepare(
    recipe: RestorationRecipe | ExposureRecipe,
    clips: list[Clip],
    model: S2SVR,
    cache: Path,
    *,
    workers: int = 0,
    flow: bool = False,
) -> Ready:
    """Clips with a recipe's damage, then its rendered ones; with ``flow``, their flow by the model.

    What ``cache`` holds already is read from there. ``workers`` as in ``store_damaged``. Raises
    ValueError for damage that the rendered clips cannot have.
    """
    data, seed = recipe.data, recipe.optim.seed
    if data.rendered:
        height, width = (shrinks(data.degradation) * side for side in data.context)
        check_rendered(data.degradation, (height, width))
    stored = store_damaged(clips, data, cache, workers)
    device, align = next(model.parameters()).device, model.config.flow_down
    stored = with_moving(stored, data, cache, seed=seed, align=align, device=device)
    return Ready(stored, clip_flows(stored, model, data.skip, cache) if flow else {})


def recipe_clips(data: Data, root: Path) -> list[Clip]:
    """The clips of a recipe's data set below ``root``, without the sources it leaves out."""
    if data.dataset not in DATASETS:
        raise ValueError(f"expected data.dataset in {sorted(DATASETS)}, got {data.dataset!r}")
    found = DATASETS[data.dataset](root, data.split)
    return [clip for clip in found if clip.source not in data.without]


def store_damaged(clips: list[Clip], data: Data, cache: Path, workers: int = 0) -> list[Stored]:
    """Clips decoded and damaged in ``cache``, ``data.copies`` of each.

    With ``workers`` above 1, so many processes make what is missing side by side. Raises ValueError
    where clips that come in both qualities should be damaged.
    """
    if any(clip.lq is not None for clip in clips):
        check_whole(data, "clips that come in both qualities")
    copies = [copy_of(data, number) for number in range(data.copies)]
    missing = [
        (clip, data, number, cache)
        for number, (name, _) in enumerate(copies)
        for clip in clips
        if not is_stored(clip, name, cache)
    ]
    if workers > 1 and missing:
        start = get_context("spawn")  # a forked copy of a process that has used its GPU cannot
        with ProcessPoolExecutor(workers, start, torch.set_num_threads, (1,)) as pool:
            list(pool.map(store_one, *zip(*missing, strict=True)))
    found = []
    for name, degrade in copies:
        found += store_clips(clips, degrade, name, cache)
    return found


def store_one(clip: Clip, data: Data, number: int, cache: Path) -> None:
    """One clip of ``store_damaged``, whose arrays are not sent to another process."""
    name, degrade = copy_of(data, number)
    store_clips([clip], degrade, name, cache)


def check_whole(data: Data, kind: str) -> None:
    """ValueError where clips of a kind that cannot be should be reduced, cut or damaged anew."""
    if (data.copies, set(data.sizes), data.part) != (1, {1.0}, None):
        raise ValueError(
            f"expected data.copies=1, data.sizes=[1.0] and no data.part for {kind}, got "
            f"{data.copies}, {list(data.sizes)} and {data.part}"
        )


def copy_of(data: Data, number: int) -> tuple[str, Degradation]:
    """The damage of each clip's copy of this number, and the name that says all about it.

    Random numbers follow from the name, so no two copies are damaged alike.
    """
    name, damage = cache_name(data.degradation), degradation(data.degradation)
    size = data.sizes[number % len(data.sizes)]
    if (number, size, data.part) == (0, 1, None):
        return name, damage

    def degrade(clip: Tensor, generator: Generator) -> Pair:
        frames, *sides = data.part or (len(clip), *clip.shape[-2:])
        some = reduced_clip(random_part(clip, 0, frames, generator), size)
        for axis, most in zip((2, 3), sides, strict=True):
            some = random_part(some, axis, most, generator)
        return damage(some, generator)

    return f"{name}, copy {number}, {size:g} times smaller, part {data.part}", degrade


def reduced_clip(clip: Tensor, size: float) -> Tensor:
    """Frames (T, 3, H, W) so many times smaller; as they are if they would get too small."""
    height, width = clip.shape[-2:]
    if size == 1 or min(height, width) < SMALLEST * size:
        return clip
    return quantised(resize_to(clip, (round(height / size), round(width / size))))


def random_part(clip: Tensor, axis: int, most: int, generator: Generator) -> Tensor:
    """A part of frames (T, 3, H, W), drawn at random, of at most so many along an axis."""
    room = max(clip.shape[axis] - most, 0)
    first = int(torch.randint(room + 1, (), generator=generator))
    return clip.narrow(axis, first, clip.shape[axis] - room)
