"""The queue of jobs: order, states, workers that end, and what is there after a restart."""

import errno
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from queue import Queue
from typing import Any

import av
import pytest
import torch
from filelock import FileLock

from fake_workers import FACTS, FIGURES, Crew, fake_queue, until
from media_clips import make_video
from networks import TINY
from s2svr.files import lasting_folder
from s2svr.jobs import Entry, JobQueue, Making, NoRoomError, Order, QueueError
from s2svr.jobs.crew import WorkerProcess
from s2svr.jobs.looking import look
from s2svr.jobs.working import Bench, DroppedError, preview_entry, report_entry, restore_entry
from s2svr.media import MediaError, read_clip
from s2svr.models.s2svr import S2SVR
from s2svr.restoration import Compute, Job, restore_job, write_so_far
from s2svr.restoration.pipeline import Stopped
from s2svr.restoration.verify import Outcome


@pytest.fixture
def crew() -> Crew:
    return Crew()


@pytest.fixture
def jobs(tmp_path: Path, crew: Crew):
    queue = fake_queue(tmp_path / "queue", crew)
    queue.open()
    yield queue
    queue.close()


def added(queue: JobQueue, tmp_path: Path, name: str = "a", **changes: object) -> Entry:
    source = tmp_path / f"{name}.mp4"
    source.write_bytes(name.encode())
    entry = Entry(name=source.name, source=source, target=tmp_path / f"{name}-out.mp4", facts=FACTS)
    return queue.add(entry.but(changes))


def states(queue: JobQueue) -> list[tuple[str, str]]:
    return [(entry.name, entry.state) for entry in queue.all()]


def test_a_job_is_planned_shown_restored_and_reported(jobs: JobQueue, crew: Crew, tmp_path: Path):
    name = added(jobs, tmp_path).id
    until(lambda: (making := jobs.get(name).preview) and making.state == "ready")
    assert (jobs.get(name).network, jobs.get(name).state) == ("sr-real", "new")
    jobs.start(name)
    crew.step("progress", "picture")
    until(lambda: jobs.get(name).pictures == 1)
    found = jobs.get(name)
    assert (found.done, found.kept, found.total, found.fps, found.left) == (5, 4, 25, 4.0, 5.0)
    crew.step("done")
    until(lambda: jobs.get(name).fidelity == FIGURES)
    found = jobs.get(name)
    assert (found.state, found.done, found.fps) == ("done", 25, None)
    assert found.target.read_bytes() == b"restored a"
    assert found.report is not None
    assert found.report[0]["fate"] == "kept"
    assert crew.last("restorer").killed.is_set()  # its memory is free while there is no job


