"""Advice for a film: what it is like, what could be done, how long that takes, which is best."""

from .advice import Advice, advise, fitting_tasks, is_blurred
from .film import FilmFacts, look_at
from .tune import Offer, Tuning, tune_video, usual_target

__all__ = [
    "Advice",
    "FilmFacts",
    "Offer",
    "Tuning",
    "advise",
    "fitting_tasks",
    "is_blurred",
    "look_at",
    "tune_video",
    "usual_target",
]
