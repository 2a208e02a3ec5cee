"""Batches: many files restored by several workers, on this machine or on others."""

from .chosen import engine_for
from .engine import Engine, LocalEngine
from .forecast import Totals
from .items import Item, counts
from .on_ray import RayEngine
from .on_slurm import SlurmEngine
from .run import Batch
from .settings import BatchSettings

__all__ = [
    "Batch",
    "BatchSettings",
    "Engine",
    "Item",
    "LocalEngine",
    "RayEngine",
    "SlurmEngine",
    "Totals",
    "counts",
    "engine_for",
]
