"""Restores files with random damage, and counts how that ends.

    python benchmarks/robustness/fuzz.py [--count 2000] [--first 0] [--limit SECONDS] \
        [--keep FOLDER]

Every number is a seed: it chooses a file of FILES and a damage of DAMAGE. The file is restored by
``s2svr restore`` inside a worker process that goes on to the next one; a worker that crashes or
hangs is noticed and its file restored again in a process of its own. It ends with 1 where a file
gave a traceback, a crash or a hang, left files behind, or lost frames that can be decoded without
saying so. ``--keep`` gets the files of such seeds; ``--count 1 --first SEED`` does one again.
"""

import argparse
import contextlib
import faulthandler
import io
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from apart import Box, Ended, limit_memory, run_apart, start_context, tiny_weights
from hostile import count_pictures, suffix_for
from made_clips import FAST, clip, saved

FRAMES = 6
QUICK = {"cpu-used": "8", "deadline": "realtime"}
FILES: dict[str, Callable[[Path], Path]] = {
    "mp4": clip("a.mp4", count=FRAMES, sound="aac", text="mov_text", container=FAST),
    "mp4 in pieces": clip("a.mp4", "libx265", size=(80, 80), count=FRAMES,
                          options={"x265-params": "log-level=none"},
                          container={"movflags": "frag_keyframe+empty_moov"}),
    "mov prores": clip("a.mov", "prores_ks", "yuva444p10le", count=FRAMES, sound="pcm_s16le"),
    "mkv": clip("a.mkv", count=FRAMES, sound="flac", text="subrip"),
    "mkv ffv1": clip("a.mkv", "ffv1", "yuv422p10le", count=FRAMES),
    "webm": clip("a.webm", "libvpx-vp9", count=FRAMES, sound="libopus", options=QUICK),
    "webm vp8": clip("a.webm", "libvpx", count=FRAMES, options=QUICK),
    "ts": clip("a.ts", count=FRAMES, sound="aac"),
    "avi": clip("a.avi", "mpeg4", count=FRAMES, sound="libmp3lame"),
    "flv": clip("a.flv", count=FRAMES, sound="aac"),
    "mpg": clip("a.mpg", "mpeg2video", count=FRAMES, sound="mp2"),
    "h264": clip("a.h264", count=FRAMES),
    "y4m": clip("a.y4m", "wrapped_avframe", count=FRAMES),
    "gif": clip("a.gif", "gif", "rgb8", count=FRAMES),
    "png": saved("a.png"),
    "jpeg": saved("a.jpg"),
    "tiff": saved("a.tif", compression="tiff_lzw"),
    "webp": saved("a.webp"),
    "bmp": saved("a.bmp"),
}  # fmt: skip
HEAD = 700  # bytes in which most fields of a header are
EXTREME = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63]


class Outcome(NamedTuple):
    """How the restoration of one seed's file ended."""

    seed: int
    file: str
    damage: str
    ended: Ended
    decodable: int | None
    fault: str

    @property
    def restored(self) -> int:
        """Frames, as the command says."""
        found = re.search(r": (\d+) frames, ", self.ended.out)
        return int(found[1]) if found else 0

    @property
    def unsaid(self) -> bool:
        """Whether there are fewer frames than before the damage, and no word of it."""
        return self.ended.code == 0 and self.restored < made(self.file)


def block(chance: random.Random, data: bytearray) -> slice:
    start = chance.randrange(len(data))
    return slice(start, start + chance.choice((1, 4, 16, 100, 188, 1000)))


def flip_bits(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 2, 5, 20))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def set_bytes(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 2, 5, 20))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def remove(chance: random.Random, data: bytearray) -> None:
    del data[block(chance, data)]


def double(chance: random.Random, data: bytearray) -> None:
    part = block(chance, data)
    data[part.stop : part.stop] = data[part]


def move(chance: random.Random, data: bytearray) -> None:
    part = block(chance, data)
    piece = data[part]
    del data[part]
    place = chance.randrange(len(data) + 1)
    data[place:place] = piece


def clear(chance: random.Random, data: bytearray) -> None:
    part = block(chance, data)
    data[part] = bytes(len(data[part]))


