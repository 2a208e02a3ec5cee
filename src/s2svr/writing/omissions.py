"""What a finished file does not say of its source.

Some containers drop what they cannot hold without an error: the file is read again and compared.
What images do not hold is known beforehand.
"""

from collections import defaultdict
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from ..color import ColorInfo
from ..media import Facts, Reader, open_container, read_facts, with_timecode
from .inspect import file_metadata, stream_kind, stream_tags
from .tracks import Companions


def find_omissions(path: Path, companions: Companions, damage: list[str]) -> list[str]:
    """Compare the headers of a finished file with its source; return a sentence for each loss.

    ``damage`` holds the lines that the file's comment should contain.
    """
    written = open_container(path)
    facts = read_facts(written)
    try:
        return [
            *file_omissions(written, facts, companions),
            *comment_omissions(written, facts, companions, damage),
            *(
                f"of the {stream.type} track {stream.index}, {what} is not written: "
                f"{companions.format} cannot hold it"
                for stream, copy in stream_pairs(written, facts, companions)
                for what in stream_omissions(
                    wanted_tags(stream, companions),
                    stream_tags(copy, facts),
                )
            ),
        ]
    finally:
        written.close()


def file_omissions(written: InputContainer, facts: Facts, companions: Companions) -> list[str]:
    """Sentences about metadata and chapters that the file does not contain."""
    lines, found = [], file_metadata(written, facts)
    source = file_metadata(companions.input, companions.facts)
    wanted = with_timecode(source, companions.timecode)
    missing = [key for key, value in wanted.items() if found.get(key, "") != value]
    if missing := [key for key in missing if key != "comment"]:
        names = ", ".join(sorted(missing))
        lines.append(f"the metadata {names} are not written: {companions.format} cannot hold them")
    count, found_count = len(companions.chapters()), len(written.chapters())
    if found_count < count:
        first = f"each chapter after the first {found_count}"
        which = first if found_count else "every chapter"
        lines.append(f"{which} is left out: {companions.format} cannot hold it")
    return lines


def comment_omissions(
    written: InputContainer, facts: Facts, companions: Companions, damage: list[str]
) -> list[str]:
    """Sentences about the source's comment and the damage, where the file's comment lacks them."""
    comment, name = file_metadata(written, facts).get("comment", ""), companions.format
    lines = []
    if companions.comment not in comment:
        lines.append(f"the metadata comment is not written: {name} cannot hold it")
    if any(line not in comment for line in damage):
        lines.append(f"what is missing or broken is not named in the file: {name} has no comment")
    return lines


def stream_pairs(
    written: InputContainer, facts: Facts, companions: Companions
) -> list[tuple[Stream, Stream]]:
    """Pairs of a source stream and its copy: the n-th of a kind with the n-th of that kind."""
    copies: dict[str, list[Stream]] = defaultdict(list)
    for stream in written.streams:
        copies[stream_kind(stream, facts)].append(stream)
    sources = [companions.video, *(route.source for route in companions.routes)]
    kinds = [stream_kind(source, companions.facts) for source in sources]
    return [(s, copies[k].pop(0)) for s, k in zip(sources, kinds, strict=True) if copies[k]]


def wanted_tags(stream: Stream, companions: Companions) -> dict[str, str]:
    """Tags of a source stream as its copy should have them."""
    tags = with_timecode(stream_tags(stream, companions.facts), companions.timecode)
    return tags | companions.of_pictures if stream is companions.video else tags


def stream_omissions(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Tags of a stream that its copy lacks, as words."""
    flags = [flag for flag in old["disposition"].split() if flag not in new["disposition"].split()]
    words = [f"disposition {' '.join(flags)}"] if flags else []
    rest = (key for key, value in old.items() if key != "disposition" and value)
    return words + [f"{key} {old[key]}" for key in rest if new.get(key) != old[key]]


def image_losses(reader: Reader, color: ColorInfo, codec: str) -> list[str]:
    """List in words what of a source images do not hold."""
    lines, info, display = [], reader.info, reader.display
    if any(track.kind in ("audio", "subtitle") for track in info.tracks):
        lines.append("sound and subtitles are left out: images hold none")
    if info.aspect != 1:
        lines.append(f"the pixel aspect {info.aspect} is not written in images")
    if color.bits < min(info.color.bits, 16):
        lines.append(f"written with {color.bits} bits of {info.color.bits}")
    if codec != "png" and not info.color.like_srgb:
        lines.append(
            f"the colour primaries {info.color.primaries} and the transfer {info.color.transfer} "
            f"are not said by {codec} images: they are shown as sRGB, in other colours; png says "
            "them"
        )
    if codec != "png" and (display.mastering or display.light):
        lines.append(f"the HDR10 metadata are left out: {codec} images have none")
    if display.dynamic:
        lines.append(f"the {' and '.join(display.dynamic)} metadata are left out")
    if display.spherical or display.stereo:
        lines.append("that the picture shows a sphere or two views is not said by images")
    if codec == "gif":
        lines.append("each picture is written with 256 colours, as GIF has no more")
    return lines
