"""Clips made ready for a training, once: damaged ones, rendered ones, and their flow."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch

from ..damage import cache_name, degradation, shrinks
from ..data import DATASETS, Clip, Data, Stored, is_stored, store_clips
from ..models import S2SVR
from .clip_flow import ClipFlows, clip_flows
from .recipes import ExposureRecipe, RestorationRecipe
from .rendered import check_rendered, with_moving


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
    stored = store_damaged(clips, data.degradation, cache, workers)
    device, align = next(model.parameters()).device, model.config.flow_down
    stored = with_moving(stored, data, cache, seed=seed, align=align, device=device)
    return Ready(stored, clip_flows(stored, model, data.skip, cache) if flow else {})


def recipe_clips(data: Data, root: Path) -> list[Clip]:
    """The clips of a recipe's data set below ``root``, without the sources it leaves out."""
    if data.dataset not in DATASETS:
        raise ValueError(f"expected data.dataset in {sorted(DATASETS)}, got {data.dataset!r}")
    found = DATASETS[data.dataset](root, data.split)
    return [clip for clip in found if clip.source not in data.without]


def store_damaged(clips: list[Clip], damage: str, cache: Path, workers: int = 0) -> list[Stored]:
    """Clips decoded and damaged in ``cache``, each once.

    With ``workers`` above 1, so many processes make what is missing side by side.
    """
    name = cache_name(damage)
    missing = [clip for clip in clips if not is_stored(clip, name, cache)]
    if workers > 1 and missing:
        start = get_context("spawn")  # a forked copy of a process that has used its GPU cannot
        with ProcessPoolExecutor(workers, start, torch.set_num_threads, (1,)) as pool:
            list(pool.map(store_one, missing, repeat(damage), repeat(cache)))
    return store_clips(clips, degradation(damage), name, cache)


def store_one(clip: Clip, damage: str, cache: Path) -> None:
    """One clip of ``store_damaged``, whose arrays are not sent to another process."""
    store_clips([clip], degradation(damage), cache_name(damage), cache)
