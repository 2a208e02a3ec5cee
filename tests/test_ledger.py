"""The sums of losses that the trainings minimise (Eq. 14, 15, 17), against their parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from s2svr.losses import distillation, photometric, smoothness
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.ops import resize_flow
from s2svr.train.flow import student_loss, teacher_loss, unsupervised
from s2svr.train.recipes import FlowLoss, FlowRecipe, load_recipe

RECIPES = Path(__file__).parents[1] / "recipes"
TASKS = ("sr", "deblur", "compression")

# One level at stride 2, whose flow is judged at full size; no mask, so that the sums are plain.
CONFIG = PWCLiteConfig(
    channels=(4,), features=4, search=1, estimator=(6, 6, 4), context=(6, 4), finest=0
)
WEIGHTS = FlowLoss(photometric=0.15, smooth=50.0, distill=0.1, mask_from=10)
SCALES = (1.0, 0.8, 0.5)


class Shift(PWCLite):
    """A flow network that answers with a ramp, by what it sees and in which direction."""

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        height, width = a.shape[-2] // 2, a.shape[-1] // 2
        ramp = torch.linspace(0, 1, width).expand(len(a), 2, height, width)
        seen = (3 * a.std((1, 2, 3)) - b.mean((1, 2, 3))).view(-1, 1, 1, 1)
        return [ramp * self.size * seen]


def shift(size: float) -> Shift:
    net = Shift(CONFIG)
    net.size = nn.Parameter(torch.tensor(size))
    return net


def pair(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.rand(1, 2, 3, height, width, generator=generator)


def first_step(net: Shift, frames: Tensor) -> Tensor:
    """Eq. 14, the mean of both directions, written out."""
    a, b = frames.unbind(1)
    total = torch.zeros(())
    for x, y in ((a, b), (b, a)):
        side = min(x.shape[-2:])
        flow = resize_flow(net.pyramid(x, y)[0], (x.shape[-2], x.shape[-1]))
        total = total + 0.15 * photometric(x, y, flow, None) + 50 * smoothness(flow, x, 10.0, side)
    return total / 2


def test_the_teachers_loss_is_the_weighted_sum():  # Eq. 14
    net, hq = shift(0.7), pair(16, 24)
    terms = teacher_loss(WEIGHTS)(net, {"hq": hq}, 0)
    assert terms["loss"].item() == pytest.approx(first_step(net, hq).item(), rel=1e-5)


def test_the_students_loss_adds_the_distance_to_the_frozen_teacher():  # Eq. 15-17
    net, teacher, lq, hq = shift(0.7), shift(3.0), pair(8, 12), pair(32, 48)
    terms = student_loss(teacher, WEIGHTS)(net, {"lq": lq, "hq": hq}, 0)
    apart = []
    for first, second in ((0, 1), (1, 0)):
        wanted = teacher(hq[:, first], hq[:, second])
        found = net.pyramid(lq[:, first], lq[:, second])[0]
        apart.append(distillation(wanted, resize_flow(resize_flow(found, (8, 12)), (32, 48))))
    assert abs(apart[0] - apart[1]) > 0.01  # the directions are told apart
    total = first_step(net, lq) + 0.1 * (apart[0] + apart[1]) / 2
    assert terms["loss"].item() == pytest.approx(total.item(), rel=1e-5)
    terms["loss"].backward()
    assert net.size.grad is not None
    assert teacher.size.grad is None


def test_the_mask_comes_at_its_step():
    net, hq = shift(8.0), pair(16, 24)
    early, late = (teacher_loss(WEIGHTS)(net, {"hq": hq}, step) for step in (9, 10))
    assert early["photometric"].item() != late["photometric"].item()
    unmasked = teacher_loss(WEIGHTS.model_copy(update={"mask_from": 0}))(net, {"hq": hq}, 9)
    assert unmasked["photometric"].item() == late["photometric"].item()


class Given(PWCLite):
    """A flow network of levels at strides 4, 8 and 16 that answers with given flows."""

    def __init__(self, first: Tensor, ahead: list[np.ndarray], back: list[np.ndarray]) -> None:
        super().__init__(replace(CONFIG, channels=(4, 4, 4, 4), finest=1))
        self.first, self.answers = first, (ahead, back)

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        flows = self.answers[0 if torch.equal(a, self.first) else 1]
        return [torch.from_numpy(flow)[None] for flow in flows]


def sampled(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(C, H, W) between its pixels, those of the border repeated."""
    height, width = image.shape[1:]
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    low, right = (top + 1).clip(max=height - 1), (left + 1).clip(max=width - 1)
    upper = image[:, top, left] * (left + 1 - x) + image[:, top, right] * (x - left)
    lower = image[:, low, left] * (left + 1 - x) + image[:, low, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:height, :width]
    return y.astype(float), x.astype(float)


def four_times(flow: np.ndarray) -> np.ndarray:
    y, x = grid(4 * flow.shape[1], 4 * flow.shape[2])
    return 4 * sampled(flow, (y + 0.5) / 4 - 0.5, (x + 0.5) / 4 - 0.5)


