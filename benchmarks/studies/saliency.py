"""What motion compensation does to the features (the paper's Fig. 7).

    python benchmarks/studies/saliency.py OURS TWIN CLIP OUT.png [--frame 12] [--crop X,Y,W,H]

OURS and TWIN are trained by the same recipe, steps and seed, TWIN without motion compensation
(``--set model.motion=false``). Drawn for one frame: the truth, and for each network the mean size
of the decoder's top features, scaled to its own 99.5th percentile, and the restored frame with its
PSNR (RGB, rounded).
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.flow.figure import captioned, picture_grid
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_bicubic
from s2svr.writing.images import write_png


@torch.inference_mode()
def features(model: S2SVR, x: Tensor) -> tuple[Tensor, Tensor]:
    """A clip (T, 3, h, w) -> its restored last frame, and that frame's saliency (1, h, w)."""
    seen: list[Tensor] = []
    handle = model.decoder.layers[-1].register_forward_hook(lambda *call: seen.append(call[-1][1]))
    y, _ = model(x[None], None, 1)
    handle.remove()
    size = seen[-1][0].abs().mean(0, keepdim=True)
    return y[0, -1].clamp(0, 1), (size / size.flatten().quantile(0.995)).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", type=Path)
    parser.add_argument("twin", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frame", type=int, default=12)
    parser.add_argument("--crop", default="0,0,640,360")
    chosen = parser.parse_args()
    left, top, width, height = (int(part) for part in chosen.crop.split(","))
    clip = read_clip(chosen.clip, count=chosen.frame + 2).float() / 255
    pair = bicubic_down(clip)
    truth = pair.hq[chosen.frame]
    rows = [[captioned(truth[:, top : top + height, left : left + width], "truth")] * 2]
    for name, path in (("with", chosen.ours), ("without", chosen.twin)):
        model = load(path)
        assert isinstance(model, S2SVR)
        y, saliency = features(model, pair.lq)
        shown = resize_bicubic(saliency.expand(3, -1, -1)[None], 4)[0].clamp(0, 1)
        texts = f"features {name} motion compensation", f"{name}: {psnr_rgb(y, truth):.2f} dB"
        print(texts[1])  # noqa: T201
        rows.append(
            [
                captioned(picture[:, top : top + height, left : left + width], text)
                for picture, text in zip((shown, y), texts, strict=True)
            ]
        )
    write_png(chosen.out, picture_grid(rows))


if __name__ == "__main__":
    main()
