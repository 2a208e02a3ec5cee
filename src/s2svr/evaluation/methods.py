"""Ways to restore a clip that an evaluation sets side by side."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ..media import carried
from ..ops import mirror, resize_bicubic
from ..restoration import find_cuts, restore
from .protocols import View, view

Method = Callable[[Iterable[View]], Iterator[View]]  # one view for each, of the full size


def ours(model: nn.Module, segment: int | None = None) -> Method:
    """``restore`` with this model, which starts afresh at cuts, and after ``segment`` frames."""
    cuts = find_cuts if segment is None else partial(restarts, segment)

    def run(views: Iterable[View]) -> Iterator[View]:
        tagged = ((seen.color, seen.rgb) for seen in views)
        for color, frame in carried(tagged, partial(restore, model, cuts=cuts)):
            yield view(frame.cpu(), color)

    return run


def restarts(segment: int, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each frame, and whether a shot or a segment of so many frames begins there."""
    for index, (frame, begins) in enumerate(find_cuts(frames)):
        yield frame, begins or index % segment == 0


def mirrored(method: Method) -> Method:
    """A method on the clip followed by itself backward in time; each frame's two results averaged.

    mmedit does so for models that were trained on mirrored clips (Vimeo-90K).
    """

    def run(views: Iterable[View]) -> Iterator[View]:
        clip = list(views)
        both = list(method(clip + clip[::-1]))
        for a, b in zip(both, both[: len(clip) - 1 : -1], strict=False):
            yield view((a.rgb + b.rgb) / 2, a.color)

    return run


def references(scale: int) -> dict[str, Method]:
    """What ours is compared with: the first is the base that gains are counted from."""
    if scale == 1:
        return {"input": lambda views: iter(views)}
    return {
        "bicubic": lambda views: (view(resize_bicubic(v.rgb, scale).clamp(0, 1)) for v in views),
        "lanczos": lambda views: (view(enlarge_lanczos(v.rgb, scale).clamp(0, 1)) for v in views),
    }


def enlarge_lanczos(x: Tensor, scale: int) -> Tensor:
    """Lanczos with three lobes (..., H, W) -> (..., scale H, scale W); edges are mirrored."""
    place = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5  # of output pixels
    distance = place[:, None] - torch.arange(-3, 4)
    weights = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    weights = (weights / weights.sum(1, keepdim=True)).to(x)
    rows = mirror(x, -2, 3).unfold(-2, 7, 1) @ weights.T  # (..., H, W, scale)
    x = rows.movedim(-1, -2).flatten(-3, -2)
    return (mirror(x, -1, 3).unfold(-1, 7, 1) @ weights.T).flatten(-2)
