"""The typed form of ``recipes/*.toml``: one file per training run.

Every number that a training depends on stands in its recipe; what differs from machine to machine
(data folder, output folder, device) is given on the command line.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..data import Data


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the file and the entry."""


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(Section):
    """The network that is trained."""

    preset: str  # a name of models.PRESETS
    channels: int | None = None  # narrower or wider than the preset, for tests and studies
    motion: bool = True  # False: no flow network at all, the twin that shows what motion is worth


class Optim(Section):
    """The loop: linear warm-up, constant rate, cosine decay over the last steps."""

    steps: int = Field(ge=1)
    rate: float = Field(gt=0)
    kind: Literal["adam", "muon"] = "adam"  # muon trains small networks in far fewer steps
    flow_rate: float = Field(0.0, ge=0)  # of the flow network inside a restoration model
    keep_mixer: bool = False  # the mixer's weights stay as they are
    flow_from: int = Field(0, ge=0)  # the flow network is frozen before this step
    warmup: int = Field(0, ge=0)
    decay: int = Field(0, ge=0)  # the last steps, over which the rate falls to its floor
    floor: float = Field(0.01, ge=0, le=1)  # the share of the rate that it falls to
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient
    average: float = Field(0.999, ge=0, lt=1)  # of the exponential weight average
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    fused: bool = False  # steps by few kernels, for one GPU; never run on one, so off
    seed: int = 0
    checkpoint_minutes: float = Field(5.0, gt=0)
    validate_every: int = Field(500, ge=1)
    log_every: int = Field(50, ge=1)
    workers: int = Field(0, ge=0)  # processes that prepare and load the clips

    @model_validator(mode="after")
    def fused_without_scaling(self) -> "Optim":
        if self.fused and self.precision == "16-mixed":
            raise ValueError(
                "expected fused with 32-true or bf16-mixed, got 16-mixed, which scales gradients"
            )
        return self


class FlowLoss(Section):
    """Weights of Eq. 14 and 17 in the normalisation that losses.py states; the paper's if unset."""

    photometric: float = 0.15
    structural: float = 0.0
    smooth: float = 50.0
    distill: float = 0.1
    edge: float = 10.0  # of exp(-edge |dI|)
    scales: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)  # of the pyramid's levels, finest first
    smooth_scales: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)  # the same, of the smoothness
    enlarged: bool = True  # every level, as the finest is; else that one alone
    mask_from: int = 0  # the occlusion mask is used from this step on

    @model_validator(mode="after")
    def one_scale_a_level(self) -> "FlowLoss":
        if len(self.scales) != len(self.smooth_scales):
            raise ValueError(
                f"expected scales and smooth_scales of equal length, got {len(self.scales)} and "
                f"{len(self.smooth_scales)}"
            )
        return self


class RestorationLoss(Section):
    """Charbonnier, or the mean logarithm of the frames' squared errors."""

    kind: Literal["charbonnier", "psnr"] = "charbonnier"
    luma: bool = False  # the distance counts Cb and Cr little beside Y
    # Whole clips; or one frame of each, in turn, of which the rest are neighbours; or that mixed
    # with its neighbours, before anything else is done to it.
    scored: Literal["clips", "frames", "mixed"] = "clips"
    eps: float = Field(default=1e-12, gt=0)
    # Weight of what frames lose against the input, in hundreds of dB (losses.harm).
    harm: float = Field(default=0, ge=0)


class FlowRecipe(Section):
    """A training of the flow network: the teacher's or the student's (Algorithm 1)."""

    kind: Literal["flow"]
    model: Model
    data: Data
    optim: Optim
    loss: FlowLoss = Field(default_factory=FlowLoss)

    @model_validator(mode="after")
    def plain_steps(self) -> "FlowRecipe":
        if self.optim.fused:
            raise ValueError(
                "expected optim.fused=false for a flow network: only restoration networks have "
                "steps by few kernels"
            )
        return self


