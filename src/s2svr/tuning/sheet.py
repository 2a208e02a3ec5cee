"""One picture that shows the same crops: original, enlarged, restored by each candidate."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import resize_to
from ..render import draw_text
from .trial import Candidate

ZOOM = 4  # times the film's pixels
STRENGTHS = (0.4, 0.7, 1.0)  # of the recommended network
LINE = 14  # height of capitals, pixels
GAP = 4  # pixels between pictures
GROUND = 0.12  # brightness of what lies between


def sheet(
    originals: list[Tensor], names: list[str], candidates: list[Candidate], chosen: Candidate
) -> Tensor:
    """A picture (3, H, W): a row for each crop (3, h, w) of a moment, with a name, and columns."""
    size = ZOOM * originals[0].shape[-2], ZOOM * originals[0].shape[-1]
    enlarged = [resize_to(crop, size).clamp(0, 1) for crop in originals]
    plain = [c.repeat_interleave(ZOOM, -1).repeat_interleave(ZOOM, -2) for c in originals]
    columns = [("original", plain), ("enlarged", enlarged)]
    for candidate in candidates:
        if candidate.crops:
            columns.append((candidate.network.label, sized(candidate.crops, size)))
    best = sized(chosen.crops, size) if chosen.crops else enlarged
    for strength in STRENGTHS:
        mixed = [torch.lerp(a, b, strength) for a, b in zip(enlarged, best, strict=True)]
        columns.append((f"{chosen.network.task} strength {strength:g}", mixed))
    head = torch.cat([titled("", (LINE * 2, LINE * 9)), *(titled(n, (LINE * 2, size[1]))
                      for n, _ in columns)], 2)  # fmt: skip
    rows = [head]
    for index, name in enumerate(names):
        cells = [titled(name, (size[0], LINE * 9)), *(cells[index] for _, cells in columns)]
        rows.append(torch.cat([bordered(cell) for cell in cells], 2))
    width = max(row.shape[2] for row in rows)
    rows = [F.pad(row, (0, width - row.shape[2]), value=GROUND) for row in rows]
    return torch.cat(rows, 1)


def sized(crops: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """Crops as they would be shown, (height, width) pixels each."""
    return [resize_to(crop, size).clamp(0, 1) for crop in crops]


def bordered(picture: Tensor) -> Tensor:
    """A picture with a gap below and to the right."""
    return F.pad(picture, (0, GAP, 0, GAP), value=GROUND)


def titled(text: str, size: tuple[int, int]) -> Tensor:
    """A field (3, height, width) with a line of text; too long ones are written smaller."""
    height, width = size
    letters = max(1, len(text))
    line = min(LINE, 6 * width / (6 * letters + 4))
    ink = draw_text(text, line)[:height, :width] if text else torch.zeros(1, 1)
    field = F.pad(ink, (0, width - ink.shape[1], 0, height - ink.shape[0]))
    return (GROUND + (1 - GROUND) * field).expand(3, -1, -1)
