"""The page in a real browser: what a person sees and does, with faked work and with real work."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from fake_workers import Crew, fake_queue, until
from s2svr.web import ServeSettings, create_app
from s2svr.web.serving import bound

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no browser: expected chromium"),
    # Of a plugin that Playwright's brings.
    pytest.mark.filterwarnings("ignore:Session-scoped fixtures defined as instance methods"),
    # Of Playwright's own event loop and pipes, at the end of a test.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PATIENCE = 240_000  # milliseconds that real work may take on a busy machine


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's browser in place of one that Playwright would bring."""
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--headless=new"]}


@pytest.fixture
def problems(page: Any) -> list[str]:
    """What the browser's console complains of."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console", lambda said: found.append(said.text) if said.type in ("error", "warning") else 0
    )
    return found


@pytest.fixture
def crew() -> Crew:
    return Crew()


@pytest.fixture
def address(tmp_path: Path, crew: Crew) -> Iterator[str]:
    """A server whose workers are fakes."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "film.mp4").write_bytes(b"film")
    settings = ServeSettings(tmp_path / "folder", root=root)
    app = create_app(fake_queue(settings.folder, crew), settings)
    listening = bound(settings)
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    app.state.calls.ended = True
    server.should_exit = True
    thread.join()
    listening.close()


def payload(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "video/mp4", "buffer": data}


def violations(page: Any) -> list[str]:
    """What axe finds, by its names."""
    from axe_playwright_python.sync_playwright import Axe

    return [found["id"] for found in Axe().run(page).response["violations"]]


@pytest.mark.slow
def test_a_video_from_the_drop_to_the_download(
    page: Any, address: str, crew: Crew, problems: list[str]
):
    page.goto(address)
    page.get_by_label("Choose files").set_input_files(payload("<b>a.mp4", b"video"))
    card = page.get_by_role("article", name="<b>a.mp4")
    card.get_by_text("sr-real (you chose it)").wait_for()
    assert card.get_by_text("64×48, 25 frames/s, 0:01, h264, 8 bit").is_visible()
    assert card.get_by_text("about 0:06, 4.00 frames/s").is_visible()
    card.get_by_text("This browser cannot play H.264").wait_for()  # the fake's is no video
    assert violations(page) == []
    card.get_by_role("button", name="Start").press("Enter")
    card.get_by_text("restoring").wait_for()
    crew.step("picture", "progress")
    card.get_by_text("5 of 25 frames, 4.00 frames/s, 0:05 left, 4 on the disk").wait_for()
    card.get_by_role("button", name="Pause: ").click()
    card.get_by_role("button", name="Go on").click()
    other = page.context.new_page()  # a second tab sees the same
    other.goto(address)
    other.get_by_text("restoring").wait_for()
    other.close()
    crew.step("done")
    link = card.get_by_role("link", name="Download: ")
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    assert Path(download.value.path()).read_bytes() == b"restored video"
    card.get_by_text("Report").click()
    card.get_by_text("40.50 dB from the source").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    card.get_by_role("button", name="Remove").click()
    page.get_by_text("None yet.").wait_for()
    assert problems == []


@pytest.mark.slow
def test_what_is_refused_is_said_and_the_queue_is_ordered_by_keys(
    page: Any, address: str, crew: Crew, problems: list[str], tmp_path: Path
):
    page.goto(address)
    page.get_by_label("Choose files").set_input_files(payload("x.mp4", b"bad"))
    page.get_by_text("x.mp4 is not a video that can be read").wait_for()
    page.get_by_role("button", name="close the message about x.mp4").click()
    files = [payload(f"{name}.mp4", b"video") for name in "abc"]
    page.get_by_label("Choose files").set_input_files(files)
    page.get_by_role("article", name="c.mp4").wait_for()
    page.get_by_role("button", name="move c.mp4 up").press("Enter")
    page.wait_for_function(
        "[...document.querySelectorAll('h3')].map(x => x.textContent)[1] == 'c.mp4'"
    )
    page.get_by_role("button", name="On the server").click()
    page.get_by_role("button", name="take film.mp4").click()
    card = page.get_by_role("article", name="film.mp4")
    card.wait_for()
    (tmp_path / "root" / "film-restored.mp4").write_bytes(b"there")
    card.get_by_role("button", name="Start").click()
    card.get_by_text("film-restored.mp4 exists already").wait_for()
    card.get_by_label("Replace the output").check()
    card.get_by_text("film-restored.mp4 exists already").wait_for(state="hidden")
    card.get_by_label("Size", exact=True).select_option("2")
    card.get_by_role("button", name="Start").click()
    card.get_by_text("restoring").wait_for()
    crew.step("fail")
    card.get_by_text("the disk is full").wait_for()
    assert violations(page) == []
    assert [text for text in problems if "status of 4" not in text] == []
    page.goto(f"{address}docs")
    page.get_by_text("POST /api/jobs", exact=True).wait_for()
    page.wait_for_function("document.querySelectorAll('article').length > 20")
    assert violations(page) == []


