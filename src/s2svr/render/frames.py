"""Moving photographs: clips of photographs under moving cameras, with exact flow and occlusion.

Each layer of a scene has one homography per moment, so the flow of every point is known exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .camera import project
from .scene import GAMMA, QUAD, Look, Scene, batch_of, draw_scene, half

Window = tuple[slice, slice]  # rows and columns of the screen


class Filmed(NamedTuple):
    """Clips without their flow; each row of a sharp frame is of the middle of its own exposure."""

    frames: Tensor  # (B, T, 3, H, W) in [0, 1]
    sharp: Tensor  # the same size: the middle sub-frames, without noise


class Rendered(NamedTuple):
    """A clip with its truth; flow in pixels, ``warp(frames[t + 1], flow_forward[t])`` ~ frame t.

    An occlusion is True where the pixel's point is hidden or outside in the other frame. A batch of
    clips has B before every shape.
    """

    frames: Tensor  # (T, 3, H, W) in [0, 1]
    flow_forward: Tensor  # (T - 1, 2, H, W), frame t -> t + 1
    flow_backward: Tensor  # (T - 1, 2, H, W), frame t + 1 -> t
    occlusion_forward: Tensor  # (T - 1, 1, H, W) bool, pixels of frame t
    occlusion_backward: Tensor  # (T - 1, 1, H, W) bool, pixels of frame t + 1
    sharp: Tensor  # (T, 3, H, W): the middle sub-frames, without noise


def render_clip(
    photos: Sequence[Tensor],
    *,
    frames: int,
    size: tuple[int, int],
    generator: Generator,
    max_speed: float = 8.0,
    objects: tuple[int, int] = (2, 5),
) -> Rendered:
    """A random clip of ``frames`` x ``size`` (height, width) from photographs (3, h, w) in [0, 1].

    No point moves by more than about ``max_speed`` pixels a frame; ``objects`` is the range of the
    number of cut-outs. See ``render_batch``.
    """
    look = Look(speed=(0.0, max_speed), objects=objects)
    batch = render_batch([photos], frames=frames, size=size, generators=[generator], look=look)
    return Rendered(*(field[0] for field in batch))


def render_batch(
    photos: Sequence[Sequence[Tensor]],
    *,
    frames: int,
    size: tuple[int, int],
    generators: Sequence[Generator],
    look: Look,
) -> Rendered:
    """A batch of random clips, one from each list of photographs (3, h, w) in [0, 1].

    The first photograph of a list is the background, the others lend the cut-outs; they may differ
    in size. Drawn on the photographs' device; the generators, one for each clip, are the CPU's.
    ValueError for a rolling shutter, whose frames have no flow of homographies.
    """
    scene = draw_scenes(photos, frames, size, generators, look)
    clip = render_scene(scene, size)
    return clip._replace(frames=with_noise(clip.frames, scene, look, generators))


def film_batch(
    photos: Sequence[Sequence[Tensor]],
    *,
    frames: int,
    size: tuple[int, int],
    generators: Sequence[Generator],
    look: Look,
) -> Filmed:
    """The same clips as those of ``render_batch``, without flow; the shutter may be rolling."""
    scene = draw_scenes(photos, frames, size, generators, look)
    clip, _ = film(scene, size)
    return clip._replace(frames=with_noise(clip.frames, scene, look, generators))


def draw_scenes(
    photos: Sequence[Sequence[Tensor]],
    frames: int,
    size: tuple[int, int],
    generators: Sequence[Generator],
    look: Look,
) -> Scene:
    """Random scenes, one from each list of photographs. ValueError where there is nothing."""
    if frames < 1 or min(size) < 1 or not photos or not all(photos):
        raise ValueError(
            "expected at least one photograph for each clip, one frame and one pixel, got "
            f"{[len(group) for group in photos]} photographs, {frames} frames, size {tuple(size)}"
        )
    scenes = [
        draw_scene(group, frames=frames, size=size, generator=generator, look=look)
        for group, generator in zip(photos, generators, strict=True)
    ]
    return batch_of(scenes)


def with_noise(frames: Tensor, scene: Scene, look: Look, generators: Sequence[Generator]) -> Tensor:
    """Frames of a batch with the sensor's noise, if the look has any."""
    if not look.noise:
        return frames
    each = zip(frames, scene.noise.tolist(), generators, strict=True)
    return torch.stack([sensor_noise(*one) for one in each])


