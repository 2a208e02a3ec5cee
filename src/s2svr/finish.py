"""What is done to restored frames: mixed with the enlarged input, and given its grain again."""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from .color import bounded
from .media import Frame, Reader
from .ops import resize_bicubic, resize_to

LUMA = (0.299, 0.587, 0.114)  # shares of R, G, B
BLOCK = 8  # side of the blocks in which noise is measured, in differences of 2x2 pixels
TICKS = 90_000  # a second: what the seeds of frames count in


@dataclass(frozen=True)
class Finish:
    """What is done to each restored frame before it is brought to its size and written."""

    strength: float = 1.0  # share of the restored picture; the rest is the enlarged input
    grain: bool = False  # as much noise as the input had

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"expected a strength from 0 to 1, got {self.strength:g}")

    @property
    def changes(self) -> bool:
        """True if frames are not left as they are."""
        return self.strength < 1 or self.grain


def finished(restored: Tensor, source: Tensor, finish: Finish, moment: Fraction) -> Tensor:
    """A restored frame (3, sH, sW), finished; ``source`` (3, H, W) is what it was made of.

    The grain follows from the source and its time ``moment`` in seconds alone, so it is the same
    in whatever windows, tiles and pieces a video is restored.
    """
    if not finish.changes:
        return restored
    source = source.to(restored)
    factor = restored.shape[-1] // source.shape[-1]
    base = resize_bicubic(source, factor) if factor > 1 else source
    if finish.strength < 1:
        restored = torch.lerp(base, restored, finish.strength)
    if finish.grain:
        restored = restored + grain(restored, base, source, moment)
    return bounded(restored, source)


def grain(restored: Tensor, base: Tensor, source: Tensor, moment: Fraction) -> Tensor:
    """Noise (1, sH, sW) that ``restored`` lacks to have as much as ``base``, its enlarged source.

    White noise of the size of the source's pixels, enlarged as that is, the same in all colours.
    What is left of the source's noise, and texture, is seen in both and is not added again.
    """
    size = source.shape[-2], source.shape[-1]
    there, left = (noise_level(resize_to(picture, size)) for picture in (base, restored))
    if left >= there:
        return torch.zeros_like(base[:1])
    level = noise_level(source) * math.sqrt(1 - (left / there) ** 2)
    generator = torch.Generator().manual_seed(round(moment * TICKS) % 2**63)
    noise = level * torch.randn((1, *size), generator=generator)
    return resize_to(noise.to(source), (base.shape[-2], base.shape[-1]))


def noise_level(picture: Tensor) -> float:
    """Standard deviation of the noise in the luma of a picture (3, H, W), in its own unit.

    The diagonal differences of 2x2 pixels hold little of a picture but its noise. Half of all
    blocks have less of them: edges and texture do not count.
    """
    if min(picture.shape[-2:]) < 2:
        return 0.0
    luma = torch.einsum("c,chw->hw", picture.new_tensor(LUMA), picture)
    height, width = (side - side % 2 for side in luma.shape)
    parts = luma[:height, :width].unflatten(1, (-1, 2)).unflatten(0, (-1, 2))
    differences = (
        parts[:, 0, :, 0] - parts[:, 0, :, 1] - parts[:, 1, :, 0] + parts[:, 1, :, 1]
    ) / 2
    block = tuple(min(BLOCK, side) for side in differences.shape)
    energy = F.avg_pool2d(differences.square()[None, None], block)
    return math.sqrt(float(energy.median()))


def moment_of(frame: Frame, index: int, reader: Reader) -> Fraction:
    """The time of a reader's frame of that index in the whole video, in seconds."""
    if frame.time is not None:
        return frame.time
    rate = reader.info.rate
    return (math.ceil((reader.start or 0) * rate) + index) / rate
