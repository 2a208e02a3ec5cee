"""What is done on GPUs, with fakes of CUDA's graphs and streams: recorded calls, late copies."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from media_clips import make_video
from s2svr import gpu
from s2svr.flow import FilesFlow
from s2svr.gpu import FORMS, Copies, Graphs
from s2svr.maps import leaves
from s2svr.media import read_clip
from s2svr.models import PRESETS, S2SVR, PWCLiteConfig, S2SVRConfig
from s2svr.restoration import Encoding, Job, backend_of, restore, restore_job
from s2svr.restoration.backend import Identity, TorchBackend
from s2svr.restoration.memory import MARGIN, count_footprint

CPU = torch.device("cpu")


class Recorded(TorchDispatchMode):
    """A CUDA graph as far as its caller can tell: kernels and tensors of one call, run again."""

    made: list["Recorded"] = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[tuple[Any, Any, Any, Any]] = []
        self.replayed = 0
        self.made.append(self)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to say otherwise would import the compiler, which takes seconds

    def __torch_dispatch__(
        self, function: Any, types: Any, given: Any = (), named: Any = None
    ) -> Any:
        result = function(*given, **(named or {}))
        self.kernels.append((function, given, named or {}, result))
        return result

    @torch.no_grad()
    def ended(self) -> None:
        """Nothing was computed: a capture leaves tensors without values."""
        for _, given, _, result in self.kernels:
            for x in tensors(result):
                own = not x._is_view() and not any(x is one for one in given)
                if x.is_floating_point() and own:
                    x.fill_(float("nan"))

    @torch.no_grad()
    def replay(self) -> None:
        self.replayed += 1
        for function, given, named, result in self.kernels:
            again = function(*given, **named)
            for ours, now in zip(tensors(result), tensors(again), strict=True):
                if ours is not now:
                    ours.copy_(now)


def tensors(result: Any) -> list[Tensor]:
    found = result if isinstance(result, tuple | list) else [result]
    return [x for x in found if isinstance(x, Tensor)]


@contextmanager
def recording(graph: Recorded, pool: str, stream: str, capture_error_mode: str) -> Iterator[None]:
    assert (pool, stream, capture_error_mode) == ("pool", "stream", "thread_local")
    with graph:
        yield
    graph.ended()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """CUDA's graphs on a CPU; the list of those that are made."""
    Recorded.made = []
    fakes: dict[str, Any] = {
        "CUDAGraph": Recorded,
        "graph": recording,
        "graph_pool_handle": lambda: "pool",
        "Stream": lambda device: "stream",
        "current_stream": lambda device: "now",
        "stream": nullcontext,
        "device": nullcontext,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(gpu.torch.cuda, name, fake)
    return Recorded.made


def silent(line: str) -> None:
    pytest.fail(f"it should have said nothing, got {line}")


def summed(given: tuple[Tensor, Any], times: int) -> tuple[Tensor, list[Tensor]]:
    x, memory = given
    total = times * x + (0 if memory is None else memory[0])
    return total, [total.relu(), x]


def test_a_form_is_captured_when_it_comes_again_and_replayed_from_then_on(cuda: list[Recorded]):
    calls = Graphs(summed, CPU, silent)
    memory, kept = None, []
    for index in range(6):
        x = torch.full((2, 3), float(index))
        wanted = summed((x, memory), 2)
        y, memory = calls((x, memory), 2)
        kept.append((y, wanted[0]))
        assert torch.equal(y, wanted[0])
        assert all(map(torch.equal, memory, wanted[1]))
    for y, wanted in kept:  # no later call has changed what an earlier one gave
        assert torch.equal(y, wanted)
    # The first has no memory; of the five others the first ran as it is.
    assert [graph.replayed for graph in cuda] == [4]


def test_each_form_has_a_graph_of_its_own_and_only_a_few_are_captured(cuda: list[Recorded]):
    calls = Graphs(summed, CPU, silent)
    for _ in range(3):
        for side in range(1, FORMS + 3):
            x = torch.rand(side, 2)
            assert torch.equal(calls((x, None), 1)[0], x)
            assert torch.equal(calls((x.double(), None), 3)[0], 3 * x.double())
    assert len(cuda) == len(calls.replays) == FORMS
    rows = torch.rand(2, 3)
    assert gpu.form_of(rows) != gpu.form_of(rows.T.contiguous().T)
    assert gpu.form_of([rows]) == gpu.form_of([rows.clone()])
    assert gpu.form_of([rows]) != gpu.form_of((rows,))


def test_where_capturing_fails_calls_are_plain_and_it_is_said_once(
    cuda: list[Recorded], monkeypatch: pytest.MonkeyPatch
):
    @contextmanager
    def refused(*given: Any, capture_error_mode: str) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(gpu.torch.cuda, "graph", refused)
    said: list[str] = []
    calls = Graphs(summed, CPU, said.append)
    for side in (2, 3):
        for _ in range(4):
            x = torch.rand(side)
            assert torch.equal(calls((x, None), 2)[0], 2 * x)
    assert said == ["going on without CUDA graphs, more slowly: operation not permitted"]
    assert len(cuda) == 1


@pytest.mark.parametrize("suffices", [True, False])
def test_lack_of_memory_frees_what_graphs_hold_and_tries_again(
    cuda: list[Recorded], suffices: bool
):
    tried: list[int] = []

    def small(given: Tensor) -> Tensor:
        tried.append(len(given))
        if len(given) > 2 and (calls.replays or not suffices):
            raise torch.OutOfMemoryError("CUDA out of memory\nand much more")
        return given + 1

    said: list[str] = []
    calls = Graphs(small, CPU, said.append)
    for _ in range(3):
        assert torch.equal(calls(torch.zeros(2)), torch.ones(2))
    assert len(calls.replays) == 1
    tried.clear()
    if suffices:
        assert torch.equal(calls(torch.zeros(3)), torch.ones(3))
    else:
        with pytest.raises(torch.OutOfMemoryError):
            calls(torch.zeros(3))
    assert tried == [3, 3]
    assert said == ["going on without CUDA graphs, more slowly: CUDA out of memory"]
    for _ in range(3):
        assert torch.equal(calls(torch.zeros(1)), torch.ones(1))
    assert not calls.replays
    if not suffices:  # nothing is held now: there is no second try
        tried.clear()
        with pytest.raises(torch.OutOfMemoryError):
            calls(torch.zeros(3))
        assert tried == [3]


def test_a_failed_capture_leaves_nothing_behind_for_the_call_after_it(cuda: list[Recorded]):
    held: list[Any] = []

    def failing(given: Tensor) -> Tensor:
        if any(reference() is not None for reference in held):
            raise torch.OutOfMemoryError("CUDA out of memory: the failed call holds it")
        work = type("Work", (), {})()  # of one call
        held.append(weakref.ref(work))
        if len(held) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return given + 0 * len(vars(work))

    said: list[str] = []
    calls = Graphs(failing, CPU, said.append)
    gc.disable()
    try:
        for _ in range(3):
            assert torch.equal(calls(torch.ones(2)), torch.ones(2))
    finally:
        gc.enable()
    assert said == ["going on without CUDA graphs, more slowly: CUDA out of memory"]


def test_a_backend_goes_with_its_last_reference(
    cuda: list[Recorded], monkeypatch: pytest.MonkeyPatch
):
    """Graphs and cast weights too, without the collector of cycles."""
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *given, **named: self)
    monkeypatch.setattr(TorchBackend, "autocast", lambda self: nullcontext())
    backend = TorchBackend(lively("sr-light"), torch.device("cuda"), torch.bfloat16, silent)
    frames = torch.rand(1, 2, 3, 8, 16)
    gc.disable()
    try:
        for _ in range(3):
            backend.run(frames, None, 1)
        assert len(cuda) == 1
        cuda.clear()
        parts = [backend, backend.network, backend.graphs]
        held = [weakref.ref(part) for part in parts]
        del backend, parts
        assert [reference() is None for reference in held] == [True] * 3
    finally:
        gc.enable()


