"""Commands about one film: how to restore it, and a network that learns it."""

import shlex
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..text import duration_text, path_word
from .options import (
    Bits,
    Codec,
    Crf,
    Deinterlace,
    Device,
    EncoderPreset,
    End,
    Fit,
    Grain,
    Height,
    Json,
    NetworkQuality,
    Overwrite,
    Precision,
    Rate,
    Scale,
    Size,
    Source,
    Start,
    Strength,
    Task,
    Threads,
    Weights,
    Width,
)
from .output import print_json, print_table, say
from .progress import timed_progress
from .restore import chosen_network, job_asked, network, stopping
from .sets import Config, ProfileName, settled

if TYPE_CHECKING:
    from ..adapting import Adapted
    from ..models import S2SVR
    from ..tuning import FilmFacts, Tuning

OURS = {"source", "picture", "task", "quality", "overwrite", "as_json"}  # said otherwise
# Options of restore that have no part in this.
LEFT = {
    "audio": None, "audio_track": None, "bitrate": None, "window": 16, "tile": None,
    "scene_cuts": True, "restart": False,
}  # fmt: skip


# And those that have none in adapt either.
UNTOLD = {
    "codec": None, "crf": None, "bits": None, "scale": None, "size": None, "height": None,
    "width": None, "fit": None, "encoder_preset": None, "precision": "auto", "strength": 1.0,
    "grain": False,
}  # fmt: skip

Film = Annotated[Path, typer.Argument(metavar="IN", help="Video file, image, or folder of images.")]
Learner = Annotated[
    str | None,
    typer.Option(
        "--quality",
        autocompletion=lambda: ["fast", "best"],
        help="Network of the task that learns: fast, which can learn what the best one makes of "
        "the film, or best; fast if not given.",
    ),
]
Anew = Annotated[
    bool, typer.Option("--restart", help="Discard an unfinished adaptation and begin anew.")
]


def tune_command(
    context: typer.Context,
    source: Source,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Name of the picture; NAME-tune.png in this folder if not given."
        ),
    ] = None,
    task: Task = None,
    quality: NetworkQuality = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    codec: Codec = None,
    crf: Crf = None,
    bits: Bits = None,
    scale: Scale = None,
    size: Size = None,
    height: Height = None,
    width: Width = None,
    fit: Fit = None,
    strength: Strength = 1.0,
    grain: Grain = False,
    encoder_preset: EncoderPreset = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    deinterlace: Deinterlace = "auto",
    overwrite: Overwrite = False,
    config: Config = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Look at a film, try what could fit it, and say how to restore it best.

    Takes about two minutes. Prints what was found, the command that is fast and the one that is
    best with their times, and which is recommended; the picture shows the same crops, original,
    enlarged, by each network, and at three strengths. What is given stays as it is.
    """
    from ..restoration import check_quality
    from ..tasks import task_named
    from ..tuning import tune_video, usual_target

    if task is not None:
        task_named(task)
    if quality is not None:
        check_quality(quality)
    given = {**LEFT, **settled(context), "target": usual_target(source)}
    place = picture or Path(f"{source.resolve().stem}-tune.png")
    found = tune_video(
        job_asked(given), place, task=task, quality=quality, words=typed(context), say=say
    )
    if as_json:
        for candidate in found.candidates:
            candidate.crops.clear()  # they are in the picture
        print_json(found)
    else:
        typer.echo("\n".join([*film_lines(found.film), ""]))
        print_candidates(found)


def typed(context: typer.Context) -> tuple[str, ...]:
    """The options that were typed and go into the commands."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        origin = context.get_parameter_source(name)
        if origin is not None and origin.name == "COMMANDLINE" and name not in OURS:
            words += as_typed(parameter, context.params[name])
    return tuple(words)


def as_typed(parameter: Any, value: Any) -> list[str]:
    """An option and its value as they are typed."""
    if isinstance(value, bool):
        return [parameter.opts[0] if value else parameter.secondary_opts[0]]
    if isinstance(value, tuple):
        value = "x".join(map(str, value))
    if isinstance(value, Fraction):
        value = str(value) if name_is_rate(parameter) else str(float(value))
    return [parameter.opts[0], str(value)]


def name_is_rate(parameter: Any) -> bool:
    """True for an option that takes fractions."""
    return parameter.name in ("fps", "scale")


def film_lines(film: "FilmFacts") -> list[str]:
    """What was found out about a film."""
    from ..tuning import is_blurred

    interlaced = {"seen": "not marked, but lines show two moments"}
    frames = "unknown" if film.frames is None else str(film.frames)
    busiest = ", ".join(duration_text(float(time)) for time in film.busiest)
    moments = f"steadiest at {duration_text(float(film.steadiest))}"
    steps = "" if film.step is None else f" in steps of about {film.step:.0f} of 255"
    halved = "none" if film.halved is None else f"half the size would keep {film.halved:.1f} dB"
    return [
        f"size: {film.width}x{film.height}, {film.rate:.3f} frames/s, {frames} frames",
        f"coding: {film.codec}{steps}, about {film.coded:.1f} dB are left",
        f"detail: {halved}; noise: {film.noise:.1f} of 255",
        f"motion blur: {film.blur:.2f} ({'seen' if is_blurred(film) else 'none'})",
        f"interlaced: {interlaced.get(film.interlaced, film.interlaced)}",
        f"cuts: {film.cuts} in the {film.looked} frames that were looked at",
        f"busiest at {busiest}; {moments}" if busiest else f"one moment, at {moments[13:]}",
    ]


