"""Flow of files in the place of a flow network."""

import hashlib
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from ..media import flow_folder, read_known_flow
from ..models import S2SVR, Features
from ..ops import resize_flow


class GivenFlow(nn.Module):
    """Flow from elsewhere in the place of a flow network, by the frames themselves."""

    def features(self, image: Tensor) -> Features:
        """The frames (B, 3, H, W) themselves, in the form of a flow network's features."""
        return [(image, image)]

    def between(
        self, first: Features, second: Features, size: tuple[int, int], few: bool = False
    ) -> Tensor:
        """The flow (B, 2, h, w) between neighbours, on the grid of frames of ``size`` (h, w)."""
        return self.given(first[0][0], second[0][0], size)

    def given(self, a: Tensor, b: Tensor, size: tuple[int, int]) -> Tensor:
        """The flow from frames (B, 3, H, W) to those beside them, as ``between`` returns it."""
        raise NotImplementedError


class FilesFlow(GivenFlow):
    """A clip's flow by the files of ``flow_folder``, for frames that it was told of in their order.

    It knows frames by their pixels, so windows, segments and a clip backward in time are served.
    """

    by_files = True  # it reads pixels and files on the CPU, which no CUDA graph can hold

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.lines = flow_folder(folder)
        self.places: dict[bytes, list[int]] = {}  # in time, by the digest of a frame's pixels
        self.count = 0  # of these frames

    def tell(self, frame: Tensor) -> None:
        """Take note of the clip's next frame (3, H, W). ValueError where the files end before.

        Frames that come back after the end, as those of a mirrored clip, are no others.
        """
        key = digest(frame)
        if self.count <= len(self.lines[0]):
            self.places.setdefault(key, []).append(self.count)
            self.count += 1
        elif key not in self.places:
            raise self.misfit("more")

    def check_end(self) -> None:
        """ValueError where there are more files than the frames told need."""
        if self.count <= len(self.lines[0]):
            raise self.misfit(f"{self.count}")

    def misfit(self, frames: str) -> ValueError:
        count = len(self.lines[0])
        return ValueError(
            f"expected {count} .flo files in each direction of {self.folder} to be of a clip of "
            f"{count + 1} frames, it has {frames}"
        )

    def given(self, a: Tensor, b: Tensor, size: tuple[int, int]) -> Tensor:
        pairs = zip(a, b, strict=True)
        return resize_flow(torch.stack([self.read(x, y).to(x) for x, y in pairs]), size)

    def read(self, a: Tensor, b: Tensor) -> Tensor:
        """The flow (2, H, W) from a frame (3, H, W) to one beside it."""
        found = {
            (t, u)
            for t in self.places.get(digest(a), [])
            for u in self.places.get(digest(b), [])
            if abs(t - u) == 1
        }
        if not found and torch.equal(a, b):
            return torch.zeros_like(a[:2])
        if not found:
            raise ValueError(
                f"expected frames that follow each other in the clip of {self.folder}, got others; "
                "flow of files is for networks of radius 1"
            )
        t, u = min(found)
        path = self.lines[0 if u > t else 1][min(t, u)]
        return read_known_flow(path, (a.shape[-2], a.shape[-1]))


def digest(frame: Tensor) -> bytes:
    """A fingerprint of a frame's pixels, wherever they are."""
    pixels = frame.detach().float().cpu().contiguous().numpy()
    return hashlib.blake2b(pixels.data, digest_size=16).digest()


def with_files(model: S2SVR, flow: FilesFlow) -> S2SVR:
    """A copy of a network that aligns by these files; ValueError where its radius is not 1."""
    if model.config.radius > 1:
        raise ValueError(
            "expected a network that looks at its nearest neighbours alone, for flow of files, "
            f"got one of radius {model.config.radius}"
        )
    copy = deepcopy(model)
    copy.flow = flow  # type: ignore[assignment]
    copy.reduce = lambda frame: frame  # type: ignore[method-assign]
    return copy
