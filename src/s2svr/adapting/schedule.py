"""The trainings of an adaptation, as recipes."""

from ..data import Data
from ..models import S2SVRConfig
from ..train import FlowLoss, FlowRecipe, Model, Optim, RestorationLoss, RestorationRecipe

# Damage of the first trainings, by task. Others cannot be told from a film.
FIRST_DAMAGE = {"sr": "bicubic", "upscale": "mixed", "compression": "coded"}
HOLD = 1.0  # weight of the squared distance to the first weights
RATE = 2e-4
FLOW_RATE = 5e-5
FLOW_STEPS = 100
AVERAGE = 0.99
MINUTES = 0.25  # between checkpoints
CROPS = {4: 48, 1: 128}  # pixels, by the scale
FRAMES = {4: 7, 1: 6}
FLOW_CROPS = 256  # pixels; smaller where the film is


def restoration_recipe(
    task: str, config: S2SVRConfig, size: tuple[int, int], steps: int
) -> RestorationRecipe:
    """The training of a restoration network on pairs whose low quality is of a size at least.

    Crops, lengths and losses are those of the first trainings of bundled networks.
    """
    align = config.flow_down
    crop = max(8, align, min(CROPS[config.scale], min(size) // align * align))
    enlarges = config.scale > 1
    return RestorationRecipe(
        kind="restoration",
        task=task,
        model=Model(preset="the film's"),
        data=Data(
            frames=FRAMES[config.scale],
            crop=crop,
            context=(crop, crop),
            skip=2 if enlarges else 1,
            reverse=enlarges,
            transpose=True,
            batch=1,
        ),
        optim=Optim(
            kind="muon", steps=steps, rate=RATE, warmup=10, average=AVERAGE, clip=0.5,
            checkpoint_minutes=MINUTES, log_every=10**9,
        ),
        loss=RestorationLoss(eps=1e-6) if enlarges
        else RestorationLoss(kind="psnr", luma=True, eps=3e-4),
    )  # fmt: skip


def flow_recipe(config: S2SVRConfig, size: tuple[int, int]) -> FlowRecipe | None:
    """The training of its flow network on a film of a size (height, width); None: it is too small.

    Weights as those of the bundled students.
    """
    assert config.flow is not None
    unit = config.flow_down * 2 ** len(config.flow.channels)
    crop = min(FLOW_CROPS // (4 // config.flow_down), min(size) // unit * unit)
    if crop < unit:
        return None
    return FlowRecipe(
        kind="flow",
        model=Model(preset="the film's"),
        data=Data(
            frames=2, crop=crop, context=(crop, crop), skip=4, reduce=config.flow_down, batch=2
        ),
        optim=Optim(
            kind="muon", steps=FLOW_STEPS, rate=FLOW_RATE, warmup=10, average=AVERAGE, clip=1.0,
            checkpoint_minutes=MINUTES, log_every=10**9,
        ),
        loss=FlowLoss(
            photometric=20.0, smooth=8.0, distill=1.0, smooth_scales=(1.0, 4.0, 8.0, 16.0),
            enlarged=False,
        ),
    )  # fmt: skip
