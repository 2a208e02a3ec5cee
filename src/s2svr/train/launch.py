"""What every training starts with: processes, devices, clips."""

import os
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import torch
from lightning_fabric import Fabric

from ..damage import cache_name, degradation
from ..data import DATASETS, Clip, Data, Stored, is_stored, store_clips
from .recipes import Optim


def start_processes(optim: Optim, out: Path, device: str, processes: int) -> Fabric:
    """Start the processes of a run and make its folder.

    Where torchrun has started them, they are as many as it says, on as many machines.
    """
    out.mkdir(parents=True, exist_ok=True)
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", 1))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    # A flow network that starts to train later has no gradients before.
    ddp = "ddp_find_unused_parameters_true" if optim.flow_from else "ddp"
    fabric = Fabric(
        accelerator="gpu" if device.startswith("cuda") else device,
        devices=processes,
        num_nodes=nodes,
        strategy=ddp if nodes * processes > 1 else "auto",
        precision=optim.precision,
    )
    fabric.launch()
    fabric.seed_everything(optim.seed, verbose=False)
    return fabric


def prepared(
    fabric: Fabric, sequences: list[Clip], damage: str, cache: Path, workers: int = 0
) -> list[Stored]:
    """The sequences decoded and degraded in ``cache``: by the first process, the others wait.

    With ``workers`` above 1, so many processes prepare what is missing side by side.
    """
    with fabric.rank_zero_first():
        name = cache_name(damage)
        missing = [s for s in sequences if not is_stored(s, name, cache)]
        if workers > 1 and missing:
            start = get_context("spawn")  # a forked copy of a process that has used its GPU cannot
            with ProcessPoolExecutor(workers, start, torch.set_num_threads, (1,)) as pool:
                list(pool.map(prepare, missing, repeat(damage), repeat(cache)))
        return stored_with(sequences, damage, cache)


def prepare(sequence: Clip, damage: str, cache: Path) -> None:
    """One sequence of ``prepared``, whose arrays are not sent to another process."""
    stored_with([sequence], damage, cache)


def stored_with(sequences: list[Clip], damage: str, cache: Path) -> list[Stored]:
    """``prepared`` by this process alone."""
    return store_clips(sequences, degradation(damage), cache_name(damage), cache)


def sequences_of(data: Data, root: Path) -> list[Clip]:
    """The recipe's data set below ``root``, without the sources it leaves out."""
    if data.dataset not in DATASETS:
        raise ValueError(f"expected data.dataset in {sorted(DATASETS)}, got {data.dataset!r}")
    found = DATASETS[data.dataset](root, data.split)
    return [clip for clip in found if clip.source not in data.without]
