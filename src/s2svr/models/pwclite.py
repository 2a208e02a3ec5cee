"""PWC-lite, the optical flow network of the paper (Sec. 4.1; Liu et al., 2020).

A feature pyramid; from its coarsest level down the second frame's features are warped by the flow
so far, correlated with the first's, and one estimator, shared by all levels, adds a correction that
a context network of dilated convolutions refines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import columnwise_correlation, correlation, pad_to_multiple, resize_flow, warp

SLOPE = 0.1  # of the LeakyReLU

# Of a frame, at each level, coarsest first: features that the estimator sees, and those that are
# matched with another frame's; (B, C, h, w) each.
Features = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class PWCLiteConfig:
    """Sizes of the flow network; the defaults are the published one's (2.24 M parameters)."""

    channels: tuple[int, ...] = (16, 32, 64, 96, 128, 192)  # of the pyramid at strides 2, 4, 8, ...
    features: int = 32  # channels of every level that the estimator sees
    search: int = 4  # reach of the correlation at each level, in pixels of that level
    estimator: tuple[int, ...] = (128, 128, 96, 64, 32)
    context: tuple[int, ...] = (128, 128, 128, 96, 64, 32)
    finest: int = 1  # index of the level whose flow is the result: stride 2 ** (finest + 1)
    # As ARFlow's published weights want it: frames not centred, features matched before they are
    # reduced and not normalised, flow enlarged with the corner pixels on each other.
    arflow: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "estimator", "context"):  # lists when they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not 0 <= self.finest < len(self.channels):
            levels = len(self.channels)
            raise ValueError(f"expected finest within the {levels} levels, got {self.finest}")


LIGHT = PWCLiteConfig(
    channels=(16, 24, 32, 48, 64),
    features=16,
    search=3,
    estimator=(24, 24, 16, 16),
    context=(24, 24, 16),
    finest=0,
)


