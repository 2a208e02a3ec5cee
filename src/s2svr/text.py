"""Amounts, durations and errors as people read them."""

from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]  # takes a line for people


def amount(count: float) -> str:
    """Bytes, such as ``1.5 GiB``."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1024, units[1:]
    whole = units[0] == "bytes" or count >= 100
    return f"{count:.{0 if whole else 1}f} {units[0]}"


def duration_text(seconds: float) -> str:
    """Hours, minutes and seconds, as far as there are any, such as ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def no_room(target: object, needed: int, free: int) -> str:
    """A sentence about an output that the disk has no room for; bytes."""
    return (
        f"{target} needs about {amount(needed)} while it is written and {amount(free)} are free: "
        "free some, write to another disk, choose a higher --crf or a smaller --scale, or go on "
        "all the same with --no-plan"
    )


def sentence(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, RuntimeError):  # a full device: its own text is a paragraph
        return "out of memory on the GPU: use a smaller --window or --size, or --device cpu"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def notes(error: BaseException) -> list[str]:
    """Lines that are said beside an error."""
    return getattr(error, "__notes__", [])


def path_word(path: Path) -> str:
    """A path as a word of a command, that is no option."""
    word = str(path)
    return f"./{word}" if word.startswith("-") else word
