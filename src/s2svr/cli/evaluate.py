"""The command that scores weights on a data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import TASKS, USUAL_TASK, task_named
from .options import Device, Json, Task, Weights, either, parse_share
from .output import print_json, print_table, say

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..data import Clip
    from ..evaluation import ScoreRow

AROUND = 7  # lines of a table that are not of a clip

Degradation = Annotated[
    str | None,
    typer.Option(
        help="Damage made where clips have no low quality, such as blur-7, hevc-37 or "
        f"h264-28+bicubic; {either(task.damage for task in TASKS.values())} by the task if not "
        "given."
    ),
]
Protocols = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol",
        help="How to score, in place of the data set's protocol; may be given more than once.",
    ),
]
Segments = Annotated[
    list[int] | None,
    typer.Option(
        "--segment",
        min=1,
        help="Also restore with the memory emptied every N frames; may be given more than once.",
    ),
]
Compared = Annotated[
    list[str] | None,
    typer.Option(help="Other weights to compare with; may be given more than once."),
]
LowQuality = Annotated[
    Path | None,
    typer.Option(help="Low-quality video or folder that belongs to DATA; no damage is made."),
]
Tables = Annotated[
    list[Path] | None,
    typer.Option(help="Write the table to a .json, .csv or .md file; may be given more than once."),
]
Part = Annotated[
    tuple | None,
    typer.Option(
        parser=parse_share,
        metavar="I/N",
        help="Score only one share of the clips: 0/3 is the first of three.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="Folder of the clips; write ./flow for one called flow."),
]
Layout = Annotated[
    str,
    typer.Option(help="Layout of DATA: folder, pairs, or the name of a published data set."),
]
Split = Annotated[
    str, typer.Option(help="Part of the data set; test if not given and there is one.")
]
Flicker = Annotated[str | None, typer.Option(help="Flow network that flicker is measured with.")]
Motion = Annotated[
    Path | None,
    typer.Option(
        metavar="FLOWS",
        help="Folder of .flo files that the network aligns by, in place of its own flow: "
        "CLIP/flow and CLIP/backward of every clip.",
    ),
]
First = Annotated[int | None, typer.Option(min=1, help="Use only the first N frames of each clip.")]
Pictures = Annotated[
    Path | None, typer.Option(help="Folder for pictures of each clip's worst and best frame.")
]
Scores = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps the scores, so that an evaluation can go on."),
]
Damaged = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps the damaged clips for the next evaluation."),
]


def evaluate_command(
    clips: Data = None,
    root: Annotated[Path | None, typer.Option(help="Another way to give DATA.")] = None,
    task: Task = None,
    weights: Weights = None,
    lq: LowQuality = None,
    dataset: Layout = "folder",
    split: Split = "",
    degradation: Degradation = None,
    protocols: Protocols = None,
    frames: First = None,
    segments: Segments = None,
    beside: Compared = None,
    flow: Flicker = None,
    motion: Motion = None,
    table: Tables = None,
    pictures: Pictures = None,
    out: Scores = None,
    cache: Damaged = None,
    part: Part = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Restore damaged clips and compare them with the originals: PSNR, SSIM and gain."""
    from .. import evaluation
    from ..checkpoint import load, read_card
    from ..damage import degradation as damage
    from ..devices import choose_device

    for path in table or []:
        evaluation.check_place(path, *evaluation.TABLE_KINDS)
    place = choose_device(device)
    dataset, split, sequences = chosen_clips(clips, root, lq, dataset, split)
    share = part or (0, 1)
    if share[0] >= len(sequences):
        raise ValueError(f"expected a share of {len(sequences)} clips that holds any")
    usual = task_named(task or USUAL_TASK)
    name = weights or usual.weights
    model = load(name, task=task, device=place)
    degradation = degradation or TASKS.get(read_card(name).task, usual).damage
    scored = protocols or list(evaluation.DATASET_PROTOCOLS[dataset])
    network = flicker_network(flow) if flow else None
    with live(scored[0]) as done:
        rows = evaluation.evaluate(
            model, sequences, damage(degradation),
            evaluation.Scoring(scored, frames, segments or (), network, motion, degradation),
            others=compared_networks(beside or [], place),
            storage=evaluation.Storage(out, pictures, cache, degradation), part=share, done=done,
        )  # fmt: skip
    rows += evaluation.means(rows)
    origin = evaluation.Origin(dataset, split, degradation, frames, share, name)
    for path in table or []:
        evaluation.write_table(path, rows, origin)
    if as_json:
        print_json(rows)
    else:
        print_scores(rows, origin.text())


