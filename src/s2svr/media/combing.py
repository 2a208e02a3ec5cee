"""Measurement of combing: whether the lines of a picture show two moments.

Each picture has a field of even lines and one of odd lines. In interlaced video the second field of
a picture lies nearer in time to the first of the next one than the first does to the second of the
next; in progressive video both pairs are one picture apart. So the lines of two pictures are woven
in both ways: where one way shows much more combing than the other, time after time the same one,
and the pictures show combing themselves, the video is interlaced. Stripes comb both ways alike.
"""

from torch import Tensor

from .frame import Frame

LOOKED = 150  # pictures that are looked at: the first shots
WIDE = 320  # columns that are looked at, spread over the picture
STEP = 12  # of 255 codes, by which a line has to differ from those above and below to be a comb
MOVING = 0.002  # share of combed pixels where something moves
UNLIKE = 1.3  # times as much combing in one way as in the other
SHOWN = 0.15  # of it that the pictures themselves show
NATURAL = 0.5  # and no less than that of what two pictures in a row show in the other way
ENOUGH = 10  # moving pictures that are needed, and
AGREE = 0.3  # the share of them that tells the order of the fields, while
OTHERS = 0.1  # as many as of those, at most, tell the other


class Combing:
    """Looks at one picture after the other; ``order`` says what was found."""

    def __init__(self) -> None:
        self.before: Tensor | None = None
        self.looked = self.moving = 0
        self.votes = {"tff": 0, "bff": 0}

    def look(self, luma: Tensor, bits: int) -> None:
        """Take the next picture's luma or green (H, W) in codes of so many bits."""
        self.looked += 1
        rows, columns = luma.shape[0] // 2 * 2, max(1, luma.shape[1] // WIDE)
        now = luma[:rows, ::columns].float() / 2 ** (bits - 8)
        before, self.before = self.before, now
        if before is None or before.shape != now.shape or now.shape[0] < 4:
            return
        top_late = combed(woven(now, before))  # the next picture's top with this one's bottom
        bottom_late = combed(woven(before, now))
        most, least = max(top_late, bottom_late), min(top_late, bottom_late)
        if most < MOVING:
            return
        self.moving += 1
        shown = sorted((combed(before), combed(now)))
        if most > UNLIKE * least and shown[1] > SHOWN * most and least >= NATURAL * shown[0]:
            self.votes["tff" if top_late < bottom_late else "bff"] += 1

    @property
    def order(self) -> str | None:
        """tff or bff, the field that comes first, of interlaced video; None for other video."""
        few, many = sorted(self.votes, key=lambda name: self.votes[name])
        if self.moving < ENOUGH or self.votes[many] < AGREE * self.moving:
            return None
        return many if self.votes[few] <= OTHERS * self.votes[many] else None


def woven(top: Tensor, bottom: Tensor) -> Tensor:
    """The even lines of one picture (H, W) between the odd ones of another."""
    made = bottom.clone()
    made[::2] = top[::2]
    return made


def combed(picture: Tensor) -> float:
    """Share of pixels that differ from those above and below in the same direction."""
    middle = picture[1:-1]
    product = (middle - picture[:-2]) * (middle - picture[2:])
    return float((product > STEP**2).float().mean())


class Watch:
    """Looks for combing in the first frames of a video, and has a sentence for it once."""

    def __init__(self, *, wanted: bool, film: bool) -> None:
        self.combing, self.ended, self.film = Combing(), not wanted, film

    def look(self, frame: Frame) -> str | None:
        """Take the next frame of a video that is not marked as interlaced."""
        if self.ended:
            return None
        self.combing.look(frame.planes[0], frame.color.bits)
        found = self.combing.order is not None
        self.ended = found or self.combing.looked == LOOKED
        if not found:
            return None
        return (
            "the video is not marked as interlaced, and its lines show two moments each: "
            f"deinterlace it with bob{' or, if it was film, ivtc' if self.film else ''}"
        )
