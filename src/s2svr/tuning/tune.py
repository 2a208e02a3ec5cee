"""Tuning: a film looked at, tried by the networks that could fit, and advice with its price."""

import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import load
from ..media import MediaError, open_reader
from ..restoration import PATIENCE_BEST, Job
from ..sizes import Sizing
from ..tasks import TASKS
from ..text import duration_text, path_word
from ..writing import likely_name, write_png
from .advice import FILLED, Advice, advise, fitting_tasks
from .film import FilmFacts, frames_at, look_at, with_damage
from .sheet import sheet
from .trial import Candidate, crop_of, networks_of, try_all

BUDGET = 120.0  # seconds that all of it takes, at most
PARTS = TASKS["deblur"].weights, TASKS["compression"].weights  # which tell blur and coding
SHEET = 15.0  # of them for the picture, and for trials that take longer than reckoned


@dataclass(frozen=True)
class Offer:
    """A command that restores the film, and how long it takes."""

    name: str  # fast or best
    command: str
    seconds: float | None
    candidate: Candidate


@dataclass(frozen=True)
class Tuning:
    """What was found out about a film, and what is recommended."""

    film: FilmFacts
    advice: Advice
    candidates: list[Candidate]
    offers: list[Offer]
    recommended: str  # the name of an offer
    why: str
    picture: Path | None
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0


def tune_video(
    job: Job,
    picture: Path | None,
    *,
    task: str | None = None,
    quality: str | None = None,
    words: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda line: None,
    budget: float = BUDGET,
) -> Tuning:
    """Look at a film and try what could fit it, within about ``budget`` seconds.

    What is set in the job, ``task`` and ``quality`` stays as it is; ``words`` are its options as
    they are typed, for the commands. The picture is written as PNG where a path is given. Raises
    MediaError for a film that cannot be read or has no frame, and a picture that cannot be written.
    """
    began = time.monotonic()
    if job.compute.threads is not None:
        torch.set_num_threads(job.compute.threads)
    if picture is not None and picture.exists() and not job.overwrite:
        raise MediaError(f"{picture} is there already: give another --picture, or --overwrite")
    if picture is not None:
        check_writable(picture)
    network = lru_cache(maxsize=None)(load)
    typed = job.excerpt.deinterlace
    film, job = look_at(job)
    added = [] if job.excerpt.deinterlace == typed else ["--deinterlace", job.excerpt.deinterlace]
    say(f"looked at {film.looked} frames in {time.monotonic() - began:.0f} s")
    starts = [*film.busiest, film.steadiest]
    moments = [frames for frames in (frames_at(job, start) for start in starts) if frames]
    if not moments:
        raise MediaError(f"{job.source} has no frame that can be decoded")
    film = with_damage(film, moments, *map(network, PARTS))
    advice = advise(film, task)
    if (
        advice.task in ("sr", "upscale")
        and beyond_screens(film)
        and job.encoding.sizing == Sizing()
    ):
        job = replace(job, encoding=replace(job.encoding, fit=filled(film)))
        added += ["--fit", "x".join(map(str, filled(film)))]

    def left() -> float:
        return budget - SHEET - (time.monotonic() - began)

    wanted = networks_of(fitting_tasks(film, advice, task), quality)
    with tempfile.TemporaryDirectory() as folder:
        candidates = try_all(wanted, job, moments, network, left, Path(folder))
    offers = offers_of(candidates, advice, job, [*words, *added])
    name, why = recommended(offers, job)
    if picture is not None:
        crops, names = rows_of(moments, starts)
        chosen = next(offer.candidate for offer in offers if offer.name == name)
        write_png(picture, sheet(crops, names, candidates, chosen))
    lines = [f"{c.network.label}: {c.left_out}" for c in candidates if c.left_out]
    return Tuning(
        film, advice, candidates, offers, name, why, picture, lines, time.monotonic() - began
    )


def check_writable(picture: Path) -> None:
    """MediaError where the picture cannot be written, before anything is tried for it."""
    there = picture.exists()
    try:
        picture.open("ab").close()
        if not there:
            picture.unlink()
    except OSError as error:
        raise MediaError(
            f"{picture} cannot be written ({error.strerror}): give another --picture"
        ) from error


def beyond_screens(film: FilmFacts) -> bool:
    """True if the result of enlarging is larger than what screens show."""
    width, height = filled(film)
    return 4 * film.width > width or 4 * film.height > height


def filled(film: FilmFacts) -> tuple[int, int]:
    """The largest size of a result that nobody asked for, upright where the film is."""
    return FILLED if film.width >= film.height else (FILLED[1], FILLED[0])


def offers_of(
    candidates: list[Candidate], advice: Advice, job: Job, words: list[str]
) -> list[Offer]:
    """The commands for the advised task, the fast one first."""
    offers = []
    for candidate in candidates:
        task, quality, _ = candidate.network
        if task != advice.task:
            continue
        asked = ["--task", task, *(["--quality", quality] if quality else []), *words]
        line = ["s2svr", "restore", path_word(job.source), path_word(job.target), *asked]
        offers.append(Offer(quality or "fast", shlex.join(line), candidate.seconds, candidate))
    return offers


def recommended(offers: list[Offer], job: Job) -> tuple[str, str]:
    """The name of the offer that is recommended, and why."""
    if len(offers) == 1:
        return offers[0].name, "the task has one network, or one was asked for"
    best = offers[-1]
    if torch.device(job.compute.device or "cpu").type == "cuda":
        return best.name, "a GPU is used"
    if best.seconds is None:
        return offers[0].name, "the time that the best one takes is not known"
    text = duration_text(best.seconds)
    if best.seconds <= PATIENCE_BEST:
        return best.name, f"the best one takes about {text}"
    return offers[0].name, f"the best one would take about {text}"


def rows_of(moments: list[list[Tensor]], starts: list[Fraction]) -> tuple[list[Tensor], list[str]]:
    """The crops that are shown of moments, and their names; the last is the steadiest."""
    crops, names = [], []
    for index, (frames, start) in enumerate(zip(moments, starts, strict=False)):
        rows, columns = crop_of(frames)
        crops.append(frames[len(frames) // 2][:, rows, columns])
        kind = "steady" if index == len(moments) - 1 and len(moments) > 1 else "busy"
        names.append(f"{kind} {duration_text(float(start))}")
    return crops, names


def usual_target(source: Path) -> Path:
    """The name of the output in the commands, of the same kind as the source; raises MediaError."""
    with open_reader(source) as reader:
        name = Path(likely_name(reader))
        pages = reader.info.codec == "tiff" and reader.info.frames != 1
    if source.is_dir() or pages:  # a folder, and with a dot it would be the name of a file
        whole = source if source.name not in ("", "..") else source.resolve()
        stem = whole.stem if pages else whole.name.replace(".", "-")
        return whole.with_name(f"{stem}-restored")
    return source.with_name(f"{name.stem}-restored{name.suffix}")
