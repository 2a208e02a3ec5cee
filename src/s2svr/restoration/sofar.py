"""What an unfinished restoration has on the disk, as a video of its own."""

import json
from dataclasses import replace
from pathlib import Path

from ..files import lasting_folder
from ..media import MediaError
from ..writing import Position, VideoWriter, WorkPolicy, open_writer
from .journal import JOURNAL, POSITION
from .settings import Job


def write_so_far(job: Job, target: Path) -> int:
    """Write what a restoration of ``job`` has on the disk as the video ``target``.

    Sound and subtitles end with its last frame. The restoration may go on meanwhile, and is not
    changed. Returns the number of frames; MediaError where there is none yet.
    """
    folder = lasting_folder(job.target)
    try:
        position = Position(*json.loads((folder / POSITION).read_text("utf-8")))
        size = json.loads((folder / JOURNAL).read_text("utf-8"))["size"]
    except FileNotFoundError:
        position = Position(0, 0, None, 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"the unfinished restoration in {folder} cannot be read") from error
    if position.last is None:
        raise MediaError(
            f"nothing of {job.target} is on the disk yet: wait for the end of a segment"
        )
    with job.excerpt.open(job.source) as reader:
        end = position.last * reader.info.time_base + reader.shift + 1 / reader.info.rate
    width, height = map(int, size.split("x"))
    with replace(job.excerpt, end=end).open(job.source) as reader:
        output = job.encoding.output((width, height))
        comment = f"the first {position.frames} frames, restored with s2svr"
        with open_writer(
            target, reader=reader, output=output, policy=WorkPolicy(overwrite=True), comment=comment
        ) as writer:
            if not isinstance(writer, VideoWriter):
                raise MediaError(f"expected the name of a video, got {target}: images are files")
            writer.adopt(folder, position)
    return position.frames
