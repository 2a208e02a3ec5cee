"""What a light network is made of, one that reads one way or both, and a BasicVSR of its size.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/light_study.py CLIPS VAL OUT \
        [--steps 600 500 0] [--batch 2] [--seeds 0 1] [--arm NAME ...] [--frames 24]

Arms of ``ONE_WAY`` vary what ``sr-light`` was when that was decided; those of
``BOTH_WAYS`` vary ``sr-light`` as it is, with its deep memory. Trains each on single frames, on
clips and on longer clips (recipes ``sr-light-start``, ``sr-light`` and ``sr-light-long``;
``--steps`` shortens or leaves out these phases), at equal steps, data and operations, for each
seed, and prints PSNR (RGB, rounded) on VAL, and how much of it other frames are worth. Each
training goes on from where it was stopped, and what is finished is only evaluated;
several processes may share OUT, each with arms of its own.
"""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from basicvsr import BasicVSR, peer_loss
from studies import averaged, quality
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from s2svr.checkpoint import Card, load, save
from s2svr.data.clips import ClipPairs
from s2svr.data.folder import folder_clips
from s2svr.models.config import S2SVRConfig
from s2svr.models.flows import align
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.train.clip_flow import FlowCrops, clip_flows
from s2svr.train.fit import Loss, Objective, batches, fit
from s2svr.train.flow import unsupervised
from s2svr.train.launch import Run, start_processes
from s2svr.train.network import preset_named
from s2svr.train.recipes import FlowLoss, RestorationRecipe, load_recipe
from s2svr.train.restoration import groups, restoration_loss
from s2svr.train.step import Batch
from s2svr.train.store import store_damaged

LIGHT = preset_named("sr-light", S2SVRConfig)
SLIM = replace(LIGHT, bidirectional=False, deep=False)
ROOT = Path(__file__).parents[2]
PHASES = ("sr-light-start", "sr-light", "sr-light-long")
STUDENT = "flow-light-student-sr"
FLOW_RATE = "optim.flow_rate=2.5e-4"  # the paper's quarter of the rate
KEPT = 0.01  # weight of the unsupervised loss beside the restoration's
PEER, LARGE_PEER = "BasicVSR", "BasicVSR of that size"
PEERS = {PEER: (34, 4), LARGE_PEER: (41, 4)}  # channels and blocks: as many operations
Say = Callable[[str], None]


def open_feedback(model: S2SVR) -> None:
    """The gradient goes back through the outputs that are fed back."""
    seen = model.seen

    def with_gradient(y: Tensor | None, like: Tensor, o: Tensor | None) -> Tensor | None:
        if y is not None:
            y.detach = lambda: y  # type: ignore[method-assign]
        return seen(y, like, o)

    model.seen = with_gradient  # type: ignore[method-assign]


def feed_back_features(model: S2SVR) -> None:
    """What F_f sees of the last frame is fed back, in place of the frame that F_f makes of it.

    It carries no gradient, as the output does not.
    """
    made: dict[str, Tensor] = {}
    feedback = nn.Conv2d(model.config.channels, model.config.feedback, 3, padding=1)
    for parameter in feedback.parameters():
        nn.init.zeros_(parameter)
    decoder, seen = model.decoder, model.seen
    decoder.feedback = feedback
    decoder.output.register_forward_pre_hook(lambda _, given: made.update(last=given[0].detach()))

    def of_features(y: Tensor | None, like: Tensor, o: Tensor | None) -> Tensor | None:
        return seen(y, like, o) if y is None else align(feedback(made["last"]), o)

    model.seen = of_features  # type: ignore[method-assign]


def without_feedback(model: S2SVR) -> None:
    """The features of the last output stay zero."""
    assert model.decoder.feedback is not None
    for parameter in model.decoder.feedback.parameters():
        nn.init.zeros_(parameter.requires_grad_(False))


def papers_attention(model: S2SVR) -> None:
    """Eq. 7 alone: no learned number beside the score of the frame itself."""
    assert model.decoder.attention is not None
    nn.init.zeros_(model.decoder.attention.own.requires_grad_(False))


class Arm(NamedTuple):
    """A variant: changes of the preset and of the recipe."""

    preset: dict[str, int]  # "flow" of 0: without
    recipe: tuple[str, ...] = ()
    kept: bool = False  # the unsupervised loss of the flow network
    base: S2SVRConfig = SLIM
    change: Callable[[S2SVR], None] | None = None  # of the network before training