def test_networks_that_read_flow_from_files_are_not_captured(monkeypatch: pytest.MonkeyPatch):
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *given, **named: self)
    model, found = lively("sr-light"), []
    for flow in (model.flow, FilesFlow.__new__(FilesFlow), None):
        vars(model)["flow"] = flow
        found.append(TorchBackend(model, torch.device("cuda"), torch.float32, silent).graphs)
    assert [graphs is None for graphs in found] == [False, True, False]


def test_a_network_forgets_the_device_it_was_on(monkeypatch: pytest.MonkeyPatch):
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    model, move = lively("sr-light"), torch.nn.Module.to

    def moved(self: S2SVR, device: Any = CPU, **named: Any) -> Any:
        return move(self, CPU, **named)

    monkeypatch.setattr(torch.nn.Module, "to", moved)
    ways = []
    for device in ("cpu", "cuda", "cpu"):
        TorchBackend(model, torch.device(device), torch.float32, silent)
        weight = model.encoder.first.weight
        rows = weight.is_contiguous(memory_format=torch.channels_last)
        ways.append((model.pairs, model.few, rows))
    assert ways == [(1, False, False), (16, True, True), (1, False, False)]


FLOW = PWCLiteConfig(
    channels=(4, 4), features=4, search=1, estimator=(4, 4), context=(4,), finest=0
)


