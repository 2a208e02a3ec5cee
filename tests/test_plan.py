"""The plan: counted memory, extrapolated time and disk, refusal, and the time left."""

import json
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import s2svr.restoration.plan
from media_clips import make_video
from networks import TINY
from s2svr.checkpoint import Card, save
from s2svr.cli.app import app
from s2svr.cli.output import plan_lines
from s2svr.color import from_rgb, to_rgb
from s2svr.devices import total_memory
from s2svr.files import existing
from s2svr.media import open_reader
from s2svr.media.errors import MediaError
from s2svr.media.frame import MediaInfo
from s2svr.models import PRESETS
from s2svr.models.s2svr import S2SVR
from s2svr.ops import resize_to
from s2svr.pace import Pace
from s2svr.restoration import Compute, Encoding, Excerpt, Job, backend_of
from s2svr.restoration.frames import restore
from s2svr.restoration.memory import MARGIN, PROBE, PROCESS, Footprint, count_footprint
from s2svr.restoration.pipeline import Summary, segment_frames
from s2svr.restoration.plan import (
    MOST,
    PATIENCE,
    Measured,
    Plan,
    choose_window,
    disk_needed,
    make_plan,
    measure,
)
from s2svr.restoration.preview import middle, preview_video
from s2svr.restoration.tiles import SMALLEST
from s2svr.text import amount

GIB = 2**30


class Known(nn.Module):
    """Takes 12 bytes a pixel for each frame and 48 beside, and remembers 16."""

    scale, lookahead = 1, 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(
        self, x: Tensor, state: Tensor | None = None, lookahead: int = 0
    ) -> tuple[Tensor, Tensor]:
        large = x.new_zeros(1, 12, *x.shape[-2:])
        for _ in range(5):  # the one before is gone when the next is made
            passing = x.new_zeros(1, 3, *x.shape[-2:])
            del passing
        return 2 * x, large[:, :4].clone()


def test_memory_is_counted_exactly() -> None:
    counted = count_footprint(backend_of(Known()))
    # x and 2 x; ``large`` beside two memories, those before and after
    assert (counted.frame, counted.rest, counted.state, counted.flow) == (24, 48 + 32, 16, 0)
    assert counted.needed(100, 50, 10, None, (0, 0)) == round(5000 * (80 + 240) * MARGIN + PROCESS)


def test_what_is_counted_of_the_real_model_grows_with_its_channels() -> None:
    small, large = (
        count_footprint(backend_of(S2SVR(replace(TINY, channels=c, flow=None)))) for c in (8, 16)
    )
    # remembered: an input frame, an output frame, and two layers' states and a latent vector
    assert large.state - small.state == 3 * 8 * 4
    assert small.state == 12 + 16 * 12 + 3 * 8 * 4
    # an input, an output, which is copied once more in the end, and a latent vector
    assert small.frame == pytest.approx(12 * (1 + 2 * 16) + 8 * 4, rel=0.05)
    assert large.frame - small.frame == pytest.approx(8 * 4, rel=0.01)
    assert PROBE % 16 == 0


def test_the_memory_of_neighbours_is_counted_full() -> None:
    few, many = (
        count_footprint(
            backend_of(S2SVR(replace(PRESETS["deblur-light"], neighbours=count, flow=None)))
        )
        for count in (2, 6)
    )
    assert many.state - few.state == 12 * (6 - 2)  # a frame for each


INFO = MediaInfo(
    width=1920, height=1080, rate=Fraction(25), time_base=Fraction(1, 25), chroma=(2, 2),
    color=None, duration=Fraction(400),
)  # type: ignore[arg-type]  # fmt: skip
COUNTED = Footprint(
    scale=4, lookahead=1, frame=450.0, rest=1800.0, flow=330.0, state=660.0, shared=False
)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (None, (16, None)),
        (64 * GIB, (16, None)),
        (40 * GIB, (16, None)),
        (26 * GIB, (8, None)),
        (17 * GIB, (4, None)),
        (9 * GIB, (4, 1536)),
        (5 * GIB, (4, 1024)),
        (3 * GIB, (4, 768)),
        (GIB, (4, 192)),
    ],
)
def test_what_is_chosen_fits(there: int | None, wanted: tuple[int, int | None]) -> None:
    got = choose_window(COUNTED, INFO, (0, 0), 16, None, there)
    assert got == wanted
    assert choose_window(COUNTED, INFO, (0, 0), 16, 512, 64 * GIB) == (16, 512)
    if there is not None and there > 2 * GIB:
        assert COUNTED.needed(1920, 1080, *got, (0, 0)) <= 0.7 * there


