"""Answers of the page while a clip is restored, and memory while a large upload comes.

    python benchmarks/product/page.py CLIP --calls 100 --upload 4096

``s2svr serve`` runs as its users run it, in a folder of its own that is removed afterwards. Printed
are the median and the worst of the times in which the page and its calls answered (ms) while the
clip was restored, and by how much the largest memory of the server grew while an upload of so many
MiB came (MiB). The upload is zeros, so it is refused as no video when all of it is there.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

PATHS = ("/", "/assets/page.js", "/api/about", "/api/jobs")
PIECE = bytes(1 << 20)
HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\n\r\n'
FORM = "multipart/form-data; boundary=b"


class Server:
    """``s2svr serve`` in a folder."""

    def __init__(self, folder: str) -> None:
        command = [sys.executable, "-m", "s2svr", "serve", "--no-open", "--folder", folder]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.place = urlsplit(self.process.stdout.readline().strip()).netloc

    def call(self, method: str, path: str, body: object = None, kind: str = "") -> dict:
        """The answer to a call, as JSON; empty where it is none."""
        connection = http.client.HTTPConnection(self.place, timeout=600)
        headers = {"content-type": kind} if kind else {}
        connection.request(method, path, body=body, headers=headers)  # type: ignore[arg-type]
        text = connection.getresponse().read()
        connection.close()
        return json.loads(text) if text[:1] in (b"{", b"[") else {}

    def upload(self, path: Path) -> str:
        """Upload a clip and start it; the job's id."""
        fields = b'\r\n--b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b'
        body = HEAD % path.name.encode() + path.read_bytes()
        body += fields % (b"run", b"true") + fields % (b"quality", b"fast") + b"\r\n--b--\r\n"
        return self.call("POST", "/api/jobs", body, FORM)["id"]

    def memory(self) -> int:
        """The largest memory of the process so far, bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def zeros(mebibytes: int) -> Iterator[bytes]:
    """A form with a file of zeros."""
    yield HEAD % b"zeros.mp4"
    for _ in range(mebibytes):
        yield PIECE
    yield b"\r\n--b--\r\n"


def answers(server: Server, job: str, calls: int) -> dict[str, list[float]]:
    """Seconds that each page and call took, as long as the job runs."""
    found: dict[str, list[float]] = {path: [] for path in PATHS}
    for _ in range(calls):
        for path in PATHS:
            began = time.perf_counter()
            server.call("GET", path)
            found[path].append(time.perf_counter() - began)
        if server.call("GET", f"/api/jobs/{job}")["state"] != "running":
            break
        time.sleep(0.05)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="page.py")
    parser.add_argument("clip", type=Path, help="video that is restored meanwhile")
    parser.add_argument("--calls", type=int, default=100, help="of each page, at most")
    parser.add_argument("--upload", type=int, default=4096, metavar="MIB", help="size, 0 for none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            job = server.upload(given.clip)
            while not server.call("GET", f"/api/jobs/{job}").get("done"):
                time.sleep(0.2)
            for path, seconds in answers(server, job, given.calls).items():
                times = (
                    f"median {1000 * median(seconds):.0f} ms, worst {1000 * max(seconds):.0f} ms"
                )
                print(f"{path}: {times} of {len(seconds)} calls")  # noqa: T201
            if given.upload:
                before, began = server.memory(), time.perf_counter()
                said = server.call("POST", "/api/jobs", zeros(given.upload), FORM)
                grown, took = server.memory() - before, time.perf_counter() - began
                print(  # noqa: T201
                    f"upload of {given.upload} MiB: {grown / 2**20:.1f} MiB of memory more, "
                    f"{took:.0f} s; {said['detail']}"
                )
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
