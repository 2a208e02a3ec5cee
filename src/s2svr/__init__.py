"""Video restoration by flow-aligned sequence-to-sequence learning.

    import s2svr
    model = s2svr.load("sr")
    restored = s2svr.restore(model, frames)              # an iterator of frames
    s2svr.restore_video(model, "in.mp4", "out.mp4")      # a file

The names below are all there is to know; they are imported when they are first used, so that the
command line answers before torch is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Card, CheckpointError, bundled, load, save
    from .media import MediaError, read_clip
    from .models import S2SVR, PWCLite
    from .restoration import Summary, restore, restore_video

__all__ = [
    "S2SVR",
    "Card",
    "CheckpointError",
    "MediaError",
    "PWCLite",
    "Summary",
    "bundled",
    "load",
    "read_clip",
    "restore",
    "restore_video",
    "save",
]

# No module may be called as one of these names: importing it would put it in the name's place.
_MODULES = {
    "checkpoint": ["Card", "CheckpointError", "bundled", "load", "save"],
    "media": ["MediaError", "read_clip"],
    "models": ["PWCLite", "S2SVR"],
    "restoration": ["Summary", "restore", "restore_video"],
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