CAPTURED = replace(COUNTED, captured=1280 * 720)
SMALL = replace(INFO, width=1280, height=720)


def test_what_graphs_hold_is_bounded() -> None:
    """As much as the plain call, and what four of them read and make: frames and two memories."""
    plain = CAPTURED.needed(1280, 720, 8, None, (0, 0))
    kept = 4 * MARGIN * 1280 * 720 * (12 * (8 + 1) + 12 * 16 * 8 + 2 * 660)
    assert CAPTURED.graphs(1280, 720, 8, None) == round(plain + kept)
    assert CAPTURED.graphs(1281, 720, 8, None) == 0  # is not captured
    assert CAPTURED.graphs(1280, 720, 8, 512) == 0  # nor are tiles
    assert CAPTURED.graphs(1280, 720, 8, 1280) == CAPTURED.graphs(1280, 720, 8, None)
    assert COUNTED.graphs(1280, 720, 8, None) == 0


@pytest.mark.parametrize(
    ("there", "window", "tile"),
    [(64 * GIB, 16, None), (40 * GIB, 8, None), (28 * GIB, 4, None), (20 * GIB, 16, None)],
)
def test_windows_become_smaller_before_graphs_are_given_up(
    there: int, window: int, tile: int | None
) -> None:
    assert choose_window(CAPTURED, SMALL, (0, 0), 16, None, there) == (window, tile)


class Ahead(nn.Module):
    """Two convolutions of each frame, one of those only looked ahead at; counts those frames."""

    scale, lookahead = 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.seen = self.restored = 0

    def forward(self, x: Tensor, state: None = None, lookahead: int = 0) -> tuple[Tensor, None]:
        count = x.shape[1] - lookahead
        self.seen += x.shape[1]
        self.restored += count
        once = [self.convolution(frame) for frame in x.unbind(1)]
        return torch.stack([self.convolution(frame) for frame in once[:count]], 1), None


@pytest.mark.parametrize("tile", [None, SMALLEST])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 6, 7, 8, 11, 12, 21])
def test_frames_that_are_looked_ahead_at_are_work(frames: int, tile: int | None) -> None:
    model = Ahead()
    counted = count_footprint(backend_of(model))
    assert counted.ahead == 0.5  # one convolution of two
    model.seen = model.restored = 0
    frame = torch.zeros(3, 16, SMALLEST + 16)
    list(restore(model, [frame] * frames, window=4, tile=tile, cuts=None))
    parts = 2 if tile else 1  # of the frame
    assert model.restored == frames * parts
    took = (model.restored + counted.ahead * (model.seen - model.restored)) / parts
    assert counted.work(frames, 4, tile is not None) == pytest.approx(took)


class Clock:
    """A pipeline whose costs are known, and the clock that sees them."""

    def __init__(self, once: float, frame: float, first: float = 0.0) -> None:
        self.now, self.once, self.frame, self.first = 0.0, once, frame, first
        self.work: Callable[[int], float] = float
        self.runs: list[int] = []

    def trial(self, path: Path, count: int) -> Summary:
        self.now += self.once + self.frame * self.work(count)
        if not self.runs:
            self.now += self.first
        path.write_bytes(bytes(5000 + 700 * count))
        self.runs.append(count)
        return Summary(path, path, count, (1, 1), (1, 1), 1.0, 0, {})


@pytest.mark.parametrize("frames", [200, 100_000])
@pytest.mark.parametrize(("once", "frame"), [(0.5, 0.01), (1.0, 0.6), (0.1, 20.0)])
def test_time_and_size_are_extrapolated_exactly_and_soon(
    monkeypatch: pytest.MonkeyPatch, frames: int, once: float, frame: float
) -> None:
    clock = Clock(once, frame)
    monkeypatch.setattr(s2svr.restoration.plan.time, "perf_counter", lambda: clock.now)
    got = measure(clock.trial, frames, Path("a.mkv"))
    assert got is not None
    whole = once + frames * frame
    assert clock.now <= max(PATIENCE, 0.02 * (whole + frames * once)) + once + frame
    assert clock.runs[0] == 1
    assert max(clock.runs) <= MOST
    assert got.total_seconds(frames) == pytest.approx(whole, rel=0.01)
    if len(clock.runs) > 1:
        assert (got.frame_bytes, got.first_bytes) == (700, 5700)


