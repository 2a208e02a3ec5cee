"""The engine that is asked for by its name, and the share of threads of each of its workers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..devices import choose_device, choose_precision
from ..text import Say
from .engine import Engine, LocalEngine
from .on_ray import RayEngine
from .on_slurm import SlurmEngine
from .settings import BatchSettings


def engine_for(
    settings: BatchSettings,
    name: str,
    device: str,
    jobs: int | None,
    *,
    address: str | None = None,
    send: bool = False,
    options: Sequence[str] = (),
    say: Say = lambda line: None,
) -> tuple[Engine, BatchSettings]:
    """The engine local, ray or slurm, and the batch with the threads and device of each worker.

    ``address`` and ``send`` are for ray, ``options`` such as ``slurm_partition=gpu`` for slurm;
    ``say`` is told of nodes that are left out. Raises ValueError for one that is not known, and
    options that are for another.
    """
    own = {"local": set(), "ray": {"address", "send"}, "slurm": {"engine-option"}}
    if name not in own:
        raise ValueError(f"expected the engine local, ray or slurm, got {name!r}")
    given = {"address": address, "send": send, "engine-option": options}
    if foreign := [option for option, value in given.items() if value and option not in own[name]]:
        raise ValueError(f"--{foreign[0]} is not for --engine {name}")
    if name == "local":
        return local_engine(settings, device, jobs)
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"expected the device auto, cpu or cuda of a cluster, got {device!r}")
    scout, threads = LocalEngine(settings.hidden.absolute(), 1), settings.order.threads
    engine: RayEngine | SlurmEngine
    if name == "ray":
        engine = RayEngine(scout, address, jobs, threads, send=send, device=device, say=say)
        threads, device = threads or engine.cpus, "cuda" if engine.gpus else "cpu"
    else:
        named = dict(parse_option(text) for text in options)
        threads = threads or int(named.get("cpus_per_task", 1))
        gpus = int(device == "cuda")
        engine = SlurmEngine(scout, jobs or 1, threads, gpus=gpus, options=named, say=say)
    order = settings.order.model_copy(update={"threads": threads, "device": device})
    return engine, replace(settings, order=order)


def parse_option(text: str) -> tuple[str, int | str]:
    """``slurm_partition=gpu``: a name, and a number or a word."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    return name, int(value) if value.isdecimal() else value


def local_engine(
    settings: BatchSettings, device: str, jobs: int | None
) -> tuple[Engine, BatchSettings]:
    """Workers of this machine, and the batch with its threads divided between them.

    Raises ValueError for a device or a precision that is not there.
    """
    place = choose_device(device)
    choose_precision(settings.order.precision, place)
    gpus: tuple[int, ...] = ()
    if place.type == "cuda":
        gpus = tuple(range(torch.cuda.device_count())) if place.index is None else (place.index,)
    order, count = settings.order, jobs or max(1, len(gpus))
    changes: dict[str, Any] = {"device": place.type}
    if order.threads is None and count > 1:
        changes["threads"] = max(1, torch.get_num_threads() // count)
    order = order.model_copy(update=changes)
    return LocalEngine(settings.hidden.absolute(), count, gpus), replace(settings, order=order)
