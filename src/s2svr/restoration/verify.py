"""Proof that a video's way through this program changes nothing but what the model changes.

A model that changes nothing takes the normal path, from decoding to the finished file, with a
lossless codec; then both files are compared: every frame, time stamp, stream and tag.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, zip_longest
from pathlib import Path

import torch
from torch import Tensor

from ..color import to_rgb
from ..media import Frame, MediaError, open_reader
from ..writing import CONTAINERS, Companion, Inspection, Packets, inspect_file, lossless_codec
from .backend import Identity
from .pipeline import Progress
from .video import restore_video

LUMA, CHROMA = 50.0, 45.0  # dB that subsampled video has to reach
FIRST = 48  # frames, one of which has captions in a video with captions
SOUND_SLACK = Fraction(1, 10)  # seconds by which converted sound or text may begin elsewhere
# Tracks that mp4 and mov have and others need not have, and what they are made of.
REMADE = {
    "titles of chapters": "made anew of the chapters",
    "time code": "made anew of the metadata timecode",
}
UNKNOWN = "unknown: dropped"  # fate of a kind that is not on any list of kinds that are known
# What a warning has to speak of to be the reason for a difference.
SPOKEN = {
    "size": "the crop of the file",
    "crop": "the crop of the file",
    "clock": "the clock of the file",
    "alpha": "the alpha channel",
    "components": "written as",
    "matrix": "written as",
    "pixel aspect": "pixel aspect",
    "mastering display": "HDR10",
    "content light": "HDR10",
}
# What becomes of properties that an output must not have.
DONE = {"crop": "applied", "clock": "goes on evenly"}


@dataclass(frozen=True)
class Outcome:
    """One property of the source, and what became of it."""

    what: str
    source: str
    output: str
    fate: str  # kept, converted, dropped, added or UNKNOWN
    why: str = ""


@dataclass
class Check:
    """The findings of a check; it holds where ``failures`` is empty."""

    source: Path
    target: Path
    codec: str
    frames: int
    equal: bool  # every code of every frame
    luma_db: float  # of RGB and grey: of all
    chroma_db: float
    shift: Fraction = Fraction(0)  # seconds, common to all streams
    deviation: Fraction = Fraction(0)  # seconds: the largest of a time stamp beyond that
    rows: list[Outcome] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # of the restoration, and its damage
    failures: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.failures


def check_video(
    source: Path,
    target: Path,
    *,
    codec: str | None = None,
    deinterlace: str = "auto",
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Check:
    """Send a video file through the normal path with a model that changes nothing, and compare.

    ``codec`` is a lossless one where it is None; ``deinterlace`` is that of ``open_reader``, whose
    frames are compared. Raises MediaError where a file cannot be read or written.
    """
    if target.suffix.lower() not in CONTAINERS or source.is_dir():
        raise MediaError(f"expected two video files to check, got {source} and {target}")
    with open_reader(source, deinterlace=deinterlace) as reader:
        if reader.info.kind != "video":
            raise MediaError(f"expected a video file to check, {source} holds pictures only")
        carries = any(frame.messages for frame in islice(reader, FIRST))
        codec = codec or lossless_codec(target.suffix, reader.info, carries=carries)
    summary = restore_video(
        Identity(), source, target, codec=codec, deinterlace=deinterlace, overwrite=overwrite,
        progress=progress, say=say,
    )  # fmt: skip
    check = Check(source, target, codec, summary.frames, True, math.inf, math.inf)
    check.warnings = summary.warnings + summary.damage
    read = compare_pictures(check, deinterlace)
    compare_files(check, read if deinterlace in ("bob", "ivtc") else None)
    check.failures += [
        f"{row.what}: {row.fate}, and nothing was said"
        for row in check.rows
        if row.fate in ("converted", "dropped", UNKNOWN) and not row.why
    ]
    return check


def what_was_kept(source: Path, target: Path, warnings: list[str]) -> list[Outcome]:
    """The fate of every property, tag and stream of a video that was restored.

    ``warnings`` are those of the restoration. The pictures themselves are not compared.
    """
    check = Check(source, target, "", 0, True, math.inf, math.inf, warnings=warnings)
    compare_files(check)
    times = f"up to {float(check.deviation):.6f} s away" if check.failures else "equal"
    fate = "converted" if check.failures else "kept"
    return [Outcome("time stamps", "", times, fate, "; ".join(check.failures)), *check.rows]


def compare_files(check: Check, shown: Packets | None = None) -> None:
    """Compare times, tags and streams of a check's two files.

    ``shown`` are the source's frames as they were read, where those are not its pictures.
    """
    before, after = inspect_file(check.source), inspect_file(check.target)
    compare_times(check, shown or before.video, after.video)
    check.rows += [*of_picture(before, after, check), *of_metadata(before, after, check)]
    check.rows += of_companions(before, after, check)


# Pictures and times


def compare_pictures(check: Check, deinterlace: str) -> Packets:
    """Compare every frame with its source: codes where they mean the same, else RGB.

    Returns the times at which the reader shows the source's frames.
    """
    squares, counts, comparable, subsampled, frames = [0.0, 0.0], [0, 0], True, False, 0
    with (
        open_reader(check.source, deinterlace=deinterlace) as old,
        open_reader(check.target) as new,
    ):
        shown = Packets(old.info.time_base)
        for a, b in zip_longest(old, new):
            if a is not None and a.time is not None:
                shown.times.append(round(a.time / shown.base))
            if a is None or b is None:
                which = "output" if b is None else "source"
                check.failures.append(f"frames: the {which} has only {frames}")
                break
            frames += 1
            subsampled = a.planes[-1].shape != a.planes[0].shape
            comparable &= mean_the_same(a, b)
            check.equal &= comparable and all(map(equal_codes, a.planes, b.planes))
            for index, error in enumerate(errors(a, b)):
                squares[index] += float(error.square().sum())
                counts[index] += error.numel()
    check.luma_db, check.chroma_db = (
        -10 * math.log10(square / count) if square else math.inf
        for square, count in zip(squares, (max(1, n) for n in counts), strict=True)
    )
    if comparable and subsampled and not (check.luma_db > LUMA and check.chroma_db > CHROMA):
        check.failures.append(
            f"pictures: expected more than {LUMA:.0f} dB of luma and {CHROMA:.0f} dB of chroma, "
            f"got {check.luma_db:.2f} and {check.chroma_db:.2f}"
        )
    if comparable and not subsampled and not check.equal:
        check.failures.append(f"pictures: expected equal frames, got {check.luma_db:.2f} dB")
    return shown


def mean_the_same(a: Frame, b: Frame) -> bool:
    """True if the codes of two frames mean the same."""
    shapes = [plane.shape for plane in a.planes] == [plane.shape for plane in b.planes]
    meaning = (a.color.matrix, a.color.bits, a.color.full_range)
    return shapes and meaning == (b.color.matrix, b.color.bits, b.color.full_range)


def equal_codes(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.int(), b.int())


def errors(a: Frame, b: Frame) -> Iterator[Tensor]:
    """Differences of two frames, a share of the whole range: luma and chroma, or RGB."""
    if not mean_the_same(a, b):
        yield to_rgb(a.planes, a.color) - to_rgb(b.planes, b.color)
        return
    top = 2**a.color.bits - 1
    parts = [(x.float() - y.float()) / top for x, y in zip(a.planes, b.planes, strict=True)]
    yield parts[0]
    yield from [torch.stack(parts[1:])] if parts[1:] else []


def compare_times(check: Check, before: Packets, after: Packets) -> None:
    """Compare the times of all frames; the first ones tell the shift."""
    if not before.times:  # a bare stream has none, and gets those of its rate
        return
    if len(before.times) != len(after.times):
        check.failures.append(
            f"times: expected {len(before.times)} frames with times, got {len(after.times)}"
        )
        return
    check.shift = after.seconds(0) - before.seconds(0)
    check.deviation = apart(before, after, check.shift)
    if check.deviation > before.base + after.base:
        check.failures.append(f"times: frames are up to {float(check.deviation):.6f} s away")


def apart(before: Packets, after: Packets, shift: Fraction) -> Fraction:
    """Seconds by which the times of two streams differ at most, beyond a common shift."""
    pairs = range(min(len(before.times), len(after.times)))
    return max(
        (abs(after.seconds(i) - before.seconds(i) - shift) for i in pairs), default=shift * 0
    )


# Streams and tags


def row(what: str, old: str, new: str, check: Check, *spoken: str) -> Outcome:
    """The outcome for a property; the reason is the warning that speaks of it."""
    if old == new or (what.endswith("disposition") and set(old.split()) <= set(new.split())):
        return Outcome(what, old, new, "kept")
    if not old:
        return Outcome(what, old, new, "added", "the source does not say it")
    why = said_of(*(spoken or (what,)), check=check)
    fate = "converted" if new else UNKNOWN if "unknown" in what else "dropped"
    return Outcome(what, old, new, fate, why)


def said_of(*words: str, check: Check) -> str:
    """The warning that holds all these words; empty where there is none."""
    return next((line for line in check.warnings if all(word in line for word in words)), "")


def of_picture(before: Inspection, after: Inspection, check: Check) -> Iterator[Outcome]:
    """Outcomes for how the video is coded, shown and tagged."""
    for what, old in before.picture.items():
        new = after.picture.get(what, "")
        if what == "codec":
            same = old == new
            yield Outcome(what, old, new, *(("kept",) if same else ("converted", "for the check")))
        elif what in DONE and old:
            why = "" if new else said_of(SPOKEN[what], check=check)
            yield Outcome(what, old, new or DONE[what], "converted", why)
        elif old or new:
            yield row(what, old, new, check, SPOKEN.get(what, what))
    for what in sorted(before.carried.keys() | after.carried.keys()):
        old, new = before.carried.get(what, ""), after.carried.get(what, "")
        yield row(what, old, new, check, SPOKEN.get(what, f"the {what} of"))
    yield from of_stream("video", before.index, before.tags, after.tags, check)


def of_stream(
    kind: str, index: int, old: dict[str, str], new: dict[str, str], check: Check
) -> Iterator[Outcome]:
    """Outcomes for the tags of a stream."""
    for key in sorted(old):
        said = old[key], new.get(key, "")
        if any(said):
            yield row(f"{kind} {index} {key}", *said, check, f"track {index}, ", key)


def of_metadata(before: Inspection, after: Inspection, check: Check) -> Iterator[Outcome]:
    """The file's metadata and chapters."""
    for key in sorted(before.metadata.keys() | after.metadata.keys()):
        old, new = before.metadata.get(key, ""), after.metadata.get(key, "")
        if key == "comment" and new.startswith(old):
            new = old  # what was added is our own
        if old or new:
            yield row(f"metadata {key}", old, new, check, "metadata", key)
    for index, chapter in enumerate(before.chapters):
        what = f"chapter {index + 1} ({chapter[2]})"
        kept = index < len(after.chapters) and same_chapter(
            chapter, after.chapters[index], check.shift
        )
        new = str(chapter) if kept else ""
        yield row(what, str(chapter), new, check, "chapter")


