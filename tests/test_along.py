"""What frames have further along their motion, models/along.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from s2svr.models import S2SVR
from s2svr.models.along import (
    COUNT,
    PLACES,
    AlongMotion,
    along_channels,
    along_motion,
    counted,
    with_motion,
)
from s2svr.models.config import S2SVRConfig
from s2svr.models.flows import Flows
from s2svr.models.output import AMPLIFY
from s2svr.train.network import start_from
from test_models import TINY

FLAT = replace(TINY, scale=1, down=2, flow_down=2)


def frames(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0))


def straight(right: float, down: float) -> torch.Tensor:
    """The same flow everywhere, on a grid of 8x6 cells."""
    return torch.tensor([right, down]).view(1, 2, 1, 1).expand(1, 2, 6, 8)


def sampled(grey: np.ndarray, right: float, down: float) -> np.ndarray:
    """The picture at places so many pixels away, by another library."""
    rows, columns = np.indices(grey.shape).astype(np.float64)
    return map_coordinates(grey, [rows + down, columns + right], order=1, mode="nearest")


def places(unshuffled: torch.Tensor) -> torch.Tensor:
    """``along_motion`` as pictures (COUNT, H, W)."""
    return torch.pixel_shuffle(unshuffled, 2)[0]


def test_a_frame_is_sampled_along_its_flow_on_both_sides():
    x = frames(1, 3, 12, 16)
    grey = x[0].mean(0).double().numpy()
    got = places(along_motion(x, straight(-1.5, 0.5), straight(1.0, -2.0), 2))
    ways = [(2.0, -4.0), (-3.0, 1.0)]  # in pixels: cells are two wide; after, then before
    wanted = [
        AMPLIFY * (sampled(grey, place * right, place * down) - grey)
        for right, down in ways
        for place in PLACES
    ]
    assert got.shape == (COUNT, 12, 16)
    np.testing.assert_allclose(got.numpy(), np.stack(wanted), atol=1e-5)


def test_motion_goes_straight_on_where_a_frame_is_missing():
    x, o = frames(1, 3, 11, 15), straight(1.0, -0.5)
    whole = along_motion(x, -o, o, 2)
    assert torch.equal(along_motion(x, None, o, 2), whole)
    assert torch.equal(along_motion(x, -o, None, 2), whole)
    assert whole.shape == (1, along_channels(replace(FLAT, along=True)), 6, 8)
    assert not along_motion(x, None, None, 2).any()


def test_shares_of_cells_are_added_in_their_own_colour():
    torch.manual_seed(0)
    part = AlongMotion(5, 2)
    below, x = torch.randn(2, 5, 6, 8), frames(2, 3, 12, 16)
    apart = along_motion(x, straight(1.0, 1.0).repeat(2, 1, 1, 1), None, 2)
    with torch.no_grad():
        got, shares = part(below, apart), part.shares(below)
    pictures = torch.pixel_shuffle(apart, 2)
    for b, colour, row, column in ((0, 0, 3, 4), (1, 1, 11, 15), (1, 2, 6, 1)):
        cell = shares[b, colour * COUNT : (colour + 1) * COUNT, row // 2, column // 2]
        wanted = cell @ pictures[b, :, row, column]
        assert torch.allclose(got[b, colour, row, column], wanted, atol=1e-5)


def told(*shares: float) -> torch.Tensor:
    """What whole frames tell: shares of two neighbours, and one of the change."""
    return torch.tensor([*shares, 1.0]).view(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("shares", "pixels", "wanted"),
    [
        ((0.2, -0.25), 100, 1.0),  # its own light alone, so what moves far is blurred
        ((0.9, -0.9), 4, 1.0),
        ((0.9, -0.9), 6, 0.5),
        ((0.9, -0.9), 8, 0.0),
        ((0.4, -0.6), 6, 0.75),
        ((3.0, 3.0), 1000, 0.0),
    ],
)
def test_far_motion_counts_less_the_more_frames_an_exposure_holds(shares, pixels, wanted):
    far, near = straight(0.6 * pixels, -0.8 * pixels), straight(1.0, 0.0)
    for ways in ((far, near), (near, far)):
        got = counted(told(*shares)[:, :2], *ways)
        assert got.shape == (1, 1, 6, 8)
        torch.testing.assert_close(got, torch.full_like(got, wanted))


def test_a_network_neither_sees_nor_adds_what_does_not_count():
    config = replace(
        FLAT, along=True, neighbours=1, mixing=4, aligned=False, exposure=4, confidence=True
    )
    x, cell = frames(1, 3, 12, 16), torch.zeros(1, 1, 6, 8)
    far = straight(4.0, 0.0)  # cells are two pixels wide
    flows = Flows([[-far]], [[far]])
    whole = along_motion(x, -far, far, 2)
    for shares, wanted in (((0.1, 0.1), whole), ((-0.8, 0.8), 0 * whole)):
        seen, apart = with_motion([cell], [x], flows, config, [told(*shares)])
        assert torch.equal(apart[0], wanted)
        assert torch.equal(seen[0], torch.cat((cell, wanted), 1))
    blind = replace(config, exposure=0, confidence=False)
    _, apart = with_motion([cell], [x], flows, blind, [None])
    assert torch.equal(apart[0], whole)


def test_a_network_begins_to_look_along_motion_with_what_it_computed_before():
    torch.manual_seed(0)
    other, model = S2SVR(FLAT), S2SVR(replace(FLAT, along=True))
    for parameter in other.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    x = frames(1, 4, 3, 24, 32)
    with torch.no_grad():
        before = other(x)[0]
        start_from(model, other)
        torch.testing.assert_close(model(x)[0], before, rtol=0, atol=1e-6)
        assert (before - x).abs().max() > 0.01
        model.decoder.along.shares.bias.add_(0.05)
        assert (model(x)[0] - before).abs().max() > 1e-3


def test_along_motion_is_refused_where_frames_are_enlarged():
    with pytest.raises(ValueError, match="along at a scale of 1, got a scale of 4"):
        S2SVRConfig(along=True)
