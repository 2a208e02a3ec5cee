"""Flat colours and the bound of a network's changes by the contrast of its frames.

    python benchmarks/studies/flat.py FOLDER --weights sr-light [--degradation bicubic] [--frames 8]

Prints how far a network is from flat clips of each colour, and from grey ones whose light changes
(levels of 255, away from the border), and PSNR (RGB, dB) on the folder's damaged clips, without the
bound and with it.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from unittest.mock import patch

import torch
from pathways import score
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage import degradation
from s2svr.data import Pair
from s2svr.media import read_clip
from s2svr.models import S2SVR
from s2svr.ops import cut_to_multiple

SIDE, BORDER = 32, 8  # low-quality pixels
LIGHTS = {
    "flash": (0.2, 0.2, 0.2, 0.8, 0.2, 0.2, 0.2),
    "cut": (0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8),
    "fade": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
}


@contextmanager
def unbounded() -> Iterator[None]:
    """The networks as they would be without the bound."""
    with ExitStack() as stack:
        for module in ("output", "s2svr"):
            stack.enter_context(patch(f"s2svr.models.{module}.contrast", boundless))
        yield


def boundless(x: Tensor) -> Tensor:
    return torch.full_like(x[:, :1], float("inf"))


@torch.inference_mode()
def flat_error(model: S2SVR, colours: Tensor) -> float:
    """The largest error in a clip (T, 3) of one colour a frame, in levels."""
    truth = colours[None, :, :, None, None]
    restored, _ = model(truth.expand(-1, -1, -1, SIDE, SIDE).contiguous())
    border = BORDER * model.scale
    inner = restored.clamp(0, 1)[..., border:-border, border:-border]
    return 255 * (inner - truth).abs().max().item()


def damaged(path: Path, damage: str, frames: int) -> Pair:
    clip = cut_to_multiple(read_clip(path, count=frames).float() / 255, 4)
    return degradation(damage)(clip, torch.Generator().manual_seed(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="sr-light")
    parser.add_argument("--degradation", default="bicubic")
    parser.add_argument("--frames", type=int, default=8)
    given = parser.parse_args()
    model = load(given.weights)
    assert isinstance(model, S2SVR)
    print("colour          without  with")  # noqa: T201
    clips = {
        str(colour): torch.tensor(colour).expand(4, 3)
        for colour in product((0.0, 0.5, 1.0), repeat=3)
    }
    clips |= {name: torch.tensor(light)[:, None].expand(-1, 3) for name, light in LIGHTS.items()}
    for name, colours in clips.items():
        with unbounded():
            without = flat_error(model, colours)
        print(f"{name:15}  {without:7.1f}  {flat_error(model, colours):4.1f}", flush=True)  # noqa: T201
    pairs = [
        damaged(path, given.degradation, given.frames) for path in sorted(given.folder.iterdir())
    ]
    with unbounded():
        without = score(model, pairs)
    print(f"PSNR  {without:.4f} dB without, {score(model, pairs):.4f} dB with")  # noqa: T201


if __name__ == "__main__":
    main()
