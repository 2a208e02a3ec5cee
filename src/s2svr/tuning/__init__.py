"""Advice for a film: what it is like, what could be done, how long that takes, which is best."""

from .advice import BLURRED, Advice, advise, fitting_tasks
from .film import FilmFacts, look_at
from .tune import Offer, Tuning, tune_video, usual_target

__all__ = [
    "BLURRED",
    "Advice",
    "FilmFacts",
    "Offer",
    "Tuning",
    "advise",
    "fitting_tasks",
    "look_at",
    "tune_video",
    "usual_target",
]
