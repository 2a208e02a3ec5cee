"""A restoration of which one end, or both, is a pipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from torch import nn

from ..coarseness import tells_share, with_coarseness
from ..media import Reader
from ..restoration import (
    COMMENT,
    Backend,
    Job,
    Progress,
    Summary,
    backend_of,
    fit_memory,
    output_size,
    restore_between,
)
from ..text import Say
from ..writing import OutputFormat, WorkPolicy, Writer, open_writer
from .incoming import PipeTags, open_pipe
from .outgoing import PIPE_FORMATS, PipeWriter


@dataclass(frozen=True)
class Ends:
    """Which ends of a restoration are pipes, as open files; None: the job's file."""

    source: BinaryIO | None = None
    target: BinaryIO | None = None
    tags: PipeTags = PipeTags()  # of the source
    form: str = "y4m"  # of the target, of PIPE_FORMATS
    decoded_from: Path | None = None  # the file of the source's video, which tells its coding

    def __post_init__(self) -> None:
        if self.form not in PIPE_FORMATS:
            known = " or ".join(PIPE_FORMATS)
            raise ValueError(f"expected the output format {known}, got {self.form!r}")


def restore_piped(
    model: nn.Module | Backend,
    job: Job,
    ends: Ends,
    *,
    fitted: bool = True,
    progress: Progress = lambda done, total: None,
    say: Say = lambda line: None,
) -> Summary:
    """Restore from or to a pipe; nothing is kept to go on from where it ends early.

    ``fitted``: the window and tile become smaller where memory asks for it. Raises MediaError, and
    BrokenPipeError where the reader of the output has gone away.
    """
    if ends.decoded_from is not None:
        plain, model = model, with_coarseness(model, ends.decoded_from)
        if model is plain and tells_share(plain):
            say(f"frames tell how coarsely they were coded, since {ends.decoded_from} does not")
    with reader_of(job, ends) as reader:
        if fitted:
            backend = backend_of(model, job.compute.device)
            size = output_size(model, reader.info, job.encoding)
            window, tile, *_ = fit_memory(backend, job.compute, reader.info, size)
            if tile != job.compute.tile:
                say(f"restored in tiles of {tile} pixels, which fit into the memory")
            job = replace(job, compute=replace(job.compute, window=window, tile=tile))

        def opened(output: OutputFormat) -> Writer:
            if ends.target is not None:
                return PipeWriter(ends.target, ends.form, reader=reader, output=output)
            policy = WorkPolicy(job.overwrite)
            return open_writer(
                job.target, reader=reader, output=output, policy=policy, comment=COMMENT
            )

        names = replace(
            job,
            source=reader.path,
            target=Path("standard output") if ends.target is not None else job.target,
        )
        return restore_between(model, names, reader, opened, progress=progress, say=say)


def reader_of(job: Job, ends: Ends) -> Reader:
    """The reader of the job's source, or of the pipe."""
    if ends.source is None:
        return job.excerpt.open(job.source)
    excerpt = job.excerpt
    return open_pipe(
        ends.source,
        ends.tags,
        start=excerpt.start,
        end=excerpt.end,
        deinterlace=excerpt.deinterlace,
    )
