"""What an unfinished restoration has on the disk, as a video of its own."""

import json
from pathlib import Path

from ..files import file_fingerprint, lasting_folder
from ..media import MediaError
from ..writing import CONTAINERS, Position, VideoWriter, WorkPolicy, open_writer
from .journal import JOURNAL, POSITION, refuse_change, settings_of
from .settings import Job


def write_so_far(job: Job, target: Path, *, overwrite: bool = True) -> int:
    """Write what a restoration of ``job`` has on the disk as the video ``target``.

    Sound and subtitles end with its last frame. The restoration may go on meanwhile, and is not
    changed. Returns the number of frames; MediaError where there is none yet, for settings other
    than those that it was begun with, and for another kind of file.
    """
    folder, begun = lasting_folder(job.place), {}
    kind = CONTAINERS.get(job.target.suffix.lower())
    if kind is None:
        raise MediaError(f"expected a video as the output; images that are done lie in {folder}")
    try:
        position = Position(*json.loads((folder / POSITION).read_text("utf-8")))
        begun = json.loads((folder / JOURNAL).read_text("utf-8"))
        width, height = map(int, begun["size"].split("x"))
    except FileNotFoundError:
        position = Position(0, 0, None, 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"the unfinished restoration in {folder} cannot be read") from error
    if position.last is None:
        raise MediaError(
            f"nothing of {job.target} is on the disk yet: wait for the end of a segment"
        )
    if CONTAINERS.get(target.suffix.lower()) != kind:
        raise MediaError(f"expected a name that ends as {job.target.name}, got {target.name}")
    now = {"input": file_fingerprint(job.source), **settings_of(job)}
    refuse_change(folder, {name: begun.get(name) for name in now}, now)
    with job.excerpt.open(job.source) as reader:
        end = reader.shift + position.last * reader.info.time_base + 1 / reader.info.rate
        reader.end = end if reader.end is None else min(end, reader.end)
        output = job.encoding.output((width, height))
        comment = f"the first {position.frames} frames, restored with s2svr"
        policy = WorkPolicy(overwrite=overwrite)
        with open_writer(
            target, reader=reader, output=output, policy=policy, comment=comment
        ) as writer:
            if not isinstance(writer, VideoWriter):
                raise MediaError(f"expected the name of a video, got {target}: images are files")
            writer.adopt(folder, position)
    return position.frames
