"""What memories, attention and feedback learn, in a network that knows single frames already.

    OMP_NUM_THREADS=1 nice python benchmarks/studies/memory_study.py CLIPS VAL OUT \
        [--start sr-light] [--steps 300] [--batch 2] [--seeds 0 1] [--arm NAME ...] [--frames 16]

From random weights it takes thousands of steps until other frames are worth anything
(``light_study.py``). So every arm begins as the bundled network, with all that knows of other
frames as in a fresh one: memories and feedback unread, attention to the frame itself. It makes of a
clip what the bundled network makes of its frames alone, whatever the arm; parts that an arm adds
change nothing at first. Then all train alike on clips (recipe ``sr-light``, with so many ``steps``)
and the script prints PSNR (RGB, rounded) on VAL, and how much of it other frames are worth.
Each training goes on from where it was stopped, and what is finished is only evaluated.
"""

import argparse
from dataclasses import replace

import torch
from light_study import (
    LIGHT,
    ROOT,
    Arm,
    Say,
    both_ways,
    configured,
    feed_back_features,
    head,
    open_feedback,
    papers_attention,
    row,
    slug,
    study_parser,
    train,
    without_feedback,
)
from torch import nn

from s2svr.checkpoint import load
from s2svr.models.gru import ResConvGRU
from s2svr.models.s2svr import S2SVR
from s2svr.train.recipes import RestorationRecipe, load_recipe

FRESH = ("attention.", "feedback.", ".keep")  # parts of the names of what is not taken over

ARMS = {
    "deep memory": both_ways(),
    "slim memory": both_ways(deep=0),
    "radius 0": both_ways(radius=0),
    "radius 2": both_ways(radius=2),
    "attention as Eq. 7 has it": both_ways(papers_attention),
    "no feedback": both_ways(without_feedback),
    "gradient through the feedback": both_ways(open_feedback),
    "features fed back": both_ways(feed_back_features),
    "more blocks": both_ways(encoder_blocks=4, decoder_blocks=6),
    "many more blocks": both_ways(encoder_blocks=5, decoder_blocks=8),
    "one more encoder layer": both_ways(encoder_layers=2),
    "one more decoder layer": both_ways(decoder_layers=2),
    "neither": both_ways(radius=0, attention=0, feedback=0),
    "neither, and a block more": both_ways(radius=0, attention=0, feedback=0, decoder_blocks=5),
    "two more encoder layers": both_ways(encoder_layers=3),
    "two more decoder layers": both_ways(decoder_layers=3),
}


@torch.no_grad()
def begin(model: S2SVR, trained: S2SVR) -> None:
    """Give a fresh network what a trained one knows of single frames.

    Of what it has beside that one, blocks are made the identity and units give zero.
    """
    known = trained.state_dict()
    for name, value in model.state_dict().items():
        if name not in known:
            if ".second." in name or ".candidate." in name:
                value.zero_()
        elif ".gates.weight" in name or ".candidate.weight" in name:
            value[:, : LIGHT.channels] = known[name][:, : LIGHT.channels]
        elif not any(part in name for part in FRESH):
            value.copy_(known[name])
    for layer in model.modules():  # a fresh unit reads no memory
        if isinstance(layer, ResConvGRU):
            for part in (layer.gru.gates, layer.gru.candidate):
                assert not part.weight[:, -LIGHT.channels :].any()


def network(arm: Arm, seed: int, trained: S2SVR) -> S2SVR:
    """The arm's network before training."""
    torch.manual_seed(seed)
    model = S2SVR(configured(arm))
    begin(model, trained)
    if arm.change:
        arm.change(model)
    return model


def recipe_of(seed: int, chosen: argparse.Namespace) -> RestorationRecipe:
    """The training, the same for all."""
    entries = [
        f"optim.seed={seed}", f"optim.steps={chosen.steps}", f"optim.decay={chosen.steps // 2}",
        "optim.rate=3e-4", f"optim.precision={chosen.precision}", f"data.batch={chosen.batch}",
        f"data.crop={chosen.crop}", f"data.context={chosen.context}",
    ]  # fmt: skip
    recipe = load_recipe(ROOT / "recipes" / "sr-light.toml", entries)
    assert isinstance(recipe, RestorationRecipe)
    return recipe


def study(chosen: argparse.Namespace, say: Say) -> str:
    """Train and measure every arm, and the table in Markdown."""
    trained = load(chosen.start)
    assert isinstance(trained, S2SVR)
    assert trained.config == replace(LIGHT, warm=trained.config.warm)
    lines: list[str] = []

    def measured(name: str, models: list[nn.Module]) -> None:
        lines.append(row(name, models, chosen))
        say(lines[-1])

    if not chosen.arm:
        measured("as bundled", [trained])
        measured("before training", [network(ARMS["deep memory"], 0, trained)])
    for name in chosen.arm or ARMS:
        measured(name, [
            train(
                network(ARMS[name], seed, trained), [recipe_of(seed, chosen)], chosen.clips,
                chosen.out / f"{slug(name)}-{seed}", chosen.cache or chosen.out / "clips", say,
            )
            for seed in chosen.seeds
        ])  # fmt: skip
    return "\n".join([*head(chosen.seeds), *lines])


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = study_parser(__doc__, ARMS, batch=2, frames=16, crop=48)
    found.add_argument("--start", default="sr-light")
    found.add_argument("--steps", type=int, default=300)
    found.add_argument("--precision", default="32-true")
    return found


def main() -> None:
    print(study(parser().parse_args(), lambda line: print(line, flush=True)))  # noqa: T201


if __name__ == "__main__":
    main()
