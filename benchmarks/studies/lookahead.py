"""What the future is worth to a model that also goes backward in time: windows and the whole clip.

    python benchmarks/studies/lookahead.py CLIPS [--steps 100] [--seed 0]

In place of what it has learned, sr-light gets a first layer in both directions whose backward half
begins small, and is trained for --steps on CLIPS, with all else; then parts of them are restored at
once and in windows, for several numbers of frames that the backward sweep starts ahead (``warm``).
Prints the largest difference in PSNR (RGB, not rounded, dB) of a clip and of a frame.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.damage.reduce import bicubic_down
from s2svr.data.folder import folder_clips
from s2svr.losses import charbonnier
from s2svr.media import read_clip
from s2svr.metrics import psnr
from s2svr.models.s2svr import S2SVR
from s2svr.restoration.frames import restore

SIZE = (180, 240)  # height and width of what is measured, before it is reduced
CROP = 128  # pixels of a training clip
LENGTH, BATCH = 10, 2
WARMS = 0, 1, 2, 3, 5, 7, 10
WINDOWS = 4, 16


def both_ways(name: str) -> S2SVR:
    """The weights' network with a fresh backward layer, which at first counts for a little."""
    one = load(name)
    assert isinstance(one, S2SVR)
    model = S2SVR(replace(one.config, bidirectional=True))
    fuse, channels = model.encoder.fuse, one.config.channels
    one.encoder.backward_layer, one.encoder.fuse = model.encoder.backward_layer, fuse
    model.load_state_dict(one.state_dict())
    with torch.no_grad():
        fuse.weight.normal_(0, 0.01)
        fuse.weight[range(channels), range(channels), 1, 1] += 1
    return model


def train(model: S2SVR, clips: list[Tensor], steps: int, generator: torch.Generator) -> None:
    def draw(most: int) -> int:
        return int(torch.randint(most, (), generator=generator))

    optimizer = torch.optim.Adam(model.body_parameters(), 2e-4)
    for step in range(steps):
        crops = []
        for _ in range(BATCH):
            clip = clips[draw(len(clips))]
            t, top, left = (
                draw(have - want + 1)
                for have, want in zip(
                    (len(clip), *clip.shape[-2:]), (LENGTH, CROP, CROP), strict=True
                )
            )
            crops.append(clip[t : t + LENGTH, :, top : top + CROP, left : left + CROP])
        x = torch.stack([bicubic_down(crop).lq for crop in crops])
        loss = charbonnier(model(x)[0], torch.stack(crops))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.5f}", flush=True)  # noqa: T201


def levels(model: S2SVR, x: Tensor, truth: Tensor, window: int) -> Tensor:
    """PSNR of each frame, restored in windows."""
    restored = restore(model, iter(x), window=window, cuts=None)
    return torch.tensor([psnr(255 * y, 255 * t) for y, t in zip(restored, truth, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    clips = [read_clip(sequence.hq).float() / 255 for sequence in folder_clips(given.clips)]
    model = both_ways("sr-light").train()
    train(model, clips, given.steps, torch.Generator().manual_seed(given.seed))
    model.eval()
    truths = [clip[..., : SIZE[0], : SIZE[1]] for clip in clips]
    inputs = [bicubic_down(truth).lq for truth in truths]
    wholes = [levels(model, x, t, len(x)) for x, t in zip(inputs, truths, strict=True)]
    print(f"whole clips: {torch.stack([w.mean() for w in wholes]).mean():.2f} dB")  # noqa: T201
    for window in WINDOWS:
        for warm in WARMS:
            model.lookahead = model.config.radius + warm
            parts = [levels(model, x, t, window) for x, t in zip(inputs, truths, strict=True)]
            apart = [(p - w) for p, w in zip(parts, wholes, strict=True)]
            of_clip = max(abs(float(a.mean())) for a in apart)
            of_frame = max(float(a.abs().max()) for a in apart)
            print(  # noqa: T201
                f"windows of {window}, warm {warm}: a clip by at most {of_clip:.4f} dB, "
                f"a frame by {of_frame:.4f} dB",
                flush=True,
            )


if __name__ == "__main__":
    main()
