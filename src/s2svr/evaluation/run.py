"""Evaluation of a model over clips: scores of what came in and what comes out, and the gain.

Scores are means over a clip's frames, and then of the clips, under the names of PROTOCOLS.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import tee, zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from ..coarseness import knowing, tells_share, with_coarseness
from ..damage import cache_name, told_coarseness
from ..data import Clip, Degradation, as_float, damaged_clip
from ..files import file_fingerprint
from ..flow import Flow
from ..media import flow_folder
from ..ops import occlusion
from .methods import Method, by_files, mirrored, our_method, reference_methods
from .pictures import Gallery, file_name
from .protocols import PROTOCOLS, View, read_views, view
from .resume import folder_fingerprint, load_scores, method_fingerprint, save_scores
from .scores import OURS, TRUTH, Motion, ScoreRow, Tally, score_rows
from .settings import DEFAULT_SCORING, NO_STORAGE, Scoring, Storage


def evaluate(
    model: nn.Module,
    clips: list[Clip],
    degrade: Degradation,
    scoring: Scoring = DEFAULT_SCORING,
    *,
    others: Mapping[str, Method | nn.Module] | None = None,
    storage: Storage = NO_STORAGE,
    part: tuple[int, int] = (0, 1),
    done: Callable[[list[ScoreRow]], None] = lambda rows: None,
) -> list[ScoreRow]:
    """Restore every clip's low-quality frames and compare with its high-quality ones.

    Clips without low quality are damaged by ``degrade`` (seeded by their number). ``others`` are
    methods or networks to compare with. Pictures are of the frames that the first protocol scores
    worst and best (or of the only one that it scores), between base and truth. Clips whose scores
    are stored are not restored again; ValueError where those are of another model, scoring, label
    or source, or of its files as they were before a change.

    Several processes share the clips when each has its ``part``, (0, 3) to (2, 3); one more call
    without it collects the rows. ``done`` is called with each clip's.
    """
    others = others or {}
    methods = compared_methods(model, scoring, others)
    for clip in clips if scoring.motion else []:
        flow_folder(scoring.motion / clip.name)  # type: ignore[operator]
    conditions = common_conditions(model, list(methods), scoring, others, storage.label)
    gallery = None
    if storage.pictures is not None:
        gallery = Gallery(storage.pictures, centre=PROTOCOLS[scoring.protocols[0]].centre)
    rows: list[ScoreRow] = []
    for index in range(part[0], len(clips), part[1]):
        clip = clips[index]
        own_conditions = conditions | {"source": [str(clip.hq), str(clip.lq or "")]}
        own_conditions["motion"] = None
        if scoring.motion is not None:
            own_conditions["motion"] = folder_fingerprint(scoring.motion / clip.name)
        path = None
        if storage.scores is not None:
            sides = [side for side in (clip.hq, clip.lq) if side is not None]
            own_conditions["files"] = [file_fingerprint(side) for side in sides]
            path = storage.scores / f"{index:05}-{file_name(clip.name)}.json"
        found = None if path is None else load_scores(path, own_conditions)
        if found is None or (gallery is not None and not gallery.has(clip.name)):
            methods = compared_methods(model, scoring, others, clip)
            lq, hq = clip_views(clip, degrade, index, scoring.frames, storage)
            tallies = score_clip(methods, clip.name, lq, hq, scoring, gallery)
            found = score_rows(clip.name, tallies)
            if gallery is not None:
                gallery.write(clip.name)
            if path is not None:
                save_scores(path, own_conditions, found, tallies)
        rows += found
        done(found)
    return rows


def common_conditions(
    model: nn.Module,
    methods: list[str],
    scoring: Scoring,
    others: Mapping[str, Method | nn.Module],
    label: str,
) -> dict[str, Any]:
    """What the scores of all clips depend on, for those who find them stored."""
    return {
        "label": label, "model": method_fingerprint(model),
        "protocols": list(scoring.protocols), "frames": scoring.frames, "methods": methods,
        "flow": method_fingerprint(scoring.flow),
        "damage": scoring.damage,
        "others": {key: method_fingerprint(method) for key, method in others.items()},
    }  # fmt: skip


def informing(clip: Clip, scoring: Scoring) -> Callable[[nn.Module], nn.Module]:
    """What tells networks how a clip was coded: its file, or what one with the damage would say."""
    if clip.lq is not None:
        return partial(with_coarseness, source=clip.lq)
    coarseness = told_coarseness(scoring.damage, clip.hq, scoring.frames)
    return partial(knowing, coarseness=coarseness)


def compared_methods(
    model: nn.Module,
    scoring: Scoring,
    others: Mapping[str, Method | nn.Module],
    clip: Clip | None = None,
) -> dict[str, Method]:
    """Methods by name, the base of the gains first; ValueError where two have one name.

    ``clip`` is the one that they are for: networks are told its coding, and ours aligns by its
    files, where it does so.
    """
    methods = reference_methods(int(getattr(model, "scale", 1)))
    told = None
    if clip is not None and any(map(tells_share, (model, *others.values()))):
        told = informing(clip, scoring)
        model = told(model)
    ours = partial(our_method, model)
    if scoring.motion is not None and clip is not None:
        ours = partial(by_files, model, scoring.motion / clip.name, whole=scoring.frames is None)
    own = {OURS: ours()} | {in_segments(count): ours(count) for count in scoring.segments}
    for name in others.keys() & (methods.keys() | own.keys()):
        raise ValueError(f"expected another name than {name!r} for what stands beside ours")
    for name, other in others.items():
        if isinstance(other, nn.Module):
            other = our_method(told(other) if told else other)
        methods[name] = other
    methods |= own
    if any(PROTOCOLS[name].mirrored for name in scoring.protocols):
        methods[f"{OURS}, mirrored"] = mirrored(methods[OURS])
    return methods


def in_segments(count: int) -> str:
    """Name of the method that starts afresh after every ``count`` frames."""
    return f"{OURS}, T={count}"


def clip_views(
    clip: Clip, degrade: Degradation, seed: int, frames: int | None, storage: Storage
) -> tuple[Iterable[View], Iterable[View]]:
    """Low- and high-quality frames of a clip, the first ``frames`` of them."""
    if clip.lq is not None:
        return read_views(clip.lq, frames), read_views(clip.hq, frames)
    # Codes of 8 bits, as published inputs are made of.
    lq, hq = damaged_clip(
        clip.hq, degrade, seed=seed, frames=frames, name=cache_name(storage.label),
        cache=storage.damaged,
    )  # fmt: skip
    return (view(as_float(code)) for code in lq), (view(as_float(code)) for code in hq)


@torch.inference_mode()
def score_clip(
    methods: dict[str, Method],
    clip: str,
    lq: Iterable[View],
    hq: Iterable[View],
    scoring: Scoring,
    gallery: Gallery | None,
) -> dict[str, Tally]:
    """Restore one clip by every method and return a tally of each.

    With the scoring's flow, the truth has a tally too, for its flicker. ``gallery`` is given every
    frame of ours between base and truth.
    """
    protocols, flow = list(scoring.protocols), scoring.flow
    copies = tee(lq, len(methods))
    results = [run(copy) for run, copy in zip(methods.values(), copies, strict=True)]
    tallies = {method: Tally() for method in methods}
    truth_tally = Tally()
    before: View | None = None
    for truth, *outputs in zip_longest(hq, *results):
        check_views(clip, truth, outputs)
        moved = None
        if flow is not None and before is not None:
            moved = visible_motion(flow, before.rgb, truth.rgb)
        truth_tally.add(truth, truth, [], moved)
        for tally, picture in zip(tallies.values(), outputs, strict=True):
            tally.add(picture, truth, protocols, moved)
        if gallery is not None:
            mine = outputs[list(methods).index(OURS)]
            strip = torch.cat((outputs[0].rgb, mine.rgb, truth.rgb), -1)
            gallery.add(tallies[OURS].psnr[protocols[0]][-1], strip)
        before = truth
    for tally in tallies.values():
        for name in protocols:
            if PROTOCOLS[name].centre:
                tally.keep_centre(name)
    if truth_tally.flicker:
        tallies[TRUTH] = truth_tally
    return tallies


def check_views(clip: str, truth: View | None, outputs: list[View | None]) -> None:
    """Raise ValueError where frames are missing or of another size than the truth."""
    if truth is None or None in outputs:
        fewer = "high" if truth is None else "low"
        raise ValueError(f"expected as many frames of both qualities in {clip}, {fewer} has fewer")
    for picture in outputs:
        if picture is not None and picture.rgb.shape != truth.rgb.shape:
            raise ValueError(
                f"expected restored frames of the truth's size in {clip}, "
                f"got {tuple(picture.rgb.shape)} and {tuple(truth.rgb.shape)}"
            )


def visible_motion(flow: Flow, a: Tensor, b: Tensor) -> Motion | None:
    """Flow from frame a to b, (3, H, W) each, and the mask of the pixels that are seen in both.

    None where there are no such pixels, as at a scene cut.
    """
    forward = flow(a[None], b[None])
    visible = occlusion(forward, flow(b[None], a[None]))
    return (forward, visible) if visible.any() else None
