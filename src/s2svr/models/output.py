"""F_f of Eq. 4: from the decoder's state to what is added to the base of the restored frame."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import pad_to_multiple
from .pwclite import SLOPE

AMPLIFY = 8.0  # what a frame's detail is worth against its brightness, as input
STEP = (
    0.1  # of the output beside it: corrections of a few grey levels, out of weights of usual size
)


def within_contrast(change: Tensor, x: Tensor, scale: int) -> Tensor:
    """What F_f adds, (B, 3, sH, sW), cut to the contrast of the frame x (B, 3, H, W) there.

    Where a frame is flat there is nothing to restore, but a network still answers with a pattern
    to a colour that it never saw.
    """
    bound = contrast(x)[..., :, None, :, None]
    parts = change.unflatten(-1, (-1, scale)).unflatten(-3, (-1, scale))
    return torch.clamp(parts, -bound, bound).flatten(-2).flatten(-3, -2)


def contrast(x: Tensor) -> Tensor:
    """How far pixels of a frame (B, 3, H, W) within 5x5 are apart in any channel, (B, 1, H, W)."""
    x = F.pad(x, (2, 2, 2, 2), mode="replicate")
    return (of_five(x, torch.maximum) - of_five(x, torch.minimum)).amax(1, keepdim=True)


def of_five(x: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(..., H + 4, W + 4) -> largest or smallest of 5x5, (..., H, W); far faster than pooling."""
    for axis in (-2, -1):
        count = x.shape[axis] - 4
        two = of(x.narrow(axis, 0, count + 3), x.narrow(axis, 1, count + 3))
        four = of(two.narrow(axis, 0, count + 1), two.narrow(axis, 2, count + 1))
        x = of(four.narrow(axis, 0, count), x.narrow(axis, 4, count))
    return x


def detail(x: Tensor) -> Tensor:
    """What sets a frame's pixels apart from the mean of the 5x5 around them, amplified."""
    return AMPLIFY * (x - F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1))


class FrameInput(nn.Module):
    """A frame, pixel-unshuffled to the grid of the states, and where it is asked for its detail."""

    def __init__(self, down: int, detail: bool) -> None:
        super().__init__()
        self.down, self.detail = down, detail
        self.channels = (6 if detail else 3) * down**2

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, channels, h, w)."""
        x = pad_to_multiple(x, self.down)
        if self.detail:
            x = torch.cat((x - 0.5, detail(x)), 1)
        return F.pixel_unshuffle(x, self.down)


class PictureShuffle(nn.PixelShuffle):
    """Pixels of a picture out of channels; the picture lies in the plain memory order."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, 3 r^2, h, w) -> (B, 3, r h, r w)."""
        if input.is_contiguous():
            return super().forward(input)
        # From channels_last in one copy, several times as fast as in two.
        r = self.upscale_factor
        parts = input.unflatten(1, (-1, r, r)).permute(0, 1, 4, 2, 5, 3)
        return parts.flatten(4).flatten(2, 3)


class Output(nn.Sequential):
    """State -> change of the frame, ``factor`` times larger, by staged x2 or in one step."""

    def __init__(self, channels: int, tail: int, factor: int, step: float = 1.0) -> None:
        layers: list[nn.Module] = []
        inputs = channels
        if not tail:
            layers += [nn.Conv2d(channels, 3 * factor**2, 3, padding=1), PictureShuffle(factor)]
        else:
            for _ in range(factor.bit_length() - 1):
                layers += [nn.Conv2d(inputs, 4 * tail, 3, padding=1), nn.PixelShuffle(2)]
                layers += [nn.LeakyReLU(SLOPE)]
                inputs = tail
            layers += [nn.Conv2d(inputs, tail, 3, padding=1), nn.LeakyReLU(SLOPE)]
            layers += [nn.Conv2d(tail, 3, 3, padding=1)]
        super().__init__(*layers)
        self.step = step

    def start(self) -> None:
        """Let a fresh one change nothing."""
        for parameter in last_convolution(self).parameters():
            nn.init.zeros_(parameter)

    def forward(self, input: Tensor) -> Tensor:
        """State (B, C, h, w) -> (B, 3, H, W)."""
        return self.step * super().forward(input)


def last_convolution(output: nn.Module) -> nn.Conv2d:
    """The convolution that makes the picture."""
    return [layer for layer in output.modules() if isinstance(layer, nn.Conv2d)][-1]
