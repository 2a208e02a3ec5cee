"""A network that learns a film: from the file to the weights, or to why it did not pay."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import av
import torch

from ..checkpoint import Card, bundled, load, read_card, save
from ..files import content_fingerprint, free_bytes, network_fingerprint
from ..media import MediaError
from ..models import S2SVR
from ..restoration import place_of
from ..tasks import TASKS
from ..text import amount
from ..writing import WorkFolder, WorkPolicy
from .budget import Budget, Clock, Report
from .film import MOST, MOST_HELD, SPAN
from .judge import judged_by
from .schedule import FIRST_DAMAGE
from .settings import LARGEST, Adaptation
from .stages import learn, learn_motion, looked_at, restore_some, tell
from .state import NAME, resumed
from .workshop import Workshop


@dataclass(frozen=True)
class Adapted:
    """What became of an adaptation."""

    target: str
    network: str
    learned_from: str  # the best network, or the network itself: who restored the film
    film: str  # fingerprint of its content
    kept: bool  # the weights were written
    why: str
    near: list[float]  # gains in dB on held-out parts, as Score has them
    fidelity: list[float]  # the same
    damage: str  # of the film, as it was told
    flow: str  # what became of the flow network
    learned: int  # frames
    held: int  # frames
    steps: int
    seconds: float


def adapt_film(
    model: S2SVR,
    card: Card,
    job: Adaptation,
    *,
    better: S2SVR | None = None,
    stop: Callable[[], bool] = lambda: False,
    report: Report = lambda doing, spent, seconds: None,
    clock: Clock = time.monotonic,
    began: float | None = None,
) -> Adapted:
    """Let a restoration network, whose card is given, learn a film; what pays is written.

    It learns on from pairs that are made of the film as a ``better`` network restores it, if there
    is one and time for that, or else as it does itself. It is kept where a part of the film that it
    did not learn from gains on measures that need no truth. However it ends, the same call goes on.
    ``report`` is told what is done; time is taken by ``clock``, from ``began`` on, or from now.
    Raises MediaError for a film or a target that cannot be, ValueError for a network that cannot
    learn from a film, and KeyboardInterrupt where ``stop`` says so.
    """
    began = clock() if began is None else began
    check_network(model, card)
    check_target(job)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    device = place_of(model, job.device)
    model, better = model.to(device), None if better is None else better.to(device)
    work = WorkFolder(job.target, WorkPolicy(job.overwrite, lasting=True, restart=job.restart))
    work.keep_work = begun = (work.folder / NAME).exists()
    try:
        check_space(job, model, work.folder)
        film = content_fingerprint(job.source)
        state = resumed(work.folder, adaptation_conditions(job, model, better, film))
        gone = state.spent + clock() - began
        budget = Budget(60 * job.minutes, gone, clock=clock, report=report)
        shop = Workshop(job, model, better, card, work.folder, state, budget, stop)
        with work.errors(), coding_errors(job.source):
            shop.note()
            work.keep_work = True
            if state.portions is None:
                try:
                    film_frames = looked_at(shop)
                except MediaError:
                    work.keep_work = begun
                    raise
                restore_some(shop, film_frames)
            tell(shop)
            made = learn(shop, learn_motion(shop))
            found = decided(shop, film, None if made is None else load(made, device=device))
            if found.kept and made is not None:
                save(work.product, load(made), card_of(shop, found))
                work.publish()
        work.keep_work = False
        return found
    finally:
        work.discard()


@contextmanager
def coding_errors(source: Path) -> Iterator[None]:
    """Turn errors of FFmpeg within the block, which are not the target's, into MediaError."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(f"frames of {source} cannot be coded to compare them: {error}") from error


def decided(shop: Workshop, film: str, after: torch.nn.Module | None) -> Adapted:
    """The report, with the decision on the network that has learned; None where it has not."""
    state = shop.state
    frames = [sum(len(p.lq) for p in shop.portions(held=held)) for held in (False, True)]
    report = Adapted(
        target=str(shop.job.target), network=shop.job.network,
        learned_from="the best network" if state.better else "the network itself",
        film=film, kept=False,
        why=shop.failed or "there was no time to learn anything: give it more --minutes",
        near=[], fidelity=[], damage=state.found().text(), flow=state.flow or "",
        learned=frames[0], held=frames[1], steps=0, seconds=shop.budget.spent(),
    )  # fmt: skip
    if after is None:
        return report
    assert isinstance(after, S2SVR)
    verdict = judged_by(state.first(), shop.scores(after), better=bool(state.better))
    steps = read_card(shop.run("restoration").weights).step
    return replace(
        report, kept=verdict.kept, why=verdict.why, near=verdict.near,
        fidelity=verdict.fidelity, steps=steps, seconds=shop.budget.spent(),
    )  # fmt: skip


def card_of(shop: Workshop, found: Adapted) -> Card:
    """The card of what is kept; it names no file, and the film by a fingerprint of its content."""
    known = shop.job.network if shop.job.network in {*bundled(), *TASKS} else "weights"
    return Card(
        task=shop.card.task,
        recipe="adapt",
        data=f"{found.learned} frames of the film {found.film}",
        step=found.steps,
        licence=shop.card.licence,
        notes=f"learned on from {known} "
        f"({network_fingerprint(shop.model)}); on {found.held} other frames of the film, "
        f"{found.why}",
    )


def check_network(model: S2SVR, card: Card) -> None:
    """Raise ValueError for a network that cannot learn from a film alone."""
    fits = isinstance(model, S2SVR) and model.scale in LARGEST
    if not fits or card.task not in FIRST_DAMAGE:
        raise ValueError(
            f"expected a network for {', '.join(FIRST_DAMAGE)}, got one for {card.task}: its input "
            "cannot be made of a film alone"
        )


def check_target(job: Adaptation) -> None:
    """Raise MediaError for a target that is no weights file, or that is what is read."""
    if job.target.suffix != ".safetensors":
        raise MediaError(
            f"expected a name that ends in .safetensors for the weights, got {job.target}"
        )
    for what, path in (("film", job.source), ("network that learns", Path(job.network))):
        if job.target.resolve() == path.resolve():
            raise MediaError(f"the output {job.target} is the {what}; name another output")


def check_space(job: Adaptation, model: S2SVR, folder: Path) -> None:
    """Raise MediaError where the disk has no room for what is still to be made in a folder."""
    with job.excerpt.open(job.source) as reader:
        info = reader.info
    rows, columns = LARGEST[model.scale]
    frames = min(info.frames or MOST * SPAN, (MOST + MOST_HELD) * SPAN)
    pixels = frames * min(info.height, rows) * min(info.width, columns)
    weights = 4 * sum(value.numel() for value in model.state_dict().values())
    # Portions, the same damaged again and some damaged anew, and flow.
    needed = round(3 * 3 * pixels * (1 + model.scale**2)) + 10 * weights
    needed -= sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = free_bytes(job.target)
    if needed > free:
        raise MediaError(
            f"{job.target} needs about {amount(needed)} while it is made and {amount(free)} are "
            "free: free some, or write to another disk"
        )


def adaptation_conditions(
    job: Adaptation, model: S2SVR, better: S2SVR | None, film: str
) -> dict[str, str | int]:
    """All that what is kept for a later try depends on."""
    excerpt = job.excerpt
    return {
        "film": film,
        "network": network_fingerprint(model),
        "best network": "none" if better is None else network_fingerprint(better),
        "part of the film": f"{excerpt.start} {excerpt.end} {excerpt.fps} {excerpt.deinterlace}",
        "number of steps": job.steps,
    }
