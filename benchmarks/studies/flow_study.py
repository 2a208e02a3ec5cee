"""What a flow is worth (the paper's Table 4): one restoration network, each flow in turn.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/flow_study.py CLIPS VAL OUT --start WEIGHTS \
        [--set optim.steps=700] [--flow-set optim.steps=700] [--teacher WEIGHTS] [--frames 16] \
        [--only "unsupervised, distilled" ...] [--set data.skip=1 --files RAFT=FLOWS] \
        [--supervised WEIGHTS] [--distilled WEIGHTS]

Three flow networks go on from the teacher's weights, at equal steps, on frames reduced by 4: one
supervised by rendered truth, one without labels and without distillation, and one with it. Then
``sr-light`` goes on from WEIGHTS, which know single frames (recipe ``sr-light-start``), at equal
steps, seed and data, with no flow, with each of these and with OpenCV's DIS, all frozen, and with
the distilled one trained on at 5e-5, as the paper does, beside it frozen on the same contexts.
Prints PSNR (RGB, rounded) on VAL beside the flows' end-point errors on clips rendered from VAL.
``--supervised`` and ``--distilled`` take networks that were trained before, such as one that was
supervised on FlyingChairs, as the paper's was. ``--files`` adds any other flow by .flo files of the
clips of CLIPS and VAL (docs/guide/flow.md). A training that was stopped goes on; one that is
finished is not repeated.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from studies import averaged, quality
from torch import Tensor, nn
from torch.utils.data import Dataset

from s2svr.checkpoint import load
from s2svr.data.clips import ClipPairs
from s2svr.data.folder import folder_clips
from s2svr.flow.cases import Case, rendered_cases
from s2svr.flow.dis import DIS, dis_flow
from s2svr.flow.files import GivenFlow
from s2svr.flow.score import MEAN, ZERO, Flow, evaluate_flow
from s2svr.models.s2svr import S2SVR
from s2svr.render.photos import photographs
from s2svr.train.clip_flow import FlowCrops, clip_flows, file_flows
from s2svr.train.fit import Objective, batches, fit
from s2svr.train.flow import train_flow
from s2svr.train.launch import Run, start_processes
from s2svr.train.network import build
from s2svr.train.recipes import FlowRecipe, RestorationRecipe, load_recipe
from s2svr.train.restoration import groups, restoration_loss
from s2svr.train.store import store_damaged
from s2svr.train.supervised import train_supervised

RECIPES = Path(__file__).parents[2] / "recipes"
NONE, TRUE, PLAIN, DISTILLED = "none", "supervised", "unsupervised", "unsupervised, distilled"
CONTEXT, TUNED = "distilled, on contexts", "distilled, trained on"
TUNING = "optim.flow_rate=5e-5"  # as in the paper
Say = Callable[[str], None]


class Estimator(GivenFlow):
    """Any estimator in the place of a flow network, for what is estimated beforehand."""

    def __init__(self, flow: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.flow(a, b)

    def given(self, a: Tensor, b: Tensor, size: tuple[int, int]) -> Tensor:
        return self.flow(a, b)


def train_with(
    flow: Path | nn.Module | None, recipe: RestorationRecipe, start: Path | None, data: Path,
    out: Path, cache: Path, say: Say, whole: bool = True,
) -> S2SVR:  # fmt: skip
    """``sr-light`` trained with a flow, frozen unless the recipe trains it; the averaged weights.

    The flow is a network or its weights, or a folder of .flo files by clip. It is estimated on
    whole frames beforehand, or if not ``whole`` on contexts, as it is while it trains.
    """
    run = Run(out, "cpu", say=say)
    fabric = start_processes(recipe.optim, run)
    model = build(recipe, flow if isinstance(flow, Path) else None, start)
    if isinstance(flow, nn.Module):
        model.flow = flow  # type: ignore[assignment]  # of another kind, as in with_files
    clips = folder_clips(data)
    stored = store_damaged(clips, recipe.data, cache)
    seed = recipe.optim.seed
    pairs: Dataset = ClipPairs(stored, recipe.data, seed=seed)
    if whole and flow is not None:
        if model.flow is not None:
            flows = clip_flows(stored, model, recipe.data.skip, cache)
        else:
            assert isinstance(flow, Path)
            flows = file_flows(clips, stored, 1, flow, cache)
        pairs = FlowCrops(stored, flows, recipe.data, seed=seed)
    fit(
        Objective(model, restoration_loss(recipe.loss, 0)), batches(pairs, recipe.data.batch, 0),
        recipe.optim, run, fabric=fabric, groups=groups(model, recipe),
    )  # fmt: skip
    averaged(model, out)
    return model


def flow_nets(chosen: argparse.Namespace, say: Say) -> dict[str, Path]:
    """The three flow networks, trained or found; those alone that ``--only`` asks for."""
    file = RECIPES / "flow-light-student-sr.toml"
    recipe = load_recipe(file, chosen.flow_entries)
    plain = load_recipe(file, [*chosen.flow_entries, "loss.distill=0"])
    assert isinstance(recipe, FlowRecipe)
    assert isinstance(plain, FlowRecipe)
    teacher, out = chosen.teacher, chosen.out
    found, wanted = {}, chosen.only or [TRUE, PLAIN, DISTILLED]
    if chosen.supervised is not None:
        found[TRUE] = chosen.supervised
    elif TRUE in wanted:
        run = Run(out / "supervised", "cpu", say=say)
        found[TRUE] = train_supervised(recipe, run, data=chosen.clips, init=teacher)
    if chosen.distilled is not None:
        found[DISTILLED] = chosen.distilled
    for name, one, place in ((PLAIN, plain, "plain"), (DISTILLED, recipe, "distilled")):
        if name in found or name not in [
            *wanted,
            *([DISTILLED] if {CONTEXT, TUNED} & {*wanted} else []),
        ]:
            continue
        run = Run(out / place, "cpu", cache=chosen.cache or out / "clips", say=say)
        found[name] = train_flow(one, run, data=chosen.clips, teacher=teacher, init=teacher)
    return found


def mean_errors(methods: dict[str, Flow], cases: list[Case]) -> dict[str, float | None]:
    """Each flow's mean end-point error in pixels, and that of no motion."""
    return {row.method: row.error for row in evaluate_flow(methods, cases) if row.pair == MEAN}


