"""Commands for those who train: trainings, data sets, rendered clips."""

from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Device, parse_dimensions, parse_rate
from .output import say

train = typer.Typer(no_args_is_help=True, help="Train networks.")
data = typer.Typer(no_args_is_help=True, help="Examine data sets.")


class Stage(StrEnum):
    """Steps of Algorithm 1, and what they are compared with."""

    TEACHER = "teacher"
    STUDENT = "student"
    SUPERVISED = "supervised"


Recipe = Annotated[
    Path, typer.Argument(help="Recipe file; the folder recipes/ has one for each training.")
]
Clips = Annotated[Path, typer.Option("--data", help="Folder of the training clips.")]
Out = Annotated[Path, typer.Option(help="Folder of the run; an unfinished run in it goes on.")]
Init = Annotated[str | None, typer.Option(help="Weights to start from: a bundled name or a file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="a.b=VALUE",
        help="Change an entry of the recipe; may be given more than once.",
    ),
]
Processes = Annotated[int, typer.Option(min=1, help="Number of devices, with one process each.")]
Cache = Annotated[
    Path | None, typer.Option(help="Folder of decoded clips, which several runs can share.")
]


@train.command("flow")
def train_flow_command(
    recipe: Recipe,
    clips: Clips,
    out: Out,
    stage: Annotated[
        Stage,
        typer.Option(help="What is learned from: good frames, a teacher too, or true flow."),
    ],
    teacher: Annotated[
        str | None, typer.Option(help="Weights of the teacher that a student imitates.")
    ] = None,
    degradation: Annotated[
        str | None, typer.Option(help="Damage that the student sees, in place of the recipe's.")
    ] = None,
    init: Init = None,
    overrides: Overrides = None,
    device: Device = "auto",
    processes: Processes = 1,
    cache: Cache = None,
) -> None:
    """Train a flow network without labels: a teacher, then a student; or one by true flow."""
    from ..train import FlowRecipe, Run, train_flow, train_supervised

    if (stage is Stage.STUDENT) != (teacher is not None):
        raise ValueError("expected --teacher with --stage student, and with no other")
    if degradation is not None:
        overrides = [*(overrides or []), f"data.degradation={degradation}"]
    run = Run(out, device, processes, cache, recipe.name, say)
    chosen = recipe_of(recipe, overrides, FlowRecipe)
    if stage is Stage.SUPERVISED:
        tell_once(train_supervised(chosen, run, data=clips, init=init))
        return
    tell_once(train_flow(chosen, run, data=clips, teacher=teacher, init=init))


@train.command("restoration")
def train_restoration_command(
    recipe: Recipe,
    clips: Clips,
    out: Out,
    val: Annotated[Path | None, typer.Option(help="Folder of clips to validate on.")] = None,
    flow: Annotated[
        str | None,
        typer.Option(help="Weights of the flow student, or a folder of .flo files by clip."),
    ] = None,
    init: Init = None,
    mixer: Annotated[
        str | None,
        typer.Option(help="Weights to take the mixing of neighbouring frames from, not --init's."),
    ] = None,
    overrides: Overrides = None,
    device: Device = "auto",
    processes: Processes = 1,
    cache: Cache = None,
) -> None:
    """Train a whole restoration network."""
    from ..train import RestorationRecipe, Run, train_restoration

    run = Run(out, device, processes, cache, recipe.name, say)
    chosen = recipe_of(recipe, overrides, RestorationRecipe)
    path = train_restoration(chosen, run, data=clips, val=val, flow=flow, init=init, mixer=mixer)
    tell_once(path)


@train.command("exposure")
def train_exposure_command(
    recipe: Recipe,
    clips: Clips,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    init: Init = None,
    overrides: Overrides = None,
    cache: Cache = None,
) -> None:
    """Train the parts of a deblurring network that estimate the exposure; it takes minutes."""
    from ..train import ExposureRecipe, Run, train_exposure

    run = Run(out, cache=cache, name=recipe.name, say=say)
    chosen = recipe_of(recipe, overrides, ExposureRecipe)
    tell_once(train_exposure(chosen, run, data=clips, init=init))


@train.command("quality")
def train_quality_command(
    recipe: Recipe,
    clips: Clips,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    init: Init = None,
    overrides: Overrides = None,
) -> None:
    """Train the part of a compression network that estimates a frame's quality."""
    from ..train import QualityRecipe, Run, train_quality

    run = Run(out, name=recipe.name, say=say)
    chosen = recipe_of(recipe, overrides, QualityRecipe)
    tell_once(train_quality(chosen, run, data=clips, init=init))


def tell_once(weights: Path) -> None:
    """Print where the weights are, in the first of the processes that trained them."""
    from torch import distributed

    several = distributed.is_available() and distributed.is_initialized()
    if not several or distributed.get_rank() == 0:
        typer.echo(weights)


def recipe_of(path: Path, overrides: list[str] | None, kind: type[Any]) -> Any:
    """The recipe in a file, which has to be of this kind."""
    from ..train import load_recipe

    recipe = load_recipe(path, overrides)
    if not isinstance(recipe, kind):
        raise ValueError(f"expected a recipe for this training, {path} is of kind {recipe.kind}")
    return recipe


@data.command("check")
def check_command(
    name: Annotated[str, typer.Argument(help="Name of the data set.")],
    root: Annotated[Path, typer.Argument(help="Its folder.")],
) -> None:
    """Check a data set and name every clip that is missing or broken."""
    from ..data import check_dataset as look

    faults = look(name, root)
    typer.echo("\n".join(faults) or f"{root} is a whole {name}")
    if faults:
        raise typer.Exit(1)


def render_command(
    out: Annotated[Path, typer.Argument(help="New folder for the clip.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of photographs or videos; those of scikit-image if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Number that picks which clip is rendered.")] = 0,
    size: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_dimensions, metavar="WxH", help="Size of the frames; 320x180 if not given."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Number of frames.")] = 40,
    fps: Annotated[
        Fraction, typer.Option(parser=parse_rate, metavar="N", help="Frames per second.")
    ] = Fraction(25),
    speed: Annotated[
        float, typer.Option(min=0, help="Fastest camera motion, in pixels a frame.")
    ] = 8.0,
    objects: Annotated[
        int, typer.Option(min=0, help="Most objects that move before the background.")
    ] = 5,
    text: Annotated[int, typer.Option(min=0, help="Most lines of moving text.")] = 0,
    flicker: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Change of brightness from frame to frame, as a share of it."
        ),
    ] = 0.0,
    noise: Annotated[
        float,
        typer.Option(min=0, help="Most sensor noise, as a standard deviation where white is 1."),
    ] = 0.0,
    exposure: Annotated[
        int,
        typer.Option(
            min=1, help="Sub-frames averaged into each frame, an odd number: motion blur."
        ),
    ] = 1,
    shutter: Annotated[
        float, typer.Option(min=0, help="Part of a frame's time that the sub-frames cover.")
    ] = 0.5,
) -> None:
    """Render a clip of moving photographs together with its exact flow and occlusions."""
    from ..render import Look, render_video

    width, height = size or (320, 180)
    look = Look(
        speed=(0.0, speed), objects=(min(2, objects), objects), text=(0, text), flicker=flicker,
        noise=noise, subframes=exposure, shutter=shutter,
    )  # fmt: skip
    render_video(
        out, seed=seed, photos=photos, size=(height, width), frames=frames, rate=fps, look=look
    )
