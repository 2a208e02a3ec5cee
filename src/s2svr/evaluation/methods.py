"""Methods of restoring a clip, which an evaluation compares."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..flow import FilesFlow, with_files
from ..media import carried
from ..models import S2SVR
from ..ops import mirror, resize_bicubic
from ..restoration import find_cuts, restore
from .protocols import View, view

Method = Callable[[Iterable[View]], Iterator[View]]  # a view of full size for each one given


def our_method(model: nn.Module, segment: int | None = None) -> Method:
    """Method of restoring with a model that starts afresh at cuts and after ``segment`` frames."""
    cuts = find_cuts if segment is None else partial(cuts_and_segments, segment)

    def run(views: Iterable[View]) -> Iterator[View]:
        tagged = ((given.color, given.rgb) for given in views)
        for color, frame in carried(tagged, partial(restore, model, cuts=cuts)):
            yield view(frame.cpu(), color)

    return run


def by_files(
    model: nn.Module, folder: Path, segment: int | None = None, *, whole: bool = True
) -> Method:
    """``our_method`` of a network that aligns by a clip's .flo files, in place of its own flow.

    Raises ValueError for other networks, and files that do not fit the clip, or its beginning if it
    is not ``whole``.
    """
    if not isinstance(model, S2SVR):
        raise ValueError(f"expected a network that aligns by flow, got a {type(model).__name__}")

    def run(views: Iterable[View]) -> Iterator[View]:
        flow = FilesFlow(folder)

        def told() -> Iterator[View]:
            for given in views:
                flow.tell(given.rgb)
                yield given
            if whole:
                flow.check_end()

        yield from our_method(with_files(model, flow), segment)(told())

    return run


def cuts_and_segments(segment: int, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Yield each frame, and True if a shot or a segment of that many frames begins with it."""
    for index, (frame, begins) in enumerate(find_cuts(frames)):
        yield frame, begins or index % segment == 0


def mirrored(method: Method) -> Method:
    """Method run on the clip followed by its mirror image in time; each frame's results averaged.

    mmedit does so for models that were trained on mirrored clips (Vimeo-90K).
    """

    def run(views: Iterable[View]) -> Iterator[View]:
        clip = list(views)
        both = list(method(clip + clip[::-1]))
        for a, b in zip(both, both[: len(clip) - 1 : -1], strict=False):
            yield view((a.rgb + b.rgb) / 2, a.color)

    return run


def reference_methods(scale: int) -> dict[str, Method]:
    """Methods that ours is compared with; the first is the base that gains are counted from."""
    if scale == 1:
        return {"input": lambda views: iter(views)}
    return {
        "bicubic": lambda views: (view(resize_bicubic(v.rgb, scale).clamp(0, 1)) for v in views),
        "lanczos": lambda views: (view(enlarge_lanczos(v.rgb, scale).clamp(0, 1)) for v in views),
    }


def enlarge_lanczos(x: Tensor, scale: int) -> Tensor:
    """Enlarge (..., H, W) to (..., scale H, scale W) by Lanczos with 3 lobes, mirrored edges."""
    place = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5  # of output pixels
    distance = place[:, None] - torch.arange(-3, 4)
    weights = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    weights = (weights / weights.sum(1, keepdim=True)).to(x)
    rows = mirror(x, -2, 3).unfold(-2, 7, 1) @ weights.T  # (..., H, W, scale)
    x = rows.movedim(-1, -2).flatten(-3, -2)
    return (mirror(x, -1, 3).unfold(-1, 7, 1) @ weights.T).flatten(-2)
