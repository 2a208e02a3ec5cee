"""F_f of Eq. 4: from the decoder's state to what is added to the base of the restored frame."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import pad_to_multiple, resize_flow, warp
from .pwclite import SLOPE

AMPLIFY = 8.0  # what a frame's detail is worth against its brightness, as input
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601
STEP = 0.1  # of the fine output: corrections of a few grey levels, out of weights of usual size


def detail(x: Tensor) -> Tensor:
    """What sets a frame's pixels apart from the mean of the 5x5 around them, amplified."""
    return AMPLIFY * (x - F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1))


def recalled(y: Tensor | None, x: Tensor, o: Tensor | None, down: int) -> Tensor:
    """How the last restored frame, warped by o, differs in luma from this one, amplified.

    y and x (B, 3, H, W), o (B, 2, h, w) -> (B, 1, H, W), padded as in ``Frame``, in [-1, 1]: larger
    differences say no more than that the two do not belong together. 0 where there is no y.
    """
    x = pad_to_multiple(x, down)
    if y is None:
        return torch.zeros_like(x[:, :1])
    weights = x.new_tensor(LUMA).view(1, 3, 1, 1)
    before = (pad_to_multiple(y, down) * weights).sum(1, keepdim=True)
    now = (x * weights).sum(1, keepdim=True)
    if o is not None:
        before = warp(before, resize_flow(o, (before.shape[-2], before.shape[-1])))
    return (AMPLIFY * (before - now)).clamp(-1, 1)


class Frame(nn.Module):
    """A frame on the grid of the states: its pixels unshuffled, or its cells' means and detail."""

    def __init__(self, down: int, fine: bool) -> None:
        super().__init__()
        self.down, self.fine = down, fine
        self.channels = 3 * down**2 + (3 if fine else 0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, H, W) -> (B, channels, h, w), and the detail where the output wants it."""
        x = pad_to_multiple(x, self.down)
        if not self.fine:
            return F.pixel_unshuffle(x, self.down), None
        d = detail(x)
        cells = F.avg_pool2d(x, self.down), F.pixel_unshuffle(d, self.down)
        return torch.cat(cells, 1), d


class Output(nn.Sequential):
    """State -> change of the frame, ``factor`` times larger, by staged x2 or in one step."""

    def __init__(self, channels: int, tail: int, factor: int) -> None:
        layers: list[nn.Module] = []
        inputs = channels
        if not tail:
            layers += [nn.Conv2d(channels, 3 * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
        else:
            for _ in range(factor.bit_length() - 1):
                layers += [nn.Conv2d(inputs, 4 * tail, 3, padding=1), nn.PixelShuffle(2)]
                layers += [nn.LeakyReLU(SLOPE)]
                inputs = tail
            layers += [nn.Conv2d(inputs, tail, 3, padding=1), nn.LeakyReLU(SLOPE)]
            layers += [nn.Conv2d(tail, 3, 3, padding=1)]
        super().__init__(*layers)

    def forward(
        self, input: Tensor, detail: Tensor | None = None, recalled: Tensor | None = None
    ) -> Tensor:
        """State (B, C, h, w) -> (B, 3, H, W); needs no more."""
        return super().forward(input)


class FineOutput(nn.Module):
    """The same on the half grid, beside the frame's own detail and the last restored frame.

    A state on a grid ``down`` times smaller has fewer channels than its cell has pixels: it cannot
    carry them through, and need not, since both frames are at hand.
    """

    def __init__(self, channels: int, width: int, down: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(channels, width * (down // 2) ** 2, 1)
        self.enlarge = nn.PixelShuffle(down // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(width + 16, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, s: Tensor, detail: Tensor | None, recalled: Tensor | None) -> Tensor:
        """(B, C, h, w), the frame's detail (B, 3, H, W), ``recalled`` (B, 1, H, W) -> as detail."""
        assert detail is not None
        assert recalled is not None
        own = F.pixel_unshuffle(detail, 2), F.pixel_unshuffle(recalled, 2)
        return STEP * self.layers(torch.cat((self.enlarge(self.widen(s)), *own), 1))


def last_convolution(output: nn.Module) -> nn.Module:
    """The convolution that makes the picture."""
    return [layer for layer in output.modules() if isinstance(layer, nn.Conv2d)][-1]
