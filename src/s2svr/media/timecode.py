"""Time codes: the hours, minutes, seconds and frames that a recording counts."""

import re
from fractions import Fraction

from av.container import InputContainer

KEY = "timecode"
FORM = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d+)")
DAY = 24 * 60  # minutes


def find_timecode(container: InputContainer) -> str:
    """Time code of a file's begin: of a track of its own, or of the file; empty if there is none.

    mov and mp4 have a track for it, Matroska, MXF and others a tag.
    """
    tags = [*(stream.metadata for stream in container.streams), container.metadata]
    found = (text for names in tags for key, text in names.items() if key.lower() == KEY)
    return next((text for text in found if FORM.fullmatch(text)), "")


def with_timecode(metadata: dict[str, str], timecode: str) -> dict[str, str]:
    """Metadata with another time code where it has one."""
    return {k: timecode if k.lower() == KEY else v for k, v in metadata.items()}


def later_timecode(text: str, seconds: Fraction, rate: Fraction) -> str:
    """The time code that many seconds later, where frames come at ``rate``; "" of an empty one.

    Frames are counted in whole numbers a second. With ``;`` before the frames two numbers of 30 are
    left out each minute but the tenth, so that the code keeps pace with a rate of 29.97.
    """
    parts = FORM.fullmatch(text)
    if parts is None or not seconds:
        return text
    hours, minutes, whole, frames = (int(parts[i]) for i in (1, 2, 3, 5))
    fps = max(1, round(rate))
    minutes += 60 * hours
    dropped = 2 * (fps // 30) if parts[4] != ":" and fps % 30 == 0 else 0  # numbers a minute
    count = (60 * minutes + whole) * fps + frames - dropped * (minutes - minutes // 10)
    count += round(seconds * rate)
    ten = 600 * fps - 9 * dropped  # frames of ten minutes
    count %= DAY // 10 * ten
    tens, rest = divmod(count, ten)
    count += 9 * dropped * tens
    if rest >= 60 * fps:
        count += dropped * (1 + (rest - 60 * fps) // (60 * fps - dropped))
    whole, frames = divmod(count, fps)
    clock = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{clock}{parts[4]}{frames:0{len(parts[5])}}"
