"""Render the example clip: a camera over photographs laid out on gravel, and a cup sliding past.

    python examples/make_example.py --photos DIR [--out examples/table.mp4] [--truth truth.mp4]

DIR is the folder ``skimage/data`` of an installed scikit-image; examples/README.md names the
photographs and their licences. The scene is drawn at 1280x720 (the truth) and reduced by 4 with the
antialiased bicubic filter that the super-resolution networks are trained for.
"""

import argparse
import math
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.damage.reduce import bicubic_down
from s2svr.render.camera import uniform
from s2svr.render.files import SOUND_RATE, chunks, write_movie
from s2svr.render.lettering import draw_text
from s2svr.render.photos import photograph
from s2svr.render.scene import Layer, half, scene_of, to_texture

SIZE = (720, 1280)
RATE, FRAMES = 25, 100
# Photograph, caption, and its place on the ground: right, down (pixels), turn (degrees).
PRINTS = [
    ("rocket.jpg", "FALCON 9 - SPACEX 2015", 380, 300, -4.0),
    ("coffee.png", "ESPRESSO - R. MICHETTI", 450, 800, 3.0),
    ("astronaut.png", "EILEEN COLLINS - NASA 1993", 1010, 420, 2.5),
    ("chelsea.png", "CHELSEA - S. VAN DER WALT", 1480, 240, -3.0),
    ("camera.png", "CAMERAMAN - L. VARSHNEY", 1600, 720, 4.0),
]
GROUND = (1150, 2100)  # height, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("table.mp4"))
    parser.add_argument("--truth", type=Path, help="also write the scene at 1280x720")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    scene = scene_of(layers(chosen.photos), FRAMES)
    frames = torch.cat([clip.frames for _, clip in chunks(scene, SIZE)])
    sound = music(FRAMES / RATE)
    write_movie(chosen.out, bicubic_down(frames).lq, Fraction(RATE), crf=16, sound=sound)
    if chosen.truth:
        write_movie(chosen.truth, frames, Fraction(RATE), crf=14, sound=sound)


def layers(photos: Path) -> list[Layer]:
    """Ground, prints with their shadows, and the cup with its, back to front."""
    time = torch.linspace(0, 1, FRAMES, dtype=torch.float64)
    view = camera(time)  # screen -> ground
    found = [Layer(ground(photos / "gravel.png"), to_texture(view, half(0, 0), 1.0, SIZE))]

    def lay(texture: Tensor, places: Tensor, height: float) -> None:
        """Add a layer and the shadow it throws from ``height`` pixels above the ground."""
        middle = half(texture.shape[-1], texture.shape[-2])
        for picture, shift in ((shadow(texture, height), height), (texture, 0.0)):
            moved = places.clone()
            moved[:, :2, 2] += shift
            found.append(Layer(picture, to_texture(moved.inverse() @ view, middle, 1.0, SIZE)))

    for name, caption, right, down, turn in PRINTS:
        lay(printed(photograph(photos / name), caption), place(time * 0 + right, down, turn), 5.0)
    # The cup slides against the camera's pan and turns a little as it comes to rest.
    slide = 1 - (1 - time) ** 2
    lay(cup(photos / "coffee.png"), place(1500 - 620 * slide, 640 + 150 * slide, 25 * slide), 9.0)
    return found


def camera(time: Tensor) -> Tensor:
    """A hand-held pan to the right with a slow zoom: screen -> ground (N, 3, 3); time in 0-1."""
    ease = time * time * (3 - 2 * time)
    shake = [
        2.5 * torch.sin(2 * math.pi * (3.1 * time + 0.2)) + torch.sin(2 * math.pi * 7.3 * time),
        2.0 * torch.sin(2 * math.pi * (2.3 * time + 0.6)) + torch.sin(2 * math.pi * 8.9 * time),
    ]
    view = place(680 + 720 * ease + shake[0], 470 + 90 * ease + shake[1], -2 + 4 * ease)
    view[:, :2, :2] *= (0.92 + 0.13 * torch.sin(math.pi * time))[:, None, None]
    tilt = torch.eye(3, dtype=torch.float64).repeat(len(time), 1, 1)
    tilt[:, 2, 1] = 6e-5 * torch.cos(math.pi * time)
    return view @ tilt