@pytest.mark.slow
def test_a_folder_that_is_dropped_comes_whole(page: Any, address: str, tmp_path: Path):
    folder = tmp_path / "drop"
    (folder / "shots").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"video")
    for number in (1, 2, 10):
        (folder / "shots" / f"{number}.png").write_bytes(b"%d" % number)
    page.goto(address)
    page.get_by_label("Choose a folder").set_input_files(folder)
    page.get_by_role("article", name="shots").wait_for()
    page.get_by_role("article", name="a.mp4").wait_for()
    (images,) = (tmp_path / "folder" / "jobs").glob("*/source/shots")
    assert {path.name for path in images.iterdir()} == {"1.png", "2.png", "10.png"}


@pytest.mark.slow
def test_an_upload_goes_on_when_the_line_breaks(page: Any, address: str, tmp_path: Path):
    page.goto(address)
    broken: list[str] = []

    def cut(route: Any) -> None:
        if len(broken) < 2 and "offset=0" not in route.request.url:
            broken.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/uploads/*", cut)
    data = os.urandom(9 << 20)
    page.get_by_label("Choose files").set_input_files(payload("a.mp4", data))
    page.get_by_role("article", name="a.mp4").wait_for()
    assert len(broken) == 2
    (source,) = (tmp_path / "folder" / "jobs").glob("*/source/a.mp4")
    assert source.read_bytes() == data


@pytest.mark.slow
def test_an_upload_that_found_no_room_goes_on_later(page: Any, address: str, tmp_path: Path):
    page.goto(address)
    offsets: list[int] = []

    def full(route: Any) -> None:
        offsets.append(int(route.request.url.split("=")[-1]))
        if len(offsets) == 2:
            route.fulfill(status=507, json={"detail": "the disk has no room"})
        else:
            route.continue_()

    page.route(re.compile("offset="), full)
    film = tmp_path / "a.mp4"
    film.write_bytes(os.urandom(9 << 20))
    page.get_by_label("Choose files").set_input_files(film)
    page.get_by_role("alert").get_by_text("the disk has no room").wait_for()
    page.get_by_label("Choose files").set_input_files(film)
    page.get_by_role("article", name="a.mp4").wait_for()
    assert offsets == [0, 8 << 20, 8 << 20]
    (source,) = (tmp_path / "folder" / "jobs").glob("*/source/a.mp4")
    assert source.read_bytes() == film.read_bytes()


class Served:
    """``s2svr serve`` as a process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "s2svr", "serve", "--no-open", "--folder", str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def end(self, number: int) -> int:
        """End it by a signal; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def serving() -> Iterator[Callable[[Path], Served]]:
    """Starts servers, and ends those that a test left."""
    begun: list[Served] = []

    def start(folder: Path) -> Served:
        begun.append(Served(folder))
        return begun[-1]

    yield start
    for server in begun:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


PIXELS = """canvas => {
  const context = canvas.getContext("2d"), {width, height} = canvas
  const mean = (x, w) => {
    const data = context.getImageData(x, 0, w, height).data
    let sum = 0
    for (let i = 0; i < data.length; i += 4) sum += data[i]
    return sum / (data.length / 4)
  }
  return [mean(0, width / 4), mean(width * 3 / 4, width / 4)]
}"""


