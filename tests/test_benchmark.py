"""Benchmarks: what is timed is what they say."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from media_clips import make_video
from networks import TINY
from s2svr.evaluation.speed import benchmark_model, flow_seconds, measure_speed, stage_shares
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
    monkeypatch.setattr("s2svr.evaluation.speed.device_seconds", lambda device: next(ticks))
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
    alone, whole = measure_speed(S2SVR(TINY), [(8, 8)], [path], frames=1)
    assert (alone.what, whole.what) == ("model", "in.mp4")
    assert whole.frames == 3
    assert whole.size_out == (128, 96)
    assert set(whole.shares) == {"decode", "flow", "body", "encode"}
    assert sum(whole.shares.values()) == pytest.approx(1)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="frames of at least 1x1, got 0 of 8x8"):
        benchmark_model(S2SVR(TINY), (8, 8), frames=0)
