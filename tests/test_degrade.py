import numpy as np
import pytest
import torch

from s2svr import degrade
from s2svr.metrics import psnr_rgb


def smooth_clip(length: int, height: int = 48, width: int = 64) -> torch.Tensor:
    """A colourful pattern drifting right by 3 pixels a frame, rounded to 8 bits."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = []
    for t in range(length):
        u = x - 3 * t
        rgb = [torch.sin(u / 4.0) * torch.cos(y / k) for k in (5.0, 9.0, 13.0)]
        frames.append(torch.stack(rgb) * 0.4 + 0.5)
    return (torch.stack(frames) * 255).round() / 255


def test_bicubic_cuts_to_multiples_of_four_and_rounds():
    pair = degrade.bicubic_down(smooth_clip(2, 50, 67))
    assert pair.hq.shape == (2, 3, 48, 64)
    assert pair.lq.shape == (2, 3, 12, 16)
    assert torch.equal(pair.lq, (pair.lq * 255).round() / 255)


def test_blur_is_the_mean_in_linear_light():
    clip = smooth_clip(7)
    pair = degrade.blur(clip, 5)
    assert torch.equal(pair.hq, clip[2:5])
    want = np.mean([(clip[t].numpy()) ** 2.2 for t in range(1, 6)], 0) ** (1 / 2.2)
    assert np.abs(pair.lq[1].numpy() - want).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(ValueError, match="an odd count of at most 7 frames, got 4"):
        degrade.blur(clip, 4)


def test_random_blur_follows_its_generator():
    clip = smooth_clip(12)
    lengths = {
        len(degrade.motion_blur(clip, torch.Generator().manual_seed(s)).hq) for s in range(12)
    }
    assert lengths == {8, 6, 4, 2}


def test_a_higher_qp_loses_more():
    clip = smooth_clip(3)
    quality = [psnr_rgb(degrade.hevc(clip, qp).lq[1], clip[1]) for qp in (22, 32, 42)]
    assert quality[0] > quality[1] + 1 > quality[2] + 2
    assert 25 < quality[1] < 60


def test_h264_keeps_every_frame():
    clip = smooth_clip(5)
    pair = degrade.h264(clip, 23)
    assert pair.lq.shape == clip.shape
    assert all(psnr_rgb(a, b) > 28 for a, b in zip(pair.lq, clip, strict=True))
