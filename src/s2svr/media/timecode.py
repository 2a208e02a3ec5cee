"""Time codes: the hours, minutes, seconds and frames that a recording counts."""

import re
import sys
from fractions import Fraction

from av.container import InputContainer

from .sidedata import SideData

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


def added_timecode(container: InputContainer, timecode: str) -> dict[str, str]:
    """Metadata of a time code that is of the pictures; none where the file has one of its own."""
    return {KEY: timecode} if timecode and not find_timecode(container) else {}


def later_timecode(text: str, seconds: Fraction, rate: Fraction) -> str:
    """The time code that many seconds later, where frames come at ``rate``; "" of an empty one.

    Frames are counted in whole numbers a second. With ``;`` before the frames two numbers of 30 are
    left out each minute but the tenth, so that the code keeps pace with a rate of 29.97.
    """
    parts = FORM.fullmatch(text)
    if parts is None or not seconds:
        return text
    fps, dropped = counting(parts[4], rate)
    ten = 600 * fps - 9 * dropped  # frames of ten minutes
    count = (frame_number(text, rate) + round(seconds * rate)) % (DAY // 10 * ten)
    tens, rest = divmod(count, ten)
    count += 9 * dropped * tens
    if rest >= 60 * fps:
        count += dropped * (1 + (rest - 60 * fps) // (60 * fps - dropped))
    whole, frames = divmod(count, fps)
    clock = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{clock}{parts[4]}{frames:0{len(parts[5])}}"


def at_rate(text: str, old: Fraction, new: Fraction) -> str:
    """The time code that counts frames at another rate, for the same moment; "" of an empty one.

    Where film is taken out of video that leaves out numbers, its own code leaves out none.
    """
    parts = FORM.fullmatch(text)
    if parts is None or old == new:
        return text
    (fps, dropped), (counted, left_out) = counting(parts[4], old), counting(parts[4], new)
    separator = ":" if dropped and not left_out else parts[4]
    return f"{text[:8]}{separator}{int(parts[5]) * counted // fps:0{len(parts[5])}}"


def counting(separator: str, rate: Fraction) -> tuple[int, int]:
    """Numbers that a time code counts a second, and those that it leaves out in most minutes."""
    fps = max(1, round(rate))
    return fps, 2 * (fps // 30) if separator != ":" and fps % 30 == 0 else 0


def frame_number(text: str, rate: Fraction) -> int:
    """Frames between 00:00:00:00 and a time code."""
    parts = FORM.fullmatch(text)
    assert parts is not None
    fps, dropped = counting(parts[4], rate)
    hours, minutes, whole, frames = (int(parts[i]) for i in (1, 2, 3, 5))
    minutes += 60 * hours
    return (60 * minutes + whole) * fps + frames - dropped * (minutes - minutes // 10)


def picture_timecode(sides: SideData, rate: Fraction) -> str:
    """Time code that a picture carries: of MPEG's group, or of SMPTE ST 12-1; empty without one."""
    for kind, data in sides:
        if kind == "GOP_TIMECODE" and len(data) >= 4:
            code = int.from_bytes(data[:4], sys.byteorder)
            parts = (code >> 19 & 31, code >> 13 & 63, code >> 6 & 63, code & 63)
            return written_timecode(*parts, dropping=bool(code >> 24 & 1))
        if kind == "S12M_TIMECODE" and len(data) >= 8 and any(data[:4]):
            code = int.from_bytes(data[4:8], sys.byteorder)
            hours, minutes, seconds, frames = (
                (code >> place & 15) + 10 * (code >> place + 4 & tens)
                for place, tens in ((0, 3), (8, 7), (16, 7), (24, 3))
            )
            if rate > 30:  # it counts pairs, and a bit tells which of the two
                frames = 2 * frames + (code >> (7 if round(rate) == 50 else 23) & 1)
            return written_timecode(hours, minutes, seconds, frames, dropping=bool(code >> 30 & 1))
    return ""


def written_timecode(hours: int, minutes: int, seconds: int, frames: int, *, dropping: bool) -> str:
    """A time code as text."""
    return f"{hours:02}:{minutes:02}:{seconds:02}{';' if dropping else ':'}{frames:02}"


def are_near(one: str, other: str, rate: Fraction) -> bool:
    """True if two time codes are at most a second from each other."""
    fps, dropped = counting(one[8], rate)
    day = DAY // 10 * (600 * fps - 9 * dropped)
    apart = (frame_number(one, rate) - frame_number(other, rate)) % day
    return min(apart, day - apart) <= fps


class PictureCodes:
    """The time codes that the pictures of a video carry: kept is one, that of its begin."""

    def __init__(self, filed: str, origin: Fraction) -> None:
        self.begin = filed  # time code at ``origin``, in seconds: of the file, else of the pictures
        self.origin = origin
        self.last: tuple[str, Fraction] | None = None  # a picture's time code, and its time

    def look(self, sides: SideData, time: Fraction, rate: Fraction) -> str:
        """Look at the next picture; a sentence where its time code does not go on."""
        code = picture_timecode(sides, rate)
        if not code:
            return ""
        before, self.last = self.last, (code, time)
        if before is None:
            if not self.begin:
                begin = later_timecode(code, self.origin - time, rate)
                zero = written_timecode(0, 0, 0, 0, dropping=";" in code)
                # One that counts from 0 says nothing; bare streams may begin a picture later.
                self.begin = "" if are_near(begin, zero, rate) else begin
            before = self.begin, self.origin
        if not self.begin:
            return ""
        due = later_timecode(before[0], time - before[1], rate)
        if are_near(code, due, rate):
            return ""  # a group's is that of its first picture, and it lies at another
        return (
            f"the time code of the pictures at {float(time - self.origin):.3f} s is {code}, and "
            f"not {due}: it is left out, the output counts on from its begin"
        )