def sensor_noise(frames: Tensor, strength: float, generator: Generator) -> Tensor:
    """Frames (T, 3, H, W) with sensor noise of standard deviation ``strength`` in white.

    Its variance grows with the light (shot noise) from a quarter in the dark (read-out noise).
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    own = Generator(frames.device).manual_seed(seed)
    noise = torch.randn(frames.shape, generator=own, device=frames.device, dtype=frames.dtype)
    return (frames + noise * strength * (0.25 + 0.75 * frames).sqrt()).clamp(0, 1)


def render_scene(scene: Scene, size: tuple[int, int]) -> Rendered:
    """Draw a scene, a batch of B clips, with the flow and occlusion of what is in front."""
    if scene.moves.shape[4] > 1:
        raise ValueError("expected rolling = 0 for clips with flow; those of film_batch have none")
    (frames, sharp), front = film(scene, size)
    here = pixels(size, scene.textures[0])
    truth = scene.moves[:, :, :, scene.moves.shape[3] // 2]  # (L, B, T, 1, 3, 3)
    past, future = truth[:, :, :-1], truth[:, :, 1:]
    forward, hidden = flow_between(scene.textures, front[:, :-1], past, future, here)
    backward, hidden_back = flow_between(scene.textures, front[:, 1:], future, past, here)
    return Rendered(frames, forward, backward, hidden, hidden_back, sharp)


def film(scene: Scene, size: tuple[int, int]) -> tuple[Filmed, Tensor]:
    """Draw a scene, a batch of B clips, and the index of what is in front (B, T, 1, H, W)."""
    here = pixels(size, scene.textures[0])
    count = scene.moves.shape[3]
    gain = scene.gain[:, :, None, None, None]
    picture, front = draw(scene.textures, scene.moves[:, :, :, count // 2], here)
    sharp = frames = (picture * gain).clamp(0, 1)
    if count > 1:
        light = torch.zeros_like(sharp)
        for index in range(count):
            picture = draw(scene.textures, scene.moves[:, :, :, index], here)[0]
            light += (picture * gain).clamp(0, 1) ** GAMMA
        frames = (light / count) ** (1 / GAMMA)
    return Filmed(frames, sharp), front


def draw(textures: Sequence[Tensor], moves: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    """Compose layers back to front; moves (L, B, T, R, 3, 3), here (2, H, W) the screen's pixels.

    Returns frames (B, T, 3, H, W) and the index of the layer seen at each pixel (B, T, 1, H, W).
    """
    picture = sample(textures[0], carry(moves[0], here), "bicubic").clamp(0, 1)
    front = torch.zeros_like(picture[:, :, :1], dtype=torch.uint8)
    for index in range(1, len(textures)):
        rows, columns = window(textures[index], moves[index], here)
        own = moves[index][:, :, rows] if moves.shape[3] > 1 else moves[index]
        place = carry(own, here[:, rows, columns])
        drawn = sample(textures[index], place, "bicubic").clamp(0, 1)
        alpha = drawn[:, :, 3:]
        part = picture[..., rows, columns]
        picture[..., rows, columns] = (drawn[:, :, :3] + (1 - alpha) * part).clamp(0, 1)
        front[..., rows, columns].masked_fill_(alpha > 0.5, index)
    return picture, front


def flow_between(
    textures: Sequence[Tensor], front: Tensor, source: Tensor, target: Tensor, here: Tensor
) -> tuple[Tensor, Tensor]:
    """Flow (B, T, 2, H, W) of the layers seen in the source frames, and where it is occluded.

    front (B, T, 1, H, W) is the index of the layer seen, source and target (L, B, T, 1, 3, 3).
    """
    steps = torch.linalg.inv(target) @ source
    there = carry(steps[0], here)
    reach = furthest(textures, source, target, here)
    for index in range(1, len(textures)):
        rows, columns = window(textures[index], source[index], here)
        moved = carry(steps[index], here[:, rows, columns])
        seen = front[..., rows, columns] == index
        there[..., rows, columns] = torch.where(seen, moved, there[..., rows, columns])
    height, width = here.shape[-2:]
    limit = here.new_tensor([width - 1, height - 1]).view(2, 1, 1)
    hidden = ((there < 0) | (there > limit)).any(2, keepdim=True)
    for index in range(1, len(textures)):
        rows, columns = window(textures[index], target[index], here, reach)
        place = carry(target[index], there[..., rows, columns])
        cover = sample(textures[index][:, 3:], place, "bicubic")
        hidden[..., rows, columns] |= (cover > 0.5) & (front[..., rows, columns] < index)
    return there - here, hidden


def window(texture: Tensor, moves: Tensor, here: Tensor, reach: float = 0.0) -> Window:
    """The part of the screen that a texture covers at any moment (B, T, R), plus ``reach``."""
    height, width = here.shape[-2:]
    corners = project(torch.linalg.inv(moves), outline(texture)).flatten(0, -2)
    if not moves.numel():
        return slice(0, 0), slice(0, 0)
    low, high = (corners.amin(0) - reach).floor(), (corners.amax(0) + reach).ceil() + 1
    left, top = (max(0, int(v)) for v in low)
    right, bottom = (int(v) for v in high)
    return slice(top, max(min(bottom, height), top)), slice(left, max(min(right, width), left))


def furthest(textures: Sequence[Tensor], source: Tensor, target: Tensor, here: Tensor) -> float:
    """A bound in pixels on how far any point on the screen moves from source to target."""
    if not source.numel():
        return 0.0
    height, width = here.shape[-2:]
    screen = (QUAD + 1) * half(width, height)
    step = project(torch.linalg.inv(target[0]) @ source[0], screen) - screen
    reach = float(step.abs().max())
    for index in range(1, len(textures)):
        corners = outline(textures[index])
        ends = (project(torch.linalg.inv(moves[index]), corners) for moves in (source, target))
        reach = max(reach, float((next(ends) - next(ends)).abs().max()))
    return 1.5 * reach + 2  # tilted layers may move a little more inside than at their corners


def outline(texture: Tensor) -> Tensor:
    """The corners (4, 2) of a texture in its own pixels."""
    return (QUAD + 1) * half(texture.shape[-1], texture.shape[-2]) - 0.5


def pixels(size: tuple[int, int], like: Tensor) -> Tensor:
    """Coordinates (2, H, W) of a frame's pixels: right, down."""
    y, x = torch.meshgrid(
        *(torch.arange(n, device=like.device, dtype=like.dtype) for n in size), indexing="ij"
    )
    return torch.stack((x, y))


def carry(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply homographies to fields of points (2, H, W) or (B, T, 2, H, W).

    The matrices (B, T, R, 3, 3) are each row's own, R = H, or those of all rows, R = 1.
    """
    m = (matrix / matrix[..., 2:, 2:]).to(points)[..., None]
    x, y = points[..., 0, :, :], points[..., 1, :, :]
    right, down, depth = (
        m[..., i, 0, :] * x + m[..., i, 1, :] * y + m[..., i, 2, :] for i in range(3)
    )
    return torch.stack((right / depth, down / depth), dim=-3)


def sample(texture: Tensor, place: Tensor, mode: str) -> Tensor:
    """Read textures (B, C, h, w) at places (B, T, 2, H, W) in their pixels -> (B, T, C, H, W)."""
    height, width = texture.shape[-2:]
    grid = torch.stack(
        ((2 * place[:, :, 0] + 1) / width - 1, (2 * place[:, :, 1] + 1) / height - 1), dim=-1
    )
    # The moments one below the other: one call, and the texture is not repeated.
    tall = F.grid_sample(
        texture, grid.flatten(1, 2), mode=mode, padding_mode="zeros", align_corners=False
    )
    return tall.unflatten(2, grid.shape[1:3]).transpose(1, 2)
