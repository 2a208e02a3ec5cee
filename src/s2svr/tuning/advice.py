"""Advice: which tasks could fit a film, and which one does."""

from typing import NamedTuple

from ..tasks import TASKS
from .film import FilmFacts

# Of frames that motion blurred 3 and more is told, of sharp ones 0.0, of coarsely coded ones up to
# 0.7 (lab/2026-11-28-tune.md).
BLURRED = 1.5
# PSNR in dB, as it is told, below which a film counts as coarsely coded, by whether its codec loses
# detail. Of films that lost none 34.7 and more is told, of small ones at a CRF of 20 34.1 and less.
CODED = {False: 34.5, True: 36.0}
ROUGH = 34.5  # the same where a film is large enough to stay as large as it is
FEWEST = 300  # pixels of the shorter side: what has fewer is enlarged, however it is coded
SMALL = 720  # the same: what has fewer is enlarged on every screen
LARGE = 1080  # the same: what has as many is not enlarged unless asked for
FILLED = (3840, 2160)  # a result is not made larger unless asked for


class Advice(NamedTuple):
    """A task, and why it fits the film best."""

    task: str
    why: str


def advise(film: FilmFacts, asked: str | None) -> Advice:
    """The task for a film; one that is asked for stays."""
    if asked is not None:
        return Advice(asked, "--task")
    if film.blur >= BLURRED:
        return Advice("deblur", "its frames hold the light of several moments: motion blurred them")
    lines = min(film.width, film.height)
    coded = film.coded < CODED[film.lossy]
    found = f"coding or noise have left about {film.coded:.1f} dB"
    if film.interlaced != "no" and lines < SMALL and not coded:  # made up lines tell little
        coded, found = True, "deinterlacing makes up half of its lines"
    if coded and (lines >= SMALL or (lines >= FEWEST and film.coded < ROUGH)):
        return Advice("compression", f"{found}, and enlarged that would be seen the more")
    if coded:
        return Advice("upscale", f"it is small, and {found}")
    if lines < SMALL:
        return Advice("sr", "it is small, and neither blurred nor spoilt by coding")
    return Advice("sr", "nothing of it is damaged: all that can be done is to enlarge it")


def fitting_tasks(film: FilmFacts, advice: Advice, asked: str | None) -> list[str]:
    """Tasks that could fit, the advised one first."""
    if asked is not None:
        return [asked]
    small = min(film.width, film.height) < LARGE
    fits = {
        "sr": small,
        "upscale": small,
        "deblur": True,
        "compression": film.lossy,
    }
    return [advice.task, *(name for name in TASKS if fits[name] and name != advice.task)]
