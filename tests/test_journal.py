"""Restorations that are cut off and go on: the same file, byte by byte, as if nothing had been."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from media_clips import make_video
from s2svr.checkpoint import Card, save
from s2svr.cli.restore import stopping
from s2svr.files import lasting_folder
from s2svr.media.errors import MediaError
from s2svr.models.config import S2SVRConfig
from s2svr.models.pwclite import PWCLiteConfig
from s2svr.models.s2svr import S2SVR
from s2svr.restoration.journal import CHECKPOINT
from s2svr.restoration.pipeline import Stopped, Summary, segment_frames
from s2svr.restoration.video import restore_video

FRAMES = 22
UNEVEN = [3003 * t + 700 * (t % 3) for t in range(FRAMES)]


BOTH_WAYS = {"slim": True, "deep": True, "bidirectional": True, "warm": 2}


def network(seed: int = 0, **changes: Any) -> S2SVR:
    """A small network of which every weight matters, also what it remembers."""
    torch.manual_seed(seed)
    flow = PWCLiteConfig(
        channels=(4, 4), features=4, search=1, estimator=(4, 4), context=(4,), finest=0
    )
    net = S2SVR(
        S2SVRConfig(
            scale=2,
            channels=6,
            encoder_layers=1,
            encoder_blocks=1,
            decoder_layers=1,
            decoder_blocks=1,
            feedback=4,
            attention=4,
            tail=0,
            flow=flow,
            **changes,
        )  # fmt: skip
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("movie") / "in.mkv"
    return make_video(path, pts=UNEVEN, sound=["flac"], texts=["srt"], metadata={"title": "A"})


def bytes_of(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def by_and_by(net: S2SVR, source: Path, target: Path, **settings: object) -> tuple[int, Summary]:
    """How many calls it takes to restore, each of which stops after a segment; and the last."""
    for tries in range(1, 20):
        try:
            return tries, restore_video(net, source, target, stop=lambda: True, **settings)
        except Stopped:
            assert not target.exists()
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("out.mp4", {}),
        ("out.mkv", {}),
        ("out.mov", {}),
        ("pictures", {}),
        ("out.mkv", BOTH_WAYS),
    ],
)
def test_many_short_tries_make_the_file_of_one_long(
    movie: Path, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    net = network(**changes)
    settings = {"window": 3, "segment": 5, "codec": None if name == "pictures" else "h264"}
    whole = restore_video(net, movie, tmp_path / "whole" / name, **settings)
    tries, last = by_and_by(net, movie, tmp_path / "parts" / name, **settings)
    assert tries == 4  # segments of two windows: 6, 12, 18 and 22 frames
    assert bytes_of(tmp_path / "parts" / name) == bytes_of(tmp_path / "whole" / name)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [name]
    assert (whole.resumed, last.resumed) == (0, 18)
    assert last.frames == whole.frames == FRAMES
    assert last.shots == whole.shots
    memoryless = {"window": FRAMES, "segment": 5, "codec": settings["codec"]}
    restore_video(net, movie, tmp_path / "other" / name, **memoryless)
    if name != "pictures":  # segments have key frames of their own: the test can fail
        assert bytes_of(tmp_path / "other" / name) != bytes_of(tmp_path / "whole" / name)


@pytest.mark.parametrize("name", ["out.mkv", "out/%d.png"])
def test_tags_that_were_lost_before_a_break_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        tags = {"comment": b"by me"} if number == 0 else {}
        Image.new("RGB", (16, 16), (9 * number, 0, 0)).save(
            tmp_path / "in" / f"{number}.jpg", **tags
        )
    net, settings = network(), {"window": 2, "segment": 2}
    whole = restore_video(net, tmp_path / "in", tmp_path / "whole" / name, **settings)
    (lost,) = [line for line in whole.warnings if "the comment of the images" in line]
    tries, last = by_and_by(net, tmp_path / "in", tmp_path / "parts" / name, **settings)
    assert tries > 1
    assert lost in last.warnings


@pytest.mark.parametrize("name", ["out.mkv", "pictures"])
def test_a_try_that_is_refused_takes_nothing_away(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    net, target = network(), tmp_path / name
    settings: dict[str, Any] = {"window": 3, "segment": 5}
    with pytest.raises(Stopped):
        restore_video(net, movie, target, stop=lambda: True, **settings)
    work = {path.name for path in lasting_folder(target).rglob("*")}
    assert CHECKPOINT in work
    places = ["s2svr.restoration.video.Journal"]
    if name == "out.mkv":
        places.append("s2svr.writing.writer.mux_begin")
        with pytest.raises(MediaError, match="zzz"):  # known before a frame is restored
            restore_video(net, movie, target, audio_tracks=("zzz",), **settings)

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in places:
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises((MediaError, OSError), match=r"disk is full|No space"):
                restore_video(net, movie, target, **settings)
    assert {path.name for path in lasting_folder(target).rglob("*")} == work
    assert restore_video(net, movie, target, **settings).resumed == 6


def test_what_is_remembered_is_kept(movie: Path, tmp_path: Path) -> None:
    class Forgetful(S2SVR):
        def forward(
            self, x: Tensor, state: object = None, lookahead: int = 0
        ) -> tuple[Tensor, None]:
            y, _ = super().forward(x, None, lookahead)
            return y, None

    net = Forgetful(network().config)
    net.load_state_dict(network().state_dict())
    settings = {"window": 3, "segment": 5, "codec": "ffv1"}
    restore_video(net, movie, tmp_path / "a.mkv", **settings)
    restore_video(network(), movie, tmp_path / "b.mkv", **settings)
    assert bytes_of(tmp_path / "a.mkv")["a.mkv"] != bytes_of(tmp_path / "b.mkv")["b.mkv"]


SCRIPT = """
import sys, torch
from pathlib import Path
from s2svr.checkpoint import load
from s2svr.restoration import restore_video
source, target, weights = map(Path, sys.argv[1:])
restore_video(load(weights), source, target, window=3, segment=5, codec="h264", threads=1)
"""


def test_a_killed_process(movie: Path, tmp_path: Path) -> None:
    weights = tmp_path / "net.safetensors"
    save(weights, network(), Card(task="sr"))
    whole, target = tmp_path / "whole.mp4", tmp_path / "parts" / "whole.mp4"

    def begin(path: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", SCRIPT, movie, path, weights])

    assert begin(whole).wait(timeout=120) == 0
    victim = begin(target)
    checkpoint = target.with_name(f".{target.name}-s2svr") / "checkpoint"
    while not checkpoint.exists():
        assert victim.poll() is None
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    victim.wait(timeout=60)
    assert not target.exists()
    assert begin(target).wait(timeout=120) == 0
    assert target.read_bytes() == whole.read_bytes()
    assert list(target.parent.iterdir()) == [target]


class Failing(S2SVR):
    """Fails in its 4th window, when what is before it is on the disk."""

    windows = 0
    kept: Path  # appears then

    def forward(self, x: Tensor, state: object = None, lookahead: int = 0) -> tuple[Tensor, object]:
        self.windows += 1
        if self.windows == 4:
            latest = time.monotonic() + 30
            while not self.kept.exists() and time.monotonic() < latest:
                time.sleep(0.01)
            raise OSError("a bad day")
        return super().forward(x, state, lookahead)  # type: ignore[arg-type]


def test_an_error_keeps_what_is_done_and_says_so(movie: Path, tmp_path: Path) -> None:
    net = Failing(network().config)
    net.load_state_dict(network().state_dict())
    net.kept = lasting_folder(tmp_path / "out.mkv") / CHECKPOINT
    settings = {"window": 3, "segment": 5, "codec": "ffv1"}
    with pytest.raises(OSError, match="a bad day") as caught:
        restore_video(net, movie, tmp_path / "out.mkv", **settings)
    assert caught.value.__notes__ == ["6 frames are kept: the same command goes on from there"]
    summary = restore_video(net, movie, tmp_path / "out.mkv", **settings)
    assert (summary.frames, summary.resumed) == (FRAMES, 6)
    restore_video(network(), movie, tmp_path / "whole.mkv", **settings)
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_anything_changed_is_refused_until_told_to_restart(movie: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out" / "out.mkv"
    source.write_bytes(movie.read_bytes())
    settings = {"window": 3, "segment": 5, "codec": "ffv1"}

    def go_on(net: S2SVR | None = None, **changed: object) -> Summary:
        return restore_video(net or network(), source, target, **(settings | changed))

    with pytest.raises(Stopped):
        go_on(stop=lambda: True)
    with pytest.raises(MediaError, match=r"begun with codec ffv1, and now it is h264: .*--restart"):
        go_on(codec="h264")
    with pytest.raises(MediaError, match="windows of 3, and now it is 4"):
        go_on(window=4)
    with pytest.raises(MediaError, match="begun with network "):
        go_on(network(seed=1))
    with pytest.raises(MediaError, match="begun with scene cuts True, and now it is False"):
        go_on(scene_cuts=False)
    before = source.stat()
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    with pytest.raises(MediaError, match="begun with input in.mkv"):
        go_on()
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert go_on(codec="ffv1").resumed == 6  # refusing has lost nothing
    target.unlink()
    with pytest.raises(Stopped):
        go_on(stop=lambda: True)
    assert go_on(codec="h264", restart=True).resumed == 0
    assert list(target.parent.iterdir()) == [target]


def test_what_a_try_without_a_checkpoint_wrote_is_not_mixed_in(movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "pictures"
    left = tmp_path / ".pictures-s2svr" / "pictures"
    left.mkdir(parents=True)  # as a power cut leaves it
    (left / "000099.png").write_bytes(b"of other settings")
    summary = restore_video(network(), movie, target, end=Fraction(1, 4))
    assert [path.name for path in sorted(target.iterdir())] == [
        f"{index:06d}.png" for index in range(summary.frames)
    ]


def test_a_damaged_checkpoint_is_refused(movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    with pytest.raises(Stopped):
        restore_video(network(), movie, target, window=3, segment=5, stop=lambda: True)
    checkpoint = tmp_path / ".out.mkv-s2svr" / "checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(MediaError, match="cannot be read; start over with --restart"):
        restore_video(network(), movie, target, window=3, segment=5)
    restore_video(network(), movie, target, window=3, segment=5, restart=True)
    assert list(tmp_path.iterdir()) == [target]


def test_two_at_once_are_refused(movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"

    def again(done: int, total: int | None) -> None:
        with pytest.raises(MediaError, match="out.mkv is being written by another process"):
            restore_video(network(), movie, target)

    assert restore_video(network(), movie, target, progress=again).frames == FRAMES
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("changes", [{}, BOTH_WAYS], ids=["one way", "both ways"])
def test_a_shortage_of_memory_is_not_found_out_twice(
    movie: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    class Large(S2SVR):
        def forward(
            self, x: Tensor, state: object = None, lookahead: int = 0
        ) -> tuple[Tensor, object]:
            if x.shape[1] - lookahead > 2:
                raise torch.OutOfMemoryError
            return super().forward(x, state, lookahead)  # type: ignore[arg-type]

    net = Large(network(**changes).config)
    settings = {"window": 4, "segment": 5}
    first = tmp_path / "out.mkv"
    with pytest.raises(Stopped):
        restore_video(net, movie, first, stop=lambda: True, **settings)
    journal = json.loads((tmp_path / ".out.mkv-s2svr" / "journal.json").read_text())
    assert journal["windows of"] == 4
    assert not restore_video(net, movie, first, **settings).warnings
    whole = restore_video(net, movie, tmp_path / "whole.mkv", **settings)
    assert whole.warnings == ["out of memory, going on with windows of 2 frames"]
    assert first.read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def test_segments_are_shorter_for_larger_frames() -> None:
    assert segment_frames((320, 180)) == 240
    assert segment_frames((1280, 720)) == 109
    assert segment_frames((3840, 2160)) == 32


def test_ctrl_c_asks_first_and_stops_then() -> None:
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), stopping(told.append) as stop:  # noqa: PT012
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        assert told == ["stopping at the end of the segment; Ctrl-C again stops at once"]
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