def place(right: Tensor, down: Tensor | float, degrees: Tensor | float) -> Tensor:
    """Matrices (N, 3, 3) that turn a thing and put it on the ground."""
    matrix = torch.eye(3, dtype=torch.float64).repeat(len(right), 1, 1)
    angle = torch.as_tensor(degrees, dtype=torch.float64).expand(len(right)) * math.pi / 180
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0], matrix[:, 0, 1] = angle.sin(), -angle.sin()
    matrix[:, 0, 2], matrix[:, 1, 2] = right, torch.as_tensor(down, dtype=torch.float64)
    return matrix


def ground(path: Path) -> Tensor:
    """Gravel (3, h, w) as far as the camera sees: the picture mirrored side by side, warm grey."""
    stones = photograph(path)[:1].float() / 255
    stones = F.interpolate(stones[None], scale_factor=1.5, mode="bicubic", align_corners=False)[0]
    rows, columns = (
        torch.minimum(index, 2 * side - 1 - index)
        for wanted, side in zip(GROUND, stones.shape[1:], strict=True)
        for index in [torch.arange(wanted) % (2 * side)]
    )
    tint = torch.tensor([0.66, 0.60, 0.52]).view(3, 1, 1)
    return (stones[:, rows][:, :, columns] * tint).clamp(0, 1)


def printed(photo: Tensor, caption: str) -> Tensor:
    """A photograph on white paper with its caption below: RGB times alpha, alpha (4, h, w)."""
    paper = F.pad(photo.float() / 255, (18, 18, 18, 58), value=0.93)
    ink = draw_text(caption, 15)
    down, right = paper.shape[1] - 50, (paper.shape[2] - ink.shape[1]) // 2
    paper[:, down : down + ink.shape[0], right : right + ink.shape[1]] *= 1 - 0.85 * ink
    return F.pad(torch.cat((paper, torch.ones_like(paper[:1]))), (3, 3, 3, 3))


def cup(path: Path) -> Tensor:
    """The cup on its saucer, cut out of the table by three outlines: (4, h, w)."""
    photo = photograph(path).float() / 255
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in photo.shape[1:]), indexing="ij")
    inside = torch.zeros_like(x)
    for right, down, across, along in (
        (279, 226, 200, 161),
        (293, 113, 120, 97),
        (402, 110, 19, 48),
    ):
        far = torch.hypot((x - right) / across, (y - down) / along)
        inside = torch.maximum(inside, ((1 - far) * min(across, along) / 2 + 0.5).clamp(0, 1))
    return F.pad(torch.cat((photo * inside, inside[None])), (3, 3, 3, 3))


def shadow(texture: Tensor, height: float) -> Tensor:
    """The soft shadow of a cut-out that floats ``height`` pixels above the ground."""
    width = 2 * round(height) + 1
    alpha = texture[3:]
    for _ in range(2):
        alpha = F.avg_pool2d(alpha, width, 1, width // 2)
    return torch.cat((torch.zeros_like(texture[:3]), 0.55 * alpha))


def music(seconds: float) -> Tensor:
    """Plucked notes of a pentatonic scale over a soft chord: (2, N) in [-1, 1]."""
    time = torch.arange(round(seconds * SOUND_RATE), dtype=torch.float64) / SOUND_RATE
    sound = torch.zeros(2, len(time), dtype=torch.float64)
    for pitch in (110.0, 164.81, 220.0):
        wave = torch.sin(2 * math.pi * pitch * time) * (0.5 + 0.5 * torch.sin(time * pitch / 90))
        sound += 0.05 * wave
    notes = [440.0, 523.25, 659.25, 587.33, 783.99, 659.25, 880.0, 587.33, 523.25, 659.25, 440.0]
    generator = torch.Generator().manual_seed(0)
    for index, pitch in enumerate(notes):
        since = (time - 0.34 * index).clamp(min=0)
        left = float(uniform(generator, 1))
        for harmonic in (1, 2, 3):
            decay = torch.exp(-since * (3 + 2 * harmonic)) * (1 - torch.exp(-since * 400))
            wave = decay * torch.sin(2 * math.pi * harmonic * pitch * since) / harmonic**1.5
            sound += 0.22 * wave * torch.tensor([[1 - 0.6 * left], [0.4 + 0.6 * left]])
    fade = (time / 0.05).clamp(max=1) * ((seconds - time) / 0.4).clamp(max=1)
    return (sound * fade).clamp(-1, 1).float()


if __name__ == "__main__":
    main()
