"""The README's picture: a part of the example clip, enlarged bicubically and restored.

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
    parser.add_argument("--weights", default="sr")
    parser.add_argument("--frame", type=int, default=24)
    parser.add_argument("--left", type=int, default=160, help="of the part, in the clip's pixels")
    parser.add_argument("--top", type=int, default=90)
    parser.add_argument("--side", type=int, default=80)
    chosen = parser.parse_args()
    clip = s2svr.read_clip(EXAMPLE).float() / 255
    restored = s2svr.restore(s2svr.load(chosen.weights), iter(clip))
    frame = next(islice(restored, chosen.frame, None))
    base = resize_bicubic(clip[chosen.frame], 4).clamp(0, 1)
    top, left, side = 4 * chosen.top, 4 * chosen.left, 4 * chosen.side
    parts = [x[:, top : top + side, left : left + side] for x in (base, frame)]
    gap = torch.ones(3, side, 8)
    write_png(chosen.picture, torch.cat((parts[0], gap, parts[1]), -1))


if __name__ == "__main__":
    main()