def seen(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    y, x = grid(*flow.shape[1:])
    y, x = y + flow[1], x + flow[0]
    other = sampled(back, y, x)
    inside = (y >= 0) & (x >= 0) & (y <= flow.shape[1] - 1) & (x <= flow.shape[2] - 1)
    return inside & (((flow + other) ** 2).sum(0) < 0.01 * (flow**2 + other**2).sum(0) + 0.5)


def arflow(frames: np.ndarray, ahead: list[np.ndarray], back: list[np.ndarray]) -> float:
    """0.15 L_ph + 50 L_sm with ARFlow's settings, in NumPy: frames (2, 3, H, W), finest first."""
    total, mask = 0.0, [np.ones(()), np.ones(())]
    for level, weight in enumerate(SCALES):
        flows, cell = [four_times(ahead[level]), four_times(back[level])], 2**level
        height, width = flows[0].shape[1:]
        if level == 0:
            mask = [seen(flows[0], flows[1]), seen(flows[1], flows[0])]
        area = frames.reshape(2, 3, height, cell, width, cell).mean((3, 5))
        for i, flow in enumerate(flows):
            y, x = grid(height, width)
            distance = np.abs(area[i] - sampled(area[1 - i], y + flow[1], x + flow[0])).mean(0)
            total += 0.15 * weight * distance[mask[i][::cell, ::cell]].mean() / 2
            if level == 0:
                across = np.exp(-10 * np.abs(np.diff(area[i], axis=2)).mean(0))
                down = np.exp(-10 * np.abs(np.diff(area[i], axis=1)).mean(0))
                unit = flow / min(height, width)
                steps = (across * np.abs(np.diff(unit, axis=2)) / 2).mean() / 2
                steps += (down * np.abs(np.diff(unit, axis=1)) / 2).mean() / 2
                total += 50 * steps / 2
    return total


def test_the_papers_loss_over_a_pyramid_is_arflows():  # Eq. 11, 13, 14
    random = np.random.default_rng(3)
    frames = random.random((2, 3, 32, 48))
    ahead = [random.normal(0.2, 0.4, (2, 8 // n, 12 // n)) for n in (1, 2, 4)]
    back = [random.normal(0, 0.05, flow.shape) - flow for flow in ahead]
    hidden = 1 - seen(four_times(ahead[0]), four_times(back[0])).mean()
    assert 0.2 < hidden < 0.8  # the mask has something to say
    a, b = torch.from_numpy(frames)[:, None]
    weights = FlowLoss(scales=SCALES, smooth_scales=(1.0, 0.0, 0.0))
    terms, _ = unsupervised(Given(a, ahead, back), a, b, weights, 0)
    assert terms["loss"].item() == pytest.approx(arflow(frames, ahead, back), rel=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_the_students_recipes_have_the_papers_weights(task: str):
    recipe = load_recipe(RECIPES / f"flow-light-student-{task}.toml", [])
    assert isinstance(recipe, FlowRecipe)
    assert recipe.loss == FlowLoss(photometric=0.15, smooth=50.0, distill=0.1, edge=10.0)
    assert recipe.loss.smooth_scales == (1.0, 0.0, 0.0, 0.0)
    assert recipe.loss.enlarged


def test_the_light_teachers_recipe_smooths_every_level_by_its_stride():
    """A step of a level's flow, in pixels of its own, is so many times as large in the frame's."""
    recipe = load_recipe(RECIPES / "flow-light-teacher.toml", [])
    assert isinstance(recipe, FlowRecipe)
    weights = recipe.loss
    assert (weights.photometric, weights.structural, weights.smooth) == (3.0, 17.0, 40.0)
    network = PRESETS[recipe.model.preset]
    assert isinstance(network, PWCLiteConfig)
    levels = range(network.finest + 1, len(recipe.loss.smooth_scales) + network.finest + 1)
    strides = [2**level for level in levels]
    assert not recipe.loss.enlarged
    assert list(recipe.loss.smooth_scales) == [1, *strides[1:]]  # the finest is enlarged


def test_a_level_is_weighed_by_its_own_size():  # as before recipes had such weights
    random = np.random.default_rng(4)
    a, b = torch.from_numpy(random.random((2, 3, 32, 48)))[:, None]
    ahead, back = ([random.normal(0, 1, (2, 8 // n, 12 // n)) for n in (1, 2, 4)] for _ in "ab")
    weights = FlowLoss(
        photometric=0.0, smooth=4.0, edge=0.0,
        scales=(1.0, 1.0, 1.0), smooth_scales=(1.0, 8.0, 16.0), enlarged=False,
    )  # fmt: skip
    total = 0.0
    for flows in (ahead, back):
        for flow in (four_times(flows[0]), *flows[1:]):
            unit = flow / min(flow.shape[1:])
            total += np.abs(np.diff(unit, axis=2)).mean() / 2
            total += np.abs(np.diff(unit, axis=1)).mean() / 2
    terms, _ = unsupervised(Given(a, ahead, back), a, b, weights, 0)
    assert terms["loss"].item() == pytest.approx(total, rel=1e-9)


def test_every_level_has_a_scale_of_its_smoothness():
    with pytest.raises(ValueError, match="scales and smooth_scales of equal length, got 4 and 1"):
        FlowLoss(smooth_scales=(1.0,))
