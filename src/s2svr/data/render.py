"""Moving photographs: clips of photographs under moving cameras, with exact flow and occlusion.

A clip is a stack of flat layers: a background photograph and cut-outs of others in front of it.
Each layer has one homography per frame, so the flow between any two frames is known exactly.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .camera import at_speed, draw_path, project, uniform


class Rendered(NamedTuple):
    """A clip with its truth; flow in pixels, ``warp(frames[t + 1], flow_forward[t])`` ~ frame t.

    An occlusion is True where the pixel's point is hidden or outside in the other frame.
    """

    frames: Tensor  # (T, 3, H, W) in [0, 1]
    flow_forward: Tensor  # (T - 1, 2, H, W), frame t -> t + 1
    flow_backward: Tensor  # (T - 1, 2, H, W), frame t + 1 -> t
    occlusion_forward: Tensor  # (T - 1, 1, H, W) bool, pixels of frame t
    occlusion_backward: Tensor  # (T - 1, 1, H, W) bool, pixels of frame t + 1


class Layer(NamedTuple):
    """A flat picture, premultiplied by its alpha, and where screen pixels lie in it."""

    texture: Tensor  # (4, h, w): RGB times alpha, alpha
    to_texture: Tensor  # (T, 3, 3) float64: screen pixel -> texture pixel, per frame
    mirrored: bool  # beyond its border it goes on mirrored (else it is transparent)


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

    The first photograph is the background, the others lend the cut-outs. ``generator`` is one of
    the CPU; pictures are made on the photographs' device. No point moves by more than about
    ``max_speed`` pixels a frame.
    """
    if not photos or frames < 1:
        raise ValueError(f"expected photographs and frames, got {len(photos)} and {frames}")
    layers = draw_layers(photos, frames, size, generator, max_speed, objects)
    return compose(layers, size)


