"""The calls of the page: each with what it gives, what it refuses, and its limits."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from fake_workers import FIGURES, Crew, fake_queue, until
from s2svr.cli.app import app
from s2svr.jobs import JobQueue
from s2svr.web import LOCAL, ServeSettings, create_app, serve
from s2svr.web.calls import download_name
from s2svr.web.places import OutsideError, inside, output_name, shown_name, stored_name
from s2svr.web.serving import address, bound, kept_token
from s2svr.web.uploads import Sink

HOST = f"http://{LOCAL}:8000"


@pytest.fixture
def crew() -> Crew:
    return Crew()


def client_of(settings: ServeSettings, crew: Crew, base: str = HOST) -> TestClient:
    return TestClient(create_app(fake_queue(settings.folder, crew), settings), base_url=base)


@pytest.fixture
def web(tmp_path: Path, crew: Crew) -> Iterator[TestClient]:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "film.mp4").write_bytes(b"film")
    (root / "notes.txt").write_bytes(b"no video")
    (root / "sub" / "other.mkv").write_bytes(b"other")
    (root / "away.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    settings = ServeSettings(tmp_path / "folder", root=root, max_upload=100_000)
    with client_of(settings, crew) as client:
        yield client


def sent(web: TestClient, name: str = "a.mp4", data: bytes = b"video", **fields: str) -> Any:
    return web.post("/api/jobs", files={"file": (name, data)}, data=fields)


def full_disk(*anything: object) -> None:
    raise OSError(28, "No space left on device")


def job_of(web: TestClient, name: str) -> dict[str, Any]:
    return web.get(f"/api/jobs/{name}").json()


def test_the_page_and_its_parts_are_there_with_a_strict_policy(web: TestClient):
    page = web.get("/")
    assert page.status_code == 200
    assert "<title>s2svr</title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=|style=|https?://", page.text)
    for text in (page.text, web.get("/docs").text):
        for name in re.findall(r'(?:src|href)="(/assets/[^"]+)"', text):
            assert web.get(name).status_code == 200
    assert web.get("/assets/page.js").headers["content-type"].startswith("text/javascript")
    assert web.get("/assets/..%2fapp.py").status_code == 404
    assert web.get("/assets/nothing.js").status_code == 404


def test_about_says_what_the_server_can(web: TestClient):
    about = web.get("/api/about").json()
    assert set(about["tasks"]) == {"sr", "upscale", "deblur", "compression"}
    assert (about["max_upload"], about["root"], about["local"]) == (100_000, True, True)
    assert about["free"] > 0


def test_a_job_from_the_upload_to_the_result(web: TestClient, crew: Crew):
    answer = sent(web, task="sr", quality="fast", crf="20", size="128x96")
    assert answer.status_code == 201
    job = answer.json()
    assert (job["name"], job["output"], job["state"]) == ("a.mp4", "a-restored.mp4", "new")
    assert job["order"]["size"] == [128, 96]
    assert job["expires"] == pytest.approx(time.time() + 7 * 86400, abs=60)
    name = job["id"]
    until(lambda: job_of(web, name)["preview"]["state"] == "ready")
    job = job_of(web, name)
    assert (job["network"], job["why"], job["plan"]["seconds"]) == ("sr-real", "you chose it", 6.0)
    key = job["preview"]["key"]
    proxy = web.get(f"/api/jobs/{name}/previews/{key}.mp4")
    assert (proxy.content, proxy.headers["content-type"]) == (b"proxy", "video/mp4")
    part = web.get(f"/api/jobs/{name}/previews/{key}.mp4", headers={"range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"ro")
    assert web.get(f"/api/jobs/{name}/previews/{key}-1.jpg").content == b"jpeg"
    assert web.get(f"/api/jobs/{name}/previews/{key}-7.jpg").status_code == 404
    early = web.get(f"/api/jobs/{name}/result")
    assert (early.status_code, early.json()["detail"]) == (
        409, "a.mp4 is new: there is no result yet",
    )  # fmt: skip
    assert web.get(f"/api/jobs/{name}/report").status_code == 409
    assert web.post(f"/api/jobs/{name}/start").json()["state"] == "running"
    nothing = web.get(f"/api/jobs/{name}/so-far")
    assert (nothing.status_code, nothing.json()["detail"]) == (409, "nothing is on the disk yet")
    crew.step("picture", "progress")
    until(lambda: job_of(web, name)["kept"] == 4)
    part_of_it = web.get(f"/api/jobs/{name}/so-far")
    assert part_of_it.content == b"so far"
    assert 'filename="a-restored-so-far.mp4"' in part_of_it.headers["content-disposition"]
    assert web.get(f"/api/jobs/{name}/pictures/1.jpg").content == b"jpeg"
    assert web.post(f"/api/jobs/{name}/pause").json()["state"] == "paused"
    assert web.post(f"/api/jobs/{name}/pause").status_code == 409
    assert web.post(f"/api/jobs/{name}/resume").json()["state"] == "running"
    crew.step("done")
    until(lambda: job_of(web, name)["fidelity"] is not None)
    result = web.get(f"/api/jobs/{name}/result")
    assert result.content == b"restored video"
    assert result.headers["content-disposition"] == 'attachment; filename="a-restored.mp4"'
    report = web.get(f"/api/jobs/{name}/report").json()
    assert report["fidelity"] == FIGURES
    assert report["kept"][0]["fate"] == "kept"
    assert web.delete(f"/api/jobs/{name}").status_code == 204
    gone = web.get(f"/api/jobs/{name}")
    assert gone.status_code == 404
    assert gone.json()["detail"] == f"there is no job {name!r}: it is removed, or too old"


def test_an_upload_may_start_at_once(web: TestClient, crew: Crew):
    job = sent(web, run="true").json()
    assert job["state"] == "running"
    assert web.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert crew.last("restorer").killed.is_set()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "enlarge"}, "task: expected the task sr, upscale, deblur, compression, got"),
        ({"quality": "good"}, "quality: input should be 'auto', 'fast' or 'best', got 'good'"),
        ({"colour": "red"}, "expected settings named task, .*, got 'colour'"),
        ({"scale": "9"}, "expected a scale of 1 to 4"),
        ({"crf": "low"}, "crf: input should be a valid integer.*'low'"),
        ({"start": "-1"}, "start: input should be greater than or equal to 0"),
    ],
)
def test_impossible_settings_are_refused(web: TestClient, fields: dict[str, str], words: str):
    answer = sent(web, **fields)
    assert answer.status_code == 422
    assert re.search(words, answer.json()["detail"])
    assert web.get("/api/jobs").json() == []


def test_what_is_no_video_leaves_nothing(web: TestClient, tmp_path: Path):
    answer = sent(web, "x.mp4", b"bad")
    assert (answer.status_code, answer.json()) == (
        422,
        {"detail": "x.mp4 is not a video that can be read"},
    )
    assert web.get("/api/jobs").json() == []
    for folder in ("jobs", "uploads"):
        assert list((tmp_path / "folder" / folder).iterdir()) == []


def test_uploads_are_bounded_before_and_while_they_come(
    web: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    large = sent(web, data=b"x" * 100_001)
    assert large.status_code == 413
    assert large.json()["detail"].startswith("expected at most 97.7 KiB (--max-upload), got more")
    assert sent(web, data=b"x" * 2_000_000).status_code == 413

    def pieces() -> Iterator[bytes]:  # no length is said
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        for _ in range(20):
            yield b"x" * 10_000

    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert web.post("/api/jobs", content=pieces(), headers=kind).status_code == 413
    monkeypatch.setattr("s2svr.web.uploads.free_bytes", lambda path: 1000)
    full = sent(web)
    assert full.status_code == 507
    assert "1000 bytes are free" in full.json()["detail"] or "KiB are free" in full.json()["detail"]
    assert list((tmp_path / "folder" / "uploads").iterdir()) == []


def test_forms_that_are_none_or_are_cut_off_are_refused(web: TestClient, tmp_path: Path):
    assert web.post("/api/jobs").status_code == 415
    assert web.post("/api/jobs", data={"task": "sr"}, files={"x": (None, b"")}).status_code == 422
    kind = {"content-type": "multipart/form-data; boundary=b"}
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nxyz'
    cut = web.post("/api/jobs", content=head, headers=kind)
    assert (cut.status_code, cut.json()["detail"]) == (400, "the upload was cut off: send it again")
    assert web.post("/api/jobs", content=b"no form", headers=kind).status_code == 400
    two = web.post("/api/jobs", files=[("file", ("a", b"1")), ("file", ("b", b"2"))])
    assert (two.status_code, two.json()["detail"]) == (400, "expected one file a call, got two")
    one = [("file", ("a", b"1"))]
    many = web.post("/api/jobs", data={f"f{n}": "x" * 60_000 for n in range(18)}, files=one)
    assert many.status_code == 413
    assert many.json()["detail"] == "the form's fields are more than 1.0 MiB together"
    names = web.post("/api/jobs", data={f"{n:03000}": "" for n in range(365)}, files=one)
    assert names.status_code == 413
    assert list((tmp_path / "folder" / "uploads").iterdir()) == []


def test_a_broken_upload_goes_on_where_it_was(web: TestClient):
    made = web.post("/api/uploads", json={"name": "a.mp4", "bytes": 9}).json()
    place = f"/api/uploads/{made['id']}"
    assert made["received"] == 0
    assert web.put(f"{place}?offset=0", content=b"1234").json()["received"] == 4
    wrong = web.put(f"{place}?offset=0", content=b"1234")
    assert wrong.status_code == 409
    assert "expected the bytes from 4 on" in wrong.json()["detail"]
    assert web.put(f"{place}?offset=4", content=b"567890").status_code == 413
    assert web.get(place).json()["received"] == 4
    last = web.put(f"{place}?offset=4", content=b"56789").json()
    job = last["job"]
    assert job["name"] == "a.mp4"
    assert web.get(place).status_code == 404
    assert web.post("/api/uploads", json={"name": "a", "bytes": 100_001}).status_code == 413
    assert web.get("/api/uploads/../../jobs").status_code == 404
    other = web.post("/api/uploads", json={"name": "b.mp4", "bytes": 9}).json()["id"]
    assert web.delete(f"/api/uploads/{other}").status_code == 204
    assert web.put(f"/api/uploads/{other}?offset=0", content=b"1").status_code == 404


def test_a_folder_of_images_is_one_job(web: TestClient, tmp_path: Path):
    files = [{"name": "shot 1.png", "bytes": 3}, {"name": "shot 2.png", "bytes": 4}]
    asked = {"name": "shots", "bytes": 7, "files": files}
    made = web.post("/api/uploads", json=asked).json()
    job = web.put(f"/api/uploads/{made['id']}?offset=0", content=b"onefour").json()["job"]
    assert job["output"] == "shots-restored.mkv"
    source = tmp_path / "folder" / "jobs" / job["id"] / "source" / "shots"
    assert {item.name: item.read_bytes() for item in source.iterdir()} == {
        "shot_1.png": b"one", "shot_2.png": b"four",
    }  # fmt: skip
    assert web.post("/api/uploads", json=asked | {"bytes": 8}).status_code == 422
    same = asked | {"files": [files[0], files[0]], "bytes": 6}
    assert web.post("/api/uploads", json=same).status_code == 422


def test_names_in_other_scripts_keep_their_kind_and_order(web: TestClient, tmp_path: Path):
    job = sent(web, "фильм.mp4", run="true").json()
    entry = web.app.state.calls.queue.get(job["id"])
    assert (entry.source.name, entry.target.name) == ("video.mp4", "video-restored.mp4")
    job = sent(web, "фильм.avi").json()
    entry = web.app.state.calls.queue.get(job["id"])
    entry.target.write_bytes(b"result")
    web.app.state.calls.queue.put(entry.but({"state": "done"}))
    answer = web.get(f"/api/jobs/{job['id']}/result")
    assert "-restored.mkv" in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "video/x-matroska"
    assert download_name(entry.but({"name": "x.mp4"})) == "x-restored.mkv"
    files = [{"name": name, "bytes": 1} for name in ("一.png", "二.png")]
    made = web.post("/api/uploads", json={"name": "絵", "bytes": 2, "files": files}).json()
    job = web.put(f"/api/uploads/{made['id']}?offset=0", content=b"12").json()["job"]
    source = web.app.state.calls.queue.get(job["id"]).source
    assert {item.name: item.read_bytes() for item in source.iterdir()} == {
        "000000.png": b"1", "000001.png": b"2",
    }  # fmt: skip


def test_an_upload_is_kept_while_it_cannot_be_taken(
    web: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = tmp_path / "folder" / "uploads"
    files = [{"name": "1.png", "bytes": 3}, {"name": "2.png", "bytes": 4}]
    for asked in ({"name": "a.mp4"}, {"name": "set", "files": files}):
        made = web.post("/api/uploads", json={"bytes": 7} | asked).json()
        place = f"/api/uploads/{made['id']}"
        with monkeypatch.context() as patch:
            patch.setattr("s2svr.jobs.store.write_whole", full_disk)
            full = web.put(f"{place}?offset=0", content=b"onefour")
            assert full.status_code == 507
        with monkeypatch.context() as patch:
            patch.setattr("s2svr.web.intake.LOOK", 0.0)
            busy = web.put(f"{place}?offset=7", content=b"")
            assert busy.status_code == 503
        assert web.get(place).json()["received"] == 7
        job = web.put(f"{place}?offset=7", content=b"").json()["job"]
        assert job["name"] == asked["name"]
        assert list(kept.iterdir()) == []
    assert len(web.get("/api/jobs").json()) == 2
    bad = web.post("/api/uploads", json={"name": "a.mp4", "bytes": 3}).json()
    assert web.put(f"/api/uploads/{bad['id']}?offset=0", content=b"bad").status_code == 422
    assert list(kept.iterdir()) == []


def test_an_answer_that_comes_too_late_holds_nobody_up(
    web: TestClient, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name, answered = sent(web, run="true").json()["id"], threading.Event()
    crew.step("progress")
    until(lambda: job_of(web, name)["kept"] == 4)
    scout = crew.last("scout")
    at_once = scout.so_far

    def late(message: dict[str, Any]) -> Any:
        answered.wait(10)
        yield from at_once(message)

    monkeypatch.setattr(scout, "so_far", late)
    monkeypatch.setattr("s2svr.web.calls.SO_FAR", 0.01, raising=False)
    monkeypatch.setattr("s2svr.web.intake.LOOK", 0.01)
    assert web.get(f"/api/jobs/{name}/so-far").status_code == 503
    monkeypatch.setattr("s2svr.web.intake.LOOK", 10.0)
    answered.set()
    assert sent(web, "b.mp4").status_code == 201
    folder = tmp_path / "folder" / "jobs" / name / "so-far"
    until(lambda: not list(folder.iterdir()))  # nobody waits for it


HOSTILE = ["../../../etc/passwd.mp4", "..\\..\\x.mp4", "a\0b.mp4", ".hidden", "<img onerror=1>.mp4",
           "x" * 300 + ".mp4", "", "CON ‮.mp4", "-rf.mp4", "a/../../b.mkv"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_in_the_jobs_own_folder(web: TestClient, tmp_path: Path, name: str):
    made = web.post("/api/uploads", json={"name": name, "bytes": 1}).json()
    job = web.put(f"/api/uploads/{made['id']}?offset=0", content=b"v").json()["job"]
    folder = tmp_path / "folder" / "jobs" / job["id"]
    (source,) = (folder / "source").iterdir()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,110}", source.name)
    assert "/" not in job["name"]
    assert "\\" not in job["name"]
    assert job["name"].isprintable()


def test_names_as_they_are_shown_and_stored():
    assert shown_name("a/b\\Ü <x>.mp4") == "Ü <x>.mp4"
    assert stored_name("Ü <x>.mp4") == "U_x_.mp4"
    assert [stored_name(name) for name in ("фильм.mp4", "映画", "a.映", "映 2.tar.MKV")] == [
        "video.mp4", "video", "a", "2.tar.MKV",
    ]  # fmt: skip
    assert len(stored_name("ﷺ" * 90 + ".mp4")) <= 100
    assert output_name("clip_416x240.yuv") == "clip_416x240-restored.mkv"
    assert [output_name(f"a{s}") for s in (".MP4", ".mov", ".avi")] == [
        "a-restored.mp4", "a-restored.mov", "a-restored.mkv",
    ]  # fmt: skip


def test_the_servers_folder_is_shown_and_not_left(web: TestClient, tmp_path: Path):
    found = web.get("/api/files").json()
    assert [item["name"] for item in found] == ["sub", "film.mp4"]  # no links out, no texts
    assert [item["path"] for item in web.get("/api/files?path=sub").json()] == ["sub/other.mkv"]
    job = web.post("/api/files", json={"path": "sub/other.mkv"}).json()
    assert job["place"] == str(tmp_path / "root" / "sub" / "other-restored.mkv")
    for path in ("..", "../secret.mp4", "away.mp4", "/etc/passwd", "sub/../../secret.mp4", "a\0b"):
        assert web.post("/api/files", json={"path": path}).status_code == 403, path
        assert web.get("/api/files", params={"path": path}).status_code == 403, path
    assert web.post("/api/files", json={"path": "nothing.mp4"}).status_code == 404
    assert web.get("/api/files?path=nothing").status_code == 404
    (tmp_path / "root" / ".secret").mkdir()
    with pytest.raises(OutsideError, match="hidden"):
        inside(tmp_path / "root", ".secret")


def test_names_that_cannot_be_paths_are_refused(web: TestClient, tmp_path: Path):
    root = tmp_path / "root"
    Path(os.fsdecode(bytes(root) + b"/caf\xe9.mp4")).write_bytes(b"film")
    (root / "circle.mp4").symlink_to(root / "circle.mp4")
    assert [item["name"] for item in web.get("/api/files").json()] == ["sub", "film.mp4"]
    for path in ("", ".", "sub/.."):
        answer = web.post("/api/files", json={"path": path})
        assert (answer.status_code, "got the folder" in answer.json()["detail"]) == (403, True)
    assert web.get("/api/files", params={"path": "."}).status_code == 200
    for path in ("x" * 300, "x/" * 3000, "circle.mp4"):
        assert web.post("/api/files", json={"path": path}).status_code == 404
        assert web.get("/api/files", params={"path": path}).status_code == 404


def test_jobs_of_one_output_get_different_names(web: TestClient, tmp_path: Path):
    for name in ("two.avi", "two.mkv"):
        (tmp_path / "root" / name).write_bytes(b"film")
    jobs = [web.post("/api/files", json={"path": f"two.{s}"}).json() for s in ("avi", "mkv", "avi")]
    assert [job["output"] for job in jobs] == [
        "two-restored.mkv", "two-restored-2.mkv", "two-restored-3.mkv",
    ]  # fmt: skip
    assert web.delete(f"/api/jobs/{jobs[1]['id']}").status_code == 204
    again = web.post("/api/files", json={"path": "two.mkv"}).json()
    assert again["output"] == "two-restored-2.mkv"


@pytest.mark.parametrize("path", ["/api/files", "/api/uploads", "/api/queue"])
def test_bodies_in_memory_have_a_limit(web: TestClient, path: str):
    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    ask = web.put if path == "/api/queue" else web.post
    answer = ask(path, content=pieces(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (
        413, "expected a body of at most 1048576 bytes, got more"
    )  # fmt: skip


def test_an_output_of_the_servers_folder_that_exists_is_refused(web: TestClient, tmp_path: Path):
    (tmp_path / "root" / "film-restored.mp4").write_bytes(b"there")
    job = web.post("/api/files", json={"path": "film.mp4"}).json()
    refused = web.post(f"/api/jobs/{job['id']}/start")
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "film-restored.mp4 exists already; name another output or add --overwrite"
    )
    changed = web.patch(f"/api/jobs/{job['id']}", json={"overwrite": True}).json()
    assert changed["order"]["overwrite"] is True
    assert web.post(f"/api/jobs/{job['id']}/start").json()["state"] == "running"
    assert web.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert (tmp_path / "root" / "film.mp4").exists()


def test_without_a_root_there_is_nothing_to_pick(tmp_path: Path, crew: Crew):
    with client_of(ServeSettings(tmp_path), crew) as web:
        assert web.get("/api/files").status_code == 404
        assert web.post("/api/files", json={"path": "a"}).status_code == 404


def test_settings_that_are_given_change_and_others_stay(web: TestClient):
    job = sent(web, task="sr").json()
    changed = web.patch(f"/api/jobs/{job['id']}", json={"quality": "best"}).json()
    assert (changed["order"]["task"], changed["order"]["quality"]) == ("sr", "best")
    refused = web.patch(f"/api/jobs/{job['id']}", json={"scale": 9})
    assert (refused.status_code, job_of(web, job["id"])["order"]["scale"]) == (422, None)
    web.post(f"/api/jobs/{job['id']}/start")
    assert web.patch(f"/api/jobs/{job['id']}", json={"crf": 3}).status_code == 409
    assert web.patch("/api/jobs/nobody", json={}).status_code == 404


def test_the_queue_is_put_in_order(web: TestClient):
    names = [sent(web, f"{name}.mp4").json()["id"] for name in "abc"]
    found = web.put("/api/queue", json={"jobs": [names[2], names[0]]}).json()
    assert [job["id"] for job in found] == [names[2], names[0], names[1]]
    assert [job["id"] for job in web.get("/api/jobs").json()] == [names[2], names[0], names[1]]
    assert web.put("/api/queue", json={"jobs": ["nobody"]}).status_code == 404


def test_a_preview_of_other_seconds(web: TestClient):
    name = sent(web).json()["id"]
    shown = web.post(f"/api/jobs/{name}/preview", json={"start": 1.5}).json()["preview"]
    assert shown["start"] == 1.5
    assert web.post(f"/api/jobs/{name}/preview", json={"start": -1}).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8000"}, 200),
        ({"host": "localhost:1234"}, 200),  # of a tunnel
        ({"host": "evil.example"}, 421),
        ({"host": f"{LOCAL}.evil.example:8000"}, 421),
        ({"host": "evil@127.0.0.1"}, 421),
        ({"host": ""}, 421),
        ({"origin": HOST}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": f"http://{LOCAL}:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
    ],
)
def test_only_our_own_pages_may_call(web: TestClient, headers: dict[str, str], status: int):
    for path in ("/", "/api/jobs"):
        assert web.get(path, headers=headers).status_code == status


def test_another_address_needs_its_token(tmp_path: Path, crew: Crew):
    settings = ServeSettings(tmp_path, host="192.0.2.7", token="right", names=("nas",))
    with client_of(settings, crew, "http://192.0.2.7:8000") as web:
        for path in ("/", "/api/jobs", "/docs", "/openapi.json"):
            assert web.get(path).status_code == 401
        assert web.get("/", params={"token": "wrong"}).status_code == 401
        bearer = {"authorization": "Bearer right"}
        assert web.get("/api/jobs", headers=bearer).status_code == 200
        assert web.get("/api/jobs", headers=bearer | {"host": "nas"}).status_code == 200
        assert web.get("/api/jobs", headers=bearer | {"host": "evil"}).status_code == 421
        page = web.get("/", params={"token": "right"})
        assert page.status_code == 200
        assert "HttpOnly; SameSite=Strict" in page.headers["set-cookie"]
        assert web.get("/api/jobs").status_code == 200  # by the cookie
        assert web.get("/api/jobs").json() == []
        assert web.get("/api/about").json()["local"] is False


def test_nobody_else_is_let_in_without_a_token(tmp_path: Path, crew: Crew):
    queue = fake_queue(tmp_path, crew)
    behind_proxy = ServeSettings(tmp_path, names=("nas",))
    for settings in (behind_proxy, ServeSettings(tmp_path, host="192.0.2.7")):
        with pytest.raises(ValueError, match="expected a token for a server that others can call"):
            create_app(queue, settings)
    queue.close()
    with client_of(replace(behind_proxy, token="right"), crew) as web:
        assert web.get("/api/jobs", headers={"host": "nas"}).status_code == 401
        assert web.get("/api/about", params={"token": "right"}).json()["local"] is False


def test_allow_host_makes_and_asks_for_the_token(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
):
    served: list[ServeSettings] = []

    def stop(queue: JobQueue, settings: ServeSettings) -> None:
        served.append(settings)
        queue.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("s2svr.web.serving.create_app", stop)
    listening = bound(ServeSettings(tmp_path))
    monkeypatch.setattr("s2svr.web.serving.bound", lambda settings: listening)
    for names in ((), ("nas",)):
        with pytest.raises(KeyboardInterrupt):
            serve(ServeSettings(tmp_path, names=names), print)
    listening.close()
    assert served[0].token == ""
    assert served[1].token == (tmp_path / "token").read_text()


def test_the_names_of_the_machine_are_looked_up_once(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def named() -> str:
        asked.append("")
        return "machine.example"

    monkeypatch.setattr("socket.getfqdn", named)
    settings = ServeSettings(tmp_path, host="192.0.2.7", token="right")
    with client_of(settings, crew, "http://machine.example:8000") as web:
        for _ in range(3):
            assert web.get("/api/jobs", params={"token": "right"}).status_code == 200
    assert len(asked) == 1


def test_a_browser_that_waits_for_the_page_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    served, opened = threading.Event(), threading.Event()
    monkeypatch.setattr("webbrowser.open", lambda address: opened.set() if served.wait(10) else 0)

    def ready_to_serve(settings: ServeSettings, ready: Any) -> None:
        ready("http://here/")
        served.set()

    monkeypatch.setattr("s2svr.web.serve", ready_to_serve)
    began = time.monotonic()
    assert CliRunner().invoke(app, ["serve", "--folder", str(tmp_path)]).exit_code == 0
    assert time.monotonic() - began < 10
    assert opened.wait(10)


def test_the_token_is_made_once_and_for_its_owner(tmp_path: Path):
    token = kept_token(tmp_path)
    assert len(token) >= 32
    assert kept_token(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").write_text("")  # the disk was full
    again = kept_token(tmp_path)
    assert len(again) >= 32
    assert (tmp_path / "token").read_text() == again
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    settings = ServeSettings(tmp_path, host="192.0.2.7", token=token)
    assert address(settings, 80) == f"http://192.0.2.7:80/?token={token}"
    assert address(ServeSettings(tmp_path, host="::1"), 80) == "http://[::1]:80/"
    assert address(ServeSettings(tmp_path), 5000) == f"http://{LOCAL}:5000/"


def test_a_port_that_is_taken_and_the_last_one(tmp_path: Path):
    first = bound(ServeSettings(tmp_path))
    first.listen()
    port = first.getsockname()[1]
    with pytest.raises(OSError, match=f"expected an address .* free, got {LOCAL} port {port}"):
        bound(ServeSettings(tmp_path, port=port))
    (tmp_path / "port").write_text(str(port))
    second = bound(ServeSettings(tmp_path))  # another has it now
    assert second.getsockname()[1] != port
    first.close()
    second.close()
    third = bound(ServeSettings(tmp_path))
    assert third.getsockname()[1] == port
    third.close()


def test_every_change_is_told(tmp_path: Path, crew: Crew):
    import asyncio

    from s2svr.web.events import changes
    from s2svr.web.views import job_view

    queue = fake_queue(tmp_path, crew)

    async def watch() -> list[tuple[str, Any]]:
        from test_jobs import added

        first = added(queue, tmp_path, "a")
        events = changes(queue, lambda entry: job_view(queue, entry, local=True))
        seen = [await anext(events)]
        threading.Thread(target=added, args=(queue, tmp_path, "b")).start()
        seen.append(await anext(events))
        queue.remove(first.id)
        while seen[-1][0] != "gone":
            seen.append(await anext(events))
        await events.aclose()
        return seen

    seen = asyncio.run(watch())
    assert seen[0][0] == "jobs"
    assert [job["name"] for job in seen[0][1]] == ["a.mp4"]
    assert "b.mp4" in [data.get("name") for _, data in seen[1:]]
    assert queue.listeners == []
    queue.close()


def test_openapi_names_every_call_and_its_errors(web: TestClient):
    api = web.get("/openapi.json").json()
    assert len(api["paths"]) >= 18
    for path, methods in api["paths"].items():
        assert path.startswith("/api/")
        for method, operation in methods.items():
            assert operation["description"], (path, method)
    form = api["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["properties"]["file"]["format"] == "binary"
    assert {"413", "422", "507"} <= set(api["paths"]["/api/jobs"]["post"]["responses"])
    assert web.get("/redoc").status_code == 404


def test_a_disk_that_fills_up_says_so(tmp_path: Path):
    import asyncio

    from fastapi import HTTPException

    sink = Sink(tmp_path / "data", 100)

    def full(data: bytearray) -> None:
        raise OSError(28, "No space left on device")

    sink.write = full  # type: ignore[method-assign]

    async def fill() -> None:
        await sink.take(b"123")
        await sink.finish()

    with pytest.raises(HTTPException) as found:
        asyncio.run(fill())
    assert found.value.status_code == 507
    assert found.value.detail == "the upload cannot be written: No space left on device"
    sink.close()


def test_unfinished_uploads_go_after_a_day(web: TestClient, tmp_path: Path):
    from s2svr.web.uploads import Uploads

    made = web.post("/api/uploads", json={"name": "a.mp4", "bytes": 9}).json()
    uploads = Uploads(tmp_path / "folder" / "uploads", 100)
    uploads.sweep()
    assert web.get(f"/api/uploads/{made['id']}").status_code == 200
    (uploads.folder / "stray").write_bytes(b"")
    fresh = uploads.fresh()
    place = uploads.folder / made["id"]
    for item in (place / "upload.json", place):
        os.utime(item, (time.time() - 90_000,) * 2)
    uploads.sweep()
    assert fresh.is_dir()
    assert web.get(f"/api/uploads/{made['id']}").status_code == 404
    assert json.dumps(made)
