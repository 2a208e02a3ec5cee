"""What a flow is worth (the paper's Table 4): one restoration network trained with each of five.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/flow_study.py CLIPS VAL OUT --start WEIGHTS \
        [--set optim.steps=700] [--flow-set optim.steps=700] [--teacher WEIGHTS] [--frames 16]

Three flow networks go on from the teacher's weights, at equal steps, on frames reduced by 4: one
supervised by rendered truth, one without labels and without distillation, and one with it. Then
``sr-light`` goes on from WEIGHTS, which know single frames (recipe ``sr-light-start``), at equal
steps, seed and data, with no flow, with each of these and with OpenCV's DIS. Prints PSNR (RGB,
rounded) on VAL beside the flows' end-point errors on clips rendered from VAL. A training that was
stopped goes on; one that is finished is not repeated.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from studies import averaged, quality
from torch import Tensor, nn
from torch.utils.data import Dataset

from s2svr.checkpoint import Card, load
from s2svr.damage.reduce import bicubic_down
from s2svr.data.clips import ClipPairs
from s2svr.data.folder import folder_clips
from s2svr.flow.cases import rendered_cases
from s2svr.flow.dis import DIS, dis_flow
from s2svr.flow.score import MEAN, ZERO, evaluate_flow
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_flow
from s2svr.render.photos import MovingPhotographs, photographs
from s2svr.render.scene import Look
from s2svr.train.clip_flow import FlowCrops, clip_flows
from s2svr.train.fit import Objective, batches, fit
from s2svr.train.flow import fitting, train_flow
from s2svr.train.launch import Run, start_processes
from s2svr.train.network import build
from s2svr.train.recipes import FlowRecipe, RestorationRecipe, load_recipe
from s2svr.train.restoration import groups, restoration_loss
from s2svr.train.store import store_damaged

RECIPES = Path(__file__).parents[2] / "recipes"
NONE, TRUE, PLAIN, DISTILLED = "none", "supervised", "unsupervised", "unsupervised, distilled"
Say = Callable[[str], None]


class Labelled(Dataset):
    """Rendered pairs with their truth: {"lq": (2, 3, h, w), "flow": (2, H, W)}."""

    def __init__(self, photos: list[Tensor], recipe: FlowRecipe) -> None:
        side = 4 * recipe.data.crop
        look = Look(speed=(0.0, recipe.data.speed))
        self.clips = MovingPhotographs(
            photos, frames=2, size=(side, side), seed=recipe.optim.seed, look=look
        )

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        clip = self.clips[index]
        return {"lq": bicubic_down(clip.frames).lq, "flow": clip.flow_forward[0]}


def supervised_loss(net: nn.Module, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    """Mean distance to the truth of the full size."""
    assert isinstance(net, PWCLite)
    lq, truth = fitting(batch["lq"], net), batch["flow"]
    truth = truth[..., : 4 * lq.shape[-2], : 4 * lq.shape[-1]]
    found = resize_flow(net.pyramid(*lq.unbind(1))[0], (truth.shape[-2], truth.shape[-1]))
    return {"loss": (found - truth).abs().mean()}


def train_supervised(recipe: FlowRecipe, data: Path, start: str, out: Path, say: Say) -> Path:
    """``train_flow`` with true flow in place of a teacher; returns the weights' path."""
    run = Run(out, "cpu", say=say)
    fabric = start_processes(recipe.optim, run)
    net = load(start)
    assert isinstance(net, PWCLite)
    torch.manual_seed(recipe.optim.seed)
    pairs = Labelled(photographs(data), recipe)
    fit(
        Objective(net, supervised_loss), batches(pairs, recipe.data.batch, 0), recipe.optim, run,
        fabric=fabric, card=Card(task="flow", data="rendered truth"),
    )  # fmt: skip
    return run.weights


