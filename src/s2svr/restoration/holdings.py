"""What a file holds, and what would become of it: told by restoring its first pictures.

The pictures go the whole way into an output of the same kind, with a model that changes nothing.
What the writer says, and what the output then says of itself, is what would be kept.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

from ..color import ColorInfo
from ..media import Reader, open_reader
from ..writing import (
    CONTAINERS,
    Companion,
    Inspection,
    check_output,
    inspect_file,
    parse_output,
)
from .verify import REMADE, Check, Identity, Outcome, of_metadata, of_picture, of_stream, said_of
from .video import restore_video

FIRST = 48  # pictures that are looked at
# What a warning speaks of where images lose or change that property.
IMAGE_WORDS = {
    "components": "written as",
    "bits": "bits of",
    "alpha": "alpha channel",
    "HDR10 metadata": "HDR10",
}
WHY_ANEW = {"codec": "it is encoded anew", "container": "as the output is named"}


@dataclass
class Holdings:
    """What a file holds; with a target, also what becomes of each part in such an output."""

    source: Path
    target: Path | None
    frames: int  # pictures that were looked at: what comes later is not known
    rows: list[Outcome] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def holdings_of(source: Path, target: Path | None = None) -> Holdings:
    """Look into a video file or a folder of images; ``target`` is only the name of an output.

    Raises MediaError where the source cannot be read, or where such an output cannot be.
    """
    with open_reader(source) as reader:
        if reader.info.kind != "video":
            return holdings_of_images(reader, target)
        info, end = reader.info, FIRST / reader.info.rate
    before = inspect_file(source, most=FIRST)
    seconds = "" if info.duration is None else f"{float(info.duration):.3f} s"
    timing = {"container": info.container, "duration": seconds, "frame rate": str(info.rate)}
    before.picture = timing | before.picture
    found = Holdings(source, target, len(before.video.times))
    if target is None:
        found.rows = list(contents(before))
        return found
    if target.suffix.lower() not in CONTAINERS:
        return into_images(found, before, info.color)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"first{target.suffix}"
        summary = restore_video(Identity(), source, made, end=end)
        after = inspect_file(made)
    after.picture |= {**timing, "container": CONTAINERS[target.suffix.lower()]}
    check = Check(source, target, "", summary.frames, False, math.inf, math.inf)
    check.warnings = found.warnings = summary.warnings + summary.damage
    found.rows = [row for row in outcomes(before, after, check) if row.fate != "added"]
    return found


def contents(before: Inspection) -> Iterator[Outcome]:
    """Everything that a file holds, without what becomes of it."""
    for what, value in {**before.picture, **before.carried}.items():
        if value:
            yield Outcome(what, value, "", "")
    for what, tags in [(f"video {before.index}", before.tags)] + [
        (f"{c.kind} {c.index}", {"": c.codec or "of an unknown code", **c.tags})
        for c in before.companions
    ]:
        for key, value in tags.items():
            if value:
                yield Outcome(f"{what} {key}".strip(), value, "", "")
    for key, value in before.metadata.items():
        yield Outcome(f"metadata {key}", value, "", "")
    for index, (begin, end, title) in enumerate(before.chapters):
        yield Outcome(f"chapter {index + 1}", f"{begin} s to {end} s: {title}", "", "")


def outcomes(before: Inspection, after: Inspection, check: Check) -> Iterator[Outcome]:
    """What becomes of everything in a file; ``after`` is of its first pictures as an output."""
    for row in of_picture(before, after, check):
        anew = WHY_ANEW.get(row.what)
        yield replace(row, fate="converted", why=anew) if anew else row
    left = list(after.companions)
    for old in before.companions:
        yield from of_companion(old, left, check)
    yield from of_metadata(replace(before, chapters=[]), after, check)
    for index, (begin, end, title) in enumerate(before.chapters):
        held = CONTAINERS[check.target.suffix.lower()] != "mpegts"
        fate = ("kept", "") if held else ("dropped", "mpegts cannot hold chapters")
        what, value = f"chapter {index + 1}", f"{begin} s to {end} s: {title}"
        yield Outcome(what, value, value if held else "", *fate)


def of_companion(old: Companion, left: list[Companion], check: Check) -> Iterator[Outcome]:
    """What becomes of a stream beside the video; its copy is taken out of ``left``."""
    what, codec, gone = f"{old.kind} {old.index}", old.codec or "yes", f"track {old.index} ("
    why = said_of(gone, "left out", check=check)
    if why:
        unknown = old.kind == "unknown"
        yield Outcome(what, codec, "", "unknown: dropped" if unknown else "dropped", why)
        return
    if old.kind in REMADE:
        yield Outcome(what, codec, codec, "kept", REMADE[old.kind])
        return
    new = next((other for other in left if other.kind == old.kind), None)
    if new is None:
        yield Outcome(what, codec, "", "dropped", said_of(gone, check=check))
        return
    left.remove(new)
    why = said_of(gone, "is converted", check=check)
    yield Outcome(what, codec, new.codec, "converted" if why else "kept", why or "copied")
    yield from of_stream(old.kind, old.index, old.tags, new.tags, check)


def into_images(found: Holdings, before: Inspection, color: ColorInfo) -> Holdings:
    """What becomes of a video file in a folder of images: its pictures stay, and little else."""
    says = set()  # what PNG says of them
    if found.target and parse_output(found.target).suffix in ("", ".png", ".apng"):
        says = {"mastering display", "content light"}
        says |= set() if color.like_srgb else {"primaries", "transfer"}
    why = "a folder of images holds pictures alone"
    pixels = {"size", "components", "bits", "range", "rotation", "crop"}
    for row in contents(before):
        fate = ("converted", "written as images") if row.what in pixels else ("dropped", why)
        kept = Outcome(row.what, row.source, row.source, "kept")
        found.rows.append(kept if row.what in says else Outcome(row.what, row.source, "", *fate))
    return found


def holdings_of_images(reader: Reader, target: Path | None) -> Holdings:
    """What images or raw video hold; with a target, what becomes of it in such an output."""
    before = image_facts(reader)
    found = Holdings(reader.path, target, min(reader.info.frames or FIRST, FIRST))
    found.warnings = list(reader.warnings)
    if target is None:
        found.rows = [Outcome(what, value, "", "") for what, value in before.items()]
        return found
    name = parse_output(target)
    check_output(name, reader, overwrite=True)
    rate, start = reader.info.rate, reader.start or Fraction(0)
    with tempfile.TemporaryDirectory() as folder:
        made = name.at(Path(folder) / "first")
        fps = rate if reader.path.is_dir() else None
        summary = restore_video(
            Identity(), reader.path, made, fps=fps, start=start, end=start + found.frames / rate
        )
        place = parse_output(made).place
        with open_reader(place, fps=fps if place.is_dir() else None) as written:
            after = image_facts(written)
    found.warnings = summary.warnings
    check = Check(reader.path, target, "", summary.frames, False, math.inf, math.inf)
    check.warnings = summary.warnings
    for what, old in before.items():
        new = after.get(what, "")
        if what in ("pictures", "frame rate") or new == old:
            found.rows.append(Outcome(what, old, old, "kept"))
        else:
            why = WHY_ANEW.get(what) or said_of(IMAGE_WORDS.get(what, what), check=check)
            found.rows.append(Outcome(what, old, new, "converted" if new else "dropped", why))
    return found


def image_facts(reader: Reader) -> dict[str, str]:
    """What images or raw video hold, by name, of the first pictures."""
    info, tags = reader.info, Counter[str]()
    for frame in islice(reader, FIRST):
        tags.update(frame.tags.names)
    assumed = reader.path.is_dir() or reader.path.suffix.lower() == ".yuv"
    plain = {"rgb": "RGB", "gray": "grey"}
    facts = {
        "pictures": str(info.frames or ""),
        "codec": info.codec,
        "size": f"{info.width}x{info.height}",
        "components": plain.get(info.color.matrix, "YCbCr, chroma {}x{}".format(*info.chroma)),
        "bits": str(info.color.bits),
        "primaries": "" if info.color.like_srgb else str(info.color.primaries),
        "transfer": "" if info.color.like_srgb else str(info.color.transfer),
        "HDR10 metadata": "yes" if reader.display.mastering or reader.display.light else "",
        "alpha": "yes" if any("alpha" in line for line in reader.warnings) else "",
        "frame rate": f"{info.rate}{', as none is given' * assumed}" if info.frames != 1 else "",
        **{name: f"in {count} pictures" for name, count in sorted(tags.items())},
    }
    return {what: value for what, value in facts.items() if value}
