"""Networks as ONNX files, for runtimes other than PyTorch."""

import copy
import json
import warnings
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import Card
from ..files import whole
from ..models import S2SVR, State
from .graph import WindowGraph, named_maps

OPSET = 16  # the first with GridSample
FIRST, NEXT = "first", "next"
ANY_SIZE = (50, 38)  # (width, height) of a trace for any size: divides by nothing, so all is padded
TOGETHER = 1024  # pairs of frames whose flow is one batch: a graph of few nodes


@torch.no_grad()
def export_onnx(
    model: nn.Module,
    folder: Path,
    name: str,
    *,
    card: Card,
    frames: int,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write NAME-first.onnx, for the first window of a shot, and NAME-next.onnx, for all others.

    A window restores ``frames`` frames and sees ``lookahead`` more. ``size`` is (width, height) in
    pixels; None: any, the same in all windows of a shot. Returns both files. Raises ValueError for
    a network that restores nothing, for windows that are too short to fill the memory, for files
    that are there and where the package onnx is missing.
    """
    if not isinstance(model, S2SVR):
        raise ValueError(
            "expected one restoration network, without a + behind its name, "
            f"got a {type(model).__name__}"
        )
    if find_spec("onnx") is None:
        raise ValueError("expected the package onnx, which is not there: pip install 's2svr[onnx]'")
    c = model.config
    if frames < (least := max(c.radius, 1, c.neighbours)):
        raise ValueError(f"expected windows of at least {least} frames for {name}, got {frames}")
    if c.quality and size is None:
        raise ValueError(f"expected a size for {name}: what it measures of frames depends on it")
    places = [folder / f"{name}-{kind}.onnx" for kind in (FIRST, NEXT)]
    for place in places:
        if place.exists() and not overwrite:
            raise ValueError(f"{place} is there already; --overwrite replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    model = copy.deepcopy(model).cpu().float().eval()
    model.pairs = TOGETHER
    width, height = size or ANY_SIZE
    x = torch.rand(1, frames + model.lookahead, 3, height, width)
    _, memory = model(x, None, model.lookahead)
    facts = file_facts(model, name, card, frames, size)
    for place, state in zip(places, (None, memory), strict=True):
        write_graph(model, x, state, place, facts, any_size=size is None)
    return places


def file_facts(
    model: S2SVR, name: str, card: Card, frames: int, size: tuple[int, int] | None
) -> dict[str, str]:
    """What a file says of itself, as text."""
    return {
        "name": name,
        "task": card.task,
        "card": json.dumps(asdict(card)),
        "config": json.dumps(asdict(model.config)),
        "scale": str(model.scale),
        "frames": str(frames),
        "lookahead": str(model.lookahead),
        "size": "any" if size is None else "{}x{}".format(*size),
        "s2svr": version("s2svr"),
    }


def write_graph(
    model: S2SVR,
    x: torch.Tensor,
    memory: State | None,
    place: Path,
    facts: dict[str, str],
    *,
    any_size: bool,
) -> None:
    """Trace a window from ``memory`` and write it with ``facts``; the file is whole or not there.

    Maps enter as ``memory.NAME`` and leave as ``after.NAME``.
    """
    import onnx

    graph = WindowGraph(model, memory)
    maps = named_maps(memory) if memory is not None else []
    after = [key for key, _ in named_maps(model(x, memory, model.lookahead)[1])]
    inputs = ["frames", *(f"memory.{key}" for key, _ in maps)]
    outputs = ["restored", *(f"after.{key}" for key in after)]
    with whole(place) as unfinished:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a trace: shapes that it takes as they are
            torch.onnx.export(
                graph,
                (x, *(tensor for _, tensor in maps)),
                str(unfinished),
                input_names=inputs,
                output_names=outputs,
                opset_version=OPSET,
                dynamic_axes=axes_of([*inputs, *outputs]) if any_size else None,
                dynamo=False,
            )
        made = onnx.load(str(unfinished))
        facts = {**facts, "window": FIRST if memory is None else NEXT}
        onnx.helper.set_model_props(made, facts)
        onnx.checker.check_model(made)
        onnx.save(made, str(unfinished))


def axes_of(names: list[str]) -> dict[str, dict[int, str]]:
    """Names of the sides of each map: those of frames, of the states' grid, and of the results."""
    axes = {}
    for name in names:
        kind = name.rpartition(".")[2]
        sides = {"frames": "", "x": "", "restored": "restored ", "y": "restored "}
        side = sides.get(kind.rstrip("0123456789"), "grid ")
        dims = 5 if kind == "frames" else 4
        axes[name] = {dims - 2: f"{side}height", dims - 1: f"{side}width"}
    return axes
