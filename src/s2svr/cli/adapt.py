"""The command that lets a network learn a film."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Deinterlace,
    Device,
    End,
    Json,
    NetworkQuality,
    Overwrite,
    Rate,
    Restart,
    Source,
    Start,
    Task,
    Threads,
    Weights,
)
from .output import print_json, say
from .progress import timed_progress
from .restore import chosen_network, job_asked, network, stopping

if TYPE_CHECKING:
    from ..adapting import Adapted

STOPPING = "stopping after this step; Ctrl-C again stops at once"
# Options of restore that have no part in this.
LEFT = {
    "codec": None, "crf": None, "bits": None, "scale": None, "size": None, "bitrate": None,
    "encoder_preset": None, "audio": None, "audio_track": None, "height": None, "width": None,
    "fit": None, "precision": "auto", "window": 16, "tile": None, "scene_cuts": True,
    "strength": 1.0, "grain": False,
}  # fmt: skip


def adapt_command(
    context: typer.Context,
    source: Source,
    out: Annotated[Path, typer.Option(metavar="WEIGHTS", help="Weights file that is written.")],
    minutes: Annotated[
        float, typer.Option(min=1, help="Time that all of it may take, in minutes.")
    ] = 20.0,
    steps: Annotated[int, typer.Option(min=1, help="Most steps of the training.")] = 1000,
    task: Task = None,
    weights: Weights = None,
    quality: NetworkQuality = None,
    device: Device = "auto",
    threads: Threads = None,
    fps: Rate = None,
    start: Start = None,
    end: End = None,
    deinterlace: Deinterlace = "auto",
    overwrite: Overwrite = False,
    restart: Restart = False,
    as_json: Json = False,
) -> None:
    """Let the network learn a film of your own; what pays is written as a weights file.

    The network is the one that restore would choose. It learns from the film alone: from what the
    best network of the task makes of some of it, where there is one. It is written only where parts
    of the film that it did not learn from gain by it. Use the file with restore --weights. Given
    again after an interruption, the command goes on.
    """
    from ..adapting import Adaptation, adapt_film
    from ..checkpoint import load, read_card
    from ..models import S2SVR
    from ..restoration import usual_task
    from ..tasks import TASKS
    from ..tuning import usual_target

    job = job_asked({**LEFT, **context.params, "target": usual_target(source)})
    if weights is None and task is None:
        task = usual_task(source)
    choice = chosen_network(job, task, weights, quality, None)
    say(f"network: {choice.network} ({choice.why})")
    model = network(choice.network, task)
    card = read_card(choice.network)
    best = TASKS[card.task].best if card.task in TASKS else ""
    better = load(best) if best not in ("", choice.network) else None
    if not isinstance(model, S2SVR):
        raise ValueError(f"expected a restoration network, {choice.network} is another")
    assert better is None or isinstance(better, S2SVR)
    asked = Adaptation(
        source, out, minutes, steps, job.excerpt, job.compute.device, threads, overwrite, restart,
        network=choice.network,
    )  # fmt: skip
    with (
        timed_progress() as (report, tell),
        stopping(tell, "stopping; Ctrl-C again stops at once") as stop,
    ):
        found = adapt_film(model, card, asked, better=better, stop=stop, report=report)
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(adapted_lines(found, source)))


def adapted_lines(found: "Adapted", source: Path) -> list[str]:
    """What came of an adaptation."""
    from ..text import duration_text

    lines = [
        f"damage of the film: {found.damage}",
        f"restored to learn from by {found.learned_from}",
        f"motion: {found.flow}",
        f"learned from {found.learned} frames in {found.steps} steps and "
        f"{duration_text(found.seconds)}; of {found.held} other frames: {found.why}",
    ]
    if not found.kept:
        return [*lines, f"{found.network} is not better for it: nothing was written"]
    use = f"s2svr restore {source} OUT --weights {found.target}"
    return [*lines, f"{found.target}: written; use it by {use}"]