def conv(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution and LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class Estimator(nn.Module):
    """Convolutions of which each sees the outputs of the two before it, then the flow.

    These are the "reduced dense connections" of Liu et al., 2020 (ARFlow).
    """

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        seen = [inputs, widths[0]]
        seen += [a + b for a, b in zip(widths, widths[1:], strict=False)]
        self.layers = nn.ModuleList(conv(i, o) for i, o in zip(seen, widths, strict=False))
        self.flow = nn.Conv2d(seen[len(widths)], 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> features (B, widths[-1], H, W), flow correction (B, 2, H, W)."""
        before = self.layers[0](x)
        after = self.layers[1](before)
        for layer in self.layers[2:]:
            both = torch.cat((before, after), 1)
            before, after = after, layer(both)
        return after, self.flow(torch.cat((before, after), 1))


class PWCLite(nn.Module):
    """Optical flow of any two frames (F_o of Eq. 8 and 10, F_t of Eq. 12)."""

    def __init__(self, config: PWCLiteConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or PWCLiteConfig()
        inputs = (3, *c.channels)
        self.pyramid_levels = nn.ModuleList(
            nn.Sequential(conv(i, o, stride=2), conv(o, o))
            for i, o in zip(inputs, c.channels, strict=False)
        )
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, c.features, 1), nn.LeakyReLU(SLOPE, inplace=True))
            for width in c.channels[c.finest :]
        )
        cost = (2 * c.search + 1) ** 2
        self.estimator = Estimator(cost + c.features + 2, c.estimator)
        widths = (c.estimator[-1] + 2, *c.context)
        dilations = [*(2**i for i in range(len(c.context) - 1)), 1]
        self.context = nn.Sequential(
            *(
                conv(i, o, dilation=d)
                for i, o, d in zip(widths, c.context, dilations, strict=False)
            ),
            nn.Conv2d(c.context[-1], 2, 3, padding=1),
        )
        initialise(self)

    def features(self, image: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] -> its features; other sides than those divisible by
        ``2 ** len(channels)`` are padded by repeating the edge.
        """
        image = pad_to_multiple(image, 2 ** len(self.config.channels))
        x = image if self.config.arflow else image - 0.5
        levels = []
        for level in self.pyramid_levels:
            x = level(x)
            levels.append(x)
        used = levels[self.config.finest :]
        reduced = [reduce(x) for reduce, x in zip(self.reduce, used, strict=True)]
        matched = used if self.config.arflow else reduced
        return [*zip(reduced, matched, strict=True)][::-1]

    def pyramid(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Flow from a to b at every level, finest first, each in pixels of its own grid.

        a, b (B, 3, H, W) in [0, 1], sides divisible by ``2 ** len(channels)``.
        """
        both = [[x.chunk(2) for x in level] for level in self.features(torch.cat((a, b)))]
        first, second = ([(x[n], y[n]) for x, y in both] for n in (0, 1))
        return self.match(first, second)

    def match(self, first: Features, second: Features, few: bool = False) -> list[Tensor]:
        """``pyramid`` from the features of both frames; by ``few`` large operations for a GPU."""
        theirs = self.config.arflow
        costs = columnwise_correlation if few else correlation
        flow = None
        flows: list[Tensor] = []
        for (reduced, one), (_, two) in zip(first, second, strict=True):
            if flow is None:
                flow = torch.zeros_like(one[:, :2], dtype=torch.float32)  # also in half precision
            else:
                flow = resize_flow(flow, (one.shape[-2], one.shape[-1]), corners=theirs)
                two = warp(two, flow)
            if not theirs:
                one, two = normalise(one), normalise(two)
            cost = F.leaky_relu_(costs(one, two, self.config.search), SLOPE)
            seen, change = self.estimator(torch.cat((cost, reduced, flow.type_as(cost)), 1))
            flow = flow + change
            flow = flow + self.context(torch.cat((seen, flow), 1))
            flows.append(flow)
        return flows[::-1]

    def between(
        self, first: Features, second: Features, size: tuple[int, int], few: bool = False
    ) -> Tensor:
        """The flow (B, 2, H, W) of frames of ``size`` (H, W), of which the features are known."""
        return self.enlarged(self.match(first, second, few)[0], size)

    def enlarged(self, flow: Tensor, size: tuple[int, int]) -> Tensor:
        """The finest level's flow on the grid of frames of ``size``."""
        stride = 2 ** (self.config.finest + 1)
        padded = (stride * flow.shape[-2], stride * flow.shape[-1])
        return resize_flow(flow, padded, corners=self.config.arflow)[..., : size[0], : size[1]]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Where each pixel of a lies in b.

        a, b (B, 3, H, W) in [0, 1], any size; returns (B, 2, H, W) in pixels.
        """
        return self.enlarged(self.pyramid(a, b)[0], (a.shape[-2], a.shape[-1]))


def join_features(frames: Sequence[Features]) -> Features:
    """Features of several frames as those of one batch."""
    if len(frames) == 1:
        return frames[0]
    levels = zip(*frames, strict=True)
    return [tuple(map(torch.cat, zip(*level, strict=True))) for level in levels]  # type: ignore


def split_features(batch: Features, count: int) -> list[Features]:
    """Features of a batch as those of ``count`` equal parts of it."""
    levels = [zip(*(maps.chunk(count) for maps in level), strict=True) for level in batch]
    return [list(part) for part in zip(*levels, strict=True)]


def normalise(x: Tensor) -> Tensor:
    """Zero mean, unit deviation over channels and pixels of each sample.

    Otherwise the cost volume of an untrained pyramid is too small to learn from
    (https://arxiv.org/abs/2006.04902, Sec. 4.2).
    """
    mean = x.mean((1, 2, 3), keepdim=True)
    deviation = (x - mean).square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt()
    return (x - mean) / deviation


def initialise(module: nn.Module) -> None:
    """He initialisation for LeakyReLU; PyTorch's default lets the cost volume vanish."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
