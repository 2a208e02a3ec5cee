"""Speed of a model, alone and from file to file, and the share of each stage."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..restoration import peak_memory, restore, restore_video, scale_of

WARM_UP = 2  # frames restored before the clock starts


@dataclass(frozen=True)
class Speed:
    """One measurement; sizes are (width, height) in pixels, shares are of the busy time."""

    what: str  # "model", or the file's name
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    frames: int
    frames_per_second: float
    shares: dict[str, float]  # flow and body, and from file to file also decode and encode
    peak_memory: int  # bytes, as in Summary.peak_memory: on a CPU the largest so far
    device: str
    precision: str
    threads: int

    def row(self) -> dict[str, str]:
        """Cells of a table, by column."""
        return {
            "what": self.what,
            "in": "{}x{}".format(*self.size_in),
            "out": "{}x{}".format(*self.size_out),
            "frames": str(self.frames),
            "frames/s": f"{self.frames_per_second:.2f}",
            "time": ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items()),
            "memory MiB": f"{self.peak_memory / 2**20:.0f}",
            "device": self.device,
            "precision": self.precision,
            "threads": str(self.threads),
        }


def measure_speed(
    model: nn.Module,
    sizes: list[tuple[int, int]],
    clips: list[Path],
    *,
    frames: int = 16,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
) -> list[Speed]:
    """Time the model alone on made-up frames of each (width, height), and each clip as a file."""
    if threads is not None:
        torch.set_num_threads(threads)
    alone = [benchmark_model(model, s, frames=frames, device=device, dtype=dtype) for s in sizes]
    return alone + [benchmark_video(model, c, device=device, dtype=dtype) for c in clips]


def benchmark_model(
    model: nn.Module,
    size: tuple[int, int],
    *,
    frames: int = 16,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Speed:
    """Time ``restore`` on a made-up clip of ``size`` (width, height) that is already decoded."""
    device = torch.device(device)
    width, height = size
    if frames < 1 or width < 1 or height < 1:
        raise ValueError(f"expected frames of at least 1x1, got {frames} of {width}x{height}")
    for _ in restore(
        model, moving_clip(WARM_UP, size, device), device=device, dtype=dtype, cuts=None
    ):
        pass
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    clip = list(moving_clip(frames, size, device))
    with flow_seconds(model, device) as flow:
        began = device_seconds(device)
        for _ in restore(model, clip, device=device, dtype=dtype, cuts=None):
            pass
        seconds = device_seconds(device) - began
    scale = scale_of(model)
    share = sum(flow) / seconds
    return Speed(
        what="model",
        size_in=size,
        size_out=(width * scale, height * scale),
        frames=frames,
        frames_per_second=frames / seconds,
        shares={"flow": share, "body": 1 - share},
        peak_memory=peak_memory(device),
        device=str(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
    )


def benchmark_video(
    model: nn.Module,
    source: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Speed:
    """Time ``restore_video`` of a file into one that is thrown away."""
    device = torch.device(device)
    with tempfile.TemporaryDirectory() as folder, flow_seconds(model, device) as flow:
        target = Path(folder) / "restored.mkv"
        summary = restore_video(model, source, target, device=device, dtype=dtype)
    return Speed(
        what=Path(source).name,
        size_in=summary.size_in,
        size_out=summary.size_out,
        frames=summary.frames,
        frames_per_second=summary.frames_per_second,
        shares=stage_shares(summary.busy, sum(flow)),
        peak_memory=summary.peak_memory,
        device=str(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
    )


def stage_shares(busy: dict[str, float], flow: float) -> dict[str, float]:
    """Shares of the busy seconds, with ``flow`` seconds of restoring apart from its body."""
    parts = {
        "decode": busy["decode"],
        "flow": flow,
        "body": busy["restore"] - flow,
        "encode": busy["encode"],
    }
    return {name: seconds / sum(busy.values()) for name, seconds in parts.items()}


def moving_clip(count: int, size: tuple[int, int], device: torch.device) -> Iterator[Tensor]:
    """Yield frames (3, H, W) of a picture that moves by a pixel a frame."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, size[1], size[0], generator=generator).to(device)
    for t in range(count):
        yield picture.roll(t, -1)


@contextmanager
def flow_seconds(model: nn.Module, device: torch.device) -> Iterator[list[float]]:
    """Measure the seconds of each call of the model's ``direct_flows`` within the block."""
    spans: list[float] = []
    if getattr(model, "flow", None) is None:
        yield spans
        return
    owner: Any = model
    estimate = owner.direct_flows

    def timed(*given: Any) -> Any:
        began = device_seconds(device)
        flows = estimate(*given)
        spans.append(device_seconds(device) - began)
        return flows

    owner.direct_flows = timed
    try:
        yield spans
    finally:
        del owner.direct_flows  # the class's own shows again


def device_seconds(device: torch.device) -> float:
    """Clock in seconds, read when all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
