"""A model over clips -> scores: what came in, what comes out, and the gain.

Scores are means over a clip's frames, and then of the clips, under the names of PROTOCOLS.
"""

import hashlib
import json
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import tee, zip_longest
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor, nn

from .data.clips import Degradation, Sequence, as_float
from .data.damaged import damaged
from .media import write_png
from .methods import Method, mirrored, ours, references
from .metrics import mean_finite, warping_error
from .ops import occlusion
from .protocols import PROTOCOLS, View, read_views, view

Flow = Callable[[Tensor, Tensor], Tensor]
Along = tuple[Tensor, Tensor]  # flow (1, 2, H, W) from one frame to the next, and what stays seen
OURS, TRUTH = "ours", "truth"


@dataclass(frozen=True)
class Row:
    """One clip (or the mean of the clips) restored by one method, scored by one protocol."""

    clip: str
    protocol: str
    method: str
    frames: int  # that were scored
    equal: int  # of them, those with infinite PSNR, which its mean leaves out
    psnr: float  # dB
    ssim: float
    gain: float  # dB over the base, which is the first method; NaN where there is none
    ssim_gain: float
    spread: float  # standard deviation of PSNR over the clip's frames, dB
    flicker: float | None = None  # warping error along the truth's flow, in [0, 1]
    flicker_truth: float | None = None  # the truth's own


