"""Restoration of frames and videos: windows, tiles, interruptions, plans, previews, proof."""

from .backend import Backend, backend_of, faster_precision, place_of, scale_of
from .choice import PATIENCE_BEST, Choice, check_quality, choose_network, usual_task
from .cuts import find_cuts
from .frames import restore, single_shot
from .holdings import Holdings, holdings_of
from .journal import CHECKPOINT, SEAM, begun_under
from .pipeline import Progress, Summary, peak_memory
from .plan import PATIENCE, Plan, fit_memory, make_plan, settle
from .preview import Preview, piece_of, preview_video
from .settings import Compute, Encoding, Excerpt, Job, Stretch
from .sofar import write_so_far
from .verify import Check, check_video, what_was_kept
from .video import (
    COMMENT,
    output_size,
    precision_of,
    restore_between,
    restore_job,
    restore_video,
)

__all__ = [
    "CHECKPOINT",
    "COMMENT",
    "SEAM",
    "Backend",
    "Check",
    "Choice",
    "Compute",
    "Encoding",
    "Excerpt",
    "Holdings",
    "Job",
    "PATIENCE",
    "PATIENCE_BEST",
    "Plan",
    "Preview",
    "Progress",
    "Stretch",
    "Summary",
    "backend_of",
    "begun_under",
    "check_quality",
    "check_video",
    "choose_network",
    "faster_precision",
    "find_cuts",
    "fit_memory",
    "holdings_of",
    "make_plan",
    "output_size",
    "peak_memory",
    "piece_of",
    "place_of",
    "precision_of",
    "preview_video",
    "restore",
    "restore_between",
    "restore_job",
    "restore_video",
    "scale_of",
    "settle",
    "single_shot",
    "usual_task",
    "what_was_kept",
    "write_so_far",
]
