"""Weights files: safetensors that carry their network's configuration and a card."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .ensemble import SelfEnsemble
from .files import whole
from .models import MODELS, S2SVR
from .tasks import PLUS, TASKS

WEIGHTS = Path(__file__).parent / "weights"
EXPERTS = WEIGHTS / "experts"  # parts of bundled networks, not networks to choose


class CheckpointError(ValueError):
    """Weights that cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Card:
    """Facts about a training; PSNR and gain in dB, a flow's end-point error in pixels."""

    task: str
    recipe: str = ""
    data: str = ""
    step: int = 0
    psnr: float | None = None
    ssim: float | None = None
    gain_db: float | None = None
    error: float | None = None
    clips: str = ""  # on which psnr, ssim and gain_db, or error, were measured
    commit: str = ""
    licence: str = "Apache-2.0"
    notes: str = ""


def save(path: str | Path, model: nn.Module, card: Card, *, half: bool = False) -> None:
    """Write the model's weights, configuration and card; ``half`` stores the weights as float16.

    The file is written beside the target, synced and renamed; a failure leaves nothing behind.
    Raises CheckpointError for a network that MODELS does not know.
    """
    path = Path(path)
    name = next((name for name, (network, _) in MODELS.items() if type(model) is network), None)
    if name is None:
        raise CheckpointError(f"expected one of {', '.join(MODELS)}, got a {type(model).__name__}")
    tensors = {
        key: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        for key, tensor in model.state_dict().items()
    }
    metadata = {
        "model": name,
        "config": json.dumps(asdict(model.config)),  # type: ignore[call-overload]
        "card": json.dumps(asdict(card)),
    }
    with whole(path) as place:
        save_file(tensors, str(place), metadata)
        place.chmod(0o644)  # safetensors lets its owner alone read it


def load(
    name_or_path: str | Path, *, task: str | None = None, device: str | torch.device | None = None
) -> nn.Module:
    """The network of a bundled name, a task's name or a weights file, ready to restore.

    A ``+`` behind it makes a ``SelfEnsemble`` of a restoration network. Weights are float32
    whatever the file holds. Raises CheckpointError for an unknown name, a file that is not ours or
    is broken, and, with ``task`` given, weights of another task.
    """
    path = find(name_or_path)
    if (plain := before_plus(name_or_path)) is not None:
        model = load(plain, task=task, device=device)
        if not isinstance(model, S2SVR):
            raise CheckpointError(f"expected a restoration network before {PLUS}, got {plain!r}")
        return SelfEnsemble(model).eval()
    metadata, tensors = read_header(path), read_floats(path)
    network, configuration = MODELS[metadata["model"]]
    card = parse_card(metadata, path)
    if task is not None and card.task != task:
        raise CheckpointError(f"expected weights for {task}, {path} is for {card.task}")
    try:
        with torch.random.fork_rng(devices=[]):  # the first values are overwritten
            model = network(configuration(**json.loads(metadata["config"])))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds a configuration of another version: {error}"
        ) from error
    wanted = model.state_dict()
    if set(tensors) != set(wanted) or any(
        tensors[key].shape != wanted[key].shape for key in wanted
    ):
        raise CheckpointError(
            f"expected the {len(wanted)} tensors of its configuration in {path}, "
            f"got {len(tensors)} that differ; the file is damaged, edited, or of another version"
        )
    model.load_state_dict(tensors)
    if isinstance(model, S2SVR) and path in bundled().values():
        model.experts = {key: read_floats(file) for key, file in expert_files(path.stem).items()}
    return model.eval().to(device or "cpu")


def read_card(name_or_path: str | Path) -> Card:
    """The card alone; the weights are not read."""
    path = find(name_or_path)
    return parse_card(read_header(path), path)


def describe_weights(name_or_path: str | Path) -> dict[str, Any]:
    """The card with the weights' name, how many numbers they hold, and the file's bytes."""
    path = find(name_or_path)
    card = parse_card(read_header(path), path)
    with opened_weights(path) as file:
        count = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    size = {"parameters": count, "bytes": path.stat().st_size}
    return {"name": path.stem, "task": card.task, **size, **asdict(card)}


def bundled() -> dict[str, Path]:
    """The weights that come with the package, by name."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def expert_files(name: str) -> dict[str, Path]:
    """What a bundled network learned from some codings alone, by their name; mostly nothing."""
    files = sorted(EXPERTS.glob(f"{name}-*.safetensors"))
    return {path.stem.removeprefix(f"{name}-"): path for path in files}


def find(name_or_path: str | Path) -> Path:
    """The weights file of a task, of a bundled name, or at a path; with or without a ``+``."""
    names, name = bundled(), before_plus(name_or_path) or str(name_or_path)
    if name in TASKS:
        name = TASKS[name].weights
    if name in names:
        return names[name]
    path = Path(name)
    if not path.is_file():
        raise CheckpointError(
            f"expected weights by name ({', '.join(names) or 'none are bundled'}) or a file, "
            f"got {str(name_or_path)!r}, which is neither, nor a task ({', '.join(TASKS)})"
        )
    return path


def before_plus(name_or_path: str | Path) -> str | None:
    """What stands before the ``+`` of a self-ensemble; None where none is meant."""
    name = str(name_or_path)
    return name.removesuffix(PLUS) if name.endswith(PLUS) and not Path(name).is_file() else None


@contextmanager
def opened_weights(path: Path) -> Iterator[safe_open]:
    """A safetensors file; its errors become CheckpointError."""
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"expected a safetensors file written by s2svr, {path} is none or is damaged: {error}"
        ) from error


def read_header(path: Path) -> dict[str, str]:
    """The metadata of one of our files."""
    with opened_weights(path) as file:
        metadata = file.metadata() or {}
    if metadata.get("model") not in MODELS or "config" not in metadata:
        raise CheckpointError(
            f"expected weights written by s2svr, {path} names no model of it; "
            "weights of other projects cannot be used"
        )
    return metadata


def read_floats(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, as float32."""
    with opened_weights(path) as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118


def parse_card(metadata: dict[str, str], path: Path) -> Card:
    """The card in a file's metadata; entries of a later version are left out."""
    try:
        entries = dict(json.loads(metadata.get("card", "{}")))
        known = {field.name for field in fields(Card)}
        return Card(**{key: value for key, value in entries.items() if key in known})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"expected a card in {path}, could not read it: {error}") from error
