"""What becomes of sound, subtitles, times and tags between any two containers.

    python benchmarks/product/streams.py

Makes a file of each kind with two sound tracks, what subtitles it can hold, chapters, metadata, an
attachment where that is possible, frames at variable distances and a late begin; sends each through
``s2svr restore --check`` into each kind; prints a table and what was converted or dropped, and why.
Ends with 1 where something does not hold, or where within one kind any stream is not the same.
"""

import argparse
import math
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from s2svr.restoration.verify import Check, check_video

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from media_clips import VARIABLE, make_video, payloads

LATE = 4711  # ticks of 1/90000 s


class Kind(NamedTuple):
    """What a file of a kind holds."""

    codec: str
    sound: list[str]
    texts: list[str]
    chapters: bool = True
    attachment: bool = False


KINDS = {
    "mp4": Kind("libx264", ["aac", "ac3"], ["mov_text"]),
    "mov": Kind("libx264", ["aac", "pcm_s16le"], ["mov_text"]),
    "mkv": Kind("libx264", ["libopus", "flac"], ["subrip", "ass"], attachment=True),
    "webm": Kind("libvpx-vp9", ["libopus", "libopus"], ["webvtt"]),
    "ts": Kind("libx264", ["mp2", "aac"], [], chapters=False),
}


def made(folder: Path, kind: str) -> Path:
    codec, sound, texts, chapters, attachment = KINDS[kind]
    return make_video(
        folder / f"source.{kind}", codec=codec, pts=[stamp + LATE for stamp in VARIABLE],
        tags=(1, 1, 1, 1), sound=sound, texts=texts, chapters=chapters, attachment=attachment,
        metadata={"title": "Harbour", "artist": "Nobody"} if chapters else {},
        options={"deadline": "realtime", "cpu-used": "8"} if kind == "webm" else None,
    )  # fmt: skip


def plain(kind: str, data: bytes) -> bytes:
    """A packet's data without the header that MPEG-TS needs before AAC."""
    return data[7:] if kind == "ts" and data[:2] in (b"\xff\xf1", b"\xff\xf9") else data


def differences(source: Path, target: Path, kind: str, shift: float) -> list[str]:
    """Sound and subtitle tracks of two files of one kind that are not equal, without s2svr."""
    wrong = []
    for type_, names in (("audio", KINDS[kind].sound), ("subtitles", KINDS[kind].texts)):
        for number in range(len(names)):
            old, new = (payloads(path, type_, number) for path in (source, target))
            if [plain(kind, data) for _, data in old] != [plain(kind, data) for _, data in new]:
                wrong.append(f"{type_} {number + 1}: other payloads")
                continue
            late = [
                math.inf if a is None or b is None else float(b - a) - shift
                for (a, _), (b, _) in zip(old, new, strict=True)
            ]
            if (most := max(map(abs, late))) > 0.0011:
                wrong.append(f"{type_} {number + 1}: {1000 * most:.3f} ms away")
    return wrong


def cell(check: Check) -> str:
    """One field of the table."""
    if not check.holds:
        return "FAILS"
    fates = Counter(row.fate for row in check.rows if row.what != "codec")
    lost = [f"{fates[fate]} {fate}" for fate in ("converted", "dropped") if fates[fate]]
    times = f"shift {1000 * float(check.shift):g} ms" if check.shift else ""
    exact = "" if not check.deviation else f"to {1000 * float(check.deviation):.2f} ms"
    return ", ".join(filter(None, [*(lost or ["all kept"]), times, exact]))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    reasons: dict[str, Counter[str]] = {}
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"| from \\ to | {' | '.join(KINDS)} |\n|---{'|---' * len(KINDS)}|")  # noqa: T201
        for old in KINDS:
            source, cells = made(folder, old), []
            for new in KINDS:
                check = check_video(source, folder / f"{old}.{new}")
                cells.append(cell(check))
                failures += [f"{old} to {new}: {line}" for line in check.failures]
                if old == new:
                    shift = float(check.shift)
                    wrong = differences(source, check.target, old, shift)
                    failures += [f"{old} to {new}: {line}" for line in wrong]
                    whole = [row for row in check.rows if row.fate in ("converted", "dropped")]
                    wrong = [row.what for row in whole if row.what != "codec"]
                    failures += [f"{old} to {new}: {what} is not kept" for what in wrong]
                for row in check.rows:
                    if row.fate in ("converted", "dropped") and row.what != "codec":
                        what = re.sub(r" \d+( \(\w+\))?", "", row.what)
                        line = f"{what}: {row.fate}, {re.sub(r' [0-9]+ ', ' ', row.why)}"
                        reasons.setdefault(f"{old} to {new}", Counter())[line] += 1
            print(f"| {old} | {' | '.join(cells)} |", flush=True)  # noqa: T201
    for pair, lines in reasons.items():
        print(f"\n{pair}")  # noqa: T201
        for line, count in lines.items():
            print(f"- {line}" + f" ({count} times)" * (count > 1))  # noqa: T201
    print("\n".join(["", *failures] if failures else ["", "all of it holds"]))  # noqa: T201
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
