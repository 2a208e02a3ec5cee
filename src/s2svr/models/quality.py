"""How far a coded frame is from its truth, and what to make of that, told without the truth."""

import math

import torch
from torch import Tensor, nn

from ..ops import gaps, pad_to_multiple
from .pwclite import SLOPE

# Statistics of no-reference quality assessment: how pixels differ from those near them
# (https://doi.org/10.1109/TIP.2012.2214050), and the coefficients of the transform that is coded.
STEPS = ((1, 1), (2, 1), (4, 1), (1, 2), (1, 3))  # distance in pixels, order of the difference
EDGES = (0.5, 1.5, 2.5, 4.5, 8.5, 16.5, 32.5)  # codes, between the bins of differences
RARE = 1e-3  # share of pixels
BLOCK = 8  # side of a transform
BANDS = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 7), (7, 9), (9, 15))  # sums of both frequencies
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)  # of the blocks
FAINT = 0.05  # codes
BINS = len(EDGES) + 1
COUNT = 2 * 2 * len(STEPS) * BINS + len(BANDS) * len(LEVELS)  # numbers that ``statistics`` finds
MOVED = 2 * BINS + len(BANDS) * len(LEVELS)  # and ``movement``

MIDDLE = 38.0  # dB, where shares stay as they are
FALL = 1.8  # of the factor, for each 10 dB more
LEAST, MOST = 0.5, 1.6  # of the factor

# The share of the change that leaves the smallest error, by FFmpeg's name of the codec: a
# quantiser, the share there, and how much it grows with each (lab/2026-11-30-share-by-coding.md).
SHARES = {
    "hevc": (22, 0.38, 0.047),
    "h264": (22, 0.45, 0.047),
    "vp9": (121, 0.49, 0.0051),
    "av1": (121, 0.47, 0.0041),
    "mpeg2video": (25, 0.76, 0.0446),
    "mpeg4": (25, 0.74, 0.049),
}
# A film so finely coded that it asks for less was often coded before, and more coarsely.
LEAST_SHARE, MOST_SHARE = 0.1, 1.25

FAR = 5.0  # standard deviations: statistics further out count as so far


