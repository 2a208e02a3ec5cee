"""The precision of a restoration: asked for, chosen by time, and kept where it goes on."""

import math
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from media_clips import make_video
from s2svr import devices
from s2svr.checkpoint import load
from s2svr.files import network_fingerprint
from s2svr.jobs import looking
from s2svr.jobs.looking import job_of
from s2svr.jobs.many import fitted
from s2svr.jobs.order import Entry
from s2svr.maps import each
from s2svr.media import open_reader, read_clip
from s2svr.models import PRESETS, S2SVR, PWCLiteConfig, S2SVRConfig
from s2svr.restoration import Compute, Encoding, Excerpt, Job, restore_job, settle, video
from s2svr.restoration import backend as backends
from s2svr.restoration.backend import TorchBackend, faster_precision
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.preview import preview_video
from s2svr.restoration.settings import Stretch
from s2svr.restoration.video import precision_of, settled_precision
from s2svr.tuning import trial

CPU = torch.device("cpu")


def tiny(flow: PWCLiteConfig | None = None) -> S2SVR:
    config = PRESETS["deblur-light"]
    assert isinstance(config, S2SVRConfig)
    torch.manual_seed(0)
    model = S2SVR(replace(config, channels=4, feedback=4, attention=4, encoder_blocks=1,
                          decoder_blocks=1, flow=flow)).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("flags", ["avx2 avx512_bf16", "avx2 avx512f"])
def test_auto_leaves_a_choice_where_the_cpu_has_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str
):
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"flags\t\t: fpu {flags}\n")
    monkeypatch.setattr(devices, "CPU_FACTS", facts)
    there = "bf16" in flags
    found = devices.wanted_precision("auto", CPU)
    assert found is (None if there else torch.float32)
    text = "float32 or bfloat16, the faster one" if there else "float32"
    assert devices.describe_machine("cpu")["precision"] == text
    assert devices.wanted_precision("fp32", CPU) is torch.float32
    assert devices.wanted_precision("auto", torch.device("cuda")) is torch.float32
    with pytest.raises(ValueError, match="fp16 is slower than fp32 on this CPU"):
        devices.wanted_precision("fp16", CPU)
    assert devices.precision_named("bfloat16") is torch.bfloat16
    assert devices.precision_named("nothing") is None


def test_a_machine_has_the_threads_that_may_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert devices.machine_name(CPU).endswith(", 3 threads")
    monkeypatch.delattr(devices.os, "sched_getaffinity")
    assert devices.machine_name(CPU).endswith(", 64 threads")


def test_bf16_is_refused_by_gpus_without_it(monkeypatch: pytest.MonkeyPatch):
    def native(*, including_emulation: bool) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    with pytest.raises(ValueError, match="an old GPU has no bf16; use fp16 or fp32"):
        devices.choose_precision("bf16", torch.device("cuda"))
    assert devices.choose_precision("fp16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_the_precision_that_restores_a_frame_faster_is_taken(
    monkeypatch: pytest.MonkeyPatch, faster: torch.dtype
):
    """The first frame of each is slow and does not count."""
    now, met = [0.0], []

    def run(self: TorchBackend, frames: torch.Tensor, memory: None, ahead: int) -> None:
        now[0] += 2.0 if self.dtype is faster else 3.0
        now[0] += 0 if self.dtype in met else 10 if self.dtype is faster else 1
        met.append(self.dtype)
        assert frames.shape == (1, 1 + self.lookahead, 3, 108, 64)

    monkeypatch.setattr(TorchBackend, "run", run)
    monkeypatch.setattr(backends.time, "perf_counter", lambda: now[0])
    assert faster_precision(tiny(), (64, 500)) is faster
    assert len(met) == 4


