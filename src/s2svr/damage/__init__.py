"""Damage: high-quality clips made into low-quality ones."""

from .blur import blur_clip
from .table import cache_name, degradation, made_here, shrinks, stream
from .video import degrade_video

__all__ = [
    "blur_clip",
    "cache_name",
    "degradation",
    "degrade_video",
    "made_here",
    "shrinks",
    "stream",
]
