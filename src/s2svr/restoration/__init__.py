"""Restoration of frames and videos: windows, tiles, interruptions, plans, previews, proof."""

from .backend import Backend, backend_of, scale_of
from .cuts import find_cuts
from .frames import restore
from .pipeline import Progress, Summary, peak_memory
from .plan import Plan, amount, settle
from .preview import Preview, preview_video
from .settings import Compute, Encoding, Excerpt, Job
from .verify import Check, check_video
from .video import restore_job, restore_video
from .windows import Say

__all__ = [
    "Backend",
    "Check",
    "Compute",
    "Encoding",
    "Excerpt",
    "Job",
    "Plan",
    "Preview",
    "Progress",
    "Say",
    "Summary",
    "amount",
    "backend_of",
    "check_video",
    "find_cuts",
    "peak_memory",
    "preview_video",
    "restore",
    "restore_job",
    "restore_video",
    "scale_of",
    "settle",
]
