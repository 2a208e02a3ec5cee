"""What each pathway of a trained network carries: each is cut in turn, without training again.

    python benchmarks/studies/pathways.py VIDEO... --weights sr-light --weights sr-base
        [--frames 12] [--size 320x288]

The middle of each video is reduced by 4 and restored at once. Prints PSNR (RGB, rounded, dB) of the
whole network and what is lost when it has to do without a pathway.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from warm import middle

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.data import Pair
from s2svr.metrics import psnr_rgb
from s2svr.models.gru import ResConvGRU
from s2svr.models.s2svr import S2SVR

Layer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@contextmanager
def replaced(owner: Any, name: str, by: Callable[..., Any]) -> Iterator[None]:
    """A method of one object is another one for a while."""
    setattr(owner, name, by)
    try:
        yield
    finally:
        delattr(owner, name)  # the class's own shows again


@contextmanager
def forgetful(layers: list[ResConvGRU]) -> Iterator[None]:
    """Layers that find no memory."""
    with ExitStack() as stack:
        for layer in layers:
            run = partial(without_memory, layer.forward)
            stack.enter_context(replaced(layer, "forward", run))
        yield


def without_memory(run: Layer, memory: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    return run(torch.zeros_like(memory), below)


@torch.inference_mode()
def score(model: S2SVR, pairs: list[Pair], length: int | None = None) -> float:
    """Mean PSNR over all frames (dB), restored in parts of ``length``."""
    found = []
    for lq, hq in pairs:
        parts = lq.split(length or len(lq))
        restored = torch.cat([model(part[None])[0][0] for part in parts]).clamp(0, 1)
        found += [psnr_rgb(y, truth) for y, truth in zip(restored, hq, strict=True)]
    return sum(found) / len(found)


def cuts(model: S2SVR) -> Iterator[tuple[str, Any]]:
    """The pathways by name, each with a context in which it is cut."""
    encoder, decoder = model.encoder, model.decoder
    yield "forward memory of the encoder", forgetful(list(encoder.layers))  # type: ignore[arg-type]
    if encoder.bidirectional:
        yield "backward memory of the encoder", forgetful([encoder.backward_layer])
    yield "memory of the decoder", forgetful(list(decoder.layers))  # type: ignore[arg-type]
    step, seen = decoder.step, model.seen
    yield (
        "neighbours in the local attention",
        replaced(decoder, "step", lambda s, y, latents: step(s, y, latents[:1])),
    )
    yield (
        "feedback of the last output",
        replaced(model, "seen", lambda y, like, o: seen(None, like, o)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", action="append", required=True)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="320x288", help="of the part, before it is reduced")
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    pairs = [bicubic_down(middle(path, given.frames, width, height)) for path in given.videos]
    for weights in given.weights:
        model = load(weights)
        assert isinstance(model, S2SVR)
        whole = score(model, pairs)
        print(f"{weights}: {whole:.3f} dB", flush=True)  # noqa: T201
        print(f"  all other frames: {whole - score(model, pairs, 1):.3f} dB", flush=True)  # noqa: T201
        for name, cut in cuts(model):
            with cut:
                print(f"  {name}: {whole - score(model, pairs):.3f} dB", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
