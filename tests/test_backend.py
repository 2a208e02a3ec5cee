"""Other backends than PyTorch's pass through the same door."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from media_clips import make_video
from s2svr import devices
from s2svr.checkpoint import load
from s2svr.media import read_clip
from s2svr.models import PRESETS, S2SVR, PWCLite, PWCLiteConfig, S2SVRConfig
from s2svr.restoration import Backend, Compute, Job, backend_of, restore, restore_job
from s2svr.restoration.backend import TorchBackend
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.verify import Identity
from s2svr.writing.images import write_png


class Trail:
    """Mixes each frame with the one before, as far as it is remembered; no PyTorch module."""

    scale, lookahead = 1, 1
    device, precision = torch.device("cpu"), "float32"
    memory_types: Sequence[type] = ()

    def __init__(self, name: str = "trail") -> None:
        self.identity = name

    def run(self, frames: Tensor, memory: Any, ahead: int, flows: Any = None) -> tuple[Tensor, Any]:
        out = []
        for frame in frames[0, : frames.shape[1] - ahead]:
            out.append(frame if memory is None else (frame + memory[0][0]) / 2)
            memory = [frame[None].clone()]
        return torch.stack(out), memory

    def flows(self, frames: Tensor, memory: Any, ahead: int) -> Any:
        return None


def frames_of(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 200, 240, generator=generator) for _ in range(count)]


def test_what_is_a_backend():
    assert isinstance(Trail(), Backend)
    assert isinstance(Identity(), Backend)
    own = Trail()
    assert backend_of(own) is own
    assert isinstance(backend_of(S2SVR(S2SVRConfig(channels=4, flow=None))), TorchBackend)
    with pytest.raises(ValueError, match="expected a restoration model, got a PWCLite"):
        backend_of(PWCLite(PWCLiteConfig()))
    with pytest.raises(ValueError, match="expected a restoration model, got a Linear"):
        backend_of(nn.Linear(1, 1))


@pytest.mark.parametrize("tile", [None, 192])
@pytest.mark.parametrize("window", [1, 3, 16])
def test_a_backend_restores_frames_whatever_the_windows_and_tiles(window: int, tile: int | None):
    frames = frames_of(5)
    wanted = [frames[0], *((a + b) / 2 for a, b in zip(frames[1:], frames, strict=False))]
    found = list(restore(Trail(), frames, window=window, tile=tile, cuts=None))
    assert len(found) == 5
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).abs().max() < 1e-6


def test_a_restoration_by_a_backend_goes_on_where_it_was(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    for index, frame in enumerate(frames_of(80)):
        write_png(source / f"{index:03}.png", frame[:, :32, :32])
    compute = Compute(window=4)
    whole = Job(source, tmp_path / "whole", compute=compute, scene_cuts=False)
    restore_job(Trail(), whole)
    cut_off = Job(source, tmp_path / "cut", compute=compute, scene_cuts=False)
    with pytest.raises(Stopped):
        restore_job(Trail(), cut_off, segment=32, stop=lambda: True)
    with pytest.raises(Exception, match="begun with network trail, and now it is other"):
        restore_job(Trail("other"), cut_off, segment=32)
    assert restore_job(Trail(), cut_off, segment=32).resumed == 32
    assert torch.equal(read_clip(whole.target), read_clip(cut_off.target))


def test_pytorch_behind_the_door_gives_what_the_network_gives():
    torch.manual_seed(0)
    config = PRESETS["sr-light"]
    assert isinstance(config, S2SVRConfig)
    model = S2SVR(config).eval()
    backend = backend_of(model)
    x = torch.rand(1, 4, 3, 32, 40)
    with torch.inference_mode():
        wanted, memory = model(x, None, 1)
    found, ours = backend.run(x, None, 1)
    assert torch.equal(found, wanted[0])
    assert all(map(torch.equal, ours.z, memory.z))
    again, _ = backend.run(x, None, 1, backend.flows(x, None, 1))
    assert torch.equal(again, found)
    assert backend.identity == backend_of(model).identity


def test_a_video_passes_through_a_backend(tmp_path: Path):
    source = make_video(tmp_path / "in.mkv", codec="ffv1", form="yuv444p", size=(32, 24))
    summary = restore_job(Identity(), Job(source, tmp_path / "out.mkv"))
    assert summary.frames == len(read_clip(source)) == len(read_clip(tmp_path / "out.mkv"))


@pytest.mark.parametrize(
    ("flags", "there"),
    [("fpu avx2 avx512_bf16 amx_tile", True), ("amx_bf16", True), ("fpu avx2 avx512f", False)],
)
def test_bf16_is_for_cpus_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, there: bool
):
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"model name\t: A CPU\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16_bug\n")
    monkeypatch.setattr(devices, "CPU_FACTS", facts)
    cpu = torch.device("cpu")
    if there:
        assert devices.choose_precision("bf16", cpu) == torch.bfloat16
    else:
        with pytest.raises(ValueError, match="bf16 is slower than fp32 on this CPU"):
            devices.choose_precision("bf16", cpu)
    with pytest.raises(ValueError, match="fp16 is slower"):
        devices.choose_precision("fp16", cpu)
    assert devices.choose_precision("auto", cpu) == torch.float32


def test_bf16_changes_a_frame_by_few_levels():
    """Coordinates of warps stay in float32, so nothing moves."""
    model = load("sr-light")
    generator = torch.Generator().manual_seed(0)
    wide = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), (24, 40), mode="bicubic")
    frames = torch.stack([wide[0, ..., t : t + 32].clamp(0, 1) for t in range(3)])[None]
    exact, near = (
        TorchBackend(model, torch.device("cpu"), dtype).run(frames, None, 0)[0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert near.dtype == torch.float32
    assert 0 < (exact - near).abs().max() < 4 / 255
