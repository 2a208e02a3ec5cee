"""Scores of flow against the true flow: end-point errors by visibility and by speed."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics import end_point_error, outliers, speed_masks
from ..ops import inside, occlusion, resize_bicubic, resize_flow, warp
from .cases import Case

Flow = Callable[[Tensor, Tensor], Tensor]  # a, b (B, 3, H, W) -> where a lies in b (B, 2, H, W)
UNKNOWN = 1e9  # what Middlebury writes where the truth is unknown
ZERO, TRUTH, MEAN = "no motion", "true flow", "mean"
Measured = dict[str, tuple[float, int]]  # means, and over how many pixels


@dataclass(frozen=True)
class FlowRow:
    """A method's flow of one pair of frames, or of all; errors in pixels of the full size.

    None: there are no such pixels, or nothing is known of them.
    """

    pair: str
    input: str  # what the method saw
    method: str
    error: float | None  # mean end-point error
    visible: float | None  # where the pixel is seen in both frames
    hidden: float | None  # and where it is not
    slow: float | None  # where the truth moves by less than 2 pixels
    medium: float | None  # by 2 to 10
    fast: float | None  # by 10 and more
    up_to_10: float | None  # slow and medium together
    outliers: float | None  # KITTI's Fl: share of errors beyond 3 pixels and 5 %
    photometric: float | None  # mean |a - warped b| of the undamaged frames, in [0, 1]
    consistency: float | None  # mean |flow there + flow back| where it stays inside, pixels
    precision: float | None  # share of truly hidden pixels among those that ops.occlusion finds
    recall: float | None  # and share of the truly hidden ones that it finds


@torch.inference_mode()
def evaluate_flow(
    methods: Mapping[str, Flow],
    cases: Iterable[Case],
    *,
    reduced: int = 1,
    done: Callable[[str], None] = lambda name: None,
) -> list[FlowRow]:
    """Score flow estimators on every pair, and their means over all pixels of each input.

    ``no motion`` is always among the methods, ``true flow`` where both directions are known (it
    shows how far the occlusion check itself can be trusted). With ``reduced`` of 4 the methods see
    frames of full size reduced bicubically, and their flow is enlarged (students of the light
    presets for deblurring and compression); frames that the damage reduced stay as they are.
    ``done`` is told each pair's name.
    """
    rows: list[FlowRow] = []
    tallies: dict[tuple[str, str], list[Measured]] = {}
    for case in cases:
        for method, (there, back) in estimates(methods, case, reduced).items():
            values = measured(there, back, case)
            tallies.setdefault((case.input, method), []).append(values)
            rows.append(row_of(case.name, case.input, method, [values]))
        done(f"{case.name}, {case.input}")
    means = [row_of(MEAN, *key, values) for key, values in tallies.items()]
    return rows + means


def estimates(
    methods: Mapping[str, Flow], case: Case, reduced: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Flow there and back (1, 2, H, W) by each method, at full size."""
    size = (case.truth.shape[-2], case.truth.shape[-1])
    seen = case.seen
    if reduced > 1 and seen.shape[-2:] == case.truth.shape[-2:]:
        seen = resize_bicubic(seen, 1 / reduced).clamp(0, 1)
    a, b = seen[:1], seen[1:]
    zero = torch.zeros_like(case.truth)
    found = {ZERO: (zero, zero)}
    for name, flow in methods.items():
        found[name] = resize_flow(flow(a, b), size), resize_flow(flow(b, a), size)
    if case.back is not None:
        found[TRUTH] = case.truth, case.back
    return found


def measured(there: Tensor, back: Tensor, case: Case) -> Measured:
    """The values of a row for one pair, each with the number of pixels that its mean is over."""
    known = (case.truth.abs() < UNKNOWN).all(1, keepdim=True)
    truth = torch.where(known, case.truth, there)

    def error(mask: Tensor, against: Tensor = truth) -> tuple[float, int]:
        return end_point_error(there, against, mask & known), int((mask & known).sum())

    everywhere = torch.ones_like(known)
    values = {"error": error(everywhere)}
    if case.hidden is not None:
        guess = occlusion(there, back) == 0
        right = float((guess & case.hidden & known).sum())
        for name, of in (("precision", guess & known), ("recall", case.hidden & known)):
            count = int(of.sum())
            values[name] = (right / max(count, 1), count)
        values |= {"visible": error(~case.hidden), "hidden": error(case.hidden)}
    slow, medium, fast = speed_masks(truth).values()
    values |= {"slow": error(slow), "medium": error(medium), "fast": error(fast)}
    values["up_to_10"] = error(slow | medium)
    count = int(known.sum())
    if count:
        share = outliers(there[:, :, known[0, 0]], truth[:, :, known[0, 0]])
        values["outliers"] = (share, count)
    a, b = case.frames[:1], case.frames[1:]
    values["photometric"] = ((a - warp(b, there)).abs().mean().item(), known.numel())
    values["consistency"] = error(inside(there), -warp(back, there))
    return values


def row_of(pair: str, kind: str, method: str, parts: list[Measured]) -> FlowRow:
    """The mean of some pairs, each pixel counted once."""

    def mean(name: str) -> float | None:
        some = [part[name] for part in parts if name in part and part[name][1]]
        count = sum(pixels for _, pixels in some)
        return math.fsum(value * pixels for value, pixels in some) / count if count else None

    return FlowRow(
        pair, kind, method, mean("error"), mean("visible"), mean("hidden"), mean("slow"),
        mean("medium"), mean("fast"), mean("up_to_10"), mean("outliers"), mean("photometric"),
        mean("consistency"), mean("precision"), mean("recall"),
    )  # fmt: skip


def rows_to_print(rows: list[FlowRow]) -> list[FlowRow]:
    """The rows to print: those of pairs if every input has one pair only, else the means."""
    means = [row for row in rows if row.pair == MEAN]
    single = len(rows) == 2 * len(means)
    return [row for row in rows if (row.pair == MEAN) != single]
