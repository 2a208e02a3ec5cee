"""Speeds of networks side by side, alone and from file to file, and the share of each stage."""

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..devices import machine_name
from ..ensemble import network_of
from ..gpu import Graphs
from ..media import open_reader
from ..restoration import (
    Backend,
    backend_of,
    faster_precision,
    peak_memory,
    restore,
    restore_video,
    scale_of,
)

Clock = Callable[[], float]  # seconds

WARM_UP = 2  # frames restored before the clock starts; on a GPU all of them, twice
MEMORY = "memory MiB"  # the column that tables have where GPUs are
WINDOW = 16  # frames of a window, as ``restore`` has them


class Contender(NamedTuple):
    """A network on a device in a precision, to be compared with others."""

    name: str
    model: nn.Module
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype | None = torch.float32  # None: a CPU's faster one


@dataclass(frozen=True)
class Speed:
    """One measurement; sizes are (width, height) in pixels, shares are of the busy time."""

    what: str  # "model", or the file's name
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    frames: int
    frames_per_second: float
    shares: dict[str, float]  # flow and body, and from file to file also decode and encode
    peak_memory: int | None  # bytes of the GPU; None on CPUs, where no process has one alone
    device: str
    precision: str
    threads: int
    network: str = ""
    ratio: float = 1.0  # times the speed of the first contender at the same
    machine: str = ""

    def row(self) -> dict[str, str]:
        """Cells of a table, by column."""
        return {
            "network": self.network,
            "what": self.what,
            "in": "{}x{}".format(*self.size_in),
            "out": "{}x{}".format(*self.size_out),
            "frames": str(self.frames),
            "frames/s": f"{self.frames_per_second:.2f}",
            "ratio": f"{self.ratio:.2f}",
            "time": ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items()),
            MEMORY: "" if self.peak_memory is None else f"{self.peak_memory / 2**20:.0f}",
            "device": self.device,
            "precision": self.precision,
            "threads": str(self.threads),
        }


def measure_speed(
    contenders: list[Contender],
    sizes: list[tuple[int, int]],
    clips: list[Path],
    *,
    frames: int = 16,
    threads: int | None = None,
    rounds: int = 1,
    clock: Clock = time.perf_counter,
) -> list[Speed]:
    """Time contenders alone on made-up frames of each (width, height), and each clip as a file.

    All of them take turns at one thing, ``rounds`` times; the fastest turn of each counts, and is
    compared with that of the first. ``clock`` is for made-up frames: where other work keeps a CPU
    busy, ``time.process_time`` with one thread is near what an idle one would need.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if rounds < 1:
        raise ValueError(f"expected at least 1 round, got {rounds}")
    found = []
    things: list[tuple[int, int] | Path] = [*sizes, *clips]
    for thing in things:
        settled = [in_precision(contender, thing) for contender in contenders]
        turns = [
            [timed_turn(contender, thing, frames, clock) for contender in settled]
            for _ in range(rounds)
        ]
        best = [
            max(those, key=lambda speed: speed.frames_per_second)
            for those in zip(*turns, strict=True)
        ]
        first = best[0].frames_per_second
        found += [replace(speed, ratio=speed.frames_per_second / first) for speed in best]
    return found


def speed_table(speeds: list[Speed]) -> list[dict[str, str]]:
    """Rows of equal columns; memory is one of them where it was measured."""
    rows = [speed.row() for speed in speeds]
    empty = not any(row[MEMORY] for row in rows)
    return [{k: v for k, v in row.items() if not (empty and k == MEMORY)} for row in rows]


def in_precision(contender: Contender, thing: tuple[int, int] | Path) -> Contender:
    """The contender in a precision: that which is asked for, or a CPU's faster one at this size."""
    if contender.dtype is not None:
        return contender
    if contender.device.type != "cpu":
        return contender._replace(dtype=torch.float32)
    if isinstance(thing, Path):
        with open_reader(thing) as reader:
            thing = reader.info.width, reader.info.height
    return contender._replace(dtype=faster_precision(contender.model, thing))


