"""Random scenes of flat layers: a background photograph, cut-outs of others and text before it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .camera import Path, at_speed, draw_path, nearer, project, uniform, uniform_between
from .lettering import draw_text, random_words

GAMMA = 2.2  # light = code ** GAMMA
ENLARGE = 1.4  # a small photograph is enlarged by so much at most, then it goes on mirrored
REDUCE = 2.5  # and a large one is reduced by so much at most
QUAD = torch.tensor([[1, 1], [1, -1], [-1, -1], [-1, 1]], dtype=torch.float64)


@dataclass(frozen=True)
class Look:
    """The look of random scenes. Ranges are (least, most), both included."""

    speed: tuple[float, float] = (0.0, 8.0)  # of the camera, pixels a frame at the fastest corner
    objects: tuple[int, int] = (2, 5)  # cut-outs in front of the background
    text: tuple[int, int] = (0, 0)  # lines of text in front of them
    flicker: float = 0.0  # change of brightness, as a share of it
    noise: float = 0.0  # largest standard deviation of the sensor's noise, white = 1
    subframes: int = 1  # odd; pictures averaged in linear light for each frame
    shutter: float = 0.5  # the part of the time between two frames that they cover
    rolling: float = 0.0  # the part of it that passes from the first to behind the last row
    parallax: float = 1.0  # the nearest layers pan at most so many times as fast as the background
    defocus: float = 0.0  # largest radius in pixels of the disc that a point of the background is

    def __post_init__(self) -> None:
        if min(self.rolling, self.defocus, self.parallax - 1) < 0:
            raise ValueError(
                "expected rolling and defocus of at least 0 and parallax of at least 1, got "
                f"{self.rolling:g}, {self.defocus:g} and {self.parallax:g}"
            )
        if self.subframes < 1 or self.subframes % 2 == 0:
            raise ValueError(
                "expected an odd number of sub-frames, so that the middle one is the sharp frame, "
                f"got {self.subframes}"
            )


class Layer(NamedTuple):
    """A flat picture with its place on the screen at each moment."""

    texture: Tensor  # (3, h, w), opaque; or (4, h, w): RGB times alpha, alpha
    moves: Tensor  # (N, 3, 3) float64, per moment: screen pixel -> texture pixel


class Scene(NamedTuple):
    """A batch of layers, back to front; textures and gain on the device, the rest on the CPU."""

    textures: list[Tensor]  # per layer (B, 3 | 4, h, w); the first is opaque
    moves: Tensor  # (L, B, T, n, R, 3, 3) float64: n sub-frames of T frames, R = H or 1 of rows
    gain: Tensor  # (B, T) brightness
    noise: Tensor  # (B,) standard deviation of the sensor's noise in white


class Shot(NamedTuple):
    """The camera of one scene."""

    size: tuple[int, int]  # height, width
    frames: int
    times: Tensor  # (N,) moments, in frames
    rows: int  # moments of each sub-frame: one a row, or one for all
    speed: float  # pixels a frame
    path: Path
    view: Tensor  # (N, 3, 3): screen, about its centre -> world


def draw_scene(
    photos: Sequence[Tensor],
    *,
    frames: int,
    size: tuple[int, int],
    generator: Generator,
    look: Look,
) -> Scene:
    """A random scene, a batch of one, seen on a screen of ``size`` (height, width) pixels.

    photos (3, h, w) in [0, 1]: the first is the background, the others lend the cut-outs.
    """
    shot = draw_shot(photos[0], frames, size, generator, look)
    layers = [background(photos[0], shot, generator, look.defocus)]
    near = nearness(look, shot, generator)
    for index in range(pick(generator, look.objects)):
        texture = cut_out(photos[(index + 1) % len(photos)], min(size), generator)
        layers.append(thing(texture, shot, look.speed[1], math.pi, generator, next(near)))
    for _ in range(pick(generator, look.text)):
        texture = lettering(min(size), generator).to(photos[0])
        layers.append(thing(texture, shot, look.speed[1], 0.1, generator, next(near)))
    wave, phase = (float(v) for v in uniform(generator, 2))
    gain = torch.sin(torch.arange(frames) * wave * math.pi + 2 * math.pi * phase)
    scene = scene_of(layers, frames, shot.rows)
    return scene._replace(
        gain=1 + look.flicker * gain[None].to(photos[0]),
        noise=look.noise * uniform(generator, 1).float(),
    )


def draw_shot(
    photo: Tensor, frames: int, size: tuple[int, int], generator: Generator, look: Look
) -> Shot:
    """A random camera before a photograph."""
    speed = uniform_between(generator, *look.speed)
    if uniform(generator, 1) < 0.15:  # sub-pixel drift, where it is allowed
        speed = max(look.speed[0], 0.1 * speed)
    room = min(photo.shape[-2] - size[0], photo.shape[-1] - size[1]) / 2
    # Fast cameras swing wide: a pan that turned back within a few frames would be a vibration.
    travel = max(room, 6 * speed, 16.0)
    path = draw_path(generator, radius=max(size) / 2, travel=travel, roll=0.25, frames=frames)
    path = at_speed(path, speed, frames, QUAD * half(size[1], size[0]), camera=True)
    part = torch.arange(look.subframes, dtype=torch.float64) - look.subframes // 2
    time = torch.arange(frames, dtype=torch.float64)[:, None]
    times = time + part * look.shutter / look.subframes
    rows = size[0] if look.rolling else 1
    times = times[..., None]
    if look.rolling:  # the middle row is exposed when the whole frame would be
        row = torch.arange(rows, dtype=torch.float64)
        times = times + look.rolling * ((row + 0.5) / rows - 0.5)
    return Shot(size, frames, times.flatten(), rows, speed, path, path.at(times.flatten()))


def nearness(look: Look, shot: Shot, generator: Generator) -> Iterator[float]:
    """Endless: how many times as fast as the background each layer before it pans, back to front.

    None is so near that it would be faster than ``look.speed``.
    """
    if look.parallax > 1:
        most = min(look.parallax, max(look.speed[1] / max(shot.speed, 1e-9), 1))
        shares = uniform(generator, look.objects[1] + look.text[1]).sort().values
        yield from (most**share for share in shares.tolist())
    yield from repeat(1.0)


def background(photo: Tensor, shot: Shot, generator: Generator, defocus: float = 0) -> Layer:
    """The part of a photograph that the camera passes over, reduced to about 1:1.

    With ``defocus``, half of them are out of focus, by a radius up to it.
    """
    corners = QUAD * half(shot.size[1], shot.size[0])
    seen = project(shot.view, corners).flatten(0, 1)
    low, high = seen.amin(0) - 3, seen.amax(0) + 3
    # Texture pixels per unit: 1:1 where the camera is farthest away, so that nothing aliases.
    density = min(1.0, 1 / float(shot.view[:, :2, :2].det().sqrt().max()))
    width, height = ((high - low) * density).ceil().int().tolist()
    texture = cut_photo(photo, height, width, generator)
    if defocus:
        radius = defocus * (2 * float(uniform(generator, 1)) - 1)
        texture = out_of_focus(texture, radius * density) if radius > 0 else texture
    return Layer(texture, to_texture(shot.view, -low, density, shot.size))


def out_of_focus(picture: Tensor, radius: float) -> Tensor:
    """A picture (3, h, w) in [0, 1], its points spread to discs of ``radius`` in linear light."""
    reach = math.ceil(radius)
    axis = torch.arange(-reach, reach + 1, dtype=picture.dtype, device=picture.device)
    disc = (radius + 0.5 - torch.hypot(axis[:, None], axis)).clamp(0, 1)
    light = F.pad(picture[:, None] ** GAMMA, [reach] * 4, mode="replicate")
    return (F.conv2d(light, (disc / disc.sum())[None, None])[:, 0]).clamp(0, 1) ** (1 / GAMMA)


def thing(
    texture: Tensor,
    shot: Shot,
    max_speed: float,
    roll: float,
    generator: Generator,
    near: float = 1.0,
) -> Layer:
    """A layer that moves on a path of its own; half of them move with the background as well.

    One that is ``near``, above 1, pans so many times as fast as the background, beside its path.
    The fastest point moves by at most ``max_speed`` pixels a frame. ``roll`` is the largest
    rotation in radians.
    """
    rides = bool(uniform(generator, 1) < 0.5) or near > 1
    speed = uniform_between(generator, 0, max(max_speed - shot.speed * near * rides, 0))
    middle = half(texture.shape[-1], texture.shape[-2])
    reach = float(middle.max())
    path = draw_path(generator, radius=reach, travel=shot.size[1], roll=roll, frames=shot.frames)
    path = at_speed(path, speed, shot.frames, QUAD * middle / 1.5)
    place = torch.eye(3, dtype=torch.float64)
    place[:2, 2] = (2 * uniform(generator, 2) - 1) * half(shot.size[1], shot.size[0])
    view = torch.linalg.inv(place @ path.at(shot.times))  # screen -> texture, centred
    if rides:
        camera = nearer(shot.path, near).at(shot.times) if near > 1 else shot.view
        view = view @ torch.linalg.inv(camera[len(camera) // 2]) @ camera
    return Layer(texture, to_texture(view, middle, 1.0, shot.size))


def cut_out(photo: Tensor, screen: int, generator: Generator) -> Tensor:
    """A random smooth shape cut from a photograph, (4, s, s), with an edge 1 to 3 pixels soft.

    screen is the shorter side of the screen, which the shape's size goes by.
    """
    radius = screen * uniform_between(generator, 0.08, 0.3)
    side = math.ceil(3 * radius) + 4
    axis = torch.arange(side, device=photo.device, dtype=photo.dtype) + 0.5 - side / 2
    angle, distance = torch.atan2(axis[:, None], axis), torch.hypot(axis[:, None], axis)
    outline = torch.ones_like(angle)
    for order in range(2, 6):
        size, phase = (float(v) for v in uniform(generator, 2))
        outline += 0.4 * size / order * torch.cos(order * angle + 2 * math.pi * phase)
    alpha = (outline * radius - distance) / uniform_between(generator, 1, 3) + 0.5
    # The last pixels stay empty, since sampling reaches over the texture's border.
    alpha = F.pad(alpha.clamp(0, 1)[None, 2:-2, 2:-2], (2, 2, 2, 2))
    return torch.cat((cut_photo(photo, side, side, generator) * alpha, alpha))


def lettering(screen: int, generator: Generator) -> Tensor:
    """A line of random letters (4, h, w) on the CPU: bare ink, or on a plate of another colour."""
    height = max(screen * uniform_between(generator, 0.05, 0.16), 6)
    ink = draw_text(random_words(generator, pick(generator, (3, 12))), height)[None]
    color = uniform(generator, 3, 1, 1).float()
    if uniform(generator, 1) < 0.5:
        return torch.cat((ink * color, ink))
    plate = torch.zeros_like(ink)
    plate[:, 2:-2, 2:-2] = 1
    return torch.cat(((ink * color + (1 - ink) * (1 - color)) * plate, plate))


def cut_photo(photo: Tensor, height: int, width: int, generator: Generator) -> Tensor:
    """A random part (3, height, width) of a photograph, antialiased where it is reduced.

    Where the photograph is too small it is enlarged by up to ``ENLARGE`` and then mirrored.
    """
    room = min(photo.shape[-2] / height, photo.shape[-1] / width)
    reduce = math.exp(uniform_between(generator, 0, math.log(REDUCE)))
    ratio = min(reduce, room) if room > 1 else max(room, 1 / ENLARGE)
    h, w = min(photo.shape[-2], round(height * ratio)), min(photo.shape[-1], round(width * ratio))
    top = int(uniform_between(generator, 0, photo.shape[-2] - h + 1))
    left = int(uniform_between(generator, 0, photo.shape[-1] - w + 1))
    part = photo[:, top : top + h, left : left + w]
    target = (min(height, round(h / ratio)), min(width, round(w / ratio)))
    if target != (h, w):
        part = F.interpolate(
            part[None], size=target, mode="bicubic", antialias=True, align_corners=False
        )[0].clamp(0, 1)
    for dim, wanted in ((1, height), (2, width)):
        side = part.shape[dim]
        if side < wanted:
            index = torch.arange(wanted, device=part.device) % (2 * side)
            part = part.index_select(dim, torch.minimum(index, 2 * side - 1 - index))
    return part


def to_texture(view: Tensor, corner: Tensor, density: float, size: tuple[int, int]) -> Tensor:
    """Matrices (N, 3, 3) from screen pixels to texture pixels, the centre of the first being 0.

    view (N, 3, 3) maps the screen about its centre to a layer's units; the texture's corner lies at
    ``-corner`` and has ``density`` pixels per unit.
    """
    screen, picture = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    screen[:2, 2] = 0.5 - half(size[1], size[0])
    picture[:2] *= density
    picture[:2, 2] = corner * density - 0.5
    return picture @ view @ screen


def scene_of(layers: Sequence[Layer], frames: int, rows: int = 1) -> Scene:
    """A batch of one from layers, back to front, without flicker and noise.

    Their moments are those of ``frames``, then of sub-frames, then of ``rows``.
    """
    moves = torch.stack([layer.moves for layer in layers]).unflatten(1, (1, frames, -1, rows))
    textures = [layer.texture[None] for layer in layers]
    return Scene(textures, moves, textures[0].new_ones(1, frames), torch.zeros(1))


def batch_of(scenes: Sequence[Scene]) -> Scene:
    """Scenes of equal length and size as one batch; a scene with fewer layers gets empty ones."""
    depth = max(len(scene.textures) for scene in scenes)
    empty = torch.zeros_like(scenes[0].textures[0][:, :1, :1, :1]).expand(1, 4, 1, 1)
    stacks = [scene.textures + [empty] * (depth - len(scene.textures)) for scene in scenes]
    textures = []
    for level in zip(*stacks, strict=True):
        height, width = (max(t.shape[dim] for t in level) for dim in (-2, -1))
        textures.append(
            torch.cat([F.pad(t, (0, width - t.shape[-1], 0, height - t.shape[-2])) for t in level])
        )
    moves = []
    for scene in scenes:
        missing = torch.eye(3, dtype=torch.float64).expand(
            depth - len(scene.textures), *scene.moves.shape[1:]
        )
        moves.append(torch.cat((scene.moves, missing)))
    gain = torch.cat([scene.gain for scene in scenes])
    return Scene(textures, torch.cat(moves, 1), gain, torch.cat([scene.noise for scene in scenes]))


def half(width: float, height: float) -> Tensor:
    """The vector from a corner to the centre."""
    return torch.tensor([width, height], dtype=torch.float64) / 2


def pick(generator: Generator, bounds: tuple[int, int]) -> int:
    """A whole number from least to most."""
    return int(torch.randint(bounds[0], bounds[1] + 1, (1,), generator=generator))
