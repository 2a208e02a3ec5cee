"""Pictures of each clip that an evaluation writes."""

from operator import itemgetter
from pathlib import Path

from torch import Tensor

from ..files import whole
from ..writing import write_png


def file_name(clip: str) -> str:
    """Name of a clip without slashes, for a file."""
    return clip.replace("/", "_")


class Gallery:
    """A folder of pictures of the frames of each clip that score worst and best.

    With ``centre``, only the middle frame is scored and written.
    """

    def __init__(self, folder: Path, *, centre: bool) -> None:
        self.folder, self.centre = folder, centre
        self.kinds = ("middle",) if centre else ("worst", "best")
        self.candidates: list[tuple[float, Tensor]] = []  # frames with their scores

    def picture_path(self, clip: str, kind: str) -> Path:
        """Path of one picture of a clip."""
        return self.folder / f"{file_name(clip)}-{kind}.png"

    def has(self, clip: str) -> bool:
        """True if the pictures of this clip are there."""
        return all(self.picture_path(clip, kind).exists() for kind in self.kinds)

    def add(self, score: float, strip: Tensor) -> None:
        """Add the next frame of a clip, in a strip (3, H, W) with what it is compared with."""
        self.candidates.append((score, strip))
        if not self.centre:
            extremes = (min, max)
            self.candidates = [pick(self.candidates, key=itemgetter(0)) for pick in extremes]

    def write(self, clip: str) -> None:
        """Write the pictures of the clip whose frames were added, and forget them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        chosen = self.candidates
        if self.centre:
            chosen = [chosen[len(chosen) // 2]]
        for kind, (_, strip) in zip(self.kinds, chosen, strict=True):
            with whole(self.picture_path(clip, kind)) as place:
                write_png(place, strip)
        self.candidates = []