def test_one_restores_and_the_next_follows_in_the_order_of_the_queue(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    first, second, third = (added(jobs, tmp_path, name).id for name in "abc")
    for name in (first, second, third):
        jobs.start(name)
    assert states(jobs) == [("a.mp4", "running"), ("b.mp4", "waiting"), ("c.mp4", "waiting")]
    jobs.reorder([third, second])
    crew.step("done")
    until(lambda: jobs.get(third).state == "running")
    assert (jobs.get(first).state, jobs.get(second).state) == ("done", "waiting")
    assert len([worker for worker in crew.workers if worker.kind == "restorer"]) == 1
    with pytest.raises(KeyError):
        jobs.reorder(["nobody"])


def test_a_paused_job_waits_with_its_worker_and_gives_way(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    first = added(jobs, tmp_path).id
    jobs.start(first)
    assert jobs.pause(first).state == "paused"
    assert crew.last("restorer").sent[-1] == {"do": "pause"}
    assert jobs.go_on(first).state == "running"
    assert crew.last("restorer").sent[-1] == {"do": "go on"}
    before = crew.last("restorer")
    jobs.pause(first)
    second = added(jobs, tmp_path, "b").id
    assert jobs.start(second).state == "running"
    assert before.killed.is_set()
    assert jobs.go_on(first).state == "waiting"
    crew.step("done")
    until(lambda: jobs.get(first).state == "running")


def test_a_cancelled_job_leaves_nothing_and_can_be_started_again(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    entry = added(jobs, tmp_path)
    jobs.start(entry.id)
    work = lasting_folder(entry.target)
    work.mkdir()
    assert jobs.cancel(entry.id).state == "cancelled"
    assert not work.exists()
    assert crew.last("restorer").killed.is_set()
    assert jobs.start(entry.id).state == "running"
    crew.step("done")
    until(lambda: jobs.get(entry.id).state == "done")


def test_what_another_has_done_stays(jobs: JobQueue, crew: Crew, tmp_path: Path):
    first = added(jobs, tmp_path)
    with pytest.raises(QueueError, match=r"a-out.mp4 is what the job of a.mp4 makes, which is new"):
        added(jobs, tmp_path, "b", target=first.target)
    jobs.start(first.id)
    second = added(jobs, tmp_path, "b")
    third = added(jobs, tmp_path, "c")
    works = [lasting_folder(entry.target) for entry in (first, second, third)]
    for work in works:
        work.mkdir()
    jobs.start(second.id)
    jobs.cancel(second.id)  # it never began: the folder is of a restoration by hand
    jobs.remove(third.id)
    assert [work.exists() for work in works] == [True] * 3
    with FileLock(works[0] / "lock"):  # another restores there now
        jobs.cancel(first.id)
    assert works[0].exists()
    jobs.start(second.id)  # as it was begun by hand
    crew.step("fail")
    until(lambda: jobs.get(second.id).state == "failed")
    jobs.start(second.id)
    jobs.cancel(second.id)
    assert works[1].exists()  # nothing of it is the job's
    jobs.start(second.id)
    crew.step("progress")
    until(lambda: jobs.get(second.id).done == 5)
    jobs.cancel(second.id)
    assert not works[1].exists()


def test_a_plan_that_comes_late_is_not_that_of_a_job_that_runs(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    entry = added(jobs, tmp_path)
    until(lambda: jobs.get(entry.id).plan is not None)
    jobs.start(entry.id)
    jobs.put(jobs.get(entry.id).but({"network": "sr-best", "planning": True}))
    plan = {"event": "planned", "network": "sr-light", "why": "", "plan": {}}
    jobs.scout.current = ("plan", entry.id)
    jobs.scout.heed(dict(plan))
    assert (jobs.get(entry.id).network, jobs.get(entry.id).planning) == ("sr-best", False)
    jobs.cancel(entry.id)
    jobs.scout.current = ("plan", entry.id)
    jobs.scout.heed(dict(plan))
    assert jobs.get(entry.id).network == "sr-light"


def test_a_preview_is_of_the_part_that_is_asked_for(jobs: JobQueue, tmp_path: Path):
    keys = [
        added(jobs, tmp_path, name, order=order).preview.key
        for name, order in (("a", Order()), ("b", Order(start=1)), ("c", Order(end=1)))
    ]
    assert len(set(keys)) == 3


def test_states_that_do_not_fit_are_refused_with_a_sentence(jobs: JobQueue, tmp_path: Path):
    name = added(jobs, tmp_path).id
    for act, words in ((jobs.pause, "waiting or running"), (jobs.go_on, "paused")):
        with pytest.raises(QueueError, match=f"a.mp4 is new: expected one that is {words}"):
            act(name)


def test_an_output_that_exists_is_refused_unless_it_may_be_replaced(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    entry = added(jobs, tmp_path)
    entry.target.write_bytes(b"there")
    with pytest.raises(QueueError, match="a-out.mp4 exists already; name another output or add"):
        jobs.start(entry.id)
    jobs.change(entry.id, Order(overwrite=True), FACTS)
    assert jobs.start(entry.id).state == "running"


def test_a_plan_that_does_not_fit_the_disk_is_refused(
    jobs: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = added(jobs, tmp_path).id
    until(lambda: jobs.get(name).plan is not None)
    monkeypatch.setattr("s2svr.jobs.queue.free_bytes", lambda path: 1000)
    with pytest.raises(
        NoRoomError, match="a-out.mp4 needs about 244 KiB while .* 1.0 KiB are free"
    ):
        jobs.start(name)


@pytest.mark.parametrize(
    ("step", "words"), [("fail", "the disk is full"), ("end", r"code -9.*out of memory.*goes on")]
)
def test_what_fails_says_why_and_the_next_goes_on(
    jobs: JobQueue, crew: Crew, tmp_path: Path, step: str, words: str
):
    first, second = added(jobs, tmp_path).id, added(jobs, tmp_path, "b").id
    jobs.start(first)
    jobs.start(second)
    crew.step(step)
    until(lambda: jobs.get(second).state == "running")
    found = jobs.get(first)
    assert found.state == "failed"
    assert re.search(words, found.error)
    assert jobs.start(first).error == ""


def full_disk(*anything: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_holds_nobody_up(
    jobs: JobQueue, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = added(jobs, tmp_path).id, added(jobs, tmp_path, "b").id
    third = added(jobs, tmp_path, "c").id
    until(lambda: not any(entry.planning for entry in jobs.all()) and jobs.scout.current is None)
    (jobs.store.jobs / second / "pictures").write_bytes(b"")  # a folder that cannot be made
    for name in (first, second, third):
        jobs.start(name)
    monkeypatch.setattr("s2svr.jobs.store.write_whole", full_disk)
    told: list[str] = []

    def listener(name: str, entry: Entry | None) -> None:
        told.append(name)
        raise BrokenPipeError

    jobs.listen(listener)
    crew.step("fail")
    until(lambda: jobs.get(third).state == "running")
    assert [jobs.get(name).state for name in (first, second)] == ["failed", "failed"]
    assert jobs.get(first).error == "the disk is full"
    assert jobs.get(second).error == "the job cannot be begun: File exists"
    until(lambda: {first, second, third} <= set(told))
    with pytest.raises(NoRoomError, match="d.mp4 cannot be taken: No space left on device"):
        added(jobs, tmp_path, "d")
    assert len(jobs.all()) == 3


@pytest.mark.parametrize("after", ["sweep", "close"])
def test_what_found_no_room_is_saved_later(tmp_path: Path, crew: Crew, after: str):
    queue = fake_queue(tmp_path / "queue", crew)
    entry = added(queue, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2svr.jobs.store.write_whole", full_disk)
        queue.put(queue.get(entry.id).but({"state": "done"}))
    assert [found.state for found in queue.store.load()] == ["new"]
    getattr(queue, after)()
    assert [found.state for found in queue.store.load()] == ["done"]
    queue.close()


def test_who_waits_is_told_where_no_worker_can_be_had(crew: Crew, tmp_path: Path):
    queue = JobQueue(tmp_path / "queue", launch=full_disk)
    question = queue.look(Entry(name="a", source=tmp_path, target=tmp_path))
    with pytest.raises(QueueError, match="cannot be started: No space left on device"):
        question.result(timeout=1)
    assert added(queue, tmp_path).planning is False
    assert queue.all()[0].error.endswith("cannot be started: No space left on device")
    queue.close()


def test_the_end_of_a_worker_is_told_whatever_became_of_its_lines():
    said = b'{"event": "first"}\n{"event": "second"}\n{"cut of'
    heard: list[dict[str, Any]] = []

    def receive(message: dict[str, Any]) -> None:
        heard.append(message)
        if message["event"] == "first":
            raise OSError

    worker = WorkerProcess.__new__(WorkerProcess)
    worker.receive = receive
    worker.process = subprocess.Popen(["printf", "%s", said], stdout=subprocess.PIPE)
    worker.listen()
    assert [message["event"] for message in heard] == ["first", "second", "end"]


def test_everything_is_there_after_a_restart(crew: Crew, tmp_path: Path):
    folder = tmp_path / "queue"
    queue = fake_queue(folder, crew)
    queue.open()
    first, second, third = (added(queue, tmp_path, name).id for name in "abc")
    queue.start(first)
    queue.start(second)
    queue.start(third)
    queue.pause(second)
    with pytest.raises(ValueError, match=f"another process works on the jobs in {folder}"):
        fake_queue(folder, crew)
    queue.store.close()  # as after SIGKILL: nothing was said and nothing ended
    queue.closed = True
    other = Crew()
    again = fake_queue(folder, other)
    again.open()
    assert states(again) == [("a.mp4", "running"), ("b.mp4", "paused"), ("c.mp4", "waiting")]
    other.step("done")
    until(lambda: again.get(third).state == "running")
    again.close()
    queue.scout.worker.close()


def test_a_restart_of_a_job_counts_once(jobs: JobQueue, crew: Crew, tmp_path: Path):
    entry = added(jobs, tmp_path, order=Order(restart=True))
    jobs.start(entry.id)
    assert crew.last("restorer").sent[-1]["entry"]["order"]["restart"] is True
    assert jobs.get(entry.id).order.restart is False


def test_old_jobs_go_and_active_ones_stay(tmp_path: Path, crew: Crew):
    queue = JobQueue(tmp_path / "queue", keep=0.0, launch=crew.launch)
    queue.open()
    old = added(queue, tmp_path)
    young = added(queue, tmp_path, "b")
    queue.start(young.id)
    assert queue.expires(queue.get(young.id)) is None
    gone: list[str] = []
    queue.listen(lambda name, entry: gone.append(name) if entry is None else None)
    queue.sweep()
    assert gone == [old.id]
    assert not queue.store.place(old).exists()
    assert old.source.exists()  # it is not ours
    queue.close()


def test_other_settings_are_planned_and_shown_on_the_same_seconds(
    jobs: JobQueue, crew: Crew, tmp_path: Path
):
    name = added(jobs, tmp_path).id
    jobs.preview(name, 0.5)
    until(lambda: (making := jobs.get(name).preview) and making.state == "ready")
    first = jobs.get(name).preview
    jobs.change(name, Order(quality="best"), FACTS)
    until(lambda: (making := jobs.get(name).preview) and making.state == "ready")
    second = jobs.get(name).preview
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert second.start == 0.5
    asked = len(crew.last("scout").sent)
    jobs.change(name, Order(), FACTS)  # that preview is there already
    until(lambda: jobs.get(name).plan is not None)
    assert jobs.get(name).preview.state == "ready"
    assert [m["do"] for m in crew.last("scout").sent[asked:]] == ["plan"]


def test_broken_records_are_left_and_orphans_removed(tmp_path: Path, crew: Crew):
    queue = fake_queue(tmp_path / "queue", crew)
    kept = added(queue, tmp_path)
    queue.close()
    (tmp_path / "queue" / "jobs" / ("0" * 16)).mkdir()  # an upload that was never taken
    broken = tmp_path / "queue" / "jobs" / ("1" * 16)
    broken.mkdir()
    (broken / "job.json").write_text("{")
    again = fake_queue(tmp_path / "queue", crew)
    assert [entry.id for entry in again.all()] == [kept.id]
    assert not (tmp_path / "queue" / "jobs" / ("0" * 16)).exists()
    assert broken.exists()
    again.close()


def test_a_look_says_what_is_kept_and_what_is_not(tmp_path: Path):
    source = make_video(tmp_path / "in.mkv", sound=["aac"], texts=["ass"], metadata={"title": "x"})
    facts = look(Entry(name="in.mkv", source=source, target=tmp_path / "out.mp4"))
    assert (facts["width"], facts["height"], facts["size_out"]) == (64, 48, (256, 192))
    assert facts["task"] == "upscale"
    assert any(line.startswith("audio aac") for line in facts["kept"])
    assert any("subtitle" in line or "ass" in line for line in [*facts["changes"], *facts["kept"]])
    assert not (tmp_path / "out.mp4").exists()


def test_the_queue_does_without_torch():
    code = "import sys, s2svr.jobs; print({'torch', 'av', 'fastapi'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    """Every network is a tiny one."""
    torch.manual_seed(0)
    network = S2SVR(TINY).eval()
    for module in ("working", "looking"):
        monkeypatch.setattr(f"s2svr.jobs.{module}.load", lambda name, task=None: network)
    return network


def test_a_worker_restores_as_the_command_line_does(tmp_path: Path, tiny: S2SVR):
    source = make_video(tmp_path / "in.mp4", pts=[3003 * i for i in range(9)], sound=["aac"])
    entry = Entry(name="in.mp4", source=source, target=tmp_path / "out.mp4")
    events: list[dict[str, Any]] = []
    restore_entry(Bench(events.append), entry, tmp_path)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "planned"
    assert kinds[-1] == "restored"
    assert "picture" in kinds
    restore_job(tiny, Job(source, tmp_path / "plain.mp4"))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()
    *_, still = sorted(tmp_path.glob("*.jpg"))
    assert read_clip(still).shape[1:] == (3, 2 * 192, 256)  # the input above the result
    entry = entry.but({"state": "done", "facts": {"kind": "video"}})
    report_entry(Bench(events.append), entry)
    fates = {row["what"]: row["fate"] for row in events[-2]["report"]}
    assert (fates["time stamps"], fates["audio 1"]) == ("kept", "kept")
    assert events[-1]["fidelity"]["frames"] == 9
    shown = entry.but({"preview": Making(key="k", start=0.1), "plan": events[0]["plan"]})
    preview_entry(Bench(events.append), shown, tmp_path, Fraction(1, 5))
    check_proxy(tmp_path / "k.mp4", events[-1])


def check_proxy(path: Path, event: dict[str, Any]) -> None:
    """A preview is H.264, its index first, both halves in a picture, at the times of the source."""
    assert event["event"] == "previewed"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(file.decode(stream))
    assert (frames[0].width, frames[0].height) == (256, 384)
    assert len(frames) == event["done"] == event["total"] == 6
    times = [round(frame.pts * frame.time_base * 30000) for frame in frames]
    assert times == [1001 * i for i in range(6)]


def test_what_is_done_so_far_can_be_taken_while_more_is_done(tmp_path: Path, tiny: S2SVR):
    source = make_video(tmp_path / "in.mp4", pts=[3003 * i for i in range(12)], sound=["aac"])
    job = Job(source, tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="nothing of .* is on the disk yet: wait for the end"):
        write_so_far(job, tmp_path / "part.mp4")
    stops = iter([False, True])
    with pytest.raises(Stopped):
        restore_job(tiny, replace(job, compute=Compute(window=4)), segment=4,
                    stop=lambda: next(stops))  # fmt: skip
    before = {path.name: path.read_bytes() for path in lasting_folder(job.target).iterdir()}
    assert write_so_far(job, tmp_path / "part.mp4") == 8
    assert before == {path.name: path.read_bytes() for path in lasting_folder(job.target).iterdir()}
    part = read_clip(tmp_path / "part.mp4")
    with av.open(str(tmp_path / "part.mp4")) as file:
        ends = [float(s.start_time * s.time_base + s.duration * s.time_base) for s in file.streams]
    assert max(ends) < 8 * 3003 / 90000 + 0.05  # sound ends with the last frame
    restore_job(tiny, replace(job, compute=Compute(window=4)), segment=4)
    assert torch.equal(part, read_clip(job.target)[:8])


def test_a_preview_before_the_restoration_shows_what_it_will_be(tmp_path: Path, tiny: S2SVR):
    source = make_video(tmp_path / "in.mp4", pts=[3003 * i for i in range(9)])
    making = Making(key="k", start=0.0)
    entry = Entry(name="in.mp4", source=source, target=tmp_path / "out.mp4", preview=making)
    events: list[dict[str, Any]] = []
    bench = Bench(events.append)
    preview_entry(bench, entry, tmp_path, Fraction(1, 5))
    check_proxy(tmp_path / "k.mp4", events[-1])
    (tmp_path / "k.mp4").unlink()
    bench.dropped, bench.number = {7}, 7
    with pytest.raises(DroppedError):
        preview_entry(bench, entry, tmp_path, Fraction(1, 5))
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".mp4" and path != source]


def test_a_worker_is_a_process_that_ends_with_its_input(tmp_path: Path):
    events: Queue[dict[str, Any]] = Queue()
    worker = WorkerProcess(events.put, tmp_path / "log", tmp_path / "lock")
    bad = tmp_path / "x.mp4"
    bad.write_bytes(b"no video")
    entry = Entry(name="x.mp4", source=bad, target=tmp_path / "out.mp4")
    worker.send({"do": "look", "number": 3, "entry": entry.model_dump(mode="json")})
    answer = events.get(timeout=100)
    assert (answer["event"], answer["number"]) == ("failed", 3)
    assert answer["error"] == "x.mp4 is not a video that can be read"
    assert worker.process.stdin is not None
    worker.process.stdin.close()  # as if the server had been killed
    assert events.get(timeout=10) == {"event": "end", "code": 0}
    worker.close()


def test_a_report_on_a_part_calls_what_was_cut_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = [
        Outcome("time stamps", "", "", "converted", "times: expected 9 frames, got 3"),
        Outcome("bits", "8", "8", "kept"),
        Outcome("audio 1", "aac 9 packets", "aac 3 packets", "converted"),
        Outcome("text 2", "ass", "mov_text", "converted", "mp4 holds no ass"),
    ]
    monkeypatch.setattr("s2svr.jobs.working.what_was_kept", lambda *asked: found)
    source = tmp_path / "in.mp4"
    source.touch()
    entry = Entry(
        name="in.mp4", source=source, target=source, order=Order(end=1), facts={"kind": "video"}
    )
    events: list[dict[str, Any]] = []
    report_entry(Bench(events.append), entry)
    assert [row["fate"] for row in events[0]["report"]] == ["cut", "kept", "cut", "converted"]
    assert events[1]["fidelity"] == {"missing": "only a part of the video was restored"}
