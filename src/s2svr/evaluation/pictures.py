"""Pictures that an evaluation keeps of each clip."""

from pathlib import Path

from torch import Tensor

from ..files import whole
from ..writing import write_png


def file_name(clip: str) -> str:
    """A clip's name as that of one file."""
    return clip.replace("/", "_")


class Gallery:
    """A folder of pictures: of each clip's frames that score worst and best.

    Where only the middle frame is scored, ``centre``, it is the one that is shown.
    """

    def __init__(self, folder: Path, *, centre: bool) -> None:
        self.folder, self.centre = folder, centre
        self.kinds = ("middle",) if centre else ("worst", "best")
        self.seen: list[tuple[float, Tensor]] = []  # frames that may be drawn, with their scores

    def place(self, clip: str, kind: str) -> Path:
        return self.folder / f"{file_name(clip)}-{kind}.png"

    def has(self, clip: str) -> bool:
        """Whether an earlier evaluation drew this clip."""
        return all(self.place(clip, kind).exists() for kind in self.kinds)

    def see(self, score: float, strip: Tensor) -> None:
        """The next frame of a clip, (3, H, W) with what stands beside it."""
        self.seen.append((score, strip))
        if not self.centre:
            self.seen = [pick(self.seen, key=lambda entry: entry[0]) for pick in (min, max)]

    def draw(self, clip: str) -> None:
        """Write the pictures of the clip that was seen."""
        self.folder.mkdir(parents=True, exist_ok=True)
        drawn = [self.seen[len(self.seen) // 2]] if self.centre else self.seen
        for kind, (_, strip) in zip(self.kinds, drawn, strict=True):
            with whole(self.place(clip, kind)) as place:
                write_png(place, strip)
        self.seen = []
