"""A film in stretches: its borders, and how far the seams are from an unbroken restoration."""

from .borders import divide
from .seams import Seam, seams_of

__all__ = ["Seam", "divide", "seams_of"]