def lively(preset: str) -> S2SVR:
    """A small network whose every path changes the picture."""
    config = PRESETS[preset]
    assert isinstance(config, S2SVRConfig)
    torch.manual_seed(0)
    small = replace(config, channels=4, feedback=4, attention=4, encoder_blocks=1,
                    decoder_blocks=1, flow=FLOW)  # fmt: skip
    model = S2SVR(small).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if model.mixer is not None and model.mixer.quality is not None:
            share = model.mixer.quality.trust.tell[-1]
            share.weight.zero_()
            share.bias.fill_(-0.6)
    return model


@pytest.mark.parametrize("preset", ["sr-light", "compression-light"])
def test_networks_in_graphs_restore_the_same_bits(cuda: list[Recorded], preset: str):
    """Two shots of a first window, middle ones and a last one that sees no later frame."""
    model = lively(preset)
    generator = torch.Generator().manual_seed(1)
    frames, shot = list(torch.rand(2 * 9, 3, 8, 16, generator=generator)), 9

    def cuts(given: Iterator[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        return ((frame, index % shot == 0) for index, frame in enumerate(given))

    wanted = list(restore(model, frames, window=2, cuts=cuts))
    backend = TorchBackend(model, CPU, torch.float32)
    backend.graphs = Graphs(backend.restored, CPU, silent)
    found = list(restore(backend, frames, window=2, cuts=cuts))
    assert all(map(torch.equal, found, wanted))
    assert len(cuda) >= 3
    assert sum(graph.replayed for graph in cuda) >= 4


def test_graphs_keep_what_the_plan_says(cuda: list[Recorded]):
    """Beside their pool, frames and memories that they read and make, and no more."""
    model = lively("sr-light")
    backend = TorchBackend(model, CPU, torch.float32)
    counted = replace(count_footprint(backend), rest=0.0, frame=0.0, captured=32 * 24)
    backend.graphs = Graphs(backend.restored, CPU, silent)
    frames, memory = torch.rand(1, 4 + model.lookahead, 3, 24, 32), None
    for _ in range(3):
        _, memory = backend.run(frames, memory, model.lookahead)
    (replay,) = backend.graphs.replays.values()
    kept = sum(x.nbytes for x in [*leaves(replay.given), *leaves(replay.made)])
    assert MARGIN * FORMS * kept == pytest.approx(counted.graphs(32, 24, 4, None), rel=1e-3)


def test_frames_that_keep_a_gpu_busy_are_not_captured(monkeypatch: pytest.MonkeyPatch):
    backend = backend_of(lively("sr-light"))
    assert isinstance(backend, TorchBackend)
    assert backend.graphs is None  # on a CPU
    monkeypatch.setattr("s2svr.restoration.backend.LAUNCHED", 16 * 16)
    seen: list[tuple] = []

    def noted(given: Any, ahead: int) -> Any:
        seen.append(tuple(given[0].shape))
        return backend.restored(given, ahead)

    backend.graphs = Graphs(noted, CPU, silent)
    for width in (16, 17):
        backend.run(torch.rand(1, 2, 3, 16, width), None, 1)
    assert seen == [(1, 2, 3, 16, 16)]


class Way:
    """A CUDA stream whose work is done when somebody waits for it."""

    def __init__(self) -> None:
        self.due: list[Callable[[], Any]] = []

    def record_event(self) -> "Way":
        return self

    def synchronize(self) -> None:
        while self.due:
            self.due.pop(0)()

    wait_stream = wait_event = lambda self, other: other.synchronize()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Copies]:
    """Makes copies of which nothing arrives before it is waited for."""
    now: list[Way] = [Way()]
    plain_to, plain_copy = Tensor.to, Tensor.copy_

    @contextmanager
    def on(way: Way) -> Iterator[None]:
        now.append(way)
        yield
        now.pop()

    def copied(ours: Tensor, theirs: Tensor, non_blocking: bool = False) -> Tensor:
        if not non_blocking:
            return plain_copy(ours, theirs)
        value = theirs.clone()
        now[-1].due.append(lambda: plain_copy(ours, value))
        return ours

    def moved(tensor: Tensor, *given: Any, non_blocking: bool = False, **named: Any) -> Tensor:
        if not non_blocking:
            return plain_to(tensor, *given, **named)
        return copied(torch.zeros_like(tensor), tensor, non_blocking=True)

    monkeypatch.setattr(Tensor, "to", moved)
    monkeypatch.setattr(Tensor, "copy_", copied)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, way: None)
    monkeypatch.setattr(gpu, "pinned_like", torch.zeros_like)
    monkeypatch.setattr(gpu.torch.cuda, "stream", on)
    monkeypatch.setattr(gpu.torch.cuda, "current_stream", lambda device: now[0])

    def made(device: torch.device = CPU) -> Copies:
        copies = Copies(device)
        copies.ways = Way(), Way()  # type: ignore[assignment]
        return copies

    return made


