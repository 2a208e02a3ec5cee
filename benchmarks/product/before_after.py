"""The README's picture: a part of the example clip, enlarged bicubically, restored fast and best.

python benchmarks/product/before_after.py docs/before_after.png
"""

import argparse
from itertools import islice
from pathlib import Path

import torch

import s2svr
from s2svr.ops import resize_bicubic
from s2svr.writing.images import write_png

EXAMPLE = Path(__file__).parents[2] / "examples" / "table.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weights", nargs="+", default=["sr-light", "sr-base"])
    parser.add_argument("--frame", type=int, default=24)
    parser.add_argument("--left", type=int, default=160, help="of the part, in the clip's pixels")
    parser.add_argument("--top", type=int, default=90)
    parser.add_argument("--side", type=int, default=80)
    chosen = parser.parse_args()
    clip = s2svr.read_clip(EXAMPLE).float() / 255
    pictures = [resize_bicubic(clip[chosen.frame], 4).clamp(0, 1)]
    for weights in chosen.weights:
        restored = s2svr.restore(s2svr.load(weights), iter(clip))
        pictures.append(next(islice(restored, chosen.frame, None)))
    top, left, side = 4 * chosen.top, 4 * chosen.left, 4 * chosen.side
    parts: list[torch.Tensor] = []
    for picture in pictures:
        gap = [torch.ones(3, side, 8)] if parts else []
        parts += [*gap, picture[:, top : top + side, left : left + side]]
    write_png(chosen.picture, torch.cat(parts, -1))


if __name__ == "__main__":
    main()