def both_ways(change: Callable[[S2SVR], None] | None = None, **preset: int) -> Arm:
    return Arm(preset, base=LIGHT, change=change)


ONE_WAY = {
    "as bundled": Arm({}),
    "layers as the paper has them": Arm({"slim": 0, "encoder_blocks": 1, "decoder_blocks": 2}),
    "bidirectional": Arm({"bidirectional": 1, "channels": 28, "encoder_blocks": 2}),
    "radius 0": Arm({"radius": 0}),
    "joint flow": Arm({}, (FLOW_RATE,)),
    "joint flow, its loss kept": Arm({}, (FLOW_RATE,), kept=True),
    "no motion": Arm({"flow": 0}),
    "layers for blocks": Arm({"decoder_layers": 2, "decoder_blocks": 1, "channels": 33}),
    PEER: Arm({}),
}
BOTH_WAYS = {
    "both ways": both_ways(),
    "slim memory": both_ways(deep=0),
    "deep, one way": both_ways(bidirectional=0, encoder_blocks=6, decoder_blocks=6),
    "40 channels": both_ways(
        channels=40, encoder_blocks=1, decoder_blocks=3, attention=4, feedback=4
    ),
    "24 channels": both_ways(channels=24, encoder_blocks=6, decoder_blocks=10),
    "two encoder layers": both_ways(encoder_layers=2, encoder_blocks=2, decoder_blocks=3),
    "two decoder layers": both_ways(decoder_layers=2, decoder_blocks=1, channels=33),
    "two and three layers": both_ways(
        encoder_layers=2, encoder_blocks=1, decoder_layers=3, decoder_blocks=1
    ),
    "neither neighbours nor feedback": both_ways(
        without_feedback, radius=0, attention=1, feedback=1, decoder_blocks=5
    ),
    "radius 2": both_ways(radius=2, decoder_blocks=3),
    "attention as Eq. 7 has it": both_ways(papers_attention),
    "gradient through the feedback": both_ways(open_feedback),
    "features fed back": both_ways(feed_back_features),
    LARGE_PEER: both_ways(),
}
ARMS = ONE_WAY | BOTH_WAYS


def configured(arm: Arm) -> S2SVRConfig:
    """The preset with the arm's changes."""
    changes: dict = arm.preset | ({"flow": None} if "flow" in arm.preset else {})
    return replace(arm.base, **changes)


def network(name: str, seed: int) -> S2SVR | BasicVSR:
    """The arm's network before training, with the student's flow."""
    torch.manual_seed(seed)
    arm = ARMS[name]
    model: S2SVR | BasicVSR
    if name in PEERS:
        model = BasicVSR(configured(arm), *PEERS[name])
    else:
        model = S2SVR(configured(arm))
        if arm.change:
            arm.change(model)
    if model.flow is not None:
        model.flow.load_state_dict(load(STUDENT).state_dict())
    return model


