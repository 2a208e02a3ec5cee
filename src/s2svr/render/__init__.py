"""Moving photographs: clips with exactly known motion, rendered from still pictures."""

from .files import render_video
from .frames import film_batch, render_batch
from .lettering import draw_text
from .photos import MovingPhotographs, item_seed, photographs
from .scene import Look

__all__ = [
    "Look",
    "MovingPhotographs",
    "draw_text",
    "film_batch",
    "item_seed",
    "photographs",
    "render_batch",
    "render_video",
]
