"""A model over clips -> scores: what came in, what comes out, and the gain.

Scores are means over a clip's frames, and then of the clips, under the names of PROTOCOLS.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import tee, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..damage import cache_name
from ..data import Clip, Degradation, as_float, damaged_clip
from ..flow import Flow
from ..ops import occlusion
from .methods import Method, mirrored, ours, references
from .pictures import Gallery, file_name
from .protocols import PROTOCOLS, View, read_views, view
from .resume import keep_scores, kept_scores, method_fingerprint
from .scores import OURS, TRUTH, Along, ScoreRow, Tally, rows_of


def evaluate(
    model: nn.Module,
    sequences: list[Clip],
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
    done: Callable[[list[ScoreRow]], None] = lambda rows: None,
) -> list[ScoreRow]:
    """Restore every sequence's low-quality frames and compare with its high-quality ones.

    Sequences without low quality are damaged by ``degrade`` (seeded by their place), once for all
    evaluations that share the folder ``cache``. ``protocols`` are names of PROTOCOLS; ``frames``
    limits each clip; for each of ``segments`` the model is also run afresh after every so many
    frames; ``others`` are methods or networks to set beside ours; ``flow`` measures flicker.
    ``pictures`` is a folder for the worst and the best frame of every clip (by the first protocol;
    the middle one if no other is scored), between base and truth.

    ``out`` is a folder that keeps each clip's scores, frame by frame: an evaluation that was
    stopped goes on there. ``label`` names the degradation: scores in ``out`` of another label,
    model, protocol or source are refused. Several processes share the clips when each has its
    ``part``, (0, 3) to (2, 3); one more call without it collects the rows. ``done`` is called with
    each clip's.
    """
    names, others = known_protocols(protocols), others or {}
    methods = methods_of(model, names, segments, others)
    stamp: dict[str, Any] = {
        "label": label, "model": method_fingerprint(model), "protocols": names, "frames": frames,
        "methods": list(methods), "flow": method_fingerprint(flow),
        "others": {key: method_fingerprint(method) for key, method in others.items()},
    }  # fmt: skip
    centre = PROTOCOLS[names[0]].centre
    gallery = Gallery(pictures, centre=centre) if pictures is not None else None
    rows: list[ScoreRow] = []
    for index in range(part[0], len(sequences), part[1]):
        sequence = sequences[index]
        mark = stamp | {"source": [str(sequence.hq), str(sequence.lq or "")]}
        place = None if out is None else out / f"{index:05}-{file_name(sequence.name)}.json"
        found = None if place is None else kept_scores(place, mark)
        if found is None or (gallery is not None and not gallery.has(sequence.name)):
            lq, hq = views(sequence, degrade, index, frames, label, cache)
            tallies = score_clip(methods, sequence.name, lq, hq, names, flow, gallery)
            found = rows_of(sequence.name, tallies)
            if gallery is not None:
                gallery.draw(sequence.name)
            if place is not None:
                keep_scores(place, mark, found, tallies)
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
    own = {OURS: ours(model)} | {in_segments(count): ours(model, count) for count in segments}
    for name in others.keys() & (methods.keys() | own.keys()):
        raise ValueError(f"expected another name than {name!r} for what stands beside ours")
    methods |= {key: ours(m) if isinstance(m, nn.Module) else m for key, m in others.items()}
    methods |= own
    if any(PROTOCOLS[name].mirrored for name in protocols):
        methods[f"{OURS}, mirrored"] = mirrored(methods[OURS])
    return methods


def in_segments(count: int) -> str:
    """The name of the method that starts afresh after ``count`` frames."""
    return f"{OURS}, T={count}"


def known_protocols(protocols: Iterable[str]) -> list[str]:
    """The names, if there are such protocols."""
    names = list(protocols)
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"expected a protocol ({', '.join(PROTOCOLS)}), got {name!r}")
    return names


def views(
    sequence: Clip,
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
    lq, hq = damaged_clip(
        sequence.hq, degrade, seed=seed, frames=frames, name=cache_name(label), cache=cache
    )
    return (view(as_float(code)) for code in lq), (view(as_float(code)) for code in hq)


@torch.inference_mode()
def score_clip(
    methods: dict[str, Method],
    clip: str,
    lq: Iterable[View],
    hq: Iterable[View],
    protocols: list[str],
    flow: Flow | None,
    gallery: Gallery | None,
) -> dict[str, Tally]:
    """Restore one clip by every method; with ``flow``, the truth has a tally too, for its flicker.

    ``gallery`` sees every frame of ours between base and truth.
    """
    copies = tee(lq, len(methods))
    results = [run(copy) for run, copy in zip(methods.values(), copies, strict=True)]
    tallies = {method: Tally() for method in methods}
    own = Tally()
    before: View | None = None
    for truth, *shown in zip_longest(hq, *results):
        check_views(clip, truth, shown)
        along = None if flow is None or before is None else motion(flow, before.rgb, truth.rgb)
        own.add(truth, truth, [], along)
        for tally, picture in zip(tallies.values(), shown, strict=True):
            tally.add(picture, truth, protocols, along)
        if gallery is not None:
            mine = shown[list(methods).index(OURS)]
            strip = torch.cat((shown[0].rgb, mine.rgb, truth.rgb), -1)
            gallery.see(tallies[OURS].psnr[protocols[0]][-1], strip)
        before = truth
    for tally in tallies.values():
        for name in protocols:
            if PROTOCOLS[name].centre:
                tally.keep_centre(name)
    if own.flicker:
        tallies[TRUTH] = own
    return tallies


def check_views(clip: str, truth: View | None, shown: list[View | None]) -> None:
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
