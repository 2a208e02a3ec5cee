"""Batches: many files restored by several workers, on this machine or on others."""

from .engine import Engine, LocalEngine
from .forecast import Totals
from .items import Item, counts
from .run import Batch
from .settings import BatchSettings

__all__ = ["Batch", "BatchSettings", "Engine", "Item", "LocalEngine", "Totals", "counts"]
