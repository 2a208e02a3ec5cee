"""What a finished file does not say of its source, though it was told to."""

from collections import defaultdict
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from ..media import open_container
from .inspect import kind_of, metadata_of, tags
from .tracks import Companions


def find_omissions(path: Path, companions: Companions, damage: list[str]) -> list[str]:
    """Compare the headers of a finished file with what it was made of; a line for each loss.

    ``damage`` is what its comment was to name.
    """
    written = open_container(path)
    try:
        return [
            *lost_of_file(written, companions),
            *lost_comment(written, companions, damage),
            *(
                f"of the {stream.type} track {stream.index}, {what} is not written: "
                f"{companions.format} cannot hold it"
                for stream, made in stream_pairs(written, companions)
                for what in lost_of_stream(stream, made)
            ),
        ]
    finally:
        written.close()


def lost_of_file(written: InputContainer, companions: Companions) -> list[str]:
    """Metadata and chapters that are not there."""
    lines, found = [], metadata_of(written)
    missing = [k for k, v in metadata_of(companions.input).items() if found.get(k, "") != v]
    if missing := [key for key in missing if key != "comment"]:
        names = ", ".join(sorted(missing))
        lines.append(f"the metadata {names} are not written: {companions.format} cannot hold them")
    count, kept = len(companions.chapters()), len(written.chapters())
    if kept < count:
        which = "every chapter" if not kept else f"each chapter after the first {kept}"
        lines.append(f"{which} is left out: {companions.format} cannot hold it")
    return lines


def lost_comment(written: InputContainer, companions: Companions, damage: list[str]) -> list[str]:
    """The remark of the source and what is missing, both of which the comment was to say."""
    said, name = metadata_of(written).get("comment", ""), companions.format
    lines = []
    if companions.comment not in said:
        lines.append(f"the metadata comment is not written: {name} cannot hold it")
    if any(line not in said for line in damage):
        lines.append(f"what is missing or broken is not named in the file: {name} has no comment")
    return lines


def stream_pairs(written: InputContainer, companions: Companions) -> list[tuple[Stream, Stream]]:
    """Source streams with what was made of them: the n-th of a kind with the n-th of that kind."""
    made: dict[str, list[Stream]] = defaultdict(list)
    for stream in written.streams:
        made[kind_of(stream)].append(stream)
    sources = [companions.video, *(route.source for route in companions.routes)]
    return [(s, made[kind_of(s)].pop(0)) for s in sources if made[kind_of(s)]]


def lost_of_stream(source: Stream, made: Stream) -> list[str]:
    """Of what a stream says of itself: that which its copy does not."""
    old, new = tags(source), tags(made)
    flags = [flag for flag in old["disposition"].split() if flag not in new["disposition"].split()]
    words = [f"disposition {' '.join(flags)}"] if flags else []
    rest = (key for key, value in old.items() if key != "disposition" and value)
    return words + [f"{key} {old[key]}" for key in rest if new.get(key) != old[key]]
