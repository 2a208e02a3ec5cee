"""The stages of an adaptation; each leaves on the disk what a later try need not do again."""

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from torch import Tensor

from ..checkpoint import load
from ..data import Stored, as_float, is_kept, kept_clip, key_of, to_bytes
from ..media import MediaError
from ..models import S2SVR, PWCLite
from ..tasks import TASKS
from ..train import flow_losses, learn_flow_further, learn_further
from .film import SPAN, Portion, portions_of, read_portions, shots_of
from .judge import restored_clip
from .pairs import made_pairs
from .schedule import FIRST_DAMAGE, HOLD, flow_recipe, restoration_recipe
from .settings import LARGEST
from .traces import FRAMES, known_quality, tell_traces
from .workshop import STOPPED, Workshop

TEACHER = "flow-light-teacher"
# Shares of the time after which a stage ends.
LOOKED_AT, RESTORED, TOLD, FLOWED, MADE = 0.1, 0.25, 0.29, 0.37, 0.42
PAIRING = MADE - FLOWED  # pairs are made for so long at least, however late it is
TIMED = 3  # frames that a better network is timed on
CHECKED, FEWEST_CHECKED = 12, 4  # pairs of frames that the flow is judged by
SPARE = 1.3  # the second network's scores may take so many times longer than the first's
LAST = 0.02  # share of the time that is left for what comes after them


def looked_at(shop: Workshop) -> dict[Portion, np.ndarray]:
    """Portions of the film and their frames, in the order in which they are restored.

    Raises MediaError for a film that cannot be learned from.
    """
    job = shop.job

    def look() -> None:
        shop.tell("looking at the film")

    def going() -> bool:
        look()
        return shop.budget.left(LOOKED_AT) > 0

    order = portions_of(shots_of(job.source, job.excerpt, job.fewest, going))
    size = LARGEST[shop.model.scale]
    found = dict(read_portions(job.source, job.excerpt, order, size, look))
    if len({portion.held for portion in found}) < 2:
        raise MediaError(f"{job.source} has too few frames that can be decoded to learn from")
    return {portion: found[portion] for portion in order if portion in found}


def restore_some(shop: Workshop, found: dict[Portion, np.ndarray]) -> None:
    """Restore portions of the film for as long as there is time, and one of each kind at least.

    Those that an earlier try has restored are taken whatever the time.
    """
    state, kept = shop.state, dict[str, bool]()
    if state.better is None:
        first = next(iter(found.values()))
        state.better = shop.better is not None and has_time(shop, as_float(first))
        shop.note()
    for portion, frames in found.items():
        key = key_of(state.conditions, state.better, str(portion))
        late = shop.budget.left(RESTORED) <= 0 and portion.held in kept.values()
        if late and not is_kept(shop.clips, key):
            continue
        shop.tell("restoring portions of the film")

        def made(frames: np.ndarray = frames) -> list[np.ndarray]:
            return [frames, to_bytes(restored_clip(shop.restorer, as_float(frames))).numpy()]

        kept_clip(shop.clips, key, "film", made)
        kept[key] = portion.held
    state.portions = kept
    shop.note()


def has_time(shop: Workshop, frames: Tensor) -> bool:
    """True if there is time for the better network to restore two portions."""
    assert shop.better is not None
    shop.tell("timing the best network")
    began = shop.budget.spent()
    restored_clip(shop.better, frames[:TIMED])
    each = (shop.budget.spent() - began) / min(TIMED, len(frames))
    return 2 * SPAN * each < shop.budget.left(RESTORED)


def tell(shop: Workshop) -> None:
    """Tell the film's damage, and what the network as it was makes of what is held out."""
    job, state = shop.job, shop.state
    if state.traces is None:

        def going() -> bool:
            shop.tell("telling the damage")
            return shop.budget.left(TOLD) > 0

        with job.excerpt.open(job.source) as reader:
            codec = reader.info.codec
        known = known_quality(job.source, codec)
        some = shop.portions(held=False)[:2]
        pairs = [(as_float(p.lq[:FRAMES]), as_float(p.hq[:FRAMES])) for p in some]
        coded: Any = load(TASKS["compression"].weights)
        state.traces = asdict(
            tell_traces(
                pairs,
                shop.model.scale,
                codec,
                known,
                coded.mixer.quality,
                going,
            )
        )
        shop.note()
    if state.before is None:
        began = shop.budget.spent()
        state.before = [asdict(score) for score in shop.scores(shop.model)]
        state.judging = shop.budget.spent() - began
        shop.note()


