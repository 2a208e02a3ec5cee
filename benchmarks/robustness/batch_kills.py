"""A batch of many small files that is killed three times: nothing is lost, nothing written twice.

    python benchmarks/robustness/batch_kills.py FOLDER [--files 200] [--jobs 2]

Makes copies of four clips in FOLDER, and restores them by ``s2svr batch``. Once one of its workers
is killed (SIGKILL), once the batch itself, and once a worker again. Prints how many files were done
after each run, how many workers were started again, and whether every output is, byte by byte, what
``restore`` makes of its clip, was written once, and has nothing beside it.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np

from s2svr.checkpoint import load
from s2svr.restoration import Compute, Job, restore_job

WEIGHTS = "sr-light"
CLIPS = 4


def make_clip(path: Path, number: int) -> Path:
    """A clip of five frames, 32x24: a pattern that moves, another for each number."""
    y, x = np.mgrid[:24, :32]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(5):
            waves = [127 + 90 * np.sin(x / (5 + number) + y / 7 + k + index) for k in range(3)]
            picture = av.VideoFrame.from_ndarray(np.stack(waves, -1).astype(np.uint8), "rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def command(folder: Path, jobs: int) -> list[str]:
    return [
        sys.executable, "-m", "s2svr", "batch", str(folder / "in"), str(folder / "out"), "--json",
        "--weights", WEIGHTS, "--jobs", str(jobs), "--threads", "1", "--no-plan", "--device", "cpu",
    ]  # fmt: skip


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (entry / "stat").exists():
            fields = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            if int(fields[1]) == process:
                found.append(int(entry.name))
    return found


def outputs(folder: Path) -> list[Path]:
    return sorted((folder / "out").glob("*.mp4"))


def run(folder: Path, jobs: int, kills: dict[int, str]) -> int:
    """Run the batch; when so many outputs are there, kill a worker or the batch. The exit code."""
    kills = dict(kills)
    with (folder / "lines.json").open("a", encoding="utf-8") as lines:
        process = subprocess.Popen(command(folder, jobs), stdout=lines)
        while process.poll() is None:
            time.sleep(0.05)
            count = len(outputs(folder))
            for at in [at for at in kills if count >= at]:
                whom = kills.pop(at)
                victims = [process.pid] if whom == "batch" else children(process.pid)[-1:]
                for victim in victims:
                    os.kill(victim, signal.SIGKILL)
                print(f"killed a {whom} at {count} outputs", flush=True)  # noqa: T201
    return process.returncode


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    folder, files = asked.folder, asked.files
    (folder / "in").mkdir(parents=True)
    expected, one = [], Compute("cpu", threads=1)
    for number in range(CLIPS):
        clip = make_clip(folder / f"{number}.mp4", number)
        restore_job(load(WEIGHTS), Job(clip, folder / f"{number}-restored.mp4", compute=one))
        expected.append((folder / f"{number}-restored.mp4").read_bytes())
    for number in range(files):
        shutil.copy2(folder / f"{number % CLIPS}.mp4", folder / "in" / f"{number:03d}.mp4")
    began = time.monotonic()
    code = run(folder, asked.jobs, {files // 5: "worker", files // 2: "batch"})
    stamps = {path: path.stat().st_mtime_ns for path in outputs(folder)}
    print(f"first run: exit code {code}, {len(stamps)} of {files} outputs")  # noqa: T201
    code = run(folder, asked.jobs, {files * 4 // 5: "worker"})
    print(f"second run: exit code {code}, {len(outputs(folder))} outputs")  # noqa: T201
    touched = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp]
    same = [p for n, p in enumerate(outputs(folder)) if p.read_bytes() == expected[n % CLIPS]]
    lines = (folder / "lines.json").read_text(encoding="utf-8").splitlines()
    ended = [line for line in map(json.loads, lines) if line["event"] == "file"]
    done = sum(line["state"] == "done" for line in ended)
    beside = [path.name for path in (folder / "out").iterdir() if path.suffix != ".mp4"]
    print(f"{len(same)} of {files} outputs are those of restore, {len(touched)} were written again")  # noqa: T201
    print(f"{done} were told as done; beside them: {', '.join(beside)}")  # noqa: T201
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
