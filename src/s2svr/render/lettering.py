"""A small stroke font of our own: capitals, digits and a few marks, smooth at every size."""

import torch
from torch import Generator, Tensor

# Strokes of each glyph as points (right 0-4, down 0-6), two digits a point.
GLYPHS = {
    "A": "062046 1434",
    "B": "0030414233 03334445360600",
    "C": "4130100105163645",
    "D": "00062644422000",
    "E": "40000646 0333",
    "F": "400006 0333",
    "G": "41301001051636454323",
    "H": "0006 4046 0343",
    "I": "1030 2026 1636",
    "J": "1040 3035261605",
    "K": "0006 400346",
    "L": "000646",
    "M": "0600234046",
    "N": "06004640",
    "O": "10304145361605011030",
    "P": "06003041423303",
    "Q": "10304145361605011030 2446",
    "R": "06003041423303 2346",
    "S": "413010010213334445361605",
    "T": "0040 2026",
    "U": "00051636454440",
    "V": "002640",
    "W": "0016233640",
    "X": "0046 4006",
    "Y": "002340 2326",
    "Z": "00400646",
    "0": "10304145361605011030 0541",
    "1": "112026 1636",
    "2": "01103041420646",
    "3": "0110304142334445361605 1333",
    "4": "36300444",
    "5": "400003334445361605",
    "6": "4130100105163645443303",
    "7": "00402326",
    "8": "103041423313020110 3344453616050413",
    "9": "0516364541301001021343",
    "-": "1333",
    ".": "2526",
    ":": "2122 2526",
    "/": "4006",
    "+": "1333 2224",
    "!": "2024 2626",
}


def draw_text(text: str, height: float, weight: float = 0.14) -> Tensor:
    """The coverage (h, w) in [0, 1] of one line of text with capitals ``height`` pixels high.

    weight is the stroke's width as a share of the height; around the text is an empty margin of
    half the height. Unknown letters are blank.
    """
    unit = height / 6
    margin = height / 2
    size = (round(height + 2 * margin), round(unit * (6 * len(text) - 2) + 2 * margin))
    ink = torch.zeros(size)
    for index, letter in enumerate(text.upper()):
        left = margin + 6 * unit * index
        low, high = max(round(left - 2 * unit), 0), min(round(left + 6 * unit), size[1])
        x = torch.arange(low, high) + 0.5 - left
        y = torch.arange(size[0]) + 0.5 - margin
        for stroke in GLYPHS.get(letter, "").split():
            dots = [
                (int(a) * unit, int(b) * unit) for a, b in zip(*[iter(stroke)] * 2, strict=True)
            ]
            for start, end in zip(dots, dots[1:], strict=False):
                away = distance(x, y[:, None], start, end)
                drawn = (weight * height / 2 - away + 0.5).clamp(0, 1)
                ink[:, low:high] = torch.maximum(ink[:, low:high], drawn)
    return ink


def distance(x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float]) -> Tensor:
    """Distance of points from a segment."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-9)
    along = along.clamp(0, 1)
    return torch.hypot(x - start[0] - along * dx, y - start[1] - along * dy)


def random_words(generator: Generator, letters: int) -> str:
    """Random letters with a gap here and there, ``letters`` long."""
    names = [*GLYPHS, " ", " ", " ", " "]
    chosen = torch.randint(len(names), (letters,), generator=generator).tolist()
    return "".join(names[i] for i in chosen).strip() or "A"
