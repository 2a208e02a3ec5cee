"""What the paper leaves open of unsupervised flow, decided by measurement: one entry at a time.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/flow_choices.py CLIPS VAL OUT \
        [--steps 300] [--crop 40] [--pairs SINTEL] [--cache DIR] [--only NAME ...]

Trains the ``flow-light-teacher`` recipe for so many steps with L1 as its only photometric loss,
with two seeds, and then with one choice changed, and prints end-point errors in pixels of the full
size, on clean pairs rendered from VAL and on pairs of .flo files (--pairs). A training that was
stopped goes on; one that is finished is not repeated. Census and second-order smoothness are here
and not in the package, which has no use for them.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.flow.cases import cases_of, rendered_cases
from s2svr.flow.score import MEAN, ZERO, FlowRow, evaluate_flow
from s2svr.losses import masked_mean
from s2svr.ops import warp
from s2svr.render.photos import photographs
from s2svr.train import flow
from s2svr.train.launch import Run
from s2svr.train.recipes import FlowRecipe, load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "flow-light-teacher.toml"
PLAIN = "L1 alone"
L1 = ["loss.photometric=20", "loss.structural=0", "loss.smooth=8"]
SMOOTHER = "loss.smooth=40"  # beside SSIM and census, which are several times as large as L1
FINEST = "[1.0, 0.0, 0.0, 0.0]"
PAPER = ["loss.photometric=0.15", "loss.smooth=50"]
PAPER += [f"loss.smooth_scales={FINEST}", "loss.enlarged=true"]


def census(a: Tensor, b: Tensor, flow: Tensor, visible: Tensor | None) -> Tensor:
    """Soft Hamming distance of 7x7 census transforms, as ARFlow's ternary loss, in place of l1."""
    distance = (census_of(a) - census_of(warp(b, flow))).square()
    return masked_mean((distance / (0.1 + distance)).mean(1, keepdim=True), visible)


def census_of(image: Tensor) -> Tensor:
    """How each pixel's grey differs from its 48 neighbours: (B, 49, H, W) in (-1, 1)."""
    grey = 255 * image.mean(1, keepdim=True)
    around = F.unfold(F.pad(grey, (3, 3, 3, 3), mode="replicate"), 7).unflatten(2, grey.shape[-2:])
    difference = around - grey
    return difference / (0.81 + difference.square()).sqrt()


def second_order(flow: Tensor, image: Tensor, edge: float, side: int) -> Tensor:
    """``losses.smoothness`` of the flow's second derivatives: a constant gradient costs nothing."""
    flow = flow / side
    total = flow.new_zeros(())
    for dim in (-1, -2):
        if flow.shape[dim] > 2:
            steps = image.diff(dim=dim).abs().mean(1, keepdim=True)
            weight = torch.exp(-edge * steps.narrow(dim, 1, steps.shape[dim] - 1))
            total = total + (weight * flow.diff(n=2, dim=dim).abs()).mean() / 2
    return total / 2


# What is changed: entries of the recipe, and functions of losses.py.
CHOICES: dict[str, tuple[list[str], dict[str, Callable]]] = {
    PLAIN: ([], {}),
    "another seed": (["optim.seed=1"], {}),
    "Adam in place of Muon": (['optim.kind="adam"'], {}),
    "edge weight 0": (["loss.edge=0"], {}),
    "edge weight 20": (["loss.edge=20"], {}),
    "smoothness of second order": ([], {"smoothness": second_order}),
    "finest scale only": ([f"loss.scales={FINEST}", f"loss.smooth_scales={FINEST}"], {}),
    "no moving photographs": (["data.rendered=0"], {}),
    "moving photographs only": (["data.rendered=1"], {}),
    "frames one apart": (["data.skip=1"], {}),
    "never backward in time": (["data.reverse=false"], {}),
    "census in place of L1": ([SMOOTHER], {"photometric": census}),
    "SSIM beside L1": (["loss.photometric=3", "loss.structural=17", SMOOTHER], {}),
    "mask from the start": (["loss.mask_from=0"], {}),
    "with the film of the pairs": (["data.without=[]"], {}),
    "the paper's weights": (PAPER, {}),
}


@contextmanager
def replaced(functions: dict[str, Callable]) -> Iterator[None]:
    """The flow training with other functions in place of those of losses.py."""
    ours = {name: getattr(flow, name) for name in functions}
    for name, function in functions.items():
        setattr(flow, name, function)
    try:
        yield
    finally:
        for name, function in ours.items():
            setattr(flow, name, function)


def train(name: str, chosen: argparse.Namespace, say: Callable[[str], None]) -> Path:
    """The weights of one choice, trained or found."""
    entries, functions = CHOICES[name]
    steps = chosen.steps
    shorter = [f"optim.steps={steps}", f"optim.decay={steps // 3}", "optim.average=0.98"]
    shorter += [f"loss.mask_from={2 * steps // 5}", f"data.crop={chosen.crop}"]
    recipe = load_recipe(RECIPE, [*shorter, *L1, *chosen.entries, *entries])
    assert isinstance(recipe, FlowRecipe)
    with replaced(functions):
        cache = chosen.cache or chosen.out / "clips"
        run = Run(chosen.out / name.replace(" ", "-"), "cpu", cache=cache, say=say)
        return flow.train_flow(recipe, run, data=chosen.clips)


def rows_of(weights: dict[str, Path], chosen: argparse.Namespace) -> list[list[FlowRow]]:
    """The means of every choice, and of no motion, on rendered pairs and on those of files."""
    methods = {name: load(path) for name, path in weights.items()}
    size = (chosen.height, chosen.width)
    photos = photographs(chosen.val)
    sets = [rendered_cases(photos, seed=1, clips=chosen.rendered, frames=2, size=size)]
    sets += [cases_of(chosen.pairs)] if chosen.pairs else []
    found = [evaluate_flow(methods, cases) for cases in sets]
    return [[row for row in rows if row.pair == MEAN] for rows in found]


def table(means: list[list[FlowRow]]) -> str:
    """Markdown: errors of all pixels, of those up to 10 pixels a frame, and on the files."""
    lines = ["| choice | all | up to 10 px | pairs of files |", "|---|---|---|---|"]
    for name in (ZERO, *CHOICES):
        rows = [next((row for row in rows if row.method == name), None) for rows in means]
        if rows[0] is None:
            continue
        values = [rows[0].error, rows[0].up_to_10, rows[1].error if rows[1:] and rows[1] else None]
        texts = ("" if value is None else f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("clips", type=Path)
    found.add_argument("val", type=Path)
    found.add_argument("out", type=Path)
    for name, value in (
        ("steps", 300), ("crop", 40), ("rendered", 8), ("height", 360), ("width", 640),
    ):  # fmt: skip
        found.add_argument(f"--{name}", type=int, default=value)
    found.add_argument("--pairs", type=Path, help="folder of .flo files and frames")
    found.add_argument("--cache", type=Path, help="folder of decoded clips")
    found.add_argument("--only", nargs="+", choices=list(CHOICES), default=list(CHOICES))
    found.add_argument("--set", dest="entries", action="append", default=[])
    return found


def main() -> None:
    chosen = parser().parse_args()

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201

    weights = {}
    for name in chosen.only:
        say(name)
        weights[name] = train(name, chosen, say)
    say(table(rows_of(weights, chosen)))


if __name__ == "__main__":
    main()
