"""Runs ``s2svr`` in a process of its own that may crash, hang or take too much memory."""

import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple

MEMORY = 8 << 30  # bytes of address space; more is an error that has to be said in a sentence


class Ended(NamedTuple):
    """How a process ended. ``code`` is negative for a signal, None where it ran out of time."""

    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def fault(self) -> str:
        """What must never happen, in words; empty where it did not."""
        if self.code is None:
            return "hangs"
        if self.code < 0:
            return f"crashes with {signal.Signals(-self.code).name}"
        if "Traceback (most recent call last)" in self.err:
            return f"traceback: {self.err.splitlines()[-1]}"
        if self.code not in (0, 1, 2):
            return f"ends with {self.code}"
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if len(errors) != (self.code == 2):
            return f"ends with {self.code} and says {len(errors)} errors"
        if errors and ("avcodec_" in errors[0] or "Errno" in errors[0]):
            return f"says what FFmpeg says: {errors[0]}"
        return ""


class Box:
    """A folder in which files are restored: ``given`` goes in, ``made`` is for the output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given, self.made, self.other = path / "given", path / "made", path / "other"
        for folder in (self.given, self.made, self.other):
            folder.mkdir(parents=True)

    def left(self, target: Path) -> list[str]:
        """Whatever lies about beside the target."""
        found = [*self.made.iterdir(), *self.other.iterdir()]
        return [str(path.relative_to(self.path)) for path in found if path != target]

    def clean(self) -> None:
        """Remove what was made."""
        for folder in (self.made, self.other):
            shutil.rmtree(folder)
            folder.mkdir()

    def empty(self) -> None:
        shutil.rmtree(self.path)


def start_context(*, fresh: bool) -> BaseContext:
    """Processes that start from nothing as a command does, or fast ones forked from a ready one."""
    if fresh:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["s2svr.cli.restore", "s2svr.restoration.plan", "s2svr.restoration.video"]
    )
    return context


def run_apart(context: BaseContext, box: Box, words: list[str], limit: float) -> Ended:
    """Run ``s2svr words`` with the box's ``other`` as working and temporary folder."""
    began = time.monotonic()
    logs = (box.path / "out.txt", box.path / "err.txt")
    process = context.Process(  # type: ignore[attr-defined]
        target=child, args=(words, box.other, logs, limit)
    )
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        code = None
    else:
        code = process.exitcode
    process.close()
    out, err = (log.read_text(errors="replace") if log.exists() else "" for log in logs)
    return Ended(code, out, err, time.monotonic() - began)


def child(words: list[str], folder: Path, logs: tuple[Path, Path], limit: float) -> None:
    """What the process does."""
    for log, number in zip(logs, (1, 2), strict=True):
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
    faulthandler.enable(2)  # says where a signal struck
    faulthandler.dump_traceback_later(max(limit - 1, limit / 2), file=2)  # or where it hangs
    limit_memory()
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    sys.argv = ["s2svr", *words]
    from s2svr.cli.app import main

    main()


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tiny_weights(path: Path) -> Path:
    """A network that costs next to nothing: the files are tried, not the network."""
    import torch

    from s2svr.checkpoint import Card, save
    from s2svr.models.config import S2SVRConfig
    from s2svr.models.s2svr import S2SVR

    torch.manual_seed(0)
    config = S2SVRConfig(
        scale=1, down=4, flow_down=4, channels=4, encoder_layers=1, encoder_blocks=1,
        decoder_layers=1, decoder_blocks=1, feedback=4, attention=4, tail=0, flow=None,
    )  # fmt: skip
    save(path, S2SVR(config), Card("deblur"))
    return path