@dataclass
class Tally:
    """What one method gathers over a clip's frames."""

    psnr: dict[str, list[float]] = field(default_factory=dict)  # by protocol, a value a frame
    ssim: dict[str, list[float]] = field(default_factory=dict)
    flicker: list[float] = field(default_factory=list)
    last: Tensor | None = None

    def add(self, picture: View, truth: View, protocols: list[str], along: Along | None) -> None:
        for name in protocols:
            self.psnr.setdefault(name, []).append(PROTOCOLS[name].psnr(picture, truth))
            self.ssim.setdefault(name, []).append(PROTOCOLS[name].ssim(picture, truth))
        if along is not None and self.last is not None:
            self.flicker.append(warping_error(torch.stack((self.last, picture.rgb)), *along))
        self.last = picture.rgb

    def keep_centre(self, protocol: str) -> None:
        """Leave only the middle frame's scores."""
        for values in (self.psnr[protocol], self.ssim[protocol]):
            values[:] = [values[len(values) // 2]]


def evaluate(
    model: nn.Module,
    sequences: list[Sequence],
    degrade: Degradation,
    *,
    protocols: Iterable[str] = ("rgb", "y"),
    frames: int | None = None,
    segments: Iterable[int] = (),
    others: Mapping[str, Method | nn.Module] | None = None,
    flow: Flow | None = None,
    pictures: Path | None = None,
    out: Path | None = None,
    cache: Path | None = None,
    label: str = "",
    part: tuple[int, int] = (0, 1),
    done: Callable[[list[Row]], None] = lambda rows: None,
) -> list[Row]:
    """Restore every sequence's low-quality frames and compare with its high-quality ones.

    Sequences without low quality are damaged by ``degrade`` (seeded by their place), once for all
    evaluations that share the folder ``cache``. ``protocols`` are names of PROTOCOLS; ``frames``
    limits each clip; for each of ``segments`` the model is also run afresh after every so many
    frames; ``others`` are methods or networks to set beside ours; ``flow`` measures flicker.
    ``pictures`` is a folder for the worst and the best frame of every clip, between base and truth.

    ``out`` is a folder that keeps each clip's scores, frame by frame: an evaluation that was
    stopped goes on there. ``label`` names the degradation: scores in ``out`` of another label,
    model, protocol or source are refused. Several processes
    share the clips when each has its ``part``, (0, 3) to (2, 3); one more call without it collects
    the rows. ``done`` is called with each clip's.
    """
    names, others = known(protocols), others or {}
    methods = methods_of(model, names, segments, others)
    stamp: dict[str, Any] = {
        "label": label,
        "model": digest(model),
        "protocols": names,
        "frames": frames,
    }
    stamp |= {"methods": list(methods), "flow": digest(flow)}
    stamp |= {"others": {key: digest(method) for key, method in others.items()}}
    rows: list[Row] = []
    for index in range(part[0], len(sequences), part[1]):
        sequence = sequences[index]
        mark = stamp | {"source": [str(sequence.hq), str(sequence.lq or "")]}
        place = None if out is None else out / f"{index:05}-{file_name(sequence.name)}.json"
        if place is not None and place.exists():
            found = reopened(place, mark)
        else:
            lq, hq = views(sequence, degrade, index, frames, label, cache)
            tallies, strips = score(methods, sequence.name, lq, hq, names, flow)
            found = rows_of(sequence.name, tallies)
            if pictures is not None:
                write_strips(pictures, sequence.name, strips)
            if place is not None:
                keep(place, mark, found, tallies)
        rows += found
        done(found)
    return rows


def methods_of(
    model: nn.Module,
    protocols: list[str],
    segments: Iterable[int],
    others: Mapping[str, Method | nn.Module],
) -> dict[str, Method]:
    """What is set side by side, by name; the first is the base of the gains."""
    methods = references(int(getattr(model, "scale", 1)))
    methods |= {key: ours(m) if isinstance(m, nn.Module) else m for key, m in others.items()}
    methods[OURS] = ours(model)
    methods |= {in_segments(count): ours(model, count) for count in segments}
    if any(PROTOCOLS[name].mirrored for name in protocols):
        methods[f"{OURS}, mirrored"] = mirrored(methods[OURS])
    return methods


def in_segments(count: int) -> str:
    """The name of the method that starts afresh after ``count`` frames."""
    return f"{OURS}, T={count}"


def known(protocols: Iterable[str]) -> list[str]:
    """The names, if there are such protocols."""
    names = list(protocols)
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"expected a protocol ({', '.join(PROTOCOLS)}), got {name!r}")
    return names


def views(
    sequence: Sequence,
    degrade: Degradation,
    seed: int,
    frames: int | None,
    label: str,
    cache: Path | None,
) -> tuple[Iterable[View], Iterable[View]]:
    """A sequence's low- and high-quality frames."""
    if sequence.lq is not None:
        return read_views(sequence.lq, frames), read_views(sequence.hq, frames)
    # Codes of 8 bits, as published inputs are made of.
    lq, hq = damaged(sequence.hq, degrade, seed=seed, frames=frames, name=label, cache=cache)
    return (view(as_float(code)) for code in lq), (view(as_float(code)) for code in hq)


@torch.inference_mode()
def score(
    methods: dict[str, Method],
    clip: str,
    lq: Iterable[View],
    hq: Iterable[View],
    protocols: list[str],
    flow: Flow | None,
) -> tuple[dict[str, Tally], dict[str, tuple[float, Tensor]]]:
    """Restore one clip by every method: tallies, and ours at its worst and best as a picture.

    With ``flow``, the truth has a tally too, for its flicker alone.
    """
    copies = tee(lq, len(methods))
    results = [run(copy) for run, copy in zip(methods.values(), copies, strict=True)]
    tallies = {method: Tally() for method in methods}
    own = Tally()
    strips: dict[str, tuple[float, Tensor]] = {}
    before: View | None = None
    for truth, *shown in zip_longest(hq, *results):
        check_sizes(clip, truth, shown)
        along = None if flow is None or before is None else motion(flow, before.rgb, truth.rgb)
        own.add(truth, truth, [], along)
        for tally, picture in zip(tallies.values(), shown, strict=True):
            tally.add(picture, truth, protocols, along)
        value = tallies[OURS].psnr[protocols[0]][-1]
        mine = shown[list(methods).index(OURS)]
        for which, further in (("worst", operator.lt), ("best", operator.gt)):
            if which not in strips or further(value, strips[which][0]):
                strips[which] = value, torch.cat((shown[0].rgb, mine.rgb, truth.rgb), -1)
        before = truth
    for tally in tallies.values():
        for name in protocols:
            if PROTOCOLS[name].centre:
                tally.keep_centre(name)
    if own.flicker:
        tallies[TRUTH] = own
    return tallies, strips


def check_sizes(clip: str, truth: View | None, shown: list[View | None]) -> None:
    """ValueError where frames are missing or of another size than the truth."""
    if truth is None or None in shown:
        fewer = "high" if truth is None else "low"
        raise ValueError(f"expected as many frames of both qualities in {clip}, {fewer} has fewer")
    for picture in shown:
        if picture is not None and picture.rgb.shape != truth.rgb.shape:
            raise ValueError(
                f"expected restored frames of the truth's size in {clip}, "
                f"got {tuple(picture.rgb.shape)} and {tuple(truth.rgb.shape)}"
            )


def motion(flow: Flow, a: Tensor, b: Tensor) -> Along | None:
    """Flow from frame a to b, (3, H, W) each, and the mask of what is seen in both.

    None where nothing is, as at a scene cut.
    """
    there = flow(a[None], b[None])
    seen = occlusion(there, flow(b[None], a[None]))
    return (there, seen) if seen.any() else None


def rows_of(clip: str, tallies: dict[str, Tally]) -> list[Row]:
    """A clip's rows, by protocol and method; the first method is the base of the gains."""
    truth = tallies.get(TRUTH)
    methods = {method: tally for method, tally in tallies.items() if tally is not truth}
    rows: list[Row] = []
    for name in methods[OURS].psnr:
        base = next(iter(methods.values()))
        for method, tally in methods.items():
            values, (mean, equal) = tally.psnr[name], mean_finite(tally.psnr[name])
            finite = [value for value in values if math.isfinite(value)]
            rows.append(
                Row(
                    clip=clip,
                    protocol=name,
                    method=method,
                    frames=len(values),
                    equal=equal,
                    psnr=mean,
                    ssim=fmean(tally.ssim[name]),
                    gain=gain(values, base.psnr[name]),
                    ssim_gain=gain(tally.ssim[name], base.ssim[name]),
                    spread=pstdev(finite) if finite else 0.0,
                    flicker=fmean(tally.flicker) if tally.flicker else None,
                    flicker_truth=fmean(truth.flicker) if truth else None,
                )
            )
    return rows


def gain(values: list[float], base: list[float]) -> float:
    """Mean of what the frames gained over the base; NaN where all of either equal the truth."""
    both = [
        a - b for a, b in zip(values, base, strict=True) if math.isfinite(a) and math.isfinite(b)
    ]
    return fmean(both) if both else math.nan


def write_strips(folder: Path, clip: str, strips: dict[str, tuple[float, Tensor]]) -> None:
    """One picture for the worst frame and one for the best."""
    folder.mkdir(parents=True, exist_ok=True)
    for which, (_, strip) in strips.items():
        write_png(folder / f"{file_name(clip)}-{which}.png", strip)


def digest(model: object) -> str:
    """A fingerprint of a network's weights; of other things, whether they are there."""
    if not isinstance(model, nn.Module):
        return "" if model is None else "a function"
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def file_name(clip: str) -> str:
    """A clip's name as that of one file."""
    return clip.replace("/", "_")


def keep(place: Path, stamp: dict, rows: list[Row], tallies: dict[str, Tally]) -> None:
    """Write a clip's scores beside their place, then rename: what is there is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    frames = {
        method: {"psnr": tally.psnr, "ssim": tally.ssim, "flicker": tally.flicker}
        for method, tally in tallies.items()
    }
    beside = place.with_suffix(f".{os.getpid()}.part")
    kept = {"stamp": stamp, "rows": [asdict(row) for row in rows], "frames": frames}
    beside.write_text(json.dumps(kept), encoding="utf-8")
    beside.replace(place)


def reopened(place: Path, stamp: dict) -> list[Row]:
    """The rows that an earlier call kept."""
    kept = json.loads(place.read_text(encoding="utf-8"))
    for name, value in stamp.items():
        if kept["stamp"].get(name) != value:
            raise ValueError(
                f"expected scores made with {name} = {value!r}, {place} was made with "
                f"{kept['stamp'].get(name)!r}; name another folder"
            )
    return [Row(**row) for row in kept["rows"]]
