"""Which flow the losses of a training prefer: the true motion, a part of it, or none at all.

    python benchmarks/studies/flow_loss.py VAL [--clips 12] [--height 384] [--width 640]

No network is trained. The levels of a pyramid are given the true flow of pairs that are rendered
from VAL, times a share of it, and Eq. 14 is computed before its mask is used. Prints the mean of
all pairs, for the paper's weights in ARFlow's normalisation, for the same with four levels smoothed
in the size of their own grids, and for the recipe ``flow-light-teacher``.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.flow.cases import Case, rendered_cases
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.render.photos import photographs
from s2svr.train.flow import unsupervised
from s2svr.train.recipes import FlowLoss, FlowRecipe, load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "flow-light-teacher.toml"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
STRIDES = (1, 8, 16, 32)  # of the levels of ``flow-paper``, of which the finest is enlarged
# The mean of both directions and half the steps take a half each: 0.15 and 50 are 0.3 and 200.
OWN = FlowLoss(photometric=0.3, smooth=200.0, smooth_scales=STRIDES, enlarged=False)


class Known(PWCLite):
    """A flow network that knows the answer: (B, 2, H, W) of both directions, times a share."""

    def __init__(self, preset: str, a: Tensor, flows: tuple[Tensor, Tensor], share: float) -> None:
        config = PRESETS[preset]
        assert isinstance(config, PWCLiteConfig)
        super().__init__(config)
        self.first, self.flows, self.share = a, flows, share

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """The flow from a to b, averaged over the cells of every level."""
        flow = self.share * self.flows[0 if a is self.first else 1]
        levels = range(self.config.finest + 1, len(self.config.channels) + 1)
        return [F.avg_pool2d(flow, 2**level) / 2**level for level in levels]


@torch.inference_mode()
def losses(case: Case, preset: str, weights: FlowLoss) -> list[tuple[float, float]]:
    """Eq. 14 of a pair for every share, and what smoothness has in it."""
    assert case.back is not None
    a, b = case.frames[:1], case.frames[1:]
    found = []
    for share in SHARES:
        net = Known(preset, a, (case.truth, case.back), share)
        terms, _ = unsupervised(net, a, b, weights.model_copy(update={"mask_from": 1}), 0)
        found.append((terms["loss"].item(), weights.smooth * terms["smooth"].item()))
    return found


def table(cases: list[Case]) -> str:
    """Markdown: the mean loss of each share, and of the true flow's what smoothness has in it."""
    recipe = load_recipe(RECIPE)
    assert isinstance(recipe, FlowRecipe)
    shares = " | ".join(f"{share:.0%}" for share in SHARES)
    lines = [f"| losses | {shares} | smoothness at 100% |", f"|---|{'---|' * len(SHARES)}---|"]
    for name, preset, weights in (
        ("the paper's weights, as in ARFlow", "flow-paper", FlowLoss()),
        ("the paper's weights, four levels in their own sizes", "flow-paper", OWN),
        (RECIPE.stem, recipe.model.preset, recipe.loss),
    ):
        rows = [losses(case, preset, weights) for case in cases]
        means = [fmean(row[i][0] for row in rows) for i in range(len(SHARES))]
        smooth = fmean(row[-1][1] for row in rows)
        cells = [f"{mean:.4f}" for mean in (*means, smooth)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("val", type=Path)
    for name, value in (("clips", 12), ("height", 384), ("width", 640)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    size = (chosen.height, chosen.width)
    photos = photographs(chosen.val)
    cases = rendered_cases(photos, seed=1, clips=chosen.clips, frames=2, size=size)
    print(table(list(cases)))  # noqa: T201


if __name__ == "__main__":
    main()