def with_flow_loss(loss: Loss) -> Loss:
    """The restoration's loss and, on neighbouring frames of the context, Eq. 14's."""
    weights = FlowLoss(
        photometric=20.0, smooth=8.0, smooth_scales=(1.0, 4.0, 8.0, 16.0), enlarged=False
    )

    def both(model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        terms = loss(model, batch, step)
        assert isinstance(model, S2SVR)
        assert isinstance(model.flow, PWCLite)
        x, multiple = batch["lq"], 2 ** len(model.flow.config.channels)
        height, width = (side - side % multiple for side in x.shape[-2:])
        a, b = (part[..., :height, :width].flatten(0, 1) for part in (x[:, :-1], x[:, 1:]))
        kept, _ = unsupervised(model.flow, a, b, weights, step)
        return {"loss": terms["loss"] + KEPT * kept["loss"]}

    return both


def train(
    model: S2SVR | BasicVSR,
    recipes: list[RestorationRecipe],
    data: Path,
    out: Path,
    cache: Path,
    say: Say,
    *,
    kept: bool = False,
) -> nn.Module:
    """A network, a phase for each recipe; the averaged weights. ``kept`` as of an Arm."""
    for recipe in recipes:
        alone, seed = recipe.data.frames == 1, recipe.optim.seed
        run = Run(out / f"frames-{recipe.data.frames}", "cpu", say=say)
        fabric = start_processes(recipe.optim, run)
        clips = store_damaged(folder_clips(data), recipe.data, cache)
        crops: Dataset = ClipPairs(clips, recipe.data, seed=seed)
        if model.flow is not None and not recipe.optim.flow_rate and not alone:
            flows = clip_flows(clips, model, recipe.data.skip, cache)  # type: ignore[arg-type]
            crops = FlowCrops(clips, flows, recipe.data, seed=seed)
        ours = isinstance(model, S2SVR)
        loss = restoration_loss(recipe.loss, 0) if ours else peer_loss(recipe.loss)
        fit(
            Objective(model, with_flow_loss(loss) if kept and not alone else loss),
            batches(crops, recipe.data.batch, 0), recipe.optim, run, fabric=fabric,
            groups=groups(model, recipe),  # type: ignore[arg-type]
        )  # fmt: skip
        averaged(model, run.out)
    if isinstance(model, S2SVR):
        save(out / "model.safetensors", model, Card(task="sr"))
    return model


def operations(model: nn.Module) -> float:
    """GMAC of a 180x320 frame, flow included."""
    count, x = 6, torch.rand(1, 6, 3, 90, 160)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return 4 * counter.get_total_flops() / 2e9 / count


def recipes_of(name: str, seed: int, chosen: argparse.Namespace) -> list[RestorationRecipe]:
    """The phases, in order."""
    found = []
    for phase, file in enumerate(PHASES):
        context = f"[{chosen.crop},{chosen.crop}]" if phase == 0 else chosen.context
        entries = [f"optim.seed={seed}", f"optim.precision={chosen.precision}"]
        entries += [f"data.crop={chosen.crop}", f"data.context={context}"]
        if phase:
            entries += ARMS[name].recipe
            entries += [f"data.batch={chosen.batch}"] if chosen.batch else []
        if chosen.steps:
            steps = chosen.steps[phase]
            entries += [f"optim.steps={steps}", f"optim.decay={steps // 3}"]
            if not steps:
                continue
        recipe = load_recipe(ROOT / "recipes" / f"{file}.toml", entries)
        assert isinstance(recipe, RestorationRecipe)
        found.append(recipe)
    return found


def slug(name: str) -> str:
    """The name of an arm as that of a folder."""
    return name.replace(", ", "-").replace(" ", "-").lower()


def head(seeds: list[int]) -> list[str]:
    """The first lines of the table of a study."""
    names = ["", "GMAC", *(f"seed {seed}" for seed in seeds), "mean, dB", "other frames"]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def row(name: str, models: Sequence[nn.Module], chosen: argparse.Namespace) -> str:
    """The line of an arm, whose networks of each seed are measured on VAL."""
    scores = [fmean(quality(model, chosen.val, chosen.frames)) for model in models]
    alone = [fmean(quality(model, chosen.val, chosen.frames, segment=1)) for model in models]
    cells = [f"{operations(models[0]):.1f}", *(f"{s:.3f}" for s in [*scores, fmean(scores)])]
    return f"| {name} | {' | '.join(cells)} | {fmean(scores) - fmean(alone):+.3f} |"


def study(chosen: argparse.Namespace, say: Say) -> str:
    """Train and measure every arm, and the table in Markdown."""
    lines = head(chosen.seeds)
    for name in chosen.arm or ARMS:
        models = [
            train(
                network(name, seed), recipes_of(name, seed, chosen), chosen.clips,
                chosen.out / f"{slug(name)}-{seed}", chosen.cache or chosen.out / "clips", say,
                kept=ARMS[name].kept,
            )
            for seed in chosen.seeds
        ]  # fmt: skip
        lines.append(row(name, models, chosen))
        say(lines[-1])
    return "\n".join(lines)


def study_parser(text: str | None, arms: Collection[str], **usual: int) -> argparse.ArgumentParser:
    """The arguments that studies of arms share; ``usual`` values of some of them."""
    found = argparse.ArgumentParser(description=text)
    for name in ("clips", "val", "out"):
        found.add_argument(name, type=Path)
    for name in ("batch", "frames", "crop"):
        found.add_argument(f"--{name}", type=int, default=usual.get(name))
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    found.add_argument("--arm", choices=list(arms), action="append")
    found.add_argument("--context", default="[84,158]", help="height and width of clips, reduced")
    found.add_argument("--cache", type=Path)
    return found


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = study_parser(__doc__, ARMS, frames=24, crop=48)
    found.add_argument("--steps", type=int, nargs=len(PHASES), help="of each phase")
    found.add_argument("--precision", default="bf16-mixed")
    return found


def main() -> None:
    print(study(parser().parse_args(), lambda line: print(line, flush=True)))  # noqa: T201


if __name__ == "__main__":
    main()
