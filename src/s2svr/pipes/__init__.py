"""Video through pipes: y4m or NUT in, restored, and y4m or NUT out."""

from .incoming import PipeInput, PipeTags, open_pipe
from .outgoing import PIPE_FORMATS, PipeWriter
from .through import Ends, restore_piped

__all__ = [
    "PIPE_FORMATS",
    "Ends",
    "PipeInput",
    "PipeTags",
    "PipeWriter",
    "open_pipe",
    "restore_piped",
]