class Estimator(nn.Module):
    """Any estimator in the place of a flow network, for what is estimated beforehand."""

    def __init__(self, flow: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.flow(a, b)


def train_with(
    flow: Path | nn.Module | None, recipe: RestorationRecipe, start: Path | None, data: Path,
    out: Path, cache: Path, say: Say,
) -> S2SVR:  # fmt: skip
    """``sr-light`` trained with one frozen flow; the averaged weights."""
    run = Run(out, "cpu", say=say)
    fabric = start_processes(recipe.optim, run)
    model = build(recipe, flow if isinstance(flow, Path) else None, start)
    if isinstance(flow, nn.Module):
        model.flow = flow
    stored = store_damaged(folder_clips(data), recipe.data.degradation, cache)
    seed = recipe.optim.seed
    pairs: Dataset = ClipPairs(stored, recipe.data, seed=seed)
    if model.flow is not None:
        flows = clip_flows(stored, model, recipe.data.skip, cache)
        pairs = FlowCrops(stored, flows, recipe.data, seed=seed)
    fit(
        Objective(model, restoration_loss(recipe.loss, 0)), batches(pairs, recipe.data.batch, 0),
        recipe.optim, run, fabric=fabric, groups=groups(model, recipe),
    )  # fmt: skip
    averaged(model, out)
    return model


def flow_nets(chosen: argparse.Namespace, say: Say) -> dict[str, Path]:
    """The three flow networks, trained or found."""
    file = RECIPES / "flow-light-student-sr.toml"
    recipe = load_recipe(file, chosen.flow_entries)
    plain = load_recipe(file, [*chosen.flow_entries, "loss.distill=0"])
    assert isinstance(recipe, FlowRecipe)
    assert isinstance(plain, FlowRecipe)
    teacher, out = chosen.teacher, chosen.out
    found = {TRUE: train_supervised(recipe, chosen.clips, teacher, out / "supervised", say)}
    for name, one, place in ((PLAIN, plain, "plain"), (DISTILLED, recipe, "distilled")):
        run = Run(out / place, "cpu", cache=chosen.cache or out / "clips", say=say)
        found[name] = train_flow(one, run, data=chosen.clips, teacher=teacher, init=teacher)
    return found


def study(chosen: argparse.Namespace, say: Say) -> str:
    """Train everything, and the table in Markdown."""
    nets = flow_nets(chosen, say)
    cache = chosen.cache or chosen.out / "clips"
    flows: dict[str, Path | nn.Module | None] = {NONE: None, **nets, DIS: Estimator(dis_flow())}
    clips = rendered_cases(
        photographs(chosen.val),
        ["bicubic"],
        seed=1,
        clips=chosen.rendered,
        frames=2,
        size=(256, 448),
    )
    methods = {name: load(path) for name, path in nets.items()} | {DIS: dis_flow()}
    errors = {row.method: row.error for row in evaluate_flow(methods, clips) if row.pair == MEAN}
    lines = ["| flow | end-point error, px | PSNR, dB | over none |", "|---|---|---|---|"]
    first = None
    for name, flow in flows.items():
        motion = [] if flow is not None else ["model.motion=false"]
        recipe = load_recipe(RECIPES / "sr-light.toml", [*chosen.entries, *motion])
        assert isinstance(recipe, RestorationRecipe)
        place = chosen.out / f"sr-{name.replace(', ', '-').lower()}"
        model = train_with(flow, recipe, chosen.start, chosen.clips, place, cache, say)
        psnr = fmean(quality(model, chosen.val, chosen.frames, chosen.height))
        first = psnr if first is None else first
        error = errors[ZERO if name == NONE else name]
        lines.append(f"| {name} | {error:.2f} | {psnr:.2f} | {psnr - first:+.2f} |")
        say(lines[-1])
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("clips", type=Path)
    found.add_argument("val", type=Path)
    found.add_argument("out", type=Path)
    found.add_argument("--teacher", default="flow-light-teacher")
    found.add_argument("--start", type=Path, help="weights of sr-light for single frames")
    for name, value in (("frames", 16), ("rendered", 8)):
        found.add_argument(f"--{name}", type=int, default=value)
    found.add_argument("--height", type=int, help="cut the validation clips to so many lines")
    found.add_argument("--cache", type=Path, help="folder of decoded clips")
    for option, place in (("--set", "entries"), ("--flow-set", "flow_entries")):
        found.add_argument(option, dest=place, action="append", default=[], help="of the recipe")
    return found


def main() -> None:
    chosen = parser().parse_args()
    print(study(chosen, lambda line: print(line, flush=True)))  # noqa: T201


if __name__ == "__main__":
    main()