def test_weights_are_cast_once_and_give_the_same_bits():
    model = tiny(PWCLiteConfig(channels=(4, 4), features=4, search=1, estimator=(4, 4),
                               context=(4,), finest=0))  # fmt: skip
    print_before = network_fingerprint(model)
    backend = TorchBackend(model, CPU, torch.bfloat16)
    frames = torch.rand(1, 3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    found, memory = backend.run(frames, None, 0)
    # In the same memory order: on some processors another one rounds in another way.
    ordered = deepcopy(model).to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        wanted, other = ordered(frames, None, 0)
    assert torch.equal(found, wanted[0].float())
    assert all(map(torch.equal, memory.z, other.z))
    layers = [x for x in backend.network.modules() if isinstance(x, nn.Conv2d)]
    assert layers
    assert all(layer.weight.dtype == torch.bfloat16 for layer in layers)
    assert any(name.startswith("flow.") for name, _ in backend.network.named_parameters())
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert backend.identity == print_before == network_fingerprint(model)
    for part, last in ((backend.network, True), (model, False)):  # what computes in float32 stays
        weight = part.get_submodule("encoder.layers.0.gru.candidate").weight
        assert weight.is_contiguous(memory_format=torch.channels_last) is last


def test_reduced_precision_remembers_in_it_and_in_the_order_of_its_convolutions():
    """One state in float32 would make every layer after it compute and copy twice as much."""
    backend = TorchBackend(load("sr-light"), CPU, torch.bfloat16)
    frames = torch.rand(1, 4, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    restored, memory = backend.run(frames, None, 1)
    assert restored.dtype == torch.float32
    for state in (*memory.z, *memory.latents, *memory.s):
        assert state.dtype == torch.bfloat16
        assert state.is_contiguous(memory_format=torch.channels_last)
        assert not state.is_contiguous()
    assert memory.y.dtype == torch.float32  # the picture


@pytest.mark.parametrize("preset", ["sr-light", "deblur-light", "compression-light"])
def test_a_stored_memory_gives_the_same_bits_in_reduced_precision(preset: str):
    """What a journal holds lies in the plain order."""
    backend = TorchBackend(load(preset), CPU, torch.bfloat16)
    frames = torch.rand(1, 5, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    _, memory = backend.run(frames[:, :3], None, 0)
    stored = each(memory, lambda state: state.clone(memory_format=torch.contiguous_format))
    found, kept = (backend.run(frames[:, 3:], m, 0)[0] for m in (stored, memory))
    assert torch.equal(found, kept)


def test_when_a_frame_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, model, asked = make_video(tmp_path / "in.mkv", size=(32, 24)), tiny(), []

    def timed(model: nn.Module, size: tuple[int, int]) -> torch.dtype:
        asked.append(size)
        return torch.bfloat16

    monkeypatch.setattr(video, "faster_precision", timed)
    job = Job(source, tmp_path / "out.mkv", compute=Compute(dtype=None))
    with open_reader(source) as reader:
        info = reader.info
    assert settled_precision(model, job, info) is torch.float32  # too short
    long = replace(info, duration=Fraction(10**6))
    assert settled_precision(model, job, long) is torch.bfloat16
    assert settled_precision(model, job, replace(info, duration=None)) is torch.bfloat16
    assert asked == [(32, 24), (32, 24)]
    for fixed in (
        replace(job, stretch=Stretch(0, 4)),
        replace(job, parts=(tmp_path,)),
        replace(job, compute=Compute()),
    ):
        assert settled_precision(model, fixed, long) is torch.float32
    on_gpu = replace(job, compute=Compute(torch.device("cuda"), None))
    assert settled_precision(model, on_gpu, long) is torch.float32  # a CPU's time says nothing
    assert settled_precision(model.to("meta"), job, long) is torch.float32  # where it is
    model = tiny()
    reduced = replace(job, compute=Compute(dtype=torch.bfloat16))
    assert settled_precision(model, reduced, info) is torch.bfloat16
    assert len(asked) == 2
    monkeypatch.setattr(video, "TIMED", math.inf)
    settled, plan = settle(model, job, brief=False)
    assert plan is not None
    assert (settled.compute.dtype, plan.precision) == (torch.bfloat16, "bfloat16")


def test_a_frame_is_timed_with_the_threads_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[object] = []
    source = make_video(tmp_path / "in.mkv", size=(32, 24))
    monkeypatch.setattr(torch, "set_num_threads", done.append)
    monkeypatch.setattr(video, "TIMED", math.inf)
    monkeypatch.setattr(
        video, "faster_precision", lambda model, size: done.append("timed") or torch.bfloat16
    )
    job = Job(source, tmp_path / "out.mkv", compute=Compute(dtype=None, threads=3))
    assert precision_of(tiny(), job) is torch.bfloat16
    assert done == [3, "timed"]


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """On this CPU bfloat16 is faster; the sizes of the frames that are timed."""
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr(video, "TIMED", math.inf)
    monkeypatch.setattr(
        video, "faster_precision", lambda model, size: sizes.append(size) or torch.bfloat16
    )
    monkeypatch.setattr(looking, "wanted_precision", lambda name, device: None)
    return sizes


def test_what_is_settled_is_kept_by_the_work(tmp_path: Path, timed: list[tuple[int, int]]):
    """By a planned job, and by each of many files, which time a frame once."""
    source = make_video(tmp_path / "in.mkv", size=(32, 24))
    entry = Entry(name="in", source=source, target=tmp_path / "out.mkv", weights="deblur-light")
    for name in ("bfloat16", "float32"):
        planned = entry.but({"plan": {"window": 4, "tile": None, "precision": name}})
        assert job_of(planned).compute.dtype is devices.precision_named(name)
    assert job_of(entry).compute.dtype is None
    bench: Any = SimpleNamespace(network=lambda job, task: model, fits={})
    model = tiny()
    for count in (1, 2):
        job = fitted(bench, entry)
        assert job.compute.dtype is precision_of(model, job) is torch.bfloat16
        assert timed == [(32, 24)] * count
    assert len(bench.fits) == 1


def test_previews_and_trials_are_in_the_precision_of_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timed: list[tuple[int, int]]
):
    source, model = make_video(tmp_path / "in.mkv", size=(32, 24)), tiny()
    job = Job(source, tmp_path / "out.mkv", encoding=Encoding(codec="ffv1"))
    job = replace(job, compute=Compute(dtype=None))
    ran: list[torch.dtype] = []
    run = TorchBackend.run

    def noted(self: TorchBackend, frames: torch.Tensor, memory: Any, *given: Any) -> Any:
        ran.append(self.dtype)
        return run(self, frames, memory, *given)

    monkeypatch.setattr(trial, "timed_film", lambda candidate, *rest: candidate)
    monkeypatch.setattr(TorchBackend, "run", noted)
    preview_video(model, job, Fraction(1, 10))
    assert set(ran) == {torch.bfloat16}
    ran.clear()
    moment = list(torch.rand(13, 3, 24, 32, generator=torch.Generator().manual_seed(0)))
    network = trial.Network("deblur", "fast", "deblur-light")
    trial.try_all([network], job, [moment], lambda name: model, lambda: 1e9, tmp_path)
    assert set(ran) == {torch.bfloat16}
    assert timed == [(32, 24)] * 2


def test_a_restoration_goes_on_in_the_precision_it_was_begun_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever would be faster now."""
    source, model = make_video(tmp_path / "in.mkv", size=(32, 24)), tiny()
    monkeypatch.setattr(video, "TIMED", math.inf)
    monkeypatch.setattr(video, "faster_precision", lambda model, size: torch.bfloat16)
    lossless = Encoding(codec="ffv1")
    cut = Job(source, tmp_path / "cut.mkv", Excerpt(), lossless, Compute(dtype=None, window=2))
    with pytest.raises(Stopped):
        restore_job(model, cut, segment=2, stop=lambda: True)
    monkeypatch.setattr(video, "faster_precision", lambda model, size: torch.float32)
    assert restore_job(model, cut, segment=2).resumed > 0
    for dtype, same in ((torch.bfloat16, True), (torch.float32, False)):
        target = tmp_path / f"{dtype}.mkv"
        whole = replace(cut, target=target, compute=Compute(dtype=dtype, window=2))
        restore_job(model, whole, segment=2)
        assert torch.equal(read_clip(cut.target), read_clip(target)) == same
