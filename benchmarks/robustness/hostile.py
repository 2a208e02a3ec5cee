"""Restores files that are broken, odd or malicious, and prints what became of each as a table.

    python benchmarks/robustness/hostile.py [--only WORD] [--fork] [--limit SECONDS] \
        [--weights NAME]

Every file is restored by ``s2svr restore`` in a process of its own with a time limit. It ends
with 1 where one of them gave a traceback, a crash or a hang, left files behind or outside the
output folder, changed its input, opened a file that only a playlist names, lost frames without
saying so, or did not end as it should. ``--fork`` starts processes from one that is ready: faster,
nearly the same.
"""

import argparse
import ctypes
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple

import av
from apart import Box, Ended, run_apart, start_context, tiny_weights
from hostile_inputs import CASES, Case

from s2svr.writing.codecs import CONTAINERS

IN_OPEN, NONBLOCK = 0x20, os.O_NONBLOCK  # of inotify


class Row(NamedTuple):
    """A case and what became of it."""

    case: Case
    ended: Ended
    decodable: int | None  # frames that a plain loop of PyAV decodes
    restored: int | None  # frames of the output
    kept: str
    faults: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pattern of the names of cases")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for each")
    parser.add_argument("--weights", help="not a tiny network: it is the files that are tried")
    parser.add_argument("--fork", action="store_true")
    chosen = parser.parse_args()
    context = start_context(fresh=not chosen.fork)
    cases = [case for case in CASES if re.search(chosen.only, case.name)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        weights = chosen.weights or str(tiny_weights(Path(folder) / "tiny"))
        for number, case in enumerate(cases):
            box = Box(Path(folder) / str(number))
            row = examine(context, box, case, weights, chosen.limit)
            box.empty()
            if row is not None:
                rows.append(row)
                say(f"{case.name}: {'; '.join(row.faults) or row.ended.code}")
    lines = ["| input | frames: made, decodable, restored | exit | kept | said |"]
    lines += ["|---|---|---|---|---|", *(map(line, rows))]
    bad = [row for row in rows if row.faults]
    slowest = max(row.ended.seconds for row in rows)
    longest = f"{slowest:.1f} s of {chosen.limit:.0f} s"
    lines += ["", f"{len(rows)} inputs, {len(bad)} faults; the slowest took {longest}."]
    lines += [f"- {row.case.name}: {'; '.join(row.faults)}" for row in bad]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(bad))


def say(text: str) -> None:
    sys.stderr.write(text.replace("\n", " ") + "\n")


def examine(context: BaseContext, box: Box, case: Case, weights: str, limit: float) -> Row | None:
    """Make the input of a case and restore it; None where it cannot be made here."""
    source = case.make(box.given)
    if source is None:
        return None
    target = box.made / ("out" + suffix_for(source))
    before, secret = listing(box.given), box.given / "secret.ts"
    words = ["restore", "--threads", "1", "--weights", weights, "--", str(source), str(target)]
    with opened(secret) as opens:
        ended = run_apart(context, box, words, limit)
        was_opened = opens()
    faults = [ended.fault] if ended.fault else []
    if was_opened:
        faults.append("opened a file that the input names")
    if listing(box.given) != before:
        faults.append("changed the input's folder")
    if left := box.left(target):
        faults.append(f"left {', '.join(left)}")
    decodable = count_pictures(source) if case.frames else None
    restored, kept = contents(target)
    if not ended.fault:
        faults += wrong(case, ended, decodable, restored, target.exists())
    return Row(case, ended, decodable, restored, kept, faults)


def suffix_for(source: Path) -> str:
    """The input's kind where it can be written, else Matroska."""
    if source.is_dir():
        return ""
    return source.suffix if source.suffix in CONTAINERS else ".mkv"


def wrong(
    case: Case, ended: Ended, decodable: int | None, restored: int | None, there: bool
) -> list[str]:
    """What a run that ended in order should not have done."""
    faults = []
    if ended.code not in case.exits:
        faults.append(f"ended with {ended.code}, not {' or '.join(map(str, case.exits))}")
    if there != (ended.code in (0, 1)):
        faults.append(f"ended with {ended.code} and {'an' if there else 'no'} output")
    if not re.search(case.says, ended.err + ended.out):
        faults.append(f"did not say {case.says!r}")
    if ended.code == 0 and restored is not None:
        least = (decodable or 0) if case.blind else max(case.frames or 0, decodable or 0)
        if restored < least:
            faults.append(f"silently lost {least - restored} of {least} frames")
    return faults


def listing(folder: Path) -> dict[str, str]:
    """Everything in a folder, with check sums of the files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)
        found[str(path)] = sha256(path.read_bytes()).hexdigest() if plain else ""
    return found


@contextmanager
def opened(path: Path):  # noqa: ANN201
    """A function that says whether a file was opened since, by anyone; Linux only."""
    if not path.exists() or sys.platform != "linux":
        yield lambda: False
        return
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(NONBLOCK)
    libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN)

    def happened() -> bool:
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    yield happened
    os.close(watch)


def count_pictures(path: Path) -> int | None:
    """Pictures that a plain loop decodes of the first video of a file; None for other things."""
    if not path.is_file() or path.is_symlink() or path.suffix == ".yuv":
        return None
    count = 0
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = container.streams.video[0]
            packets = container.demux(stream)
            while (packet := next(packets, None)) is not None:
                try:
                    count += len(stream.decode(packet))
                except (av.error.FFmpegError, OSError):
                    continue
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        pass
    return count


def contents(target: Path) -> tuple[int | None, str]:
    """Frames of an output, and its streams in words."""
    if not target.exists():
        return None, ""
    if target.is_dir():
        files = list(target.iterdir())
        return len(files), f"{len(files)} PNGs"
    with av.open(str(target)) as container:
        streams = container.streams
        words = [
            f"{s.codec_context.name} {s.width}x{s.height}" if s.type == "video"
            else s.codec_context.name if s.codec_context else s.type
            for s in streams
        ]  # fmt: skip
    return count_pictures(target), ", ".join(words)


def line(row: Row) -> str:
    """A row of the table."""
    counts = (row.case.frames, row.decodable, row.restored)
    numbers = ", ".join("-" if count is None else str(count) for count in counts)
    said = [text for text in row.ended.err.splitlines() if text.startswith(("error", "warning"))]
    said += [text for text in row.ended.out.splitlines() if text.startswith("damage")]
    text = re.sub(r"\S*/(given|made)/?", "", "; ".join(said))
    cells = [row.case.name, numbers, str(row.ended.code), row.kept, text]
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    main()