class Quality(nn.Module):
    """A frame's PSNR, told without its truth, and what shares of neighbours are multiplied by.

    A coarsely coded frame is better mixed with more of its neighbours, a finely coded one with less
    (lab/2026-11-26-quality-factor.md); the whole frame shows which it is, a few pixels do not. With
    ``confidence``, it also tells what share of the network's change to the frame is made.
    """

    mean: Tensor
    spread: Tensor
    share: float | None = None  # of every change, as ``share_of_coding`` says; None: frames tell

    def __init__(self, channels: int, confidence: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.tell = of_statistics(COUNT, channels)
        self.trust = Trust(channels) if confidence else None

    def start(self) -> None:
        """Let a fresh one leave all shares, and every change, as they are."""
        for parameter in self.tell[-1].parameters():
            nn.init.zeros_(parameter)
        self.start_share()

    def start_share(self) -> None:
        """Let every change be made as it is."""
        for parameter in self.trust.tell[-1].parameters() if self.trust else ():
            nn.init.zeros_(parameter)

    def forward(self, frame: Tensor, other: Tensor) -> Tensor:
        """Frame (B, 3, H, W) in [0, 1] -> factor of its neighbours' shares, (B, 1, 1, 1).

        With ``confidence``, (B, 2, 1, 1): and the share of the change that is made, for which
        ``other`` is the frame beside it, as ``frame_beside`` says.
        """
        grey = frame.mean(1)
        found = statistics(grey)
        told = (1 - FALL * self.told(found)).clamp(LEAST, MOST)
        if self.share is not None:
            told = torch.cat((told, torch.full_like(told, self.share)), 1)
        elif self.trust is not None:
            told = torch.cat((told, self.made(found, movement(grey - other.mean(1)))), 1)
        return told[..., None, None]

    def told(self, found: Tensor) -> Tensor:
        """``statistics`` of frames (B, COUNT) -> their PSNR over MIDDLE, in 10 dB, (B, 1)."""
        return self.tell(self.normalised(found))

    def made(self, found: Tensor, moved: Tensor) -> Tensor:
        """``statistics`` (B, COUNT) and ``movement`` (B, MOVED) -> share of the change, (B, 1).

        Raises TypeError without ``confidence``.
        """
        if self.trust is None:
            raise TypeError("expected a network with confidence, got one that makes every change")
        seen = self.tell[0](self.normalised(found))
        return (1 + self.trust(seen, self.trust.normalised(moved))).clamp(0, 1)

    def normalised(self, found: Tensor) -> Tensor:
        """``statistics`` of frames (B, COUNT), about 0 and of about unit variance."""
        return (found - self.mean) / self.spread


class Trust(nn.Module):
    """What share of a network's change to a frame is made, beyond 1, told from two frames.

    What has hardly been damaged is better left as it is. A smooth frame looks coarsely coded even
    where it is not; but a fine coding shows how the frame differs from the one beside it, where a
    coarse one copies that (lab/2026-11-29-shares-over-time.md).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(MOVED))
        self.register_buffer("spread", torch.ones(MOVED))
        self.moved = nn.Linear(MOVED, channels, bias=False)
        self.tell = nn.Sequential(*list(of_statistics(COUNT, channels))[1:])

    def forward(self, seen: Tensor, moved: Tensor) -> Tensor:
        """What the estimate's first layer sees in frames (B, C), normalised movement -> (B, 1)."""
        return self.tell(seen + self.moved(moved))

    def normalised(self, moved: Tensor) -> Tensor:
        """``movement`` (B, MOVED), about 0 and of about unit variance, and never beyond FAR."""
        return ((moved - self.mean) / self.spread).clamp(-FAR, FAR)


def share_of_coding(codec: str, quantiser: float) -> float | None:
    """What share of a change is made to a film of a codec, whose mean quantiser is known.

    None where the frames have to tell: they were coded very finely, or by another codec.
    """
    if codec not in SHARES:
        return None
    at, share, more = SHARES[codec]
    share += more * (quantiser - at)
    return min(share, MOST_SHARE) if share >= LEAST_SHARE else None


def frame_beside(frames: list[Tensor], t: int) -> Tensor:
    """The frame before frame t; for the first the one after it, or where it is alone itself."""
    return frames[t - 1] if t else frames[min(1, len(frames) - 1)]


def of_statistics(count: int, channels: int) -> nn.Sequential:
    """A network that tells one number of ``count`` normalised statistics."""
    return nn.Sequential(
        nn.Linear(count, channels),
        nn.LeakyReLU(SLOPE),
        nn.Linear(channels, channels),
        nn.LeakyReLU(SLOPE),
        nn.Linear(channels, 1),
    )


def statistics(grey: Tensor) -> Tensor:
    """What tells a grey frame's quality: (B, H, W) in [0, 1] -> (B, COUNT)."""
    codes = 255 * pad_to_multiple(grey[:, None], BLOCK)[:, 0]
    bins = differences(codes)
    return torch.cat((bins, (bins + RARE).log(), frequencies(codes)), 1)


def movement(change: Tensor) -> Tensor:
    """What tells how a grey frame differs from another: (B, H, W) in [-1, 1] -> (B, MOVED).

    How many pixels differ by how much, and how strong the difference's transforms are.
    """
    codes = 255 * pad_to_multiple(change[:, None], BLOCK)[:, 0]
    sizes = in_bins(codes)
    return torch.cat((sizes, (sizes + RARE).log(), frequencies(codes)), 1)


def differences(codes: Tensor) -> Tensor:
    """Shares of the pixels (B, H, W) in each bin of each difference."""
    found = []
    for axis in (1, 2):
        for distance, order in STEPS:
            d = codes
            for _ in range(order):
                d = gaps(d, axis, distance)
            found.append(in_bins(d))
    return torch.cat(found, 1)


def in_bins(d: Tensor) -> Tensor:
    """Shares of the pixels (B, H, W) whose size lies between two edges each -> (B, BINS)."""
    size = d.abs()
    below = torch.stack([size < edge for edge in EDGES], 1).mean((2, 3), dtype=d.dtype)
    none = torch.zeros_like(below[:, :1])
    return gaps(torch.cat((none, below, none + 1), 1), 1)


def frequencies(codes: Tensor) -> Tensor:
    """Logarithms of how strong each band of cosine transforms is, from weak blocks to strong."""
    codes = codes.double()  # products of matrices of floats may be made in half precision
    line = torch.arange(BLOCK, device=codes.device)
    basis = torch.cos((2 * line + 1) * line[:, None] * (math.pi / (2 * BLOCK))).double() / 2
    basis[0] /= math.sqrt(2)
    blocks = codes.unflatten(1, (-1, BLOCK)).unflatten(3, (-1, BLOCK)).transpose(2, 3)
    powers = (basis @ blocks @ basis.T).square().flatten(1, 2)
    order = line + line[:, None]
    bands = torch.stack([(order >= low) & (order < high) for low, high in BANDS]).double()
    means = powers.flatten(2) @ bands.flatten(1).T / bands.sum((1, 2))
    strong = means.sqrt().sort(1).values
    levels = [level(strong, share) for share in LEVELS]
    return (torch.stack(levels, 2).flatten(1) + FAINT).log().float()


def level(ordered: Tensor, share: float) -> Tensor:
    """The quantile of (B, N, bands) in order along N -> (B, bands); a GPU can capture it."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below].lerp(ordered[:, above], place - below)
