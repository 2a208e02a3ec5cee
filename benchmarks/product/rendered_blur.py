"""Rendered clips with blur beside the sharp ones, for evaluation.

    python benchmarks/product/rendered_blur.py PHOTOS OUT [--clips 6] [--frames 24] [--size 640x360]
        [--rolling 0.8] [--parallax 3] [--defocus 5]

PHOTOS is a folder of images or videos that no training has seen. Every clip is drawn with 9 to 15
sub-frames, averaged in linear light, and the middle one is the truth. With --rolling, rows are
exposed one after another, and the truth keeps their skew; with --parallax, what is nearer pans
faster; with --defocus, half of the backgrounds are out of focus, in the truth too. Then:

    s2svr evaluate OUT --dataset pairs --task deblur
"""

import argparse
from pathlib import Path

import torch

from s2svr.render.frames import film_batch
from s2svr.render.photos import choose_photos, photographs
from s2svr.render.scene import Look
from s2svr.writing.images import write_png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rolling", type=float, default=0.0, help="readout in frames' times")
    parser.add_argument("--parallax", type=float, default=1.0, help="of the nearest layers")
    parser.add_argument("--defocus", type=float, default=0.0, help="largest radius, in pixels")
    chosen = parser.parse_args()
    width, height = (int(side) for side in chosen.size.split("x"))
    pictures = photographs(chosen.photos)
    for index in range(chosen.clips):
        generator = torch.Generator().manual_seed(1000 + index)
        look = Look(
            speed=(4.0, 16.0), text=(0, 2), subframes=9 + 2 * (index % 4), shutter=0.8,
            rolling=chosen.rolling, parallax=chosen.parallax, defocus=chosen.defocus,
        )  # fmt: skip
        clip = film_batch(
            [choose_photos(pictures, generator)], frames=chosen.frames, size=(height, width),
            generators=[generator], look=look,
        )  # fmt: skip
        for name, frames in (("lq", clip.frames[0]), ("hq", clip.sharp[0])):
            folder = chosen.out / name / f"rendered_{index}"
            folder.mkdir(parents=True)
            for number, frame in enumerate(frames):
                write_png(folder / f"{number:06}.png", frame)


if __name__ == "__main__":
    main()