@pytest.mark.parametrize("tiled", [False, True])
def test_the_time_of_a_film_has_what_is_seen_ahead_and_not_what_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tiled: bool
) -> None:
    clock = Clock(0.3, 0.1, first=0.4)
    clock.work = partial(replace(COUNTED, lookahead=5, ahead=0.6).work, window=16, tiled=tiled)
    monkeypatch.setattr(s2svr.restoration.plan.time, "perf_counter", lambda: clock.now)
    got = measure(clock.trial, 500, Path("a.mkv"), work=clock.work)
    assert got is not None
    assert max(clock.runs) < 16  # no whole window has been seen yet
    # 30 windows look ahead at 5 frames, the next at 4, the last at none; or each frame of tiles
    # does, and the last five at 4, 3, 2, 1, 0
    seen = 495 * 5 + 10 if tiled else 30 * 5 + 4
    assert clock.work(500) == pytest.approx(500 + 0.6 * seen)
    assert got.total_seconds(500) == pytest.approx(0.3 + 0.1 * clock.work(500))


def test_patience_is_for_more_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = Clock(0.1, 0.7), Clock(0.1, 0.7)
    for clock, patience in ((few, PATIENCE), (many, 20.0)):
        monkeypatch.setattr(s2svr.restoration.plan.time, "perf_counter", lambda c=clock: c.now)
        assert measure(clock.trial, 32, Path("a.mkv"), 0.0, patience) is not None
    assert (few.runs, many.runs) == ([1, 2], [1, 2, 4, 8])


def test_a_trial_that_fails_leaves_the_plan_without_numbers() -> None:
    def trial(path: Path, count: int) -> Summary:
        raise MediaError("there is no frame")

    assert measure(trial, 1000, Path("a.mp4")) is None


@pytest.mark.parametrize("memory", [300, 10**8])
def test_disk_is_what_the_files_take_while_they_are_written(memory: int) -> None:
    measured, size, out = Measured(1.0, 2.0, 1000.0, 50_000), (1280, 720), Path("out.mp4")
    segment = segment_frames(size)
    video = 1000 * (2 * segment - 2) + 2 * 50_000
    joined, replaced = 2 * video + memory, video + 2 * memory
    once = 2 * (1000 * (segment - 1) + 50_000) + memory
    assert disk_needed(measured, segment, out, size, memory) == once
    assert disk_needed(measured, 2 * segment, out, size, memory) == max(joined, replaced)
    pictures = 1000 * (2 * segment - 1) + 50_000 + 2 * memory
    assert disk_needed(measured, 2 * segment, Path("pictures"), size, memory) == pictures
    short = 2 * (1000 * (segment - 2) + 50_000)  # done before there is a memory to keep
    assert disk_needed(measured, segment - 1, out, size, memory) == short


def plan(**changes: object) -> Plan:
    known = Plan(
        target=Path("out.mkv"), frames=1000, size_in=(320, 180), size_out=(1280, 720),
        device="cpu", window=16, tile=None, memory=3 * GIB // 2, memory_there=16 * GIB,
        disk=5 * 2**20, disk_free=GIB, frames_per_second=2.0, seconds=505.0,
    )  # fmt: skip
    return replace(known, **changes)  # type: ignore[arg-type]


def test_too_little_disk_is_refused_with_numbers() -> None:
    plan().check()
    plan(disk=None).check()
    with pytest.raises(MediaError, match=r"out.mkv needs about 2.0 GiB .* 200 MiB are free: free"):
        plan(disk=2 * GIB, disk_free=200 * 2**20).check()


def test_too_little_memory_is_refused_with_numbers() -> None:
    plan(memory=16 * GIB).check()
    with pytest.raises(
        MediaError, match=r"320x180 -> 1280x720 needs about 20.0 GiB of memory, and cpu has 16"
    ):
        plan(memory=20 * GIB).check()