def study(chosen: argparse.Namespace, say: Say) -> str:
    """Train everything, and the table in Markdown."""
    nets = flow_nets(chosen, say)
    cache = chosen.cache or chosen.out / "clips"
    files = {name: Path(folder) for name, folder in (entry.split("=") for entry in chosen.files)}
    flows: dict[str, Path | nn.Module | None] = {
        NONE: None, **nets, DIS: Estimator(dis_flow()),
        CONTEXT: nets.get(DISTILLED), TUNED: nets.get(DISTILLED), **files,
    }  # fmt: skip
    cases = list(
        rendered_cases(
            photographs(chosen.val),
            ["bicubic"],
            seed=1,
            clips=chosen.rendered,
            frames=2,
            size=(256, 448),
        )
    )
    methods: dict[str, Flow] = {name: load(path) for name, path in nets.items()}
    errors = mean_errors(methods | {DIS: dis_flow()}, cases)
    lines = ["| flow | end-point error, px | PSNR, dB | over the first |", "|---|---|---|---|"]
    first = None
    for name in chosen.only or flows:
        flow = flows[name]
        entries = {NONE: ["model.motion=false"], TUNED: [TUNING]}.get(name, [])
        recipe = load_recipe(RECIPES / "sr-light.toml", [*chosen.entries, *entries])
        assert isinstance(recipe, RestorationRecipe)
        place = chosen.out / f"sr-{name.replace(', ', '-').lower()}"
        whole = name not in (CONTEXT, TUNED)
        model = train_with(flow, recipe, chosen.start, chosen.clips, place, cache, say, whole)
        found = quality(model, chosen.val, chosen.frames, chosen.height, motion=files.get(name))
        psnr = fmean(found)
        first = psnr if first is None else first
        if name == TUNED:
            assert model.flow is not None
            errors |= mean_errors({TUNED: model.flow}, cases)
        error = errors.get({NONE: ZERO, CONTEXT: DISTILLED}.get(name, name))
        cell = "" if error is None else f"{error:.2f}"
        lines.append(f"| {name} | {cell} | {psnr:.2f} | {psnr - first:+.2f} |")
        say(lines[-1])
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("clips", type=Path)
    found.add_argument("val", type=Path)
    found.add_argument("out", type=Path)
    found.add_argument("--teacher", default="flow-light-teacher")
    for option in ("--supervised", "--distilled"):
        found.add_argument(option, type=Path, help="weights in place of a training of its own")
    found.add_argument("--start", type=Path, help="weights of sr-light for single frames")
    for name, value in (("frames", 16), ("rendered", 8)):
        found.add_argument(f"--{name}", type=int, default=value)
    found.add_argument("--height", type=int, help="cut the validation clips to so many lines")
    found.add_argument("--cache", type=Path, help="folder of decoded clips")
    for option, place in (("--set", "entries"), ("--flow-set", "flow_entries")):
        found.add_argument(option, dest=place, action="append", default=[], help="of the recipe")
    found.add_argument("--only", action="append", help="a flow of the table; all if not given")
    found.add_argument("--files", action="append", default=[], metavar="NAME=FLOWS")
    return found


def main() -> None:
    chosen = parser().parse_args()
    print(study(chosen, lambda line: print(line, flush=True)))  # noqa: T201


if __name__ == "__main__":
    main()
