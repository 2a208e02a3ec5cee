"""A terminal that is closed while its command works: real processes, and a real terminal."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from media_clips import make_video
from s2svr.checkpoint import Card, save
from test_journal import network


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    place = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in place.read_text(encoding="ascii").split()]


def until(condition, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", ["restore", "batch"])
def test_a_terminal_that_is_closed_ends_all_and_nothing_is_lost(tmp_path: Path, command: str):
    save(tmp_path / "net.safetensors", network(), Card(task="sr"))
    film = make_video(tmp_path / "film.mp4", pts=[3003 * i for i in range(400)])
    out = tmp_path / "out" if command == "batch" else tmp_path / "out" / "film.mp4"
    (tmp_path / "out").mkdir()
    words = [sys.executable, "-m", "s2svr", command, str(film), str(out), "--no-plan", "--weights",
             str(tmp_path / "net.safetensors"), "--threads", "1", "--device", "cpu"]  # fmt: skip

    def begin() -> None:
        """Have the terminal as one's own, and its end not ignored, as it is under nohup."""
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=begin
    )  # fmt: skip
    os.close(theirs)
    work = tmp_path / "out" / ".film.mp4-s2svr"
    until(lambda: any(work.glob("*.packets")))
    workers = children(process.pid)
    assert len(workers) == (command == "batch")
    os.close(mine)
    assert process.wait(120) >= 0  # not ended by the signal itself
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not (tmp_path / "out" / "film.mp4").exists()
    subprocess.run(words, check=True, capture_output=True)
    assert (tmp_path / "out" / "film.mp4").exists()
    assert not work.exists()
