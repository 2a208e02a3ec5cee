"""Advice: which tasks could fit a film, and which one does."""

import math
from typing import NamedTuple

from ..tasks import TASKS
from .film import FilmFacts

# Of frames that motion blurred 3 and more is told, of sharp ones 0.0, of coarsely coded ones up to
# 0.7 (lab/2026-11-28-tune-again.md).
BLURRED = 1.5
SHARP = 10.0  # of 255: who has so much noise, or detail as fine as it, is not blurred
# dB between what the coding's steps leave and what half the size keeps: with less, the network for
# coded video enlarges better than the one for clean video.
COARSE = 8.0
WOVEN = 33.0  # dB that deinterlacing leaves, to be held against the same
# PSNR in dB, as it is told, below which a film counts as coarsely coded, by whether its codec loses
# detail: where the steps are not known, and where nothing is enlarged.
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
    if is_blurred(film):
        return Advice("deblur", "its frames hold the light of several moments: motion blurred them")
    lines = min(film.width, film.height)
    coded, found = is_coded(film)
    if film.interlaced != "no" and lines < SMALL and not coded:  # made up lines tell little
        coded, found = is_coarse(film, WOVEN), "deinterlacing makes up half of its lines"
    if coded and (lines >= SMALL or (lines >= FEWEST and film.coded < ROUGH)):
        return Advice("compression", f"{found}, and enlarged that would be seen the more")
    if coded:
        return Advice("upscale", f"it is small, and {found}")
    if lines < SMALL:
        return Advice("sr", "it is small, and neither blurred nor spoilt by coding")
    return Advice("sr", "nothing of it is damaged: all that can be done is to enlarge it")


def is_blurred(film: FilmFacts) -> bool:
    """True where frames hold the light of several moments, and no pixels that stand out."""
    return film.blur >= BLURRED and film.noise < SHARP


def is_coded(film: FilmFacts) -> tuple[bool, str]:
    """True where coding has spoilt a film, so that its enlargement should mend it too; and by what.

    Of small films the quantiser tells it, held against how fine their detail is; where it is not
    known, and of large ones, the pictures do.
    """
    if film.step is not None and min(film.width, film.height) < SMALL:
        left = 20 * math.log10(255 * math.sqrt(12) / film.step)  # dB, of coefficients so rounded
        found = f"it was coded in steps of about {film.step:.0f} of 255, coarse for its detail"
        return is_coarse(film, left), found
    found = f"coding or noise have left about {film.coded:.1f} dB"
    return film.coded < CODED[film.lossy], found


def is_coarse(film: FilmFacts, left: float) -> bool:
    """True where a loss that leaves so many dB weighs, beside what enlarging its detail loses."""
    return film.halved is None or left < film.halved + COARSE


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
