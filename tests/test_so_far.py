"""What a restoration has so far, and steps that become slow."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from typer.testing import CliRunner

from media_clips import make_video, packets, video_times
from s2svr import MediaError
from s2svr.cli.app import app
from s2svr.restoration import Compute, Encoding, Excerpt, Job, restore_job, write_so_far
from s2svr.restoration import busy as busy_module
from s2svr.restoration.busy import BusyCores
from s2svr.restoration.journal import POSITION
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.verify import Identity

TIMES = [3000 * n for n in range(24)]  # 0.8 s


@pytest.fixture
def job(tmp_path: Path) -> Job:
    source = make_video(
        tmp_path / "a.mkv", pts=TIMES, sound=["aac", "flac"], texts=["subrip"], chapters=True
    )
    return Job(source, tmp_path / "b.mp4", encoding=Encoding(codec="h264"))


def stopped(job: Job, segments: int = 1) -> None:
    answers = iter([False] * (segments - 1) + [True])
    with pytest.raises(Stopped):
        restore_job(Identity(), job, segment=8, stop=lambda: next(answers))


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Contents and times of change of all files in it."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def test_what_there_is_so_far_plays_and_the_rest_goes_on(job: Job, tmp_path: Path):
    whole = replace(job, target=tmp_path / "whole.mp4")
    restore_job(Identity(), whole, segment=8)
    stopped(job)
    folder, part = tmp_path / ".b.mp4-s2svr", tmp_path / "part.mp4"
    before = state(folder)
    frames = write_so_far(job, part)
    assert state(folder) == before
    assert 8 <= frames < 24
    assert video_times(part) == video_times(whole.target)[:frames]
    assert packets(part, "video") == packets(whole.target, "video")[:frames]
    for number in range(2):
        sound = packets(part, "audio", number)
        assert sound == packets(whole.target, "audio", number)[: len(sound)]
        assert sound[-1][0] == pytest.approx(frames / 30, abs=0.1)
    with av.open(str(part)) as container:
        ends = [float(chapter["end"] * chapter["time_base"]) for chapter in container.chapters()]
        assert ends == pytest.approx([0.3, frames / 30], abs=2e-3)
        assert f"the first {frames} frames" in container.metadata["comment"]
    assert restore_job(Identity(), job, segment=8).resumed == frames
    assert job.target.read_bytes() == whole.target.read_bytes()


def test_a_running_restoration_is_not_disturbed(job: Job, tmp_path: Path):
    made, part = [], tmp_path / "part.mp4"

    def look() -> bool:
        if (tmp_path / ".b.mp4-s2svr" / POSITION).exists():  # a segment is made durable beside this
            made.append(write_so_far(job, part))
        return False

    job = replace(job, compute=Compute(window=4))
    assert restore_job(Identity(), job, segment=4, stop=look).frames == 24
    assert made == sorted(made)
    assert made
    assert len(video_times(part)) == made[-1]
    with pytest.raises(MediaError, match="nothing of .* is on the disk yet"):
        write_so_far(job, tmp_path / "c.mp4")


def test_an_excerpt_of_doubled_frames_so_far(job: Job, tmp_path: Path):
    excerpt = Excerpt(start=Fraction(1, 5), deinterlace="bob")
    other = replace(job, excerpt=excerpt, target=tmp_path / "b.mkv")
    stopped(other)
    frames = write_so_far(other, tmp_path / "part.mkv")
    times = video_times(tmp_path / "part.mkv")
    assert len(times) == frames
    assert times[0] == 0
    assert float(times[-1]) == pytest.approx((frames - 1) / 60, abs=2e-3)


def test_what_cannot_be_had_so_far_is_refused(job: Job, tmp_path: Path):
    part = tmp_path / "part.mp4"
    with pytest.raises(MediaError, match="nothing of .* is on the disk yet"):
        write_so_far(job, part)
    stopped(job)
    with pytest.raises(MediaError, match="expected a name that ends as b.mp4, got part.mkv"):
        write_so_far(job, Path("part.mkv"))
    with pytest.raises(MediaError, match="begun with codec h264, and now it is hevc"):
        write_so_far(replace(job, encoding=Encoding(codec="hevc")), part)
    with pytest.raises(MediaError, match="expected a video as the output; images that are done"):
        write_so_far(replace(job, target=tmp_path / "images"), part)
    assert not part.exists()
    words = ["restore", str(job.source), str(job.target), "--codec", "h264", "--so-far"]
    ran = CliRunner().invoke(app, [*words, str(part)])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.startswith(f"{part}: the first ")
    ran = CliRunner().invoke(app, [*words, str(part)])
    assert ran.exit_code == 2
    assert "exists already" in ran.stderr


# Busy cores


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Four cores, two threads, and a load that a test may change."""
    found = {"load": 9.0}
    monkeypatch.setattr(busy_module, "load_average", lambda: found["load"])
    monkeypatch.setattr(busy_module, "core_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return found


def test_steps_that_become_slow_on_busy_cores_are_said_once(machine: dict[str, float]):
    said: list[str] = []
    busy = BusyCores(said.append)
    for _ in range(4):
        busy.note(16.0, 16)
    busy.note(2.9 * 16, 16)
    assert said == []
    machine["load"] = 3.9  # slow, but not for others
    busy.note(64.0, 16)
    assert said == []
    machine["load"] = 9.0
    busy.note(8.0, 2)
    busy.note(64.0, 16)
    assert len(said) == 1
    assert said[0].startswith("the last 2 frames took 4 times as long as those before, with a load")
    assert "of 9.0 on 4 cores" in said[0]
    assert "--threads 1" in said[0]


def test_one_thread_is_not_advised_to_who_has_it(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    said: list[str] = []
    busy = BusyCores(said.append)
    for seconds in (1, 1, 1, 1, 9):
        busy.note(seconds, 1)
    assert said == []


def test_a_restoration_says_that_its_machine_is_busy(job: Job, machine: dict[str, float]):
    clock = iter(range(10**6))
    steps: list[int] = []

    class Slow(Identity):
        def run(self, frames: torch.Tensor, memory: None, ahead: int, flows: None = None) -> tuple:
            steps.append(frames.shape[1])
            for _ in range(40 if len(steps) == 5 else 0):
                next(clock)
            return super().run(frames, memory, ahead, flows)

    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2svr.restoration.runner.time.perf_counter", lambda: float(next(clock)))
        compute = replace(job.compute, window=4)
        summary = restore_job(Slow(), replace(job, compute=compute), say=said.append)
    assert len(steps) > 5
    (line,) = [line for line in said if "as long as those before" in line]
    assert line in summary.warnings