def test_the_command_refuses_what_no_memory_holds(
    movie: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2svr.restoration.plan.total_memory", lambda device: 2**20)
    monkeypatch.setattr("s2svr.restoration.plan.FEW", 2)
    monkeypatch.setattr("s2svr.restoration.plan.measure", None)  # nothing is tried
    result = run("restore", movie, tmp_path / "out.mkv", "--weights", weights)
    assert result.exit_code == 2
    assert "of memory, and cpu has 1.0 MiB" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_plan_in_words() -> None:
    assert plan_lines(plan()) == [
        "plan: 320x180 -> 1280x720, about 1000 frames on cpu, windows of 16 frames, whole frames",
        "memory: about 1.5 GiB of 16.0 GiB; disk: about 5.0 MiB, 1.0 GiB free; "
        "time: about 8:25 at 2.00 frames/s",
    ]
    vague = plan(frames=None, tile=512, disk=None, seconds=None, memory_there=None)
    assert plan_lines(vague) == [
        "plan: 320x180 -> 1280x720, about ? frames on cpu, windows of 16 frames, "
        "tiles of 512 pixels",
        "memory: about 1.5 GiB; disk: not measured, 1.0 GiB free; time: not measured",
    ]
    numbers = [amount(n) for n in (0, 999, 1000, 102400, 5 * 2**40)]
    assert numbers == ["0 bytes", "999 bytes", "1.0 KiB", "100 KiB", "5.0 TiB"]


def test_memory_and_folders_of_this_machine(tmp_path: Path) -> None:
    there = total_memory(torch.device("cpu"))
    assert there is None or 2**28 < there < 2**50
    assert existing(tmp_path / "a" / "b.mp4") == tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    save(path, S2SVR(TINY), Card("sr"))
    return path


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pts = [3003 * t for t in range(24)]
    return make_video(tmp_path_factory.mktemp("movie") / "in.mkv", codec="ffv1", pts=pts)


def run(*words: object) -> object:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_command_only_plans(movie: Path, weights: Path, tmp_path: Path) -> None:
    result = run("restore", movie, tmp_path / "out.mp4", "--weights", weights, "--plan")
    assert result.exit_code == 0, result.output
    assert "plan: 64x48 -> 256x192, about 24 frames on cpu" in result.stdout
    assert " frames/s" in result.stdout
    result = run("restore", movie, tmp_path / "out.mp4", "--weights", weights, "--plan", "--json")
    found = json.loads(result.stdout)
    assert found["size_out"] == [256, 192]
    assert found["seconds"] == pytest.approx(24 / found["frames_per_second"], rel=3)
    assert found["disk"] > 1000
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_full_disk(
    movie: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2svr.restoration.plan.FEW", 2)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("s2svr.files.shutil.disk_usage", lambda path: usage(100))
    out = tmp_path / "out.mkv"
    result = run("restore", movie, out, "--weights", weights)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {out} needs about ")
    assert list(tmp_path.iterdir()) == []
    assert run("restore", movie, out, "--weights", weights, "--no-plan").exit_code == 0
    assert out.exists()


def test_settings_are_checked_and_tiles_are_kept(movie: Path, weights: Path) -> None:
    model = S2SVR(TINY)

    def never(*given: object) -> Summary:
        raise AssertionError

    job = Job(movie, Path("out"), encoding=Encoding(scale=2), compute=Compute(window=5, tile=200))
    found = make_plan(model, job, never)
    assert (found.window, found.tile, found.size_out) == (5, 200, (128, 96))
    with pytest.raises(ValueError, match="tiles of at least 192 pixels, got 100"):
        make_plan(model, replace(job, compute=Compute(window=5, tile=100)), never)


TURNS = {0: None, 90: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)}
TURNS[180] = (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("turn", TURNS)
def test_a_preview_shows_both_side_by_side(turn: int, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    pts = [90 * t for t in range(0, 3000, 100)]
    make_video(
        source, codec="ffv1", form="yuv444p", pts=pts, time_base=Fraction(1, 90000),
        last=9000, matrix=TURNS[turn], size=(32, 24),
    )  # fmt: skip
    torch.manual_seed(0)
    model = S2SVR(TINY)
    job = Job(source, target, Excerpt(start=Fraction(1)), Encoding(codec="ffv1"))
    shown = preview_video(model, job, Fraction(1, 2))
    with open_reader(source, start=Fraction(1), end=Fraction(3, 2)) as reader:
        rotation = reader.info.rotation % 360
        inputs = [to_rgb(frame.planes, frame.color) for frame in reader]
    assert (shown.target, shown.frames, shown.damage) == (target, len(inputs), [])
    assert shown.frames == 5
    outputs = list(restore(model, inputs))
    with open_reader(target) as reader:
        pictures = [frame.planes for frame in reader]
        color = reader.info.color
        assert reader.info.aspect == 1
        assert reader.info.rotation % 360 == rotation
    for before, after, planes in zip(inputs, outputs, pictures, strict=True):
        both = [resize_to(before, (96, 128)).clamp(0, 1), after]
        # As a player turns it, anticlockwise, the input is left.
        turned = [x.rot90(rotation // 90, (1, 2)) for x in both]
        wanted = torch.cat(turned, 2).rot90(-rotation // 90, (1, 2))
        for ours, theirs in zip(planes, from_rgb(wanted, color, (1, 1)), strict=True):
            assert torch.equal(ours, theirs)


def test_a_preview_is_taken_from_the_middle(movie: Path) -> None:
    with open_reader(movie) as reader:
        duration = reader.info.duration
    assert duration is not None
    job = Job(movie, movie.with_name("out.mkv"))
    assert middle(job, Fraction(1, 10)) == duration * Fraction(2, 5)
    assert middle(job, duration) == 0
    half = replace(job, excerpt=Excerpt(end=duration / 2))
    assert middle(half, Fraction(1, 10)) == duration / 5
    with pytest.raises(MediaError, match="no picture"):
        preview_video(
            S2SVR(TINY),
            replace(job, excerpt=Excerpt(start=Fraction(100))),
            Fraction(1),
        )
    assert not movie.with_name("out.mkv").exists()


def steady(t: float) -> float:
    return 2.0


TRACES: dict[str, Callable[[float], float]] = {
    "steady": steady,
    "slow start": lambda t: 0.2 if t < 15 else 2.0,
    "noisy": lambda t: 2.0 + 0.8 * Random(int(t / 7)).uniform(-1, 1),
    "slower for good after two minutes": lambda t: 2.0 if t < 120 else 1.0,
}


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("burst", [1, 16])
@pytest.mark.parametrize("done", [0, 700])
def test_the_time_left_is_honest_after_a_minute(name: str, burst: int, done: int) -> None:
    speed, pace, total, now = TRACES[name], Pace(), done + 1500, 0.0
    said: list[tuple[float, float]] = []
    finished, worked = done, 0.0
    while finished < total:
        pace.add(finished, now)
        if finished > done:
            said.append((now, pace.left(total, now)))
        now += 0.25
        worked += 0.25 * speed(now)
        finished = min(total, done + int(worked) // burst * burst) if worked < 1500 else total
    settled = {"slower for good after two minutes": 300.0}.get(name, 60.0)
    for moment, left in said:
        if moment >= settled and now - moment > 60:
            assert left == pytest.approx(now - moment, rel=0.2), moment


@pytest.mark.parametrize("burst", [1, 16])
def test_what_was_long_ago_does_not_count(burst: int) -> None:
    pace, hour = Pace(), 3600
    for now in range(hour + 301):  # two frames a second for an hour, then one
        done = 2 * min(now, hour) + max(0, now - hour)
        pace.add(done // burst * burst, float(now))
    assert pace.left(20_000, now) == pytest.approx(20_000 - done, rel=0.1)


def test_the_pace_in_words() -> None:
    pace = Pace()
    assert pace.text(0, 40, 3.0) == "starting"
    assert pace.text(10, 40, 8.0) == "2.00 frames/s, 0:15 left"
    assert pace.text(10, 40, 10.0) == "2.00 frames/s, 0:13 left"
    assert pace.text(10, None, 10.0) == "2.00 frames/s"
    assert pace.text(50, 40, 28.0) == "2.00 frames/s, 0:00 left"
    for t in range(20_000):
        pace.add(51 + t, 30.0 + t)
    assert len(pace.ends) < 2000
    assert pace.speed() == pytest.approx(1, rel=0.01)
