"""Published weights of ARFlow (Liu et al., 2020), the origin of our flow network, as ours.

Its code is https://github.com/lliuz/ARFlow, its weights are files named ``pwclite_ar.tar``.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import Card, CheckpointError, save
from ..models import PWCLite, PWCLiteConfig

CONFIG = PWCLiteConfig(arflow=True)
# Where each part of ARFlow's network lies in ours; its features are listed coarsest first.
PARTS = {
    r"feature_pyramid_extractor\.convs\.(\d)\.(\d)\.0": r"pyramid_levels.\1.\2.0",
    r"flow_estimators\.predict_flow\.0": "estimator.flow",
    r"context_networks\.convs\.6\.0": "context.6",
    r"context_networks\.convs\.(\d)\.0": r"context.\1.0",
}


def import_flow(source: Path, target: Path) -> Path:
    """Convert ARFlow's two-frame weights into a weights file of the full-size flow network.

    Only tensors are read of the source, no code in it is run. Raises CheckpointError for a file of
    another layout, and for the networks of three frames (``pwclite_ar_mv.tar``).
    """
    net = PWCLite(CONFIG)
    net.load_state_dict(renamed(read_checkpoint(source), net))
    notes = f"converted from {Path(source).name} of https://github.com/lliuz/ARFlow"
    save(Path(target), net, Card(task="flow", licence="MIT", notes=notes))
    return Path(target)


def read_checkpoint(source: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint that PyTorch saved, by name."""
    try:
        kept = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"expected a checkpoint of tensors as ARFlow's pwclite_ar.tar, {source} is none or is "
            f"damaged: {str(error).splitlines()[0]}"
        ) from error
    tensors = kept.get("state_dict", kept) if isinstance(kept, Mapping) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"expected ARFlow's checkpoint, {source} holds no dict of tensors")
    return {name: tensor.float() for name, tensor in tensors.items()}


def renamed(tensors: Mapping[str, Tensor], net: PWCLite) -> dict[str, Tensor]:
    """ARFlow's tensors under our names.

    Raises CheckpointError where one has no place or another shape, and where one is missing.
    """
    wanted, found = net.state_dict(), {}
    for name, tensor in tensors.items():
        ours = our_name(name)
        if ours not in wanted:
            raise CheckpointError(f"expected the tensors of ARFlow's PWC-lite, got {name} too")
        if tensor.shape != wanted[ours].shape:
            raise CheckpointError(
                f"expected {name} to be {tuple(wanted[ours].shape)}, as in ARFlow's network of two "
                f"frames (pwclite_ar.tar), got {tuple(tensor.shape)}"
            )
        found[ours] = tensor
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise CheckpointError(
            f"expected the {len(wanted)} tensors of ARFlow's PWC-lite, got {len(found)}; "
            f"what is our {missing[0]} is missing"
        )
    return found


def our_name(name: str) -> str:
    """``conv_1x1.0.0.weight`` -> ``reduce.4.0.weight``."""
    part, _, kind = name.rpartition(".")
    if match := re.fullmatch(r"conv_1x1\.(\d)\.0", part):
        return f"reduce.{len(CONFIG.channels) - CONFIG.finest - 1 - int(match[1])}.0.{kind}"
    if match := re.fullmatch(r"flow_estimators\.conv(\d)\.0", part):
        return f"estimator.layers.{int(match[1]) - 1}.0.{kind}"
    for theirs, ours in PARTS.items():
        if match := re.fullmatch(theirs, part):
            return f"{match.expand(ours)}.{kind}"
    return name