def draw_layers(
    photos: Sequence[Tensor],
    frames: int,
    size: tuple[int, int],
    generator: Generator,
    max_speed: float,
    objects: tuple[int, int],
) -> list[Layer]:
    """Background and cut-outs, back to front."""
    height, width = size
    times = torch.arange(frames, dtype=torch.float64)
    corners = torch.tensor([[x, y] for x in (-0.5, 0.5) for y in (-0.5, 0.5)], dtype=torch.float64)
    corners = corners * torch.tensor([width, height], dtype=torch.float64)
    radius = max(size) / 2
    speed = max_speed * float(uniform(generator, 1))
    path = draw_path(generator, radius, travel=float(width), frames=frames)
    camera = at_speed(path, speed, frames, corners).at(times)
    layers = [background(photos[0], camera, corners, size, generator)]
    count = int(torch.randint(objects[0], objects[1] + 1, (1,), generator=generator))
    for index in range(count):
        photo = photos[(index + 1) % len(photos)]
        reach = min(size) * (0.1 + 0.2 * float(uniform(generator, 1)))
        box = reach * corners.sign()
        rides = bool(uniform(generator, 1) < 0.5)  # on the camera's world, or free of it
        own = (max_speed - speed * rides) * float(uniform(generator, 1))
        path = at_speed(draw_path(generator, reach, float(width), frames), own, frames, box)
        place = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
        # Where it stands halfway through the clip, so that it is on screen.
        middle = path.at(times[frames // 2, None])[0, :2, 2]
        place[:, :2, 2] = (uniform(generator, 2) - 0.5) * 2 * corners[-1] - middle
        motion = place @ path.at(times)
        motion = camera @ torch.linalg.inv(camera[frames // 2]) @ motion if rides else motion
        layers.append(cut_out(photo, motion, reach, size, generator))
    return layers


def background(
    photo: Tensor, camera: Tensor, corners: Tensor, size: tuple[int, int], generator: Generator
) -> Layer:
    """The part of a photograph that the camera (T, 3, 3) passes over, reduced to about 1:1."""
    seen = project(torch.linalg.inv(camera), corners)  # (T, 4, 2)
    low, high = seen.amin((0, 1)) - 2, seen.amax((0, 1)) + 2
    # Texture pixels per layer unit: 1 where the camera is farthest away, so nothing aliases.
    density = min(1.0, float(camera[:, :2, :2].det().abs().sqrt().min()))
    wanted = ((high - low) * density).ceil().int().tolist()
    picture = cut(photo, wanted[1], wanted[0], generator)
    density = min(density, picture.shape[-1] / wanted[0], picture.shape[-2] / wanted[1])
    texture = torch.cat((picture, torch.ones_like(picture[:1])))
    return Layer(texture, to_texture(camera, -low, density, size), True)


def cut(photo: Tensor, height: int, width: int, generator: Generator) -> Tensor:
    """A random part of a photograph, antialiased, of the size wanted.

    A photograph that is smaller is enlarged by up to 1.4; beyond that the part stays smaller.
    """
    room = min(photo.shape[-2] / height, photo.shape[-1] / width)
    ratio = max(1 / 1.4, min(room, math.exp(float(uniform(generator, 1)) * math.log(2.5))))
    if room < 1:
        ratio = max(1 / 1.4, room)
    h = min(photo.shape[-2], math.ceil(height * ratio))
    w = min(photo.shape[-1], math.ceil(width * ratio))
    top, left = (
        int(float(uniform(generator, 1)) * (have - need + 1))
        for have, need in zip(photo.shape[-2:], (h, w), strict=True)
    )
    part = photo[None, :, top : top + h, left : left + w]
    target = (min(height, round(h / ratio)), min(width, round(w / ratio)))
    if target != (h, w):
        part = F.interpolate(
            part, size=target, mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 1)
    return part[0]


def cut_out(
    photo: Tensor, motion: Tensor, reach: float, size: tuple[int, int], generator: Generator
) -> Layer:
    """A round shape of about ``reach`` pixels radius cut from a photograph, with a soft edge."""
    zoom = float(motion[:, :2, :2].det().abs().sqrt().min())
    density = min(1.0, zoom)
    side = math.ceil(2 * 1.5 * reach * density) + 4
    picture = cut(photo, side, side, generator)
    picture = F.interpolate(picture[None], size=(side, side), mode="bilinear")[0]
    alpha = blob(side, reach * density, generator).to(photo)
    texture = torch.cat((picture * alpha, alpha))
    offset = torch.full((2,), side / density / 2, dtype=torch.float64)
    return Layer(texture, to_texture(motion, offset, density, size), False)


def blob(side: int, radius: float, generator: Generator) -> Tensor:
    """The alpha (1, side, side) of a random smooth shape, with an edge 1 to 3 pixels soft."""
    axis = torch.arange(side, dtype=torch.float32) + 0.5 - side / 2
    angle, distance = torch.atan2(axis[:, None], axis), torch.hypot(axis[:, None], axis)
    outline = torch.ones_like(angle)
    for order in range(2, 6):
        size, phase = (float(v) for v in uniform(generator, 2))
        outline += 0.3 * size / order * torch.cos(order * angle + 2 * math.pi * phase)
    soft = 1 + 2 * float(uniform(generator, 1))
    return ((outline * radius - distance) / soft + 0.5).clamp(0, 1)[None]


def to_texture(motion: Tensor, offset: Tensor, density: float, size: tuple[int, int]) -> Tensor:
    """Screen pixel -> texture pixel, both counted from the centre of the first pixel.

    motion (T, 3, 3) maps a layer's units to the screen about its centre; the texture's corner lies
    at ``-offset`` and has ``density`` pixels per unit.
    """
    screen = torch.eye(3, dtype=torch.float64)
    screen[:2, 2] = torch.tensor([0.5 - size[1] / 2, 0.5 - size[0] / 2], dtype=torch.float64)
    picture = torch.eye(3, dtype=torch.float64) * density
    picture[:2, 2] = offset * density - 0.5
    picture[2, 2] = 1
    return picture @ torch.linalg.inv(motion) @ screen


def compose(layers: Sequence[Layer], size: tuple[int, int]) -> Rendered:
    """Draw the layers back to front, with flow and occlusion of what is in front at each pixel."""
    here = pixels(size, layers[0].texture)
    alphas, frames = [], torch.zeros(())
    for index, layer in enumerate(layers):
        drawn = sample(layer.texture, carry(layer.to_texture, here), layer.mirrored, "bicubic")
        color, alpha = drawn[:, :3], drawn[:, 3:].clamp(0, 1)
        frames = color + (1 - alpha) * frames if index else color
        alphas.append(alpha)
    frames = frames.clamp(0, 1)
    front = torch.zeros_like(alphas[0], dtype=torch.long)  # (T, 1, H, W): index of the layer seen
    for index, alpha in enumerate(alphas[1:], 1):
        front = torch.where(alpha > 0.5, index, front)
    forward = flow_between(layers, front[:-1], slice(None, -1), slice(1, None), here)
    backward = flow_between(layers, front[1:], slice(1, None), slice(None, -1), here)
    return Rendered(frames, forward[0], backward[0], forward[1], backward[1])


def flow_between(
    layers: Sequence[Layer], front: Tensor, source: slice, target: slice, here: Tensor
) -> tuple[Tensor, Tensor]:
    """Flow (T - 1, 2, H, W) of the layers seen in the source frames, and its occlusion."""
    there = here.expand(len(front), 2, *here.shape[-2:])
    for index, layer in enumerate(layers):
        step = torch.linalg.inv(layer.to_texture[target]) @ layer.to_texture[source]
        there = torch.where(front == index, carry(step, here), there)
    height, width = here.shape[-2:]
    limit = here.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    hidden = ((there < 0) | (there > limit)).any(1, keepdim=True)
    for index, layer in enumerate(layers[1:], 1):
        place = carry(layer.to_texture[target], there)
        cover = sample(layer.texture[3:], place, layer.mirrored, "bilinear")
        hidden |= (front < index) & (cover > 0.5)
    return there - here, hidden


def pixels(size: tuple[int, int], like: Tensor) -> Tensor:
    """Coordinates (1, 2, H, W) of a frame's pixels: right, down."""
    y, x = torch.meshgrid(
        *(torch.arange(n, device=like.device, dtype=like.dtype) for n in size), indexing="ij"
    )
    return torch.stack((x, y))[None]


def carry(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply homographies (T, 3, 3) to fields of points (1 or T, 2, H, W)."""
    m = (matrix / matrix[:, 2:, 2:]).to(points)[..., None, None]
    x, y = points[:, 0], points[:, 1]
    rows = [m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in range(3)]
    return torch.stack((rows[0] / rows[2], rows[1] / rows[2]), dim=1)


def sample(texture: Tensor, place: Tensor, mirrored: bool, mode: str) -> Tensor:
    """Read a texture (C, h, w) at pixel places (T, 2, H, W) -> (T, C, H, W)."""
    height, width = texture.shape[-2:]
    grid = torch.stack(
        ((2 * place[:, 0] + 1) / width - 1, (2 * place[:, 1] + 1) / height - 1), dim=-1
    )
    return F.grid_sample(
        texture.expand(len(place), *texture.shape),
        grid,
        mode=mode,
        padding_mode="reflection" if mirrored else "zeros",
        align_corners=False,
    )
