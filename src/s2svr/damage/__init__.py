"""Damage: high-quality clips made into low-quality ones."""

from .blur import SUBFRAMES, blur_clip
from .codecs import BLOCK, h264, hevc, told_coarseness
from .realistic import gaussian_blur, noisy
from .table import (
    blurs_motion,
    cache_name,
    degradation,
    made_here,
    shrinks,
    smallest_side,
    stream,
)
from .video import degrade_video

__all__ = [
    "BLOCK",
    "SUBFRAMES",
    "blur_clip",
    "blurs_motion",
    "cache_name",
    "degradation",
    "degrade_video",
    "gaussian_blur",
    "h264",
    "hevc",
    "made_here",
    "noisy",
    "shrinks",
    "smallest_side",
    "stream",
    "told_coarseness",
]
