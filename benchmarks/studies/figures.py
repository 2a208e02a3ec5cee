"""The paper's Figures 1 and 4 to 7 with what exists here, of one clip whose truth is known.

    python examples/make_example.py --photos DIR --truth truth.mp4
    python benchmarks/studies/figures.py truth.mp4 docs/figures [--frame 24] [--part X,Y,W,H] \
        [--only sr ...]

Of a part of the clip, 12 frames around one of them: the flow of the damaged frame (flow, Fig. 1),
what the bundled networks make of it beside the plain method and the truth (sr, deblur and
compression, Figs. 4 to 6), and the features of ``sr-light`` with its alignment and without it
(motion, Fig. 7). Numbers are PSNR of the whole part (RGB, rounded).
"""

import argparse
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from saliency import features
from torch import Generator, Tensor, nn

from s2svr.checkpoint import load
from s2svr.coarseness import knowing
from s2svr.damage import told_coarseness
from s2svr.damage.reduce import bicubic_down
from s2svr.damage.table import degradation
from s2svr.flow import DIS, dis_flow, flow_figure
from s2svr.flow.figure import captioned, picture_grid
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic
from s2svr.restoration.frames import restore
from s2svr.writing.images import write_png

AROUND = 6  # frames before the one that is drawn, and nearly as many after it
BLUR = 1  # more of both, that the damage blur-3 takes
SHOWN = (240, 320)  # height, width of what is drawn, in the middle of the part
# Damage, what the damaged frame is called, and the networks, by the figure's name
RESTORED = {
    "sr": ("bicubic", "bicubic", ("sr-light", "sr-base")),
    "deblur": ("blur-3", "blurred", ("deblur-light",)),
    "compression": ("hevc-37", "QP 37", ("compression-light",)),
}


def middle(picture: Tensor) -> Tensor:
    """What is drawn of a picture (3, H, W)."""
    height, width = SHOWN
    top, left = max(picture.shape[1] - height, 0) // 2, max(picture.shape[2] - width, 0) // 2
    return picture[:, top : top + height, left : left + width]


def panel(name: str, picture: Tensor, truth: Tensor) -> Tensor:
    """A picture under its name and its PSNR."""
    return captioned(middle(picture), f"{name}: {psnr_rgb(picture, truth):.2f} dB")


def restored(clip: Tensor, damage: str, name: str, networks: Mapping[str, nn.Module]) -> Tensor:
    """A row: the damaged frame, what each network makes of it, and the truth.

    clip (T, 3, H, W) in [0, 1]; the frame is the one after AROUND.
    """
    lq, hq = degradation(damage)(clip, Generator().manual_seed(0))
    at = AROUND
    base = lq[at] if lq.shape == hq.shape else resize_bicubic(lq[at], 4).clamp(0, 1)
    row = [panel(name, base, hq[at])]
    for label, model in networks.items():
        frames = list(restore(model, iter(lq), cuts=None))
        row.append(panel(label, frames[at], hq[at]))
    return picture_grid([[*row, captioned(middle(hq[at]), "truth")]])


def motion(clip: Tensor, model: S2SVR) -> Tensor:
    """Features and frame of a network that aligns, and of the same weights without alignment."""
    pair, still = bicubic_down(clip[: AROUND + 2]), deepcopy(model)
    still.flow = None
    rows = []
    for name, net in (("aligned", model), ("not aligned", still)):
        y, size = features(net, pair.lq)
        shown = resize_bicubic(size.expand(3, -1, -1)[None], 4)[0].clamp(0, 1)
        rows.append([captioned(middle(shown), f"features: {name}"), panel(name, y, pair.hq[-2])])
    return picture_grid([[*rows[0], *rows[1]]])


def flow(clip: Tensor, out: Path) -> dict[str, float]:
    """Fig. 1 of what is drawn of the clip; returns the end-point errors."""
    teacher, student = load("flow-light-teacher"), load("flow-light-student-sr")
    with TemporaryDirectory() as folder:
        for t, frame in enumerate(clip):
            write_png(Path(folder, f"{t:03}.png"), middle(frame))
        return flow_figure(
            Path(folder), out, teacher=teacher, frame=AROUND,
            others={"teacher": teacher, "student": student, DIS: dis_flow()},
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truth", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frame", type=int, default=24)
    parser.add_argument("--part", default="540,220,480,320", help="left, top, width and height")
    parser.add_argument("--only", action="append", choices=["flow", *RESTORED, "motion"])
    chosen = parser.parse_args()
    left, top, width, height = (int(word) for word in chosen.part.split(","))
    first = chosen.frame - AROUND - BLUR
    whole = read_clip(chosen.truth, start=first, count=2 * (AROUND + BLUR)).float() / 255
    whole = whole[..., top : top + height, left : left + width]
    clip = whole[BLUR:-BLUR]
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.only or ["flow", *RESTORED, "motion"]:
        place = chosen.out / f"{name}.png"
        if name == "flow":
            print(flow(clip, place))  # noqa: T201
        elif name == "motion":
            model = load("sr-light")
            assert isinstance(model, S2SVR)
            write_png(place, motion(clip, model))
        else:
            damage, label, networks = RESTORED[name]
            seen = whole if damage.startswith("blur") else clip
            coarseness = told_coarseness(damage, chosen.truth)
            told = {n: knowing(load(n), coarseness) for n in networks}
            write_png(place, restored(seen, damage, label, told))
        print(place, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