class RestorationRecipe(Section):
    """A training of a whole restoration network."""

    kind: Literal["restoration"]
    task: str
    model: Model
    data: Data
    optim: Optim
    loss: RestorationLoss = Field(default_factory=RestorationLoss)


class AdamW(Section):
    """AdamW at a rate that falls as a cosine."""

    steps: int = Field(ge=1)
    rate: float = Field(gt=0)
    batch: int = Field(512, ge=1)  # windows or frames a step
    weight_decay: float = 1e-2
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient
    seed: int = 0
    log_every: int = Field(1000, ge=1)


class Shares(Section):
    """Shares of the windows in a batch, by what was done to their clip."""

    stored: float = Field(0.25, ge=0)  # the recipe's damage
    again: float = Field(0.25, ge=0)  # the truth averaged anew, as train.exposure says
    rendered: float = Field(0.25, ge=0)  # moving photographs
    sharp: float = Field(0.25, ge=0)  # no blur, but noise, or frames that are shown twice


class ExposureRecipe(Section):
    """A training of the parts that estimate the exposure (train.exposure)."""

    kind: Literal["exposure"]
    task: str
    estimate: bool = True  # train the estimate of the exposure; else the share of the change alone
    restored: int = Field(0, ge=0)  # crops that the share of the change is learned from; 0: not
    model: Model
    data: Data
    shares: Shares = Field(default_factory=Shares)
    optim: AdamW

    @model_validator(mode="after")
    def something_to_train(self) -> "ExposureRecipe":
        if not (self.estimate or self.restored):
            raise ValueError(
                "expected estimate=true, or restored above 0, got estimate=false and restored=0: "
                "nothing would be trained"
            )
        return self


class QualityRecipe(Section):
    """A training of the part that estimates how well frames were coded (train.quality)."""

    kind: Literal["quality"]
    task: str
    codings: int = Field(ge=1)  # of each clip
    fine: int = Field(default=0, ge=0)  # further ones, at qualities of train.quality.FINE
    estimate: bool = True  # train the estimate of PSNR; else the share of the change alone
    model: Model
    data: Data
    optim: AdamW


Recipe = FlowRecipe | RestorationRecipe | ExposureRecipe | QualityRecipe
KINDS: dict[str, type[Recipe]] = {
    "flow": FlowRecipe,
    "restoration": RestorationRecipe,
    "exposure": ExposureRecipe,
    "quality": QualityRecipe,
}


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe; ``overrides`` are entries as ``optim.steps=100``, values in TOML's syntax.

    Raises RecipeError with the entry's name, what it has to be and what came.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        for entry in overrides or []:
            override(table, entry)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"expected a TOML recipe in {path}: {error}") from error
    kind = KINDS.get(table.get("kind", ""))
    if kind is None:
        raise RecipeError(
            f"expected kind = one of {list(KINDS)} in {path}, got {table.get('kind')!r}"
        )
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{path}: {validation_sentence(error, kind)}") from error


def override(table: dict, entry: str) -> None:
    """Set one entry of a parsed recipe from ``a.b=value``; a bare word is a string."""
    key, sign, text = entry.partition("=")
    if not sign or not key:
        raise RecipeError(f"expected an override as section.key=value, got {entry!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.split(".")
    for section in sections:
        table = table.setdefault(section, {})
    table[last] = value


def validation_sentence(error: ValidationError, recipe: type[BaseModel]) -> str:
    """A sentence about the first thing that is wrong."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":  # ours, and a whole sentence
        return ": ".join([*([where] if where else []), str(first["ctx"]["error"])])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}, got {first.get('input')!r}"
    for section in first["loc"][:-1]:
        recipe = recipe.model_fields[str(section)].annotation  # type: ignore[assignment]
    return f"{where} is not an entry; the valid ones are {', '.join(recipe.model_fields)}"
