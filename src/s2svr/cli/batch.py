"""The command that restores many files."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..pace import Pace
from ..text import amount, duration_text
from .options import (
    Audio,
    AudioTrack,
    Bitrate,
    Bits,
    Codec,
    Crf,
    Deinterlace,
    EncoderPreset,
    Fit,
    Grain,
    Height,
    Json,
    NetworkQuality,
    Overwrite,
    PlanOnly,
    Precision,
    Rate,
    Restart,
    Scale,
    SceneCuts,
    Size,
    Strength,
    Task,
    Threads,
    Tile,
    Weights,
    Width,
    Window,
    parse_length,
)
from .output import print_table, say
from .progress import LINE_EVERY
from .sets import Config, ProfileName, settled

if TYPE_CHECKING:
    from ..batch import Batch, BatchSettings, Item, Totals
    from ..jobs import Order

Places = Annotated[
    list[str],
    typer.Argument(
        metavar="IN... OUT",
        help="Files, folders, patterns such as 'clips/**/*.mp4', lists (@list.txt, a name in each "
        "line); the last is the folder of the outputs.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Files restored at once; one for each GPU, or one, if not given."),
]
NamePattern = Annotated[
    str,
    typer.Option(
        "--name",
        help="Name of an output, from {stem}, {suffix}, {name} and {folder} of its input, such as "
        "'{stem}_x4{suffix}'.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch", help="Go on until Ctrl-C with files that come, when they have stopped growing."
    ),
]
SplitOption = Annotated[
    Fraction | None,
    typer.Option(
        "--split",
        parser=parse_length,
        metavar="SECONDS",
        help="Restore longer films in stretches of about this length, side by side.",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Where workers run: local (processes of this machine), ray (tasks of a Ray cluster) "
        "or slurm (jobs of Slurm).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of the Ray cluster, such as auto or ray://HOST:10001."),
]
SendOption = Annotated[
    bool,
    typer.Option(
        "--send", help="With ray: send files to the workers and back, since no folder is shared."
    ),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option",
        metavar="NAME=VALUE",
        help="With slurm: an option of submitit, such as slurm_partition=gpu; may be given more "
        "than once.",
    ),
]
BatchDevice = Annotated[
    str, typer.Option(help="Where to compute: auto (all GPUs, or the CPU), cpu, cuda or cuda:N.")
]


def batch_command(
    context: typer.Context,
    places: Places,
    task: Task = None,
    weights: Weights = None,
    quality: NetworkQuality = None,
    device: BatchDevice = "auto",
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
    bitrate: Bitrate = None,
    encoder_preset: EncoderPreset = None,
    audio: Audio = None,
    audio_track: AudioTrack = None,
    fps: Rate = None,
    deinterlace: Deinterlace = "auto",
    window: Window = 16,
    tile: Tile = None,
    scene_cuts: SceneCuts = True,
    overwrite: Overwrite = False,
    restart: Restart = False,
    jobs: Jobs = None,
    name: NamePattern = "{name}",
    split: SplitOption = None,
    engine: EngineName = "local",
    address: Address = None,
    send: SendOption = False,
    engine_option: EngineOption = None,
    watch: WatchOption = False,
    plan: PlanOnly = None,
    config: Config = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Restore many files; what is done is skipped, and what was cut off goes on."""
    from ..batch import Batch, engine_for

    settings = batch_asked(settled(context))
    workers, settings = engine_for(
        settings, engine, device, jobs,
        address=address, send=send, options=engine_option or (), say=say,
    )  # fmt: skip
    with Batch(settings, workers, say, teller(as_json)) as batch:
        carry_through(batch, plan, as_json=as_json)


def carry_through(batch: "Batch", plan: bool | None, *, as_json: bool) -> None:
    """Say what a batch takes, and do it or name what would not be done; ends with 1 for that."""
    totals = batch.prepare()
    show_totals(batch, totals, as_json=as_json)
    if plan is not False:
        totals.check(batch.settings.out)
    if not plan:
        run_batch(batch, as_json=as_json)
        return
    ill = [item for item in batch.items if item.ill]
    for item in ill:
        batch.tell(item)
    if ill:
        raise typer.Exit(1)


def batch_asked(given: dict[str, Any]) -> "BatchSettings":
    """The batch that the options ask for, by the names of the command's arguments."""
    from ..batch import BatchSettings

    if len(given["places"]) < 2:
        raise ValueError("expected inputs and, as the last, the folder of the outputs")
    if given["weights"] is not None and given["quality"] is not None:
        raise ValueError("expected --weights or --quality, a choice of the task's own, got both")
    if given["watch"] and given["plan"]:
        raise ValueError("expected --watch or --plan, which tells of what is there, got both")
    *inputs, out = given["places"]
    weights, split = given["weights"], given["split"]
    if weights is not None and Path(weights).is_file():
        weights = str(Path(weights).absolute())  # workers may be elsewhere
    return BatchSettings(
        tuple(inputs), Path(out), given["name"], order_asked(given), weights,
        planned=given["plan"] is not False, watch=given["watch"],
        split=None if split is None else float(split),
    )  # fmt: skip