def timed_turn(
    contender: Contender, thing: tuple[int, int] | Path, frames: int, clock: Clock
) -> Speed:
    """One measurement, at a size or of a file."""
    name, model, device, dtype = contender
    assert dtype is not None
    if isinstance(thing, Path):
        speed = benchmark_video(model, thing, device=device, dtype=dtype)
    else:
        speed = benchmark_model(
            model, thing, frames=frames, device=device, dtype=dtype, clock=clock
        )
    return replace(speed, network=name, machine=machine_name(device))


def benchmark_model(
    model: nn.Module,
    size: tuple[int, int],
    *,
    frames: int = 16,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    clock: Clock = time.perf_counter,
) -> Speed:
    """Time ``restore`` on a made-up clip of ``size`` (width, height) that is already decoded."""
    device = torch.device(device)
    width, height = size
    if frames < 1 or width < 1 or height < 1:
        raise ValueError(f"expected frames of at least 1x1, got {frames} of {width}x{height}")
    backend = backend_of(model, device, dtype)

    def restored(count: int) -> None:
        for _ in restore(backend, moving_clip(count, size, device), window=WINDOW, cuts=None):
            pass

    for _ in range(2 if device.type == "cuda" else 1):
        restored(frames if device.type == "cuda" else WARM_UP)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with flow_seconds(model, device, clock) as flow:
        began = device_seconds(device, clock)
        restored(frames)
        seconds = device_seconds(device, clock) - began
    if device.type == "cuda":
        flow = [graph_flow_seconds(backend, size) * frames]
    scale = scale_of(model)
    share = sum(flow) / seconds
    return Speed(
        what="model",
        size_in=size,
        size_out=(width * scale, height * scale),
        frames=frames,
        frames_per_second=frames / seconds,
        shares={"flow": share, "body": 1 - share},
        peak_memory=peak_memory(device) if device.type == "cuda" else None,
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
    backend = backend_of(model, device, dtype)
    with tempfile.TemporaryDirectory() as folder, flow_seconds(model, device) as flow:
        target = Path(folder) / "restored.mkv"
        summary = restore_video(backend, source, target)
    if device.type == "cuda":
        flow = [graph_flow_seconds(backend, summary.size_in) * summary.frames]
    return Speed(
        what=Path(source).name,
        size_in=summary.size_in,
        size_out=summary.size_out,
        frames=summary.frames,
        frames_per_second=summary.frames_per_second,
        shares=stage_shares(summary.busy, sum(flow)),
        peak_memory=summary.peak_memory if device.type == "cuda" else None,
        device=str(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
    )


@torch.inference_mode()
def graph_flow_seconds(backend: Backend, size: tuple[int, int]) -> float:
    """Seconds a frame that the flow of a window takes on a GPU, as a CUDA graph of its own.

    Inside the graph of a whole window it cannot be timed.
    """
    ahead = backend.lookahead
    frames = torch.stack([*moving_clip(WINDOW + ahead, size, backend.device)])[None]
    calls = Graphs(lambda x, ahead: backend.flows(x, None, ahead), backend.device, warnings.warn)
    for _ in range(3):  # plainly, captured, replayed
        began = device_seconds(backend.device)
        calls(frames, ahead)
        seconds = device_seconds(backend.device) - began
    return seconds / WINDOW


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
def flow_seconds(
    model: nn.Module, device: torch.device, clock: Clock = time.perf_counter
) -> Iterator[list[float]]:
    """Measure the seconds of each call of ``direct_flows`` of such a network within the block.

    Not on a GPU, where calls are replayed without Python.
    """
    spans: list[float] = []
    model = network_of(model)
    if getattr(model, "flow", None) is None or device.type == "cuda":
        yield spans
        return
    # Of its class, since a backend may run a copy of the network.
    kind: Any = next(kind for kind in type(model).__mro__ if "direct_flows" in vars(kind))
    estimate = kind.direct_flows

    def timed(*given: Any) -> Any:
        began = device_seconds(device, clock)
        flows = estimate(*given)
        spans.append(device_seconds(device, clock) - began)
        return flows

    kind.direct_flows = timed
    try:
        yield spans
    finally:
        kind.direct_flows = estimate


def device_seconds(device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Clock in seconds, read when all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()