def insert(chance: random.Random, data: bytearray) -> None:
    part = block(chance, data)
    data[part.start : part.start] = chance.randbytes(part.stop - part.start)


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def set_field(chance: random.Random, data: bytearray) -> None:
    """A number somewhere in a header becomes an extreme one."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = chance.choice((1, 2, 4, 4, 8))
        value = chance.choice(EXTREME) % 256**size
        start = chance.randrange(min(HEAD, len(data)))
        if chance.random() < 0.3:  # an index at the end
            start = max(0, len(data) - HEAD) + start
        data[start : start + size] = value.to_bytes(size, chance.choice(("big", "little")))


DAMAGE = [flip_bits, set_bytes, remove, double, move, clear, insert, cut, set_field, set_field]


def damaged(seed: int, files: dict[str, Path]) -> tuple[str, str, bytes]:
    """Names of file and damage, and the bytes, of a seed."""
    chance = random.Random(seed)
    name = chance.choice(list(files))
    data = bytearray(files[name].read_bytes())
    changes = chance.choices(DAMAGE, k=chance.choice((1, 1, 2)))
    for change in changes:
        if data:
            change(chance, data)
    return name, "+".join(change.__name__ for change in changes), bytes(data)


def work(link: Connection, log: Path, limit: float, folder: Path) -> None:
    """Restore what comes through the link, one after the other."""
    file = log.open("w")
    os.dup2(file.fileno(), 2)
    limit_memory()
    os.environ["TMPDIR"] = str(folder)
    os.chdir(folder)
    tempfile.tempdir = None
    from s2svr.cli.app import app

    while True:
        try:
            words, source = link.recv()
        except EOFError:
            return
        decodable = count_pictures(source) if source.suffix not in IMAGES else None
        out, err, began = io.StringIO(), io.StringIO(), monotonic()
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(limit, file=file)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = call(app, words)
        faulthandler.cancel_dump_traceback_later()
        ended = Ended(code, out.getvalue(), err.getvalue(), monotonic() - began)
        link.send((ended, decodable))


def call(app: Callable[..., object], words: list[str]) -> int:
    """The exit code of the command; what it does not handle is a traceback."""
    import traceback

    try:
        app(words, prog_name="s2svr")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


IMAGES = {".png", ".jpg", ".tif", ".webp", ".bmp"}


class Worker:
    """A process that restores files one after the other; a new one where the last has died."""

    def __init__(self, context: BaseContext, folder: Path, weights: Path, limit: float) -> None:
        self.context, self.folder, self.weights, self.limit = context, folder, weights, limit
        self.process: BaseProcess | None = None
        self.done = 0

    def start(self) -> None:
        self.link, other = self.context.Pipe()
        self.log = self.folder / "worker.txt"
        (self.folder / "other").mkdir(exist_ok=True)
        process = self.process = self.context.Process(  # type: ignore[attr-defined]
            target=work, args=(other, self.log, self.limit, self.folder / "other"), daemon=True
        )
        process.start()
        other.close()
        self.done = 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def restore(self, source: Path, box: Box) -> tuple[Ended, int | None, str]:
        """How the restoration ended, frames that can be decoded, and what is wrong with it."""
        if self.process is None or self.done >= 250:
            self.stop()
            self.start()
        assert self.process is not None
        target = box.made / ("out" + suffix_for(source))
        words = ["restore", "--threads", "1", "--weights", str(self.weights)]
        words += ["--", str(source), str(target)]
        self.done += 1
        self.link.send((words, source))
        decodable = None
        try:
            if self.link.poll(self.limit + 1):
                ended, decodable = self.link.recv()
                fault = ended.fault
            else:
                ended, fault = Ended(None, "", self.log.read_text(), self.limit), "worker hangs"
        except (EOFError, ConnectionError):
            self.process.join()
            ended = Ended(self.process.exitcode, "", self.log.read_text(), 0.0)
            fault = f"worker {ended.fault}"
        if ended.code is None or ended.code < 0:
            self.stop()
            box.clean()
            alone = run_apart(self.context, box, words, self.limit)
            fault += f"; alone: {alone.fault or alone.code}"
        if left := box.left(target):
            fault = "; ".join(filter(None, (fault, f"left {', '.join(left)}")))
        if (ended.code in (0, 1)) != target.exists() and not fault:
            fault = f"ended with {ended.code} and {'an' if target.exists() else 'no'} output"
        return ended, decodable, fault


def try_seeds(seeds: list[int], folder: Path, *, limit: float, keep: Path | None) -> list[Outcome]:
    """Damage and restore the files of all seeds."""
    files = {}
    for name, make in FILES.items():
        (place := folder / "files" / name).mkdir(parents=True)
        files[name] = make(place)
    worker = Worker(start_context(fresh=False), folder, tiny_weights(folder / "tiny"), limit)
    outcomes = []
    for seed in seeds:
        name, damage, data = damaged(seed, files)
        box = Box(folder / "box")
        source = box.given / files[name].name
        source.write_bytes(data)
        ended, decodable, fault = worker.restore(source, box)
        outcome = Outcome(seed, name, damage, ended, decodable, fault)
        lost = (decodable or 0) - outcome.restored
        if not fault and ended.code == 0 and lost > 0:
            fault = f"silently lost {lost} of {decodable} frames"
            outcome = outcome._replace(fault=fault)
        outcomes.append(outcome)
        if fault:
            say(f"seed {seed}: {name}, {damage}: {fault}\n{ended.err}")
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, keep / f"{seed}{source.suffix}")
        box.empty()
        if len(outcomes) % 100 == 0:
            say(f"{len(outcomes)} of {len(seeds)}")
    worker.stop()
    return outcomes


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def table(outcomes: list[Outcome]) -> list[str]:
    """Counts by file and exit."""
    names = "file", "tried", "0: well", "1: damage", "2: refused", "0 with fewer frames", "faults"
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name in [*FILES, "all"]:
        mine = [o for o in outcomes if name in (o.file, "all")]
        codes = Counter(o.ended.code for o in mine)
        unsaid = sum(o.unsaid for o in mine)
        faults = sum(bool(o.fault) for o in mine)
        cells = [name, len(mine), codes[0], codes[1], codes[2], unsaid, faults]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def made(name: str) -> int:
    """Frames of a file before the damage."""
    return 1 if name in ("png", "jpeg", "tiff", "webp", "bmp") else FRAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each file")
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    seeds = list(range(chosen.first, chosen.first + chosen.count))
    with tempfile.TemporaryDirectory() as folder:
        outcomes = try_seeds(seeds, Path(folder), limit=chosen.limit, keep=chosen.keep)
    slowest = max(outcomes, key=lambda o: o.ended.seconds)
    bad = [o for o in outcomes if o.fault]
    longest = f"{slowest.ended.seconds:.1f} s of {chosen.limit:.0f} s"
    total = f"{len(bad)} faults; the slowest, seed {slowest.seed}: {longest}."
    lines = [*table(outcomes), "", total]
    lines += [f"- seed {o.seed}: {o.file}, {o.damage}: {o.fault}" for o in bad]
    fewer = ", ".join(f"{o.seed} ({o.file})" for o in outcomes if o.unsaid)
    lines.append(f"0 with fewer frames, where the rest cannot be decoded: {fewer or 'none'}.")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
