"""Ours beside a BasicVSR of its size, clip by clip: PSNR, SSIM and flicker.

    python benchmarks/studies/peer_table.py VAL OUT/basicvsr-0/frames-15 \
        [--weights sr-light] [--frames N] [--flow flow-light-teacher]

The rows of ``s2svr evaluate VAL`` (x4, all frames of each clip) with the BasicVSR that a phase of
``light_study.py`` trained; it sees a clip as a whole.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from light_study import PEER, network
from studies import averaged
from torch import nn

from s2svr.checkpoint import load
from s2svr.damage.table import degradation
from s2svr.data.folder import folder_clips
from s2svr.evaluation.methods import Method
from s2svr.evaluation.protocols import View, view
from s2svr.evaluation.run import evaluate
from s2svr.evaluation.settings import Scoring
from s2svr.evaluation.tables import markdown


def whole(net: nn.Module) -> Method:
    """A network of whole clips as a method to compare with."""

    def run(views: Iterable[View]) -> Iterator[View]:
        clip = torch.stack([seen.rgb for seen in views])
        with torch.inference_mode():
            yield from (view(frame.clamp(0, 1)) for frame in net(clip[None])[0])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("val", type=Path)
    parser.add_argument("peer", type=Path)
    parser.add_argument("--weights", default="sr-light")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--flow", default="flow-light-teacher")
    chosen = parser.parse_args()
    rows = evaluate(
        load(chosen.weights), folder_clips(chosen.val), degradation("bicubic"),
        Scoring(frames=chosen.frames, flow=load(chosen.flow)),
        others={"BasicVSR": whole(averaged(network(PEER, 0), chosen.peer))},
    )  # fmt: skip
    print(markdown(rows))  # noqa: T201


if __name__ == "__main__":
    main()