def grey_steps(path: Path, count: int) -> Path:
    """A video whose frames are grey of 40, 43, 46 ...: a frame tells its number."""
    import av
    import numpy as np

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            value = 40 + 3 * (number % 50)
            picture = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), value, np.uint8), format="rgb24"
            )
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.mark.slow
def test_a_report_counts_frames_without_a_partner(page: Any, address: str):
    page.goto(address)
    found = {"psnr": 30.0, "base": None, "warning": None, "lost": 6, "added": 1}
    said = page.evaluate(
        """async fidelity => {
            const { report } = await import("/assets/report.js")
            const place = document.createElement("div")
            report(place, { summary: null, said: [], report: [], fidelity })
            return place.textContent
        }""",
        found,
    )
    assert "6 frames of the source have none beside them in the result, and 1 of" in said


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_real_restoration_outlives_tabs_and_servers(
    page: Any, tmp_path: Path, problems: list[str], serving: Callable[[Path], Served]
):
    page.set_default_timeout(PATIENCE)
    source = grey_steps(tmp_path / "in.mp4", 600)  # two segments of 240, and work left after one
    server = serving(tmp_path / "folder")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", server.address)
    page.goto(server.address)
    page.get_by_label("Choose files").set_input_files(source)
    card = page.get_by_role("article", name="in.mp4")
    card.wait_for()
    card.get_by_label("Task", exact=True).select_option("deblur")
    card.get_by_text("deblur-light (the task has one network only)").wait_for()
    card.get_by_text(re.compile(r"Three seconds from \d+:\d\d")).wait_for()
    card.get_by_role("button", name="Pause", exact=True).click()
    canvas = card.locator("canvas")
    for place in (0.1, 1.3, 2.5):  # both halves are the same frame
        card.get_by_label("place in the preview").evaluate(
            "(x, at) => { x.value = at; x.dispatchEvent(new Event('input')) }", place
        )
        page.wait_for_timeout(800)
        before, after = canvas.evaluate(PIXELS)
        assert abs(before - after) < 2
        # A step is 3 levels, and 65 frames before the middle third's begin have gone by.
        assert canvas.evaluate(PIXELS)[0] > 30
    slider = card.get_by_label("where before and after meet")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.input_value() == "0"
    card.get_by_role("button", name="zoom in").click()
    assert card.get_by_text("200 %").is_visible()
    card.get_by_role("button", name="Start").click()
    card.get_by_text(re.compile(r"[1-9]\d* of 600 frames")).wait_for()
    card.get_by_role("button", name="Pause: ").click()
    card.get_by_text("paused", exact=True).wait_for()
    page.wait_for_timeout(3000)
    held = card.locator(".pace").inner_text()
    page.wait_for_timeout(3000)
    assert card.locator(".pace").inner_text() == held
    card.get_by_role("button", name="Go on").click()
    page.close()
    deadline = time.monotonic() + PATIENCE / 1000
    while '"kept": 2' not in job_file(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    server.end(signal.SIGKILL)
    again = serving(tmp_path / "folder")
    assert again.address == server.address  # tabs that are open find it again
    tab = page.context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(again.address)
    with tab.expect_download(timeout=PATIENCE) as download:
        tab.get_by_role("link", name="Download: ").click()
    result = Path(download.value.path()).read_bytes()
    tab.get_by_text("Report").click()
    tab.get_by_text("of them were restored before a break, and kept").wait_for()
    tab.get_by_text("the result is equal to the source").wait_for()  # grey frames stay as they are
    assert again.end(signal.SIGINT) == 0
    words = ["restore", str(source), str(tmp_path / "plain.mp4"), "--task", "deblur"]
    subprocess.run([sys.executable, "-m", "s2svr", *words], check=True, capture_output=True)
    assert result == (tmp_path / "plain.mp4").read_bytes()
    # The browser would like canvases that a test reads to be made for that.
    assert [text for text in problems if "willReadFrequently" not in text] == []


def job_file(folder: Path) -> str:
    """The record of the only job."""
    (path,) = (folder / "folder" / "jobs").glob("*/job.json")
    return path.read_text()


@pytest.mark.slow
def test_the_server_says_what_hinders_it(tmp_path: Path, serving: Callable[[Path], Served]):
    server = serving(tmp_path / "folder")
    command = [sys.executable, "-m", "s2svr", "serve", "--no-open", "--folder"]
    second = subprocess.run(
        [*command, str(tmp_path / "folder")], capture_output=True, text=True, timeout=100
    )
    assert second.returncode == 2
    assert second.stderr.startswith("error: another process works on the jobs in")
    port = server.address.rstrip("/").rpartition(":")[2]
    third = subprocess.run(
        [*command, str(tmp_path / "other"), "--port", port],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert third.returncode == 2
    assert "expected an address of this machine that is free" in third.stderr
    assert server.end(signal.SIGTERM) == 0
