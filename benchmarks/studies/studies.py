"""What the studies of trainings share: the weights that a run ends with, and what they reach."""

from pathlib import Path
from statistics import fmean

import torch
from torch import nn

from s2svr.damage.reduce import bicubic_down
from s2svr.data.folder import folder_clips
from s2svr.flow import FilesFlow, with_files
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models import S2SVR


def averaged(model: nn.Module, run: Path) -> nn.Module:
    """``model`` with the averaged weights of the last checkpoint in a run's folder."""
    state = torch.load(run / "last.ckpt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["averaged"])
    return model.eval()


@torch.inference_mode()
def quality(
    model: nn.Module,
    val: Path,
    frames: int,
    height: int | None = None,
    segment: int | None = None,
    motion: Path | None = None,
) -> list[float]:
    """Mean PSNR (RGB, rounded, dB) of each clip of VAL, reduced by 4 and restored as a whole.

    With ``segment``, so many frames at a time, that know nothing of the others; with ``motion``,
    aligned by .flo files as ``s2svr evaluate --motion`` reads them.
    """
    means = []
    for sequence in folder_clips(val):
        pair = bicubic_down(read_clip(sequence.hq, count=frames)[..., :height, :].float() / 255)
        net = model
        if motion is not None:
            assert isinstance(model, S2SVR)
            flow = FilesFlow(motion / sequence.name)
            for frame in pair.lq:
                flow.tell(frame)
            net = with_files(model, flow)
        parts = [net(part[None]) for part in pair.lq.split(segment or frames)]
        restored = torch.cat([(y[0] if isinstance(y, tuple) else y)[0] for y in parts])
        means.append(fmean(psnr_rgb(*p) for p in zip(restored, pair.hq, strict=True)))
    return means
