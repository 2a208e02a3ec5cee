"""Measure trained weights and put them into the package, as float16 with their card.

    python benchmarks/product/bundle.py runs/sr/model.safetensors sr-light --clips VAL --data "..."

A restoration network is scored on the first frames of each of CLIPS, damaged by ``--damage``:
``bicubic`` if not given, whatever its recipe says; ``--dataset pairs`` takes CLIPS that are damaged
already. A flow network is scored on pairs rendered from CLIPS, clean (``--damage clean``) or
damaged, and reduced for a student of the small grid (``--reduced 4``).
"""

import argparse
import subprocess
from dataclasses import replace
from pathlib import Path

from s2svr.checkpoint import WEIGHTS, load, read_card, save
from s2svr.damage.table import degradation
from s2svr.data import DATASETS
from s2svr.evaluation.run import evaluate
from s2svr.evaluation.scores import OURS
from s2svr.evaluation.settings import Scoring
from s2svr.evaluation.tables import markdown, means
from s2svr.flow.cases import rendered_cases
from s2svr.flow.score import MEAN, ZERO, evaluate_flow
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.render.photos import photographs

PAIRS = 24  # that a flow network is judged on


def flow_error(net: PWCLite, clips: Path, damage: str, reduced: int) -> tuple[float, str]:
    """Its end-point error in pixels on pairs rendered from clips, and on what that was."""
    cases = rendered_cases(photographs(clips), [damage], seed=0, clips=PAIRS, frames=2)
    rows = evaluate_flow({"it": net}, cases, reduced=reduced)
    mean = {row.method: row.error for row in rows if row.pair == MEAN}
    seen = damage + (f", reduced by {reduced}" if reduced > 1 else "")
    about = f"{PAIRS} pairs rendered from validation clips, {seen}; no motion {mean[ZERO]:.2f}"
    error = mean["it"]
    assert error is not None  # the motion of what is rendered is known
    return error, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--dataset", default="folder", help="layout of the clips: folder or pairs")
    parser.add_argument("--protocol", default="rgb", help="rgb or y")
    parser.add_argument("--damage", default="bicubic", help="as docs/reference/damage.md names it")
    parser.add_argument(
        "--reduced", type=int, default=1, help="4 for a flow student of the small grid"
    )
    parser.add_argument("--data", default="", help="what it was trained on, in words")
    parser.add_argument("--recipe", default="", help="and how, where no recipe file says it")
    parser.add_argument("--warm", type=int, help="frames ahead of a network that reads both ways")
    parser.add_argument("--notes", default="")
    parser.add_argument("--told", action="store_true", help="the coding of the damage, as by files")
    parser.add_argument("--into", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    model, card = load(chosen.weights), read_card(chosen.weights)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    card = replace(card, data=chosen.data or card.data, notes=chosen.notes or card.notes)
    card = replace(card, recipe=chosen.recipe or card.recipe, commit=commit)
    target = chosen.into / f"{chosen.name}.safetensors"
    if isinstance(model, S2SVR):
        if chosen.warm is not None:
            model.config = replace(model.config, warm=chosen.warm)
        save(target, model, card, half=True)
        sequences = DATASETS[chosen.dataset](chosen.clips, "")
        rows = evaluate(
            load(target), sequences, degradation(chosen.damage),
            Scoring([chosen.protocol], chosen.frames, damage=chosen.damage if chosen.told else ""),
        )  # fmt: skip
        mean = next(row for row in means(rows) if row.method == OURS)
        damage = chosen.damage if chosen.dataset == "folder" else "damaged as they are"
        clips = f"{len(sequences)} validation clips, first {chosen.frames} frames, {damage}"
        clips += "" if chosen.protocol == "rgb" else f", scored on {chosen.protocol}"
        card = replace(card, psnr=mean.psnr, ssim=mean.ssim, gain_db=mean.gain, clips=clips)
        print(markdown([*rows, *means(rows)]))  # noqa: T201
    elif chosen.clips:
        assert isinstance(model, PWCLite)
        error, clips = flow_error(model, chosen.clips, chosen.damage, chosen.reduced)
        card = replace(card, error=error, clips=clips)
    save(target, model, card, half=True)


if __name__ == "__main__":
    main()
