"""The borders of a film's stretches: they depend on the film and on a length alone.

So the plan is the same whoever makes it and however many work by it. A border lies at a scene cut
where one is near, since nothing is remembered there. Elsewhere a stretch begins some frames early.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from torch import Tensor, nn

from ..color import to_open_rgb
from ..media import Frame, MediaError, Reader, carried
from ..restoration import Backend, Job, Stretch, find_cuts, output_size, single_shot
from ..writing import VideoWriter, WorkPolicy, open_writer

WARM = 24  # frames that a stretch begins early, see lab/2026-11-28-batches.md
SPREAD = Fraction(1, 2)  # of the length: how far a border may lie from where it is wanted


class Place(NamedTuple):
    """A frame that a stretch could begin with."""

    number: int  # in the source
    cut: bool
    last: int | None  # time stamp of the frame before it, and how many were moved
    moved: int


def divide(model: nn.Module | Backend, job: Job, seconds: float) -> list[Stretch]:
    """Stretches of about so many seconds, which are all of a video; it is decoded once.

    Raises MediaError where the output is no video.
    """
    with job.excerpt.open(job.source) as reader:
        size = output_size(model, reader.info, job.encoding)
        policy = WorkPolicy(overwrite=True)
        writer = open_writer(
            job.target, reader=reader, output=job.encoding.output(size), policy=policy
        )
        writer.discard()
        if not isinstance(writer, VideoWriter):
            raise MediaError(f"expected a video to restore in stretches, {job.target} is none")
        places = list(places_of(reader, writer, cuts=job.scene_cuts))
        length = max(1, round(seconds * reader.info.rate))
    return stretches_of(places, writer.stamps.count, length)


def places_of(reader: Reader, writer: VideoWriter, *, cuts: bool) -> Iterator[Place]:
    """The frames that differ from the one before; the writer's time stamps go on with all."""

    def changes() -> Iterator[tuple[Place, Tensor]]:
        before: Frame | None = None
        for frame in reader:
            stamps = writer.stamps
            place = Place(stamps.count, False, stamps.last, stamps.moved)
            stamps.next(frame)
            if not frame.shows(before):
                before = frame
                yield place, to_open_rgb(frame.planes, frame.color)

    for place, (_, begins) in carried(changes(), find_cuts if cuts else single_shot):
        yield place._replace(cut=begins)


def stretches_of(places: list[Place], total: int, length: int) -> list[Stretch]:
    """Stretches of about ``length`` frames that begin at some of the places."""
    borders, reach = [places[0]], length * SPREAD
    while total - borders[-1].number >= length + reach:
        wanted = borders[-1].number + length
        near = [p for p in places if abs(p.number - wanted) <= reach]
        cuts = [place for place in near if place.cut]
        later = [place for place in places if place.number >= wanted]
        if not cuts and not later:
            break
        borders.append(min(cuts or later, key=lambda place: abs(place.number - wanted)))
    ends = [place.number for place in borders[1:]] + [total]
    found = []
    for place, end in zip(borders, ends, strict=True):
        shot = max((p.number for p in places if p.cut and p.number <= place.number), default=0)
        warm = min(WARM, place.number - shot)
        exact = shot >= place.number - WARM
        found.append(Stretch(place.number, end, warm, place.last, place.moved, exact))
    return found