def test_copies_arrive_where_they_are_waited_for_and_not_before(late: Callable[[], Copies]):
    copies, x = late(), torch.rand(2, 3)
    coming = copies.up([x])
    assert not torch.equal(coming.tensors[0], x)
    assert torch.equal(copies.taken(coming)[0], x)
    going = [copies.down([number * x]) for number in (1, 2)]
    assert not going[0].tensors[0].any()
    going[1].wait()
    assert torch.equal(going[0].tensors[0], x)
    assert torch.equal(going[1].tensors[0], 2 * x)


def test_copies_of_a_cpu_are_none():
    copies, x = Copies(CPU), torch.rand(2)
    assert copies.taken(copies.up([x]))[0] is x
    landing = copies.down([x])
    landing.wait()
    assert landing.tensors[0] is x


def test_a_video_waits_for_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Callable[[], Copies]
):
    """Nothing is lost of frames, of those that repeat the one before, and of checkpoints."""
    source = make_video(tmp_path / "in.mkv", codec="ffv1", form="yuv444p", size=(32, 24))
    wanted = read_clip(source)
    monkeypatch.setattr("s2svr.restoration.pipeline.Copies", late)
    lossless = Encoding(codec="ffv1")
    restore_job(Identity(), Job(source, tmp_path / "out.mkv", encoding=lossless), segment=4)
    assert torch.equal(read_clip(tmp_path / "out.mkv"), wanted)