def learn_motion(shop: Workshop) -> S2SVR:
    """The network after its flow has learned from the film, where that pays on what is held out."""
    state, model, run = shop.state, deepcopy(shop.model), shop.run("flow")
    learned, held = shop.portions(held=False), shop.portions(held=True)
    recipe = None
    if model.flow is not None:
        recipe = flow_recipe(model.config, smallest([*learned, *held]))
    if model.flow is None or recipe is None:
        state.flow = "as it was: the film is too small to learn motion from"
        return model

    def left() -> bool:
        return shop.budget.left(FLOWED) > 0

    if state.flow is None and not left():
        state.flow = "as it was: no time was left to learn it"
    if state.flow is None:
        teacher = load(TEACHER)
        assert isinstance(teacher, PWCLite)
        going = shop.going("learning the motion", left)
        try:
            learn_flow_further(deepcopy(model.flow), teacher, learned, recipe, run, going)
        except FloatingPointError:
            state.flow = "as it was: its training failed, the loss was not finite"
            shop.note()
            return model
        shop.tell("judging the motion")
        after = load(run.weights, device=run.device)
        assert isinstance(after, PWCLite)
        losses: list[list[float]] = []
        for pair in flow_losses([model.flow, after], teacher, held, recipe):
            losses.append(pair)
            shop.tell("judging the motion")
            if len(losses) == CHECKED or (len(losses) >= FEWEST_CHECKED and not left()):
                break
        gains = [a - b for a, b in losses]
        state.flow_learned = fmean(gains) > stdev(gains)
        before, then = (fmean(pair[i] for pair in losses) for i in (0, 1))
        text = f"loss on what is held out {before:.4f} -> {then:.4f}"
        state.flow = f"{'learned' if state.flow_learned else 'as it was'}: {text}"
        shop.note()
    if state.flow_learned:
        model.flow.load_state_dict(load(run.weights).state_dict())
    return model


def learn(shop: Workshop, model: S2SVR) -> Path | None:
    """Let the network learn pairs of the film; the weights' path, or None if no time was left."""
    job, run = shop.job, shop.run("restoration")
    reserve = SPARE * shop.state.judging + LAST * shop.budget.seconds

    def left() -> bool:
        return shop.budget.left() > reserve

    if not left() and not run.weights.exists():
        return None
    pairs = pairs_to_learn(shop)
    recipe = restoration_recipe(shop.card.task, model.config, smallest(pairs), job.steps)
    if left() or run.weights.exists():
        going = shop.going("learning", left)
        try:
            learn_further(
                model, pairs, recipe, run, going, hold=HOLD, card=shop.card,
                tell=lambda: shop.tell("estimating the motion of pairs"),
            )  # fmt: skip
        except FloatingPointError:
            shop.failed = "the training failed, its loss was not finite"
            return None
    if shop.stop():
        shop.note()
        raise KeyboardInterrupt(STOPPED)
    return run.weights if run.weights.exists() else None


def pairs_to_learn(shop: Workshop) -> list[Stored]:
    """The pairs that are learned from: all that cost nothing, and others while there is time.

    Those that an earlier try has made are taken whatever the time; once all are made, a later try
    learns from the same.
    """
    state, budget, pairs = shop.state, shop.budget, list[Stored]()
    late = max(MADE * budget.seconds, budget.spent() + PAIRING * budget.seconds)

    def wanted(key: str) -> bool:
        if state.pairs is not None:
            return key in state.pairs
        shop.tell("making pairs to learn from")
        return not pairs or budget.spent() < late or is_kept(shop.clips, key)

    learned, damage = shop.portions(held=False), FIRST_DAMAGE[shop.card.task]
    for pair in made_pairs(
        learned, state.found(), damage, shop.clips, better=bool(state.better), wanted=wanted
    ):
        pairs.append(pair)
    if state.pairs is None:
        state.pairs = [pair.key for pair in pairs]
        shop.note()
    return pairs


def smallest(clips: list[Stored]) -> tuple[int, int]:
    """Height and width that all of these have in low quality."""
    height, width = (min(clip.lq.shape[axis] for clip in clips) for axis in (-2, -1))
    return height, width