def print_candidates(found: "Tuning") -> None:
    """What was tried, and the commands."""
    rows = []
    for c in found.candidates:
        size = "" if c.size is None else f"{c.size[0]}x{c.size[1]}"
        pace = "" if c.frames_per_second is None else f"{c.frames_per_second:.2f}"
        takes = "" if c.seconds is None else duration_text(c.seconds)
        rows.append(
            {"tried": c.network.label, "network": c.network.name, "size": size, "frames/s": pace,
             "the film takes": takes}
        )  # fmt: skip
    print_table(rows)
    typer.echo("")
    for offer in found.offers:
        takes = "not measured" if offer.seconds is None else f"about {duration_text(offer.seconds)}"
        typer.echo(f"{offer.name} ({takes}):\n  {offer.command}")
    typer.echo(f"recommended: {found.recommended}, since {found.why}")
    typer.echo(f"the task {found.advice.task}, since {found.advice.why}")
    for line in found.left_out:
        typer.echo(f"left out: {line}")
    typer.echo(f"{found.picture}: the crops, side by side; {found.seconds:.0f} s in all")


def adapt_command(
    context: typer.Context,
    source: Film,
    out: Annotated[
        Path,
        typer.Option(metavar="WEIGHTS", help="Weights file that is written: NAME.safetensors."),
    ],
    minutes: Annotated[
        float, typer.Option(min=1, help="Time that all of it may take, in minutes.")
    ] = 20.0,
    steps: Annotated[int, typer.Option(min=1, help="Most steps of the training.")] = 1000,
    task: Task = None,
    weights: Weights = None,
    quality: Learner = None,
    device: Device = "auto",
    threads: Threads = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    deinterlace: Deinterlace = "auto",
    overwrite: Overwrite = False,
    restart: Anew = False,
    as_json: Json = False,
) -> None:
    """Let the network learn a film of your own; what pays is written as a weights file.

    The network is the fast one of the task. It learns from the film alone: from what the best
    network of the task makes of some of it, where there is one. It is written only where parts
    of the film that it did not learn from gain by it. Use the file with restore --weights. Given
    again after an interruption, the command goes on.
    """
    began = time.monotonic()  # before PyTorch is imported
    from ..adapting import Adaptation, adapt_film
    from ..checkpoint import read_card
    from ..restoration import usual_task
    from ..tuning import usual_target

    job = job_asked({**LEFT, **UNTOLD, **context.params, "target": usual_target(source)})
    if weights is None:
        task = task or usual_task(source)
        quality = "fast" if quality in (None, "auto") else quality
    choice = chosen_network(job, task, weights, quality, None)
    say(f"network: {choice.network} ({choice.why})")
    model, better = learner_and_better(choice.network, task)
    asked = Adaptation(
        source, out, minutes, steps, job.excerpt, job.compute.device, threads, overwrite, restart,
        network=choice.network,
    )  # fmt: skip
    with (
        timed_progress() as (report, tell),
        stopping(tell, "stopping; Ctrl-C again stops at once") as stop,
    ):
        found = adapt_film(
            model, read_card(choice.network), asked,
            better=better, stop=stop, report=report, began=began,
        )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(adapted_lines(found, source)))


def learner_and_better(name: str, task: str | None) -> tuple["S2SVR", "S2SVR | None"]:
    """The network of this name or path, and the best one of its task where that is another.

    Says which it learns from. Raises ValueError for a network of another kind.
    """
    from ..checkpoint import load, read_card
    from ..models import S2SVR
    from ..tasks import PLUS, TASKS

    model, known = network(name, task), TASKS.get(read_card(name).task)
    if not isinstance(model, S2SVR):
        raise ValueError(
            f"expected one restoration network, without a + behind its name, {name} is another"
        )
    best = "" if known is None else known.best.removesuffix(PLUS)
    if best in ("", name):
        say(f"no network knows more than {name}: it learns from its own frames, and seldom gains")
        return model, None
    better = load(best)
    assert isinstance(better, S2SVR)
    say(f"it learns from what {best} makes of the film, if there is time for that")
    return model, better


def adapted_lines(found: "Adapted", source: Path) -> list[str]:
    """What came of an adaptation."""
    lines = [
        f"damage of the film: {found.damage}",
        f"restored to learn from by {found.learned_from}",
        f"motion: {found.flow}",
        f"learned from {found.learned} frames in {found.steps} steps and "
        f"{duration_text(found.seconds)}; of {found.held} other frames: {found.why}",
    ]
    if not found.steps:
        return [*lines, "nothing was learned, and nothing was written"]
    if not found.kept:
        return [*lines, f"{found.network} is not better for it: nothing was written"]
    words = ["s2svr", "restore", path_word(source), "OUT", "--weights", found.target]
    use = shlex.join(words)
    return [*lines, f"{found.target}: written; use it by {use}"]
