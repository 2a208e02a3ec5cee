"""Benchmarks: what is timed is what they say."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from media_clips import make_video
from networks import TINY
from s2svr.cli.system import contenders
from s2svr.ensemble import SelfEnsemble
from s2svr.evaluation import speed as timing
from s2svr.evaluation.speed import (
    Contender,
    Speed,
    benchmark_model,
    flow_seconds,
    graph_flow_seconds,
    in_precision,
    measure_speed,
    speed_table,
    stage_shares,
)
from s2svr.models import LIGHT_FLOW, PRESETS
from s2svr.models.s2svr import S2SVR

CPU = torch.device("cpu")


class Slow(S2SVR):
    """Two thirds or more of the time in the flow network, and a count of frames."""

    restored = 0

    def flows(self, frames: list[Tensor], count: int, lookahead: int = 0) -> object:
        return super().flows(frames, count, lookahead)

    def restore(self, x: Tensor, flows: object, state: object, lookahead: int) -> object:
        self.restored += x.shape[1] - lookahead
        return super().restore(x, flows, state, lookahead)


def test_the_frames_are_counted_and_the_clock_is_right() -> None:
    model = Slow(TINY)
    began = time.perf_counter()
    speed = benchmark_model(model, (24, 16), frames=5)
    taken = time.perf_counter() - began
    assert model.restored == 5 + 2  # and two to warm up
    assert speed.size_out == (96, 64)
    assert 5 / taken < speed.frames_per_second
    assert speed.shares["flow"] + speed.shares["body"] == pytest.approx(1)
    assert 0 < speed.shares["flow"] < 1
    assert speed.threads == torch.get_num_threads()
    assert speed.row()["out"] == "96x64"


def test_flow_is_timed_by_every_call_and_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    model = S2SVR(TINY)
    ticks = iter(range(100))
    monkeypatch.setattr("s2svr.evaluation.speed.device_seconds", lambda *given: next(ticks))
    x = torch.rand(1, 3, 3, 8, 8)
    with flow_seconds(model, CPU) as spans, torch.inference_mode():
        model(x)
        model(x)
    assert spans == [1] * 2  # a window each
    model(x)
    assert len(spans) == 2
    with flow_seconds(S2SVR(replace(TINY, flow=None)), CPU) as spans:
        pass
    assert spans == []


def test_shares_divide_the_busy_time() -> None:
    shares = stage_shares({"decode": 1.0, "restore": 7.0, "encode": 2.0}, flow=3.0)
    assert shares == {"decode": 0.1, "flow": 0.3, "body": 0.4, "encode": 0.2}


def test_clips_are_timed_from_file_to_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", size=(32, 24), pts=[0, 3003, 6006])
    alone, whole = measure_speed([Contender("tiny", S2SVR(TINY))], [(8, 8)], [path], frames=1)
    assert (alone.what, whole.what) == ("model", "in.mp4")
    assert whole.frames == 3
    assert whole.size_out == (128, 96)
    assert set(whole.shares) == {"decode", "flow", "body", "encode"}
    assert sum(whole.shares.values()) == pytest.approx(1)
    assert list(tmp_path.iterdir()) == [path]


def test_memory_is_a_column_where_a_gpu_has_been_measured() -> None:
    """What a process had at most so far says nothing of the network that runs now."""
    alone = benchmark_model(S2SVR(TINY), (8, 8), frames=1)
    assert alone.peak_memory is None
    assert "memory MiB" not in speed_table([alone])[0]
    rows = speed_table([alone, replace(alone, peak_memory=3 * 2**20, device="cuda")])
    assert [row["memory MiB"] for row in rows] == ["", "3"]


def test_auto_is_the_faster_precision_of_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr(
        timing, "faster_precision", lambda model, size: sizes.append(size) or torch.bfloat16
    )
    monkeypatch.setattr("s2svr.devices.cpu_has_bf16", lambda: True)
    auto, fixed = contenders(["sr-light"], None, ["cpu"], ["auto", "fp32"])
    assert auto.dtype is None
    path = make_video(tmp_path / "in.mp4", size=(32, 24), pts=[0, 3003])
    found = [in_precision(auto, thing).dtype for thing in ((8, 16), path)]
    assert found == [torch.bfloat16] * 2
    assert sizes == [(8, 16), (32, 24)]
    assert in_precision(fixed, (8, 8)).dtype is torch.float32
    assert in_precision(auto._replace(device=torch.device("cuda")), (8, 8)).dtype is torch.float32
    assert len(sizes) == 2


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="frames of at least 1x1, got 0 of 8x8"):
        benchmark_model(S2SVR(TINY), (8, 8), frames=0)


def test_contenders_take_turns_and_are_compared_with_the_first(monkeypatch) -> None:
    """Each round is as fast as its entry says; the fastest of each contender counts."""
    speeds = {"a": [2.0, 4.0, 3.0], "b": [1.0, 2.0, 5.0]}
    order: list[str] = []

    def timed(contender: Contender, size: tuple[int, int], frames: int, clock: object) -> Speed:
        order.append(contender.name)
        fps = speeds[contender.name][order.count(contender.name) - 1]
        return Speed("model", size, size, frames, fps, {}, 0, "cpu", "float32", 1, contender.name)

    monkeypatch.setattr(timing, "timed_turn", timed)
    two = [Contender(name, S2SVR(TINY)) for name in "ab"]
    found = measure_speed(two, [(8, 8)], [], frames=3, rounds=3)
    assert order == ["a", "b"] * 3
    assert [(x.network, x.frames_per_second, x.ratio) for x in found] == [
        ("a", 4, 1),
        ("b", 5, 1.25),
    ]
    assert found[1].row()["ratio"] == "1.25"
    with pytest.raises(ValueError, match="at least 1 round, got 0"):
        measure_speed(two, [(8, 8)], [], rounds=0)


def test_the_clock_that_is_given_is_read() -> None:
    """Each reading is a second after the one before: flow has one, and around all are two more."""
    ticks = iter(range(100))
    speed = benchmark_model(S2SVR(TINY), (8, 8), frames=4, clock=lambda: float(next(ticks)))
    assert speed.frames_per_second == 4 / 3
    assert speed.shares["flow"] == pytest.approx(1 / 3)


def test_what_cannot_run_is_refused_and_presets_have_random_weights() -> None:
    found = contenders(["sr-light", "sr-paper"], None, ["cpu"], ["fp32", "auto"])
    assert [each.name for each in found] == ["sr-light", "sr-light", "sr-paper", "sr-paper"]
    assert found[0].model is not found[1].model
    assert found[2].model.config == PRESETS["sr-paper"]
    with pytest.raises(ValueError, match="precision fp16 is slower"):
        contenders(["sr-light"], None, ["cpu"], ["fp32", "fp16"])
    with pytest.raises(ValueError, match="expected weights by name"):
        contenders(["sr-nothing"], None, ["cpu"], ["auto"])


def test_the_flow_of_a_graph_is_that_of_its_replay(monkeypatch) -> None:
    """Seconds a frame: plain 50, captured 20, replayed 8, over windows of 16 frames."""
    calls: list[tuple] = []
    ticks = iter([0.0, 50.0, 50.0, 70.0, 70.0, 78.0])

    class Graph:
        def __init__(self, function, device, say) -> None:
            self.function = function

        def __call__(self, frames: Tensor, ahead: int) -> object:
            calls.append((tuple(frames.shape), ahead))
            return self.function(frames, ahead)

    monkeypatch.setattr(timing, "Graphs", Graph)
    monkeypatch.setattr(timing, "device_seconds", lambda *given: next(ticks))
    backend = timing.backend_of(S2SVR(TINY), CPU)
    assert graph_flow_seconds(backend, (16, 8)) == 8 / 16
    assert calls == [((1, 16 + backend.lookahead, 3, 8, 16), backend.lookahead)] * 3


@pytest.mark.parametrize("preset", ["sr-light", "compression-light"])
def test_steps_are_timed_on_clips_as_a_training_has_them(
    benchmark, monkeypatch: pytest.MonkeyPatch, capsys, preset: str
) -> None:
    script = benchmark("step_time")
    sizes = ["--frames", "2", "--crop", "16", "--batch", "1", "--steps", "1", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["", "--device", "cpu", "--preset", preset, *sizes])
    script.main()
    said = capsys.readouterr().out
    assert "plain: losses 0." in said
    assert "fused: losses 0." in said


def test_the_flow_of_mirrored_frames_is_timed_too() -> None:
    model = SelfEnsemble(S2SVR(replace(TINY, flow=LIGHT_FLOW)))
    (found,) = measure_speed([Contender("tiny+", model)], [(48, 32)], [], frames=2)
    assert 0 < found.shares["flow"] < 1
