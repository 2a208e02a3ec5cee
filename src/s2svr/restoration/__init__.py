"""Restoration of frames and videos: windows, tiles, interruptions, plans, previews, proof."""

from .cuts import find_cuts
from .frames import restore
from .journal import can_go_on
from .pipeline import Progress, Summary, peak_memory
from .plan import Plan, amount, make_plan
from .preview import Preview, preview_video
from .verify import Check, check_video
from .video import restore_video
from .windows import Say, scale_of

__all__ = [
    "Check",
    "Plan",
    "Preview",
    "Progress",
    "Say",
    "Summary",
    "amount",
    "can_go_on",
    "check_video",
    "find_cuts",
    "make_plan",
    "peak_memory",
    "preview_video",
    "restore",
    "restore_video",
    "scale_of",
]
