"""Adaptation: a restoration network learns a film, and is kept where that pays.

It needs the extra ``train``.
"""

from .run import Adapted, adapt_film
from .settings import FEWEST, Adaptation

__all__ = ["FEWEST", "Adaptation", "Adapted", "adapt_film"]
