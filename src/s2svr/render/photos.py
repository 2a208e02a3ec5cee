"""Clips of moving photographs without end, and the photographs that they are made of."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from ..data import IMAGES, VIDEOS
from ..media import open_reader, read_clip
from .frames import Rendered, render_batch
from .scene import Look

PHOTOS = 4  # photographs of one scene
# Photographs in scikit-image's wheel that are in the public domain or under CC0, as its
# documentation of skimage.data states for each.
FREE = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "rocket.jpg",
)  # fmt: skip


def photographs(root: Path, most: int = 256) -> list[Tensor]:
    """Every image below ``root`` and the middle frame of every video: (3, h, w) uint8.

    Of more than ``most`` files, evenly spaced ones are read.
    """
    root = Path(root)
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGES | VIDEOS)
    if root.is_file():
        files = [root]
    if not files:
        raise ValueError(f"expected a folder with photographs or videos, {root} holds none")
    step = max(len(files) / most, 1.0)
    return [photograph(files[int(index * step)]) for index in range(min(len(files), most))]


def free_photographs() -> list[Tensor]:
    """The free photographs of an installed scikit-image: (3, h, w) uint8."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise ValueError(
            "expected a folder of photographs or videos (--photos); without one, those that come "
            "with scikit-image are used, which is not installed"
        )
    return [photograph(Path(found.origin).with_name("data") / name) for name in FREE]


def photograph(path: Path) -> Tensor:
    """An image, or the middle frame of a video: (3, h, w) uint8."""
    middle = 0
    if path.suffix.lower() in VIDEOS:
        with open_reader(path) as reader:
            middle = (reader.info.frames or 1) // 2
    return read_clip(path, start=middle, count=1)[0]


def choose_photos(
    photos: Sequence[Tensor], generator: Generator, device: torch.device | str = "cpu"
) -> list[Tensor]:
    """Random photographs for one scene, (3, h, w) in [0, 1]."""
    indices = torch.randint(len(photos), (PHOTOS,), generator=generator).tolist()
    chosen = [photos[index].to(device) for index in indices]
    return [photo if photo.is_floating_point() else photo.float() / 255 for photo in chosen]


def item_seed(seed: int, index: int) -> int:
    """The seed of one item: 32 bits, which is all that torch's generator uses."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


class MovingPhotographs(Dataset):
    """Rendered clips without end; item i is a ``Rendered`` that depends on the seed and i alone.

    photos are (3, h, w) in uint8 codes or [0, 1], of any sizes. Items of one shape collate to a
    ``Rendered`` of batches.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        frames: int,
        size: tuple[int, int],
        seed: int = 0,
        look: Look | None = None,
    ) -> None:
        if not photos:
            raise ValueError("expected at least one photograph, got none")
        self.photos, self.frames, self.size, self.seed = photos, frames, size, seed
        self.look = look or Look()

    def __getitem__(self, index: int) -> Rendered:
        return Rendered(*(field[0] for field in self.batch([index])))

    def batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Rendered:
        """The items of several indices as one batch, drawn together on a device.

        This is for accelerators: on a CPU, items one by one take half the time.
        """
        generators = [Generator().manual_seed(item_seed(self.seed, index)) for index in indices]
        return render_batch(
            [choose_photos(self.photos, generator, device) for generator in generators],
            frames=self.frames,
            size=self.size,
            generators=generators,
            look=self.look,
        )
