"""The cut detector: it finds cuts, and not pans, flashes, fades or noise."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.restoration.cuts import FLASH, REACH, SIZE, difference, find_cuts, likeness, thumbnail


def picture(seed: int, height: int = 72, width: int = 256) -> Tensor:
    """A scene of its own layout and colours: smooth noise, (3, H, W) in [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 11, generator=g)
    tint = torch.rand(3, 1, 1, generator=g)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    return 0.7 * smooth + 0.3 * tint


def pan(seed: int, count: int, speed: int) -> list[Tensor]:
    """A window of 128 pixels that moves ``speed`` pixels a frame over a wide picture."""
    wide = picture(seed, width=128 + abs(speed) * count)
    return [wide[:, :, speed * t : speed * t + 128] for t in range(count)]


def starts(frames: list[Tensor]) -> list[int]:
    """Indices at which shots begin; the frames must come through unchanged."""
    pairs = list(find_cuts(frames))
    assert all(out is frame for (out, _), frame in zip(pairs, frames, strict=True))
    return [t for t, (_, begins) in enumerate(pairs) if begins]


@pytest.mark.parametrize("speed", [0, 3, 12])
def test_finds_the_cuts_of_joined_shots(speed: int) -> None:
    shots = [pan(seed, count, speed) for seed, count in ((1, 5), (2, 4), (3, 2), (4, 6), (5, 3))]
    assert starts(sum(shots, [])) == [0, 5, 9, 11, 17]


def test_a_cut_at_the_last_frame_is_found() -> None:
    assert starts([*pan(1, 5, 2), picture(2, width=128)]) == [0, 5]


@pytest.mark.parametrize("speed", [1, 8, 20])
def test_pans_are_not_cuts(speed: int) -> None:
    assert starts(pan(7, 12, speed)) == [0]


LIGHTS = [(1.0, 0.5), (3.0, 0.0), (0.2, 0.0), (0.0, 1.0), (0.0, 0.0)]


@pytest.mark.parametrize("length", [1, 2, FLASH])
@pytest.mark.parametrize("light", LIGHTS)
def test_flashes_and_dropped_frames_are_not_cuts(light: tuple[float, float], length: int) -> None:
    frames = pan(3, 14, 2)
    for t in range(4, 4 + length):
        frames[t] = (frames[t] * light[0] + light[1]).clamp(0, 1)
    assert starts(frames) == [0]


@pytest.mark.parametrize("light", LIGHTS)
def test_a_cut_soon_after_a_flash_is_found(light: tuple[float, float]) -> None:
    frames = [*pan(3, 9, 2), *pan(4, 5, 2)]
    frames[5] = (frames[5] * light[0] + light[1]).clamp(0, 1)
    assert starts(frames) == [0, 9]


def test_black_between_two_scenes_keeps_them_apart() -> None:
    frames = [*pan(3, 6, 2), *[torch.zeros(3, 72, 128)] * 3, *pan(4, 5, 2)]
    assert starts(frames)[-1] == 9


@pytest.mark.parametrize("odd", [torch.zeros(3, 72, 128), torch.ones(3, 72, 128), None])
def test_one_odd_frame_between_two_scenes_hides_no_cut(odd: Tensor | None) -> None:
    before, after = pan(1, 8, 2), pan(2, 8, 2)
    between = (before[-1] + after[0]) / 2 if odd is None else odd
    assert set(starts([*before, between, *after])) & {8, 9}


def test_frozen_frames_are_not_cuts() -> None:
    frames = pan(3, 14, 2)
    assert starts([*frames[:6], *[frames[6]] * 12, *frames[7:]]) == [0]


def test_changes_of_light_fades_and_dissolves_are_not_cuts() -> None:
    frames = pan(3, 12, 2)
    dimmed = [f * (0.4 if t >= 6 else 1) for t, f in enumerate(frames)]
    faded = [f * max(0.0, 1 - t / 10) for t, f in enumerate(frames)]
    mixed = [torch.lerp(f, picture(4, width=128), min(1, t / 11)) for t, f in enumerate(frames)]
    assert starts(dimmed) == starts(faded) == starts(mixed) == [0]


def test_noise_and_stills_are_not_cuts() -> None:
    g = torch.Generator().manual_seed(0)
    still = picture(5, width=128)
    noisy = [(still + 0.2 * torch.randn(still.shape, generator=g)).clamp(0, 1) for _ in range(6)]
    assert starts(noisy) == [0]
    assert starts([still] * 4) == [0]
    assert starts([torch.zeros(3, 8, 8)] * 4) == [0]


def test_from_black_to_a_picture_is_a_cut() -> None:
    black = [torch.zeros(3, 72, 128)] * 3
    assert starts([*black, *pan(1, 4, 2)]) == [0, 3]


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (17, 33)])
def test_any_size(size: tuple[int, int]) -> None:
    g = torch.Generator().manual_seed(0)
    frame = torch.rand(3, *size, generator=g)
    assert starts([frame, frame]) == [0]


def test_no_frames() -> None:
    assert list(find_cuts([])) == []


def test_no_more_frames_are_held_than_are_needed() -> None:
    taken = 0

    def source(frames: list[Tensor]) -> Iterator[Tensor]:
        nonlocal taken
        taken = 0
        for frame in frames:
            taken += 1
            yield frame

    for given, _ in enumerate(find_cuts(source(pan(1, 8, 2))), 1):
        assert taken <= given + 1
    for given, _ in enumerate(find_cuts(source([*pan(1, 9, 2), *pan(2, 9, 2)])), 1):
        assert taken <= given + FLASH


def test_likeness_equals_a_loop_over_shifts() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = torch.rand(SIZE, generator=g), torch.rand(SIZE, generator=g)
    (height, width), best = SIZE, -1.0
    for dy in range(-REACH[0], REACH[0] + 1):
        for dx in range(-REACH[1], REACH[1] + 1):
            rows, cols = (
                slice(max(0, -dy), height - max(0, dy)),
                slice(max(0, -dx), width - max(0, dx)),
            )
            other = np.roll(b.numpy(), (-dy, -dx), (0, 1))[rows, cols]
            best = max(best, np.corrcoef(a.numpy()[rows, cols].ravel(), other.ravel())[0, 1])
    assert likeness(a, b) == pytest.approx(best, abs=2e-3)  # FLAT moves it a little


def test_likeness_ignores_shift_and_brightness() -> None:
    wide = thumbnail(picture(1)).mean(0)
    moved = torch.roll(wide, (2, -5), (0, 1))
    assert likeness(wide, wide) == pytest.approx(1)
    assert likeness(wide, 0.5 * wide + 0.3) == pytest.approx(1, abs=0.02)
    assert likeness(wide, moved) > 0.9 > likeness(wide, thumbnail(picture(2)).mean(0))
    assert difference(thumbnail(picture(1)), thumbnail(picture(1))) == pytest.approx(0, abs=1e-5)
