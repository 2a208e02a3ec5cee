"""On which grid a small network learns compressed video fast: plain networks on single frames.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/grids.py CLIPS VAL OUT [--steps 750] \
        [--cache DIR]

Residual networks of about the same operations a pixel, by the recipe ``compression-light-start``
and with one of its choices changed; prints the gain in PSNR of Y over x265 at QP 37 (not rounded).
"""

import argparse
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from studies import averaged
from torch import Tensor, nn

from s2svr.damage.table import degradation
from s2svr.data.clip import as_float
from s2svr.data.clips import ClipPairs
from s2svr.data.folder import folder_clips
from s2svr.data.store import store_clips
from s2svr.losses import mostly_luma, negative_psnr
from s2svr.models.gru import ResidualBlock
from s2svr.models.output import STEP, FrameInput, Output, last_convolution
from s2svr.models.pwclite import SLOPE, initialise
from s2svr.train.fit import Objective, batches, fit
from s2svr.train.launch import Run, start_processes
from s2svr.train.recipes import RestorationRecipe, load_recipe
from s2svr.train.step import Batch
from s2svr.train.store import store_damaged

RECIPE = Path(__file__).parents[2] / "recipes" / "compression-light-start.toml"
DAMAGE, FRAMES = "hevc-37", range(3, 21, 6)


class Arm(NamedTuple):
    """A network, and entries of the recipe."""

    down: int
    channels: int
    blocks: int
    detail: bool = True
    entries: tuple[str, ...] = ()


ADAM = ('optim.kind="adam"', "optim.rate=1e-3")
ARMS = {
    "half grid": Arm(2, 32, 2),
    "half grid, Adam": Arm(2, 32, 2, entries=ADAM),
    "half grid, Adam, without the detail": Arm(2, 32, 2, detail=False, entries=ADAM),
    "full grid": Arm(1, 16, 2),
    "quarter grid": Arm(4, 64, 2),
}


class Plain(nn.Module):
    """Frames (B, 1, 3, H, W) -> (B, 1, 3, H, W): input and output as in S2SVR, blocks between."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.frame = FrameInput(arm.down, arm.detail)
        self.first = nn.Conv2d(self.frame.channels, arm.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(arm.channels) for _ in range(arm.blocks)))
        self.output = Output(arm.channels, 0, arm.down, STEP)
        initialise(self)
        with torch.no_grad():  # as S2SVR starts
            for block in (m for m in self.modules() if isinstance(m, ResidualBlock)):
                block.second.weight.mul_(0.1)
            last_convolution(self.output).weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        features = nn.functional.leaky_relu(self.first(self.frame(x[:, 0])), SLOPE)
        return x + self.output(self.blocks(features))[:, None]


def loss(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
    """The recipe's: mostly luma, the logarithm of the squared error."""
    y = model(batch["lq"]).float()
    return {"loss": negative_psnr(mostly_luma(y), mostly_luma(batch["hq"]), 1e-6)}


def luma(rgb: Tensor) -> Tensor:
    """Y of BT.601 in limited range, of frames (..., 3, H, W)."""
    return torch.einsum("...chw,c->...hw", rgb, rgb.new_tensor([65.481, 128.553, 24.966]) / 255)


@torch.inference_mode()
def gain(model: nn.Module, val: Path, cache: Path) -> float:
    """Mean gain of some frames of each clip, in dB."""
    gains = []
    for clip in store_clips(folder_clips(val), degradation(DAMAGE), DAMAGE, cache):
        for t in FRAMES:
            lq, hq = (as_float(array[t : t + 1])[None] for array in (clip.lq, clip.hq))
            before, after = ((luma(x - hq).square().mean()) for x in (lq, model(lq)))
            gains.append(10 * float((before / after).log10()))
    return fmean(gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("clips", "val", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=750)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--arm", choices=list(ARMS), action="append")
    chosen = parser.parse_args()
    cache = chosen.cache or chosen.out / "clips"
    for name in chosen.arm or ARMS:
        arm, out = ARMS[name], chosen.out / name.replace(", ", "-").replace(" ", "-")
        entries = [f"optim.steps={chosen.steps}", f"optim.decay={chosen.steps // 3}"]
        recipe = load_recipe(RECIPE, [*entries, *arm.entries])
        assert isinstance(recipe, RestorationRecipe)
        run = Run(out, "cpu")
        fabric = start_processes(recipe.optim, run)
        torch.manual_seed(recipe.optim.seed)
        model = Plain(arm)
        clips = store_damaged(folder_clips(chosen.clips), recipe.data, cache)
        source = batches(
            ClipPairs(clips, recipe.data, seed=recipe.optim.seed), recipe.data.batch, 0
        )
        fit(Objective(model, loss), source, recipe.optim, run, fabric=fabric)
        count = sum(p.numel() for p in model.parameters() if p.ndim > 1) / arm.down**2 / 1e3
        found = gain(averaged(model, out), chosen.val, cache)
        print(f"| {name} | {count:.1f} thousand | {found:+.3f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