def same_chapter(
    old: tuple[float, float, str], new: tuple[float, float, str], shift: Fraction
) -> bool:
    """True if two chapters are the same, to a millisecond."""
    times = zip(old[:2], new[:2], strict=True)
    return old[2] == new[2] and all(abs(b - a - float(shift)) <= 0.002 for a, b in times)


def of_companions(before: Inspection, after: Inspection, check: Check) -> Iterator[Outcome]:
    """The streams beside the video."""
    left = list(after.companions)
    for old in before.companions:
        what = f"{old.kind} {old.index}"
        gone = f"track {old.index} ("
        dropped = any(gone in line and "left out" in line for line in check.warnings)
        new = None if dropped else next((c for c in left if c.kind == old.kind), None)
        if new is None and old.kind in REMADE:
            yield Outcome(what, old.codec or "yes", "", "kept", REMADE[old.kind])
            continue
        if new is None:
            yield row(what, old.codec or "yes", "", check, gone)
            continue
        left.remove(new)
        copied = old.packets.digest == new.packets.digest
        counts = [f"{c.codec} {len(c.packets.times)} packets" for c in (old, new)]
        if old.kind in REMADE:
            yield Outcome(what, counts[0], counts[1], "kept", REMADE[old.kind])
        elif copied:
            yield Outcome(what, counts[0], counts[1], "kept", "equal payloads")
        else:
            yield row(what, counts[0], f"{counts[1]}, other payloads", check, gone)
        late = lateness(old, new, check.shift, copied)
        if late:
            check.failures.append(f"{what}: up to {float(late):.6f} s away from the video")
        yield from of_stream(old.kind, old.index, old.tags, new.tags, check)
    for new in left:
        yield Outcome(f"{new.kind} {new.index}", "", new.codec, "added", REMADE.get(new.kind, ""))


def lateness(old: Companion, new: Companion, shift: Fraction, copied: bool) -> Fraction:
    """Seconds by which a stream is away from where it was; 0 within what its times can say."""
    a, b = old.packets, new.packets
    if not a.times or not b.times or old.kind in ("attachment", "cover", *REMADE):
        return Fraction(0)
    if copied:
        late = apart(a, b, shift)
        return late if late > a.base + b.base else Fraction(0)
    late = abs(b.seconds(0) - a.seconds(0) - shift)
    return late if late > SOUND_SLACK else Fraction(0)
