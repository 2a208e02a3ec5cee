"""Moving photographs: their flow is what the pixels do."""

import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Generator

from s2svr.ops import occlusion, warp
from s2svr.render.camera import Path, at_speed, draw_path, nearer, project
from s2svr.render.frames import (
    Rendered,
    film,
    film_batch,
    render_batch,
    render_clip,
    render_scene,
    sensor_noise,
)
from s2svr.render.scene import (
    GAMMA,
    QUAD,
    Layer,
    Look,
    batch_of,
    cut_out,
    cut_photo,
    draw_scene,
    draw_shot,
    half,
    nearness,
    out_of_focus,
    scene_of,
    to_texture,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def photos(count: int = 3, size: tuple[int, int] = (90, 120), grain: int = 8) -> list[torch.Tensor]:
    """Smooth random pictures with spots of ``grain`` pixels."""
    coarse = torch.rand(count, 3, size[0] // grain, size[1] // grain, generator=seeded(9))
    fine = F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    return list(fine.clamp(0, 1))


def shifts(steps: list[tuple[float, float]]) -> torch.Tensor:
    """Moves (N, 3, 3) that read a texture at these places (right, down) at the screen's corner."""
    moves = torch.eye(3, dtype=torch.float64).repeat(len(steps), 1, 1)
    moves[:, :2, 2] = torch.tensor(steps, dtype=torch.float64)
    return moves


def first(batch: Rendered) -> Rendered:
    return Rendered(*(field[0] for field in batch))


def square(side: int, color: float) -> torch.Tensor:
    """An opaque square in an empty margin of two pixels."""
    alpha = F.pad(torch.ones(1, side, side), (2, 2, 2, 2))
    return torch.cat((alpha.expand(3, -1, -1) * color, alpha))


def test_whole_pixel_pan_is_an_exact_crop():
    texture = torch.rand(3, 60, 80, generator=seeded())
    scene = scene_of([Layer(texture, shifts([(5, 20), (8, 18), (11, 16)]))], 3)
    clip = first(render_scene(scene, (30, 40)))
    for index, (x, y) in enumerate([(5, 20), (8, 18), (11, 16)]):
        torch.testing.assert_close(
            clip.frames[index], texture[:, y : y + 30, x : x + 40], atol=1e-4, rtol=0
        )
    expected = torch.tensor([-3.0, 2.0]).view(1, 2, 1, 1).expand_as(clip.flow_forward)
    torch.testing.assert_close(clip.flow_forward, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(clip.flow_backward, -expected, atol=1e-4, rtol=0)
    # Only what leaves the screen, three columns and two rows, is out of sight.
    gone = torch.zeros(30, 40, dtype=torch.bool)
    gone[:, :3] = gone[-2:] = True
    assert torch.equal(clip.occlusion_forward[0, 0], gone)


def test_moving_square_covers_what_lies_before_it():
    ground = torch.rand(3, 40, 60, generator=seeded())
    still, moving = shifts([(5, 5)] * 2), shifts([(-10, -8), (-14, -8)])
    scene = scene_of([Layer(ground, still), Layer(square(6, 0.5), moving)], 2)
    clip = first(render_scene(scene, (30, 40)))
    on = torch.zeros(30, 40, dtype=torch.bool)
    on[10:16, 12:18] = True  # the square without its margin, in the first frame
    covered = torch.zeros_like(on)
    covered[10:16, 18:22] = True  # the ground that it moves over
    uncovered = torch.zeros_like(on)
    uncovered[10:16, 12:16] = True  # in the second frame, new to sight
    wanted = torch.stack((on * 4.0, on * 0.0))
    torch.testing.assert_close(clip.flow_forward[0], wanted, atol=1e-4, rtol=0)
    assert torch.equal(clip.occlusion_forward[0, 0], covered)
    assert torch.equal(clip.occlusion_backward[0, 0], uncovered)


def test_turning_object_has_the_flow_of_a_turn():
    angle, size = math.radians(4), (41, 51)
    motion = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    motion[1, :2, :2] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    ground = Layer(torch.rand(3, *size), shifts([(0, 0)] * 2))
    thing = Layer(square(17, 0.5), to_texture(motion.inverse(), half(21, 21), 1.0, size))
    clip = first(render_scene(scene_of([ground, thing], 2), size))
    # The screen's centre is pixel (25, 20); down is positive, so a positive turn is clockwise.
    for x, y in ((25, 20), (30, 24), (19, 15)):
        dx, dy = x - 25, y - 20
        turned = (
            dx * math.cos(angle) - dy * math.sin(angle) - dx,
            dx * math.sin(angle) + dy * math.cos(angle) - dy,
        )
        assert clip.flow_forward[0, :, y, x].tolist() == pytest.approx(turned, abs=1e-4)
    assert clip.flow_forward[0, :, 2, 2].tolist() == pytest.approx([0, 0], abs=1e-4)


def at_edges(flow: torch.Tensor) -> torch.Tensor:
    """Where the flow jumps, within two pixels: there pixels mix two motions (T - 1, 1, H, W)."""
    spread = F.max_pool2d(flow, 5, 1, 2) + F.max_pool2d(-flow, 5, 1, 2)
    return spread.amax(1, keepdim=True) > 1


@pytest.mark.parametrize(("seed", "speed"), [(0, 3.0), (1, 8.0), (2, 20.0)])
def test_forward_flow_warps_the_next_frame_onto_this_one(seed, speed):
    clip = render_clip(
        photos(3, (200, 300), 30), frames=3, size=(64, 80), generator=seeded(seed), max_speed=speed
    )
    for flow, hidden, here, there in (
        (clip.flow_forward, clip.occlusion_forward, clip.frames[:-1], clip.frames[1:]),
        (clip.flow_backward, clip.occlusion_backward, clip.frames[1:], clip.frames[:-1]),
    ):
        error = (warp(there, flow) - here).abs().mean(1, keepdim=True)
        seen = (F.max_pool2d(hidden.float(), 7, 1, 3) == 0) & ~at_edges(flow)
        assert seen.float().mean() > 0.3
        assert error[seen].mean() < 0.004
        assert error[seen].quantile(0.98) < 0.015  # the rest: soft edges that come near
        assert error[seen].mean() < 0.2 * (here - there).abs().mean(1, keepdim=True)[seen].mean()


def test_occlusion_agrees_with_the_forward_backward_check():
    found, wrong, truth = 0, 0, 0
    for seed in range(4):
        clip = render_clip(photos(), frames=2, size=(64, 80), generator=seeded(seed), max_speed=8.0)
        guess = occlusion(clip.flow_forward, clip.flow_backward) == 0
        found += int((guess & clip.occlusion_forward).sum())
        wrong += int((guess & ~clip.occlusion_forward).sum())
        truth += int(clip.occlusion_forward.sum())
    assert truth > 500
    assert found > 0.9 * truth
    assert wrong < 0.25 * truth  # bilinear mixing along the edges of objects


def test_one_seed_is_one_clip():
    once, again, other = (
        render_clip(photos(), frames=2, size=(32, 40), generator=seeded(seed)) for seed in (5, 5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not torch.equal(once.frames, other.frames)


def test_batch_holds_what_single_clips_hold():
    look = Look(objects=(0, 3), text=(0, 2), subframes=3, flicker=0.2)
    groups = [photos(2, (60, 90)), photos(3, (100, 70)), photos(1, (48, 48))]

    def draw(which: list[int]) -> Rendered:
        return render_batch(
            [groups[i] for i in which],
            frames=2,
            size=(32, 40),
            generators=[seeded(i) for i in which],
            look=look,
        )

    together = draw([0, 1, 2])
    for index in range(3):
        alone = draw([index])
        for name, one, many in zip(Rendered._fields, alone, together, strict=True):
            if one.dtype == torch.bool:
                assert (one[0] != many[index]).sum() <= 2, name  # a point exactly on an edge
            else:
                torch.testing.assert_close(many[index], one[0], atol=2e-3, rtol=0, msg=name)


def test_subframes_are_averaged_in_linear_light():
    look = Look(speed=(4.0, 6.0), subframes=3, shutter=1.0)
    scene = draw_scene(photos(), frames=2, size=(32, 40), generator=seeded(), look=look)
    clip = render_scene(scene, (32, 40))
    parts = [
        render_scene(scene._replace(moves=scene.moves[:, :, :, i : i + 1]), (32, 40))
        for i in range(3)
    ]
    light = torch.stack([part.frames**GAMMA for part in parts]).mean(0)
    torch.testing.assert_close(clip.frames, light ** (1 / GAMMA))
    assert torch.equal(clip.sharp, parts[1].frames)
    assert torch.equal(clip.flow_forward, parts[1].flow_forward)
    assert (clip.frames - clip.sharp).abs().mean() > 1e-3


def test_subframes_lie_around_their_frame():
    look = Look(speed=(6.0, 6.0), objects=(0, 0), subframes=3, shutter=1.0)
    scene = draw_scene(photos(), frames=2, size=(32, 40), generator=seeded(), look=look)
    centre = torch.tensor([[20.0, 16.0]], dtype=torch.float64)
    track = project(scene.moves[0, 0].flatten(0, 2), centre)[:, 0]  # (2 frames x 3, 2)
    steps = (track[1:] - track[:-1]).norm(dim=-1)
    # A third of the time between frames lies between any two, over the frame's border too.
    assert steps.tolist() == pytest.approx([float(steps.mean())] * 5, rel=0.25)


def test_rows_of_a_rolling_shutter_are_exposed_one_after_another():
    size, speed, look = (8, 96), 16, Look(subframes=5, shutter=0.5, rolling=1.0)
    edge = torch.full((3, 8, 160), 0.25)
    edge[..., 80:] = 0.75
    clips = []
    for one in (replace(look, rolling=0.0), look):
        shot = draw_shot(photos()[0], 2, size, seeded(), one)
        moves = shifts([(32 - speed * float(time), 0) for time in shot.times])  # to the right
        clip, _ = film(scene_of([Layer(edge, moves)], 2, shot.rows), size)
        clips.append(clip)
    whole, rolled = clips
    assert shot.times.shape == (2 * 5 * 8,)
    ramp = whole.frames[0, 0, 0, 0]
    # The sub-frames of half a frame's time cover four fifths of the way in it.
    assert 0.8 * speed / 2 <= ((ramp > 0.26) & (ramp < 0.74)).sum() <= 0.8 * speed / 2 + 4
    for row in range(8):  # an eighth of the frame's time later than the one above
        shift = 2 * row - 7
        for a, b in zip(rolled, whole, strict=True):
            found, wanted = (x[0, :, :, row, 16:80] for x in (a, b.roll(shift, -1)))
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_near_layers_pan_faster_and_do_all_else_as_the_background():
    path = path_of({0: 2.0, 1: 0.5, 2: 0.3, 3: 0.2}, {0: 0.4})
    times = torch.linspace(0, 9, 19, dtype=torch.float64)
    far, near = path.at(times), nearer(path, 3.0).at(times)
    torch.testing.assert_close(near[:, :2, 2], 3 * far[:, :2, 2])
    torch.testing.assert_close(near[:, :2, :2], far[:, :2, :2])


@pytest.mark.parametrize("seed", range(3))
def test_no_near_layer_is_much_faster_than_allowed(seed):
    look = Look(speed=(2.0, 6.0), objects=(4, 5), text=(1, 1), parallax=8.0)
    scene = draw_scene(photos(), frames=4, size=(48, 64), generator=seeded(seed), look=look)
    shot = draw_shot(photos()[0], 4, (48, 64), seeded(seed), look)
    steps = list(islice(nearness(look, shot, seeded(seed)), 7))
    assert 1 < steps[0] < steps[5] <= min(8, 6 / shot.speed)
    assert steps == [*sorted(steps[:6]), 1]
    assert render_scene(scene, (48, 64)).flow_forward.norm(dim=2).max() < 1.25 * 6.0


def test_a_point_out_of_focus_is_a_disc_of_its_light():
    picture = torch.zeros(3, 21, 25)
    picture[0, 10, 12] = 1.0
    light = out_of_focus(picture, 3.0) ** GAMMA
    assert light[0].sum().item() == pytest.approx(1, abs=1e-5)
    assert (light[1:] == 0).all()
    lit = light[0] > 0
    assert lit[10].nonzero()[:, 0].tolist() == list(range(9, 16))  # 3 pixels to each side
    assert lit[:, 12].nonzero()[:, 0].tolist() == list(range(7, 14))
    inner = light[0, 9:12, 11:14]
    assert inner.max().item() == pytest.approx(1 / (math.pi * 3**2), rel=0.05)
    torch.testing.assert_close(inner, inner[0, 0].expand(3, 3))
    flat = torch.full((3, 9, 9), 0.4)
    torch.testing.assert_close(out_of_focus(flat, 2.5), flat)


def test_half_of_the_backgrounds_are_out_of_focus_in_the_truth_too():
    group, soft = [torch.rand(3, 60, 80, generator=seeded(3))] * 2, 0
    for seed in range(12):
        clips = [
            film_batch(
                [group], frames=1, size=(32, 40), generators=[seeded(seed)],
                look=Look(objects=(0, 0), subframes=1, defocus=defocus),
            )
            for defocus in (0.0, 8.0)
        ]  # fmt: skip
        assert torch.equal(clips[1].frames, clips[1].sharp)
        soft += bool(clips[1].sharp.std() < 0.9 * clips[0].sharp.std())
    assert 2 <= soft <= 9


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), frames=st.integers(2, 20), fast=st.booleans())
@example(seed=830, frames=18, fast=True)  # turns back, so that a larger factor may be slower
def test_camera_is_as_fast_as_it_is_told(seed, frames, fast):
    low, high = (20.0, 40.0) if fast else (0.5, 8.0)
    look = Look(speed=(low, high), objects=(0, 0))
    scene = draw_scene(photos(1), frames=frames, size=(90, 120), generator=seeded(seed), look=look)
    flow = render_scene(scene, (90, 120)).flow_forward.norm(dim=2)
    assert 0.9 * low <= flow.max() <= 1.15 * high


@pytest.mark.parametrize("seed", range(6))
def test_no_object_is_much_faster_than_allowed(seed):
    clip = render_clip(
        photos(), frames=6, size=(48, 64), generator=seeded(seed), max_speed=6.0, objects=(4, 5)
    )
    assert clip.flow_forward.norm(dim=1).max() < 1.25 * 6.0


def path_of(slow: dict[int, float], quick: dict[int, float] | None = None) -> Path:
    """Movements of parameters (right, down, zoom, roll, tilts), pixels a frame at 40 pixels."""
    speed = torch.zeros(2, 6, dtype=torch.float64)
    for row, wanted in enumerate((slow, quick or {})):
        for index, value in wanted.items():
            speed[row, index] = value
    omega = torch.tensor([[0.01], [1.0]], dtype=torch.float64).repeat(1, 6)
    limit = torch.full((6,), 1000.0, dtype=torch.float64)
    return Path(speed, omega, torch.zeros(2, 6, dtype=torch.float64), limit, 40.0, 0.0)


@pytest.mark.parametrize(
    ("parameter", "matrix"),
    [
        (0, [[1, 0, 2], [0, 1, 0], [0, 0, 1]]),  # a pan to the right
        (1, [[1, 0, 0], [0, 1, 2], [0, 0, 1]]),
        (2, [[math.exp(0.05), 0, 0], [0, math.exp(0.05), 0], [0, 0, 1]]),  # a zoom
        (3, [[math.cos(0.05), -math.sin(0.05), 0], [math.sin(0.05), math.cos(0.05), 0], [0, 0, 1]]),
        (4, [[1, 0, 0], [0, 1, 0], [2 / 1600, 0, 1]]),  # perspective: a tilt
        (5, [[1, 0, 0], [0, 1, 0], [0, 2 / 1600, 1]]),
    ],
)
def test_pan_zoom_rotation_and_perspective(parameter, matrix):
    found = path_of({parameter: 2.0}).at(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.equal(found[0], torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(found[1], torch.tensor(matrix).double(), atol=2e-4, rtol=0)


def test_a_hand_shakes_faster_than_a_camera_pans():
    times = torch.arange(8, dtype=torch.float64)
    pan = path_of({0: 2.0}).at(times)[:, 0, 2]
    shake = path_of({}, {0: 2.0}).at(times)[:, 0, 2]
    assert (pan.diff() > 1.9).all()
    assert (shake.diff() > 0).any()
    assert (shake.diff() < 0).any()


def test_random_cameras_do_everything():
    """Pan, zoom, turn, tilt and shake, some hardly at all; drift below a pixel, pans up to 40."""
    look = Look(speed=(0.0, 40.0))
    shots = [draw_shot(photos(1)[0], 8, (90, 160), seeded(seed), look) for seed in range(150)]
    middle = torch.stack([shot.view[0].inverse() @ shot.view[-1] for shot in shots])
    middle = middle / middle[:, 2:, 2:]
    zoom = middle[:, :2, :2].det().sqrt().log().abs()
    turn = torch.atan2(middle[:, 1, 0], middle[:, 0, 0]).abs()
    tilt = 80 * middle[:, 2, :2].norm(dim=1)
    for size in (zoom, turn, tilt):
        assert size.quantile(0.1) < 0.02
        assert size.quantile(0.9) > 0.03
    jerks = torch.stack([shot.view[:, :2, 2].diff(n=3, dim=0).norm(dim=1).max() for shot in shots])
    assert jerks.quantile(0.1) < 0.5 < jerks.quantile(0.9)
    speeds = torch.tensor([shot.speed for shot in shots])
    assert speeds.max() > 36
    slow = Look(speed=(0.0, 8.0))
    drifts = [draw_shot(photos(1)[0], 8, (90, 160), seeded(s), slow).speed for s in range(150)]
    assert 0.1 < sum(0 < speed < 0.8 for speed in drifts) / 150 < 0.4


def test_text_lies_in_front_and_moves_with_its_flow():
    group = photos(3, (200, 300), 30)
    plain, written = (
        render_batch(
            [group], frames=2, size=(90, 120), generators=[seeded(8)],
            look=Look(objects=(2, 2), text=lines),
        )
        for lines in ((0, 0), (2, 2))
    )  # fmt: skip
    scene = draw_scene(
        group, frames=2, size=(90, 120), generator=seeded(8), look=Look(objects=(2, 2), text=(2, 2))
    )
    assert len(scene.textures) == 1 + 2 + 2
    clip, bare = first(written), first(plain)
    ink = (clip.frames[0] - bare.frames[0]).abs().amax(0) > 0.1
    assert 0.005 < ink.float().mean() < 0.5
    moved = (clip.flow_forward[0] - bare.flow_forward[0]).abs().amax(0) > 1e-3
    assert (moved & ink).float().sum() > 0.5 * ink.float().sum()
    error = (warp(clip.frames[1:], clip.flow_forward) - clip.frames[:1]).abs().mean(1)[0]
    seen = ink & ~clip.occlusion_forward[0, 0] & ~at_edges(clip.flow_forward)[0, 0]
    assert error[seen].mean() < 0.03


def test_at_speed_changes_only_the_speed():
    box = QUAD * half(80, 60)
    for seed in range(100):
        path = draw_path(seeded(seed), radius=40.0, travel=50.0, roll=0.2, frames=5)
        for wanted in (0.0, 0.3, 4.0, 24.0):
            motion = at_speed(path, wanted, 5, box).at(torch.arange(5, dtype=torch.float64))
            places = project(motion, box)
            step = float((places[1:] - places[:-1]).norm(dim=-1).max())
            assert step == pytest.approx(wanted, rel=0.002)


def test_project_divides_by_depth():
    matrix = torch.tensor([[2.0, 0, 1], [0, 3, -1], [0.1, 0, 1]], dtype=torch.float64)
    point = torch.tensor([[5.0, 4.0]], dtype=torch.float64)
    assert project(matrix, point)[0].tolist() == pytest.approx([11 / 1.5, 11 / 1.5])


def test_flicker_changes_the_brightness_alone():
    group = [torch.full((3, 60, 80), 0.5)]
    look = Look(objects=(0, 0), flicker=0.3)
    clip = render_batch([group], frames=6, size=(16, 24), generators=[seeded(3)], look=look)
    level = clip.frames[0].mean((1, 2, 3)) / 0.5
    assert level.min() >= 0.7
    assert level.max() <= 1.3
    assert level.std() > 0.02
    assert clip.frames[0].std((1, 2, 3)).max() < 1e-3


def test_noise_is_strongest_in_the_light_and_left_out_of_the_sharp_frames():
    grey = torch.full((4, 3, 64, 64), 0.6)
    dark = sensor_noise(grey * 0.2, 0.05, seeded()).std()
    light = sensor_noise(grey, 0.05, seeded()).std()
    assert float(light) == pytest.approx(0.05 * math.sqrt(0.25 + 0.75 * 0.6), rel=0.03)
    assert float(dark) == pytest.approx(0.05 * math.sqrt(0.25 + 0.75 * 0.12), rel=0.03)
    clip = render_batch(
        [photos()], frames=2, size=(32, 40), generators=[seeded(1)], look=Look(noise=0.1)
    )
    plain = render_batch([photos()], frames=2, size=(32, 40), generators=[seeded(1)], look=Look())
    assert torch.equal(clip.sharp, plain.frames)
    assert 0.001 < float((clip.frames - clip.sharp).std()) < 0.1


def test_cut_takes_pixels_as_they_are_when_the_photograph_just_fits():
    photo = torch.rand(3, 20, 30, generator=seeded())
    assert torch.equal(cut_photo(photo, 20, 30, seeded()), photo)


def test_cut_goes_on_mirrored_beyond_a_small_photograph():
    photo = photos(1, (20, 30))[0]
    part = cut_photo(photo, 60, 90, seeded())
    assert part.shape == (3, 60, 90)
    assert torch.equal(part[:, 28:56], part[:, :28].flip(1))  # 20 rows enlarged by 1.4
    assert torch.equal(part[:, :, 42:84], part[:, :, :42].flip(2))


def test_cut_does_not_alias():
    fine = torch.zeros(3, 200, 200)
    fine[:, ::2] = 1  # one pixel on, one off: beyond what half the size can show
    parts = [cut_photo(fine, 40, 40, seeded(seed)) for seed in range(12)]
    # Reduced by 1.5 and more, the stripes are grey; near 1:1 they stay.
    assert sum(float(part.std()) < 0.05 for part in parts) >= 4
    assert all(float(part.mean()) == pytest.approx(0.5, abs=0.02) for part in parts)


def test_cut_out_is_premultiplied_and_ends_before_its_border():
    picture = cut_out(torch.ones(3, 100, 100), 64, seeded())
    torch.testing.assert_close(picture[:3], picture[3:].expand(3, -1, -1))
    alpha = picture[3]
    assert alpha.max() == 1
    assert ((alpha > 0) & (alpha < 1)).any()
    assert alpha[:2].sum() + alpha[-2:].sum() + alpha[:, :2].sum() + alpha[:, -2:].sum() == 0


def test_small_photographs_show_no_border():
    clip = render_clip(
        [torch.ones(3, 12, 9)], frames=3, size=(40, 50), generator=seeded(4), max_speed=30.0
    )
    torch.testing.assert_close(clip.frames, torch.ones_like(clip.frames), atol=1e-3, rtol=0)


def test_one_frame_has_no_flow():
    clip = render_clip(photos(), frames=1, size=(5, 7), generator=seeded())
    assert clip.frames.shape == (1, 3, 5, 7)
    assert clip.flow_forward.shape == (0, 2, 5, 7)
    assert clip.occlusion_backward.shape == (0, 1, 5, 7)


def test_missing_layers_are_empty():
    ground = torch.rand(3, 20, 30)
    poor = scene_of([Layer(ground, shifts([(0, 0)] * 2))], 2)
    rich = scene_of(
        [*[Layer(ground, shifts([(0, 0)] * 2))], Layer(square(4, 1), shifts([(-3, -3)] * 2))], 2
    )
    clip = render_scene(batch_of([poor, rich]), (20, 30))
    torch.testing.assert_close(clip.frames[0, 0], ground, atol=1e-5, rtol=0)
    assert clip.frames[1, 0, :, 5:9, 5:9].min() > 0.999


def test_errors_say_what_is_missing():
    with pytest.raises(ValueError, match="at least one photograph for each clip.*got"):
        render_clip([], frames=2, size=(8, 8), generator=seeded())
    with pytest.raises(ValueError, match="0 frames"):
        render_clip(photos(), frames=0, size=(8, 8), generator=seeded())
    with pytest.raises(ValueError, match="odd number of sub-frames.*got 4"):
        Look(subframes=4)
    with pytest.raises(ValueError, match="parallax of at least 1, got 0, 0 and 0.5"):
        Look(parallax=0.5)
    with pytest.raises(ValueError, match="expected rolling = 0 for clips with flow"):
        render_batch(
            [photos()], frames=2, size=(8, 8), generators=[seeded()], look=Look(rolling=0.5)
        )
