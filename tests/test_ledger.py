"""The sums of losses that the trainings minimise (Eq. 14, 15, 17), against their parts."""

import pytest
import torch
from torch import Tensor, nn

from s2svr.losses import distillation, photometric, smoothness
from s2svr.models.pwclite import PWCLite, PWCLiteConfig
from s2svr.ops import resize_flow
from s2svr.train.flow import student_loss, teacher_loss
from s2svr.train.recipes import FlowLoss

# One level at stride 2, whose flow is judged at full size; no mask, so that the sums are plain.
CONFIG = PWCLiteConfig(
    channels=(4,), features=4, search=1, estimator=(6, 6, 4), context=(6, 4), finest=0
)
WEIGHTS = FlowLoss(photometric=0.15, smooth=50.0, distill=0.1, mask_from=10)


class Shift(PWCLite):
    """A flow network that answers with a ramp, whatever it sees."""

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        height, width = a.shape[-2] // 2, a.shape[-1] // 2
        ramp = torch.linspace(0, 1, width).expand(len(a), 2, height, width)
        return [ramp * self.size]


def shift(size: float) -> Shift:
    net = Shift(CONFIG)
    net.size = nn.Parameter(torch.tensor(size))
    return net


def pair(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.rand(1, 2, 3, height, width, generator=generator)


def first_step(net: Shift, frames: Tensor) -> Tensor:
    """Eq. 14 of both directions, written out."""
    a, b = frames.unbind(1)
    flow = resize_flow(net.pyramid(a, b)[0], (a.shape[-2], a.shape[-1]))
    total = torch.zeros(())
    for x, y in ((a, b), (b, a)):
        total = total + 0.15 * photometric(x, y, flow, None) + 50 * smoothness(flow, x, 10.0)
    return total


def test_the_teachers_loss_is_the_weighted_sum():  # Eq. 14
    net, hq = shift(0.7), pair(16, 24)
    terms = teacher_loss(WEIGHTS)(net, {"hq": hq}, 0)
    assert terms["loss"].item() == pytest.approx(first_step(net, hq).item(), rel=1e-5)


def test_the_students_loss_adds_the_distance_to_the_frozen_teacher():  # Eq. 15-17
    net, teacher, lq, hq = shift(0.7), shift(3.0), pair(8, 12), pair(32, 48)
    terms = student_loss(teacher, WEIGHTS)(net, {"lq": lq, "hq": hq}, 0)
    wanted = teacher(*hq.unbind(1))
    a, b = lq.unbind(1)
    upsampled = resize_flow(resize_flow(net.pyramid(a, b)[0], (8, 12)), (32, 48))
    total = first_step(net, lq) + 0.1 * distillation(wanted, upsampled)
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