def order_asked(given: dict[str, Any]) -> "Order":
    """The order that the options ask for, by the names of the command's arguments."""
    from ..jobs import Order

    named = {name: given[name] for name in Order.model_fields if given.get(name) is not None}
    if given["encoder_preset"] is not None:
        named["preset"] = given["encoder_preset"]
    for name in ("fps", "scale"):  # fractions
        if given[name] is not None:
            named[name] = float(given[name])
    return Order(**named | {"audio_tracks": tuple(given["audio_track"] or ())})


def teller(as_json: bool) -> Callable[["Item"], None]:
    """A function that tells of a file that is over: as a line of JSON, or where it went wrong."""

    def tell(item: "Item") -> None:
        if as_json:
            print_line(item.report())
            return
        for seam in (item.summary or {}).get("seams", []):
            say(f"{item.passage.name}: {seam_words(seam)}")
        if item.ill:
            say(f"{item.passage.name}: {item.state}: {item.why or item.damage}")

    return tell


def seam_words(seam: dict[str, Any]) -> str:
    """A sentence about the border of two stretches within a shot."""
    psnr = seam["psnr"]
    alike = "no difference" if psnr is None or math.isinf(psnr) else f"{psnr:.1f} dB"
    return f"seam at frame {seam['frame']}: {alike} between both stretches in the frame before it"


def print_line(value: dict[str, Any]) -> None:
    """A line of JSON to the standard output."""
    from ..metrics import finite_or_none

    typer.echo(json.dumps(finite_or_none(value), default=str))


def show_totals(batch: "Batch", totals: "Totals", *, as_json: bool) -> None:
    """Say what there is to do and what it takes."""
    from ..batch import counts

    states = counts(batch.items)
    if as_json:
        asked = {"event": "plan", "states": states, "passed_over": batch.found.others}
        print_line(asked | vars(totals))
        return
    words = ", ".join(f"{count} {state}" for state, count in states.items())
    say(f"{len(batch.items)} files: {words}" if words else "no file is there yet")
    if others := batch.found.others:
        kinds = ", ".join(f"{ending} {count}" for ending, count in others.most_common(5))
        say(f"passed over, since their names are not those of videos: {others.total()} ({kinds})")
    for task, (network, why) in totals.networks.items():
        say(f"network for {task}: {network} ({why})")
    if totals.files:
        seconds, disk = totals.seconds, totals.disk
        time = "not measured" if seconds is None else f"about {duration_text(seconds)}"
        space = "not measured" if disk is None else f"about {amount(disk)}"
        say(
            f"plan: {totals.files} files, about {totals.frames} frames; time: {time} with "
            f"{totals.workers} at once; disk: {space}, {amount(totals.disk_free)} free"
        )
    if totals.unknown and (totals.seconds is not None or not totals.frames):
        say(f"the length of {totals.unknown} of them is not known and not counted")


def run_batch(batch: "Batch", *, as_json: bool) -> None:
    """Restore what is to be restored, and report; ends with 1 where a file is not as asked for."""
    from ..batch import counts

    with batch_progress(batch) as move:
        items = batch.run(move)
    ill = [item for item in items if item.ill]
    if as_json:
        print_line({"event": "end", "states": counts(items), "ill": len(ill)})
    else:
        words = ", ".join(f"{count} {state}" for state, count in counts(items).items())
        typer.echo(f"{len(items)} files: {words}")
        if ill:
            print_table([{"file": item.passage.name, "state": item.state,
                          "why": item.why or item.damage} for item in ill])  # fmt: skip
    if ill:
        raise typer.Exit(1)


@contextmanager
def batch_progress(batch: "Batch") -> Iterator[Callable[[], None]]:
    """A function that shows how far a batch is: bars on a terminal, else a line now and then."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    pace, last = Pace(), time.monotonic()
    console = Console(stderr=True)

    def standing() -> tuple[str, int, int, str]:
        over = sum(item.state not in ("new", "unfinished") for item in batch.items)
        done = sum(item.done for item in batch.items)
        total = sum(max(i.frames or 0, i.done) for i in batch.items if i.state != "skipped")
        text = pace.text(done, total or None, time.monotonic())
        return f"{over}/{len(batch.items)} files", done, total, text

    if not console.is_terminal:

        def line() -> None:
            nonlocal last
            files, done, total, text = standing()
            if time.monotonic() - last >= LINE_EVERY:
                last = time.monotonic()
                say(f"{files}, {done}/{total} frames, {text}")

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    with Bar(*columns, console=console, transient=True) as bar:
        whole = bar.add_task("files", total=None, pace="starting")
        rows: dict[str, Any] = {}

        def move() -> None:
            files, done, total, text = standing()
            bar.update(whole, description=files, completed=done, total=total, pace=text)
            running = {e.id: e for e in batch.queue.all() if e.state == "running"}
            for gone in rows.keys() - running.keys():
                bar.remove_task(rows.pop(gone))
            for name, entry in running.items():
                if name not in rows:
                    rows[name] = bar.add_task("", total=None, pace="")
                speed = "" if entry.fps is None else f"{entry.fps:.2f} frames/s"
                bar.update(rows[name], description=f"  {entry.name}", completed=entry.done,
                           total=entry.total, pace=speed)  # fmt: skip

        yield move
