"""What a recipe's training would cost: operations of one step, counted, and their speed, measured.

    python benchmarks/studies/cost.py recipes/reds-restoration.toml ... [--measure 3]

Operations are counted by running a step without memory or values (torch's meta device); those of
convolutions and matrix products are nearly all there are. ``--measure`` runs so many real steps at
a batch of one clip, 3 frames and a small crop, which tells how many operations this machine does in
a second, and from that how long the training would take on it.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.train.flow import student_loss, teacher_loss
from s2svr.train.network import build
from s2svr.train.recipes import FlowRecipe, RestorationRecipe, load_recipe
from s2svr.train.restoration import restoration_loss

TINY = ["data.batch=1", "data.frames=3", "data.crop=64", "data.context=[64, 64]"]


def made(
    recipe: FlowRecipe | RestorationRecipe, device: str
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The recipe's network and a batch of the shapes that its clips have."""
    data, batch = recipe.data, recipe.data.batch
    if isinstance(recipe, FlowRecipe):
        config = PRESETS[recipe.model.preset]
        assert isinstance(config, PWCLiteConfig)
        side, scale = data.crop, 4 if data.degradation in ("bicubic", "gaussian") else 1
        lq = torch.rand(batch, 2, 3, side, side, device=device)
        hq = torch.rand(batch, 2, 3, scale * side, scale * side, device=device)
        return PWCLite(config).to(device), {"lq": lq, "hq": hq}
    model = build(recipe, None, None).to(device)
    side = model.scale * data.crop
    return model, {
        "lq": torch.rand(batch, data.frames, 3, *data.context, device=device),
        "hq": torch.rand(batch, data.frames, 3, side, side, device=device),
        "crop": torch.zeros(batch, 2, dtype=torch.int64),
    }


def step(
    recipe: FlowRecipe | RestorationRecipe,
    student: bool,
    net: nn.Module,
    batch: dict[str, Tensor],
) -> None:
    """Forward and backward, all parts training; of a flow student with its teacher."""
    if isinstance(recipe, RestorationRecipe):
        loss = restoration_loss(recipe.loss, 0)
    elif student:
        config = PRESETS[recipe.model.preset]
        assert isinstance(config, PWCLiteConfig)
        loss = student_loss(PWCLite(config).to(batch["hq"].device), recipe.loss)
    else:
        loss = teacher_loss(recipe.loss)
    loss(net, batch, 10**9)["loss"].backward()


def operations(recipe: FlowRecipe | RestorationRecipe, student: bool) -> int:
    """Multiplications and additions of one step."""
    with FlopCounterMode(display=False) as counter:
        step(recipe, student, *made(recipe, "meta"))
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", type=Path, nargs="+")
    parser.add_argument("--measure", type=int, default=0, metavar="STEPS")
    chosen = parser.parse_args()
    print("| recipe | steps | TFLOP a step | EFLOP in all | measured TFLOP/s | days here |")  # noqa: T201
    print("|---|---|---|---|---|---|")  # noqa: T201
    for path in chosen.recipes:
        recipe, student = load_recipe(path), path.stem.endswith("-student")
        if not isinstance(recipe, FlowRecipe | RestorationRecipe):
            parser.error(f"expected recipes of flow or restoration, {path} is of {recipe.kind}")
        whole, steps = operations(recipe, student), recipe.optim.steps
        cells = [path.stem, f"{steps:,}", f"{whole / 1e12:.2f}", f"{whole * steps / 1e18:.2f}"]
        cells += ["", ""]
        if chosen.measure:
            tiny = load_recipe(path, TINY)
            assert isinstance(tiny, FlowRecipe | RestorationRecipe)
            net, batch = made(tiny, "cpu")
            step(tiny, student, net, batch)
            began = time.process_time()
            for _ in range(chosen.measure):
                step(tiny, student, net, batch)
            # Processor time, so that what else the machine does is not counted.
            seconds = (time.process_time() - began) / torch.get_num_threads()
            speed = operations(tiny, student) * chosen.measure / seconds
            cells[4:] = [f"{speed / 1e12:.4g}", f"{whole * steps / speed / 86400:,.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