def flicker_network(name: str) -> "nn.Module":
    """The flow network that flicker is measured with."""
    from ..checkpoint import load

    if Path(name).is_dir():
        raise ValueError(
            f"expected a flow network for flicker, got the folder {name}; a folder of .flo files "
            "that the restoration aligns by is given by --motion"
        )
    return load(name, task="flow")


def chosen_clips(
    clips: Path | None, root: Path | None, lq: Path | None, dataset: str, split: str
) -> "tuple[str, str, list[Clip]]":
    """The data set that is meant, its split and its clips."""
    from ..data import DATASETS, named_dataset, paired

    if (clips is None) == (root is None):
        raise ValueError("expected the folder of the data set, once: as DATA or with --root")
    folder = clips or root
    assert folder is not None
    if lq is not None:
        return "pairs", "", paired(folder, lq)
    dataset, split = named_dataset(dataset, split)
    return dataset, split, DATASETS[dataset](folder, split)


def compared_networks(names: list[str], place: "torch.device") -> "dict[str, nn.Module]":
    """Weights to set beside ours, by the end of their name; by all of it where two end alike."""
    from ..checkpoint import load

    ends = [Path(name).stem for name in names]
    return {
        end if ends.count(end) == 1 else name: load(name, device=place)
        for name, end in zip(names, ends, strict=True)
    }


@contextmanager
def live(protocol: str) -> Iterator[Callable[[list["ScoreRow"]], None]]:
    """A function that shows each clip's rows: in a table of the last and the mean, or in lines."""
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from ..evaluation import OURS, cell_text, means, side_by_side

    screen = Console(stderr=True)
    rows: list[ScoreRow] = []

    def line(found: list["ScoreRow"]) -> None:
        row = next(row for row in found if row.method == OURS)
        say(f"{row.clip}: {row.psnr:.2f} dB ({row.protocol}), {row.gain:+.2f}")

    if not screen.is_terminal:
        yield line
        return
    with Live(console=screen, transient=True) as shown:

        def grow(found: list["ScoreRow"]) -> None:
            mine = [row for row in found if row.protocol == protocol]
            rows.extend(mine)
            fitting = max(1, screen.height - AROUND) * len(mine)
            lines = side_by_side([*rows[-fitting:], *means(rows)], protocol)
            table = Table(*lines[-1], title=protocol)
            for entry in lines:
                table.add_row(*(cell_text(name, entry.get(name)) for name in lines[-1]))
            shown.update(table, refresh=True)

        yield grow


def print_scores(rows: list["ScoreRow"], what: str) -> None:
    """Print what the numbers are of, and a table for each protocol."""
    from ..evaluation import PROTOCOLS, cell_text, side_by_side

    typer.echo(what)
    for protocol in dict.fromkeys(row.protocol for row in rows):
        typer.echo(f"{protocol}: {PROTOCOLS[protocol].text}")
        lines = side_by_side(rows, protocol)
        print_table(
            [{name: cell_text(name, value) for name, value in line.items()} for line in lines]
        )


def report_command(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=FILE",
            help="Tables of evaluate, such as reds=reds4.json or clips-sr=mine.json.",
        ),
    ] = None,
) -> None:
    """Print the paper's tables with measured numbers beside the published ones, as Markdown."""
    from ..evaluation import CLIPS, RESULTS
    from ..evaluation import paper_tables as tables

    given = {}
    for entry in results or []:
        name, sign, path = entry.partition("=")
        if not sign:
            known = ", ".join((*RESULTS, *CLIPS))
            raise ValueError(f"expected NAME=FILE with a name of {known}, got {entry}")
        given[name] = Path(path)
    typer.echo(tables(given), nl=False)
