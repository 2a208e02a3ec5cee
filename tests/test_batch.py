"""Batches: inputs and outputs, what is done and what is left, failures, watching, the forecast."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fake_workers import FakeWorker, until
from media_clips import make_video
from s2svr.batch import Batch, BatchSettings, Item, LocalEngine, engine_for
from s2svr.batch.films import PLAN, is_long, stretches_folder
from s2svr.batch.forecast import LONGEST_BEST, forecast
from s2svr.batch.inputs import Passage, find_inputs
from s2svr.batch.items import new_item
from s2svr.checkpoint import Card, save
from s2svr.cli.app import app
from s2svr.files import file_fingerprint
from s2svr.jobs import Order
from s2svr.jobs.crew import visible_gpu
from s2svr.jobs.records import Record, bytes_in, content_of
from s2svr.restoration import Job, restore_job
from s2svr.tasks import TASKS
from test_journal import network
from thread_workers import ThreadEngine


def touched(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def made(folder: Path, *named: str, name: str = "{name}") -> dict[str, str]:
    """Outputs by inputs, both as relative paths."""
    out = folder / "out"
    passages = find_inputs([str(folder / n) for n in named], out, name).passages
    return {str(p.source.relative_to(folder)): str(p.target.relative_to(out)) for p in passages}


def test_a_folder_keeps_its_structure_and_what_is_no_video_is_counted(tmp_path: Path):
    touched(tmp_path, "in/a.mp4", "in/b/c.MKV", "in/b/cover.jpg", "in/x.nfo", "in/.hidden.mp4")
    assert made(tmp_path, "in") == {"in/a.mp4": "a.mp4", "in/b/c.MKV": "b/c.MKV"}
    others = find_inputs([str(tmp_path / "in")], tmp_path / "out", "{name}").others
    assert others == {".nfo": 1, ".jpg": 1}


def test_a_folder_of_images_is_one_video(tmp_path: Path):
    touched(tmp_path, "in/clip/1.png", "in/clip/2.png", "in/tga/1.tga", "in/a.mp4")
    assert made(tmp_path, "in") == {
        "in/a.mp4": "a.mp4", "in/clip": "clip/*.png", "in/tga": "tga/*",
    }  # fmt: skip
    assert made(tmp_path, "in/clip", name="{stem}_x4{suffix}") == {"in/clip": "clip_x4/*.png"}
    assert made(tmp_path, "in/clip/1.png") == {"in/clip/1.png": "1.png"}


def test_the_folder_that_one_stands_in_is_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touched(tmp_path, "clip/1.png", "clip/2.png", "clip/sub/a.txt", "films/a.mp4")
    monkeypatch.chdir(tmp_path / "films")
    for here, name in ((".", "a.mp4"), ("..", "films/a.mp4")):
        names = [str(p.name) for p in find_inputs([here], Path("out"), "{name}").passages]
        assert name in names
    monkeypatch.chdir(tmp_path / "clip")
    for here in (".", "./", "../clip", "sub/.."):
        (passage,) = find_inputs([here], Path("out"), "{name}").passages
        assert (passage.target, passage.name) == (Path("out/clip/*.png"), Path("clip"))
    (passage,) = find_inputs(["."], Path("out"), "{stem}_x4{suffix}").passages
    assert passage.target == Path("out/clip_x4/*.png")
    before = file_fingerprint(tmp_path / "clip")
    touched(tmp_path, "clip/out/clip/1.png")  # outputs do not make it another source
    assert file_fingerprint(tmp_path / "clip") == before
    assert len(find_inputs(["."], Path("out"), "{name}").passages) == 1


def test_an_output_within_the_images_of_another_is_refused(tmp_path: Path):
    """Images appear as one folder, in which nothing else can be."""
    touched(tmp_path, "in/clip/1.png", "in/clip/sub/2.png")
    with pytest.raises(ValueError, match=r"sub would become .*, within the images of .*clip: give"):
        made(tmp_path, "in")
    assert made(tmp_path, "in", name="{stem}_x4{suffix}") == {
        "in/clip": "clip_x4/*.png", "in/clip/sub": "clip/sub_x4/*.png",
    }  # fmt: skip


def test_patterns_and_lists_keep_what_lies_below_their_begin(tmp_path: Path):
    touched(tmp_path, "in/a.mp4", "in/b/c.mp4", "in/b/c.txt", "d.mp4")
    assert made(tmp_path, "in/**/*") == {"in/a.mp4": "a.mp4", "in/b/c.mp4": "b/c.mp4"}
    (tmp_path / "list.txt").write_text(f"in/b/c.mp4\n\n{tmp_path}/d.mp4\n", encoding="utf-8")
    listed = find_inputs([f"@{tmp_path}/list.txt"], tmp_path / "out", "{name}").passages
    assert [str(passage.target.relative_to(tmp_path / "out")) for passage in listed] == [
        "in/b/c.mp4", "d.mp4",
    ]  # fmt: skip


def test_names_are_made_by_a_pattern(tmp_path: Path):
    touched(tmp_path, "in/a.mp4", "in/b/a.mp4")
    assert made(tmp_path, "in", name="{folder}_{stem}_x4{suffix}") == {
        "in/a.mp4": "in_a_x4.mp4", "in/b/a.mp4": "b/b_a_x4.mp4",
    }  # fmt: skip
    for bad, words in [
        ("{steam}.mp4", "expected a pattern of names with {stem}"),
        ("same.mp4", "expected a pattern"), ("../{name}", "within the output folder"),
        ("{stem", "expected a pattern such as"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            made(tmp_path, "in", name=bad)


def test_an_input_that_is_named_twice_is_restored_once(tmp_path: Path):
    touched(tmp_path, "in/a.mp4")
    assert made(tmp_path, "in", "in/a.mp4", "in/*.mp4") == {"in/a.mp4": "a.mp4"}


@pytest.mark.parametrize(
    ("names", "named", "words"),
    [
        (("a/x.mp4", "b/x.mp4"), ("a", "b"), "would both become"),
        (("a/x.mp4",), ("a", "c"), "there is no file or folder"),
        (("a/x.txt",), ("a",), "expected videos or images, found none in"),
        (("out/x.mp4",), ("out/x.mp4",), "is an input and would be replaced"),
    ],
)
def test_what_cannot_be_a_batch_is_refused_at_the_start(
    tmp_path: Path, names: tuple[str, ...], named: tuple[str, ...], words: str
):
    touched(tmp_path, *names)
    with pytest.raises(ValueError, match=words):
        made(tmp_path, *named)


def test_outputs_within_an_input_are_no_inputs(tmp_path: Path):
    touched(tmp_path, "a.mp4", "out/a.mp4", "out/.s2svr-batch/x.mp4")
    passages = find_inputs([str(tmp_path)], tmp_path / "out", "{name}").passages
    assert [passage.source for passage in passages] == [tmp_path / "a.mp4"]


def test_folders_that_links_lead_to_are_walked_once(tmp_path: Path):
    """And none that leads out and around: two such links would be walked without end."""
    touched(tmp_path, "in/a.mp4", "in/x.nfo", "elsewhere/b.mp4", "beside/c.mp4")
    (tmp_path / "in" / "films").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "elsewhere")
    for name, place in (("one", "in"), ("two", "in"), ("up", ".")):
        (tmp_path / "in" / name).symlink_to(tmp_path / place)
    assert made(tmp_path, "in") == {"in/a.mp4": "a.mp4", "in/again/b.mp4": "again/b.mp4"}
    others = find_inputs([str(tmp_path / "in")], tmp_path / "out", "{name}").others
    assert others == {".nfo": 1}
    assert made(tmp_path, "in/**/*") == made(tmp_path, "in") == made(tmp_path, "in/**")
    assert made(tmp_path, "in/**/f*/*.mp4") == {"in/films/b.mp4": "films/b.mp4"}
    assert made(tmp_path, "in/*/?.mp4") == {
        "in/again/b.mp4": "again/b.mp4", "in/one/a.mp4": "one/a.mp4",
    }  # fmt: skip
    (tmp_path / "in" / "x.mp4").symlink_to(tmp_path / "in" / "x.mp4")  # fails alone, later
    assert made(tmp_path, "in")["in/x.mp4"] == "x.mp4"


# Records


def test_a_record_knows_its_output_from_what_was_there_before(tmp_path: Path):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"old")
    record = Record(source="s", settings={"crf": 20}, network="n", identity="i",
                    before=content_of(output))  # fmt: skip
    assert not record.is_of(output)  # killed before the new one had its name
    (tmp_path / "copy").write_bytes(b"old")
    (tmp_path / "copy").replace(output)
    os.utime(output, (1, 1))
    assert not record.is_of(output)  # and all of it copied to another disk
    (tmp_path / "new").write_bytes(b"new!")
    (tmp_path / "new").replace(output)
    assert record.is_of(output)  # killed after it
    record.made = bytes_in(output)
    assert record.is_of(output)
    output.write_bytes(b"edited by hand")
    assert not record.is_of(output)
    assert record.difference("s", {"crf": 20}) == ""
    assert record.difference("t", {"crf": 20}) == "the source has changed since it was made"
    assert "crf 20, and now it is 30" in record.difference("s", {"crf": 30})


# Whole batches, by workers in threads


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small films, one of them in a folder, and weights."""
    folder = tmp_path_factory.mktemp("films")
    save(folder / "net.safetensors", network(), Card(task="sr"))
    (folder / "in" / "sub").mkdir(parents=True)
    for name, count in (("a.mp4", 5), ("b.mkv", 9), ("sub/c.mp4", 7)):
        make_video(folder / "in" / name, pts=[3003 * i for i in range(count)])
    return folder


def settings_of_batch(films: Path, out: Path, **changes: Any) -> BatchSettings:
    order = Order(task="sr", crf=20, threads=1)
    usual = BatchSettings((str(films / "in"),), out, order=order,
                          weights=str(films / "net.safetensors"), planned=False)  # fmt: skip
    return replace(usual, **changes)


def run_batch(settings: BatchSettings, jobs: int = 1) -> dict[str, Item]:
    told: list[Item] = []
    with Batch(settings, ThreadEngine(jobs), print, told.append) as batch:
        batch.prepare()
        items = batch.run()
    assert sorted(map(id, told)) == sorted(map(id, items))  # each once
    return {str(item.passage.name): item for item in items}


def stamp_of(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def states(items: dict[str, Item]) -> dict[str, str]:
    return {name: item.state for name, item in items.items()}


def test_what_is_done_is_skipped_and_what_differs_is_named_and_left(films: Path, tmp_path: Path):
    out = tmp_path / "out"
    settings = settings_of_batch(films, out)
    first = run_batch(settings, jobs=2)
    assert set(states(first).values()) == {"done"}
    made = {path: path.read_bytes() for path in out.rglob("*.m*")}
    assert [str(path.relative_to(out)) for path in sorted(made)] == ["a.mp4", "b.mkv", "sub/c.mp4"]
    stamps = {path: stamp_of(path) for path in made}
    assert set(states(run_batch(settings)).values()) == {"skipped"}
    (out / "a.mp4").write_bytes(b"by hand")
    source = films / "in" / "sub" / "c.mp4"
    os.utime(source, (1, 1))
    left = run_batch(settings)
    assert states(left) == {"a.mp4": "otherwise", "b.mkv": "skipped", "sub/c.mp4": "otherwise"}
    assert left["a.mp4"].why == "no batch has made it"
    assert left["sub/c.mp4"].why == "the source has changed since it was made"
    other = replace(settings, order=settings.order.model_copy(update={"crf": 30}))
    assert run_batch(other)["b.mkv"].why == "it was made with crf 20, and now it is 30"
    assert stamp_of(out / "b.mkv") == stamps[out / "b.mkv"]
    over = replace(settings, order=settings.order.model_copy(update={"overwrite": True}))
    again = run_batch(over)
    assert states(again) == {"a.mp4": "done", "b.mkv": "skipped", "sub/c.mp4": "done"}
    assert {path: path.read_bytes() for path in made} == made


def test_outputs_are_those_of_restore(films: Path, tmp_path: Path):
    run_batch(settings_of_batch(films, tmp_path / "out", order=Order(task="sr", threads=1)))
    restore_job(network(), Job(films / "in" / "b.mkv", tmp_path / "b.mkv"))
    assert (tmp_path / "out" / "b.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_what_fails_does_not_stop_the_rest_and_fails_again(films: Path, tmp_path: Path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    settings = settings_of_batch(films, tmp_path / "out",
                                 inputs=(str(bad), str(films / "in" / "a.mp4")))  # fmt: skip
    for expected in ("done", "skipped"):
        items = run_batch(settings)
        assert states(items) == {"bad.mp4": "failed", "a.mp4": expected}
        assert items["bad.mp4"].why == "bad.mp4 is not a video that can be read"
        assert items["bad.mp4"].ill


def test_a_name_that_is_not_utf_8_is_one_like_others(films: Path, tmp_path: Path):
    source = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    source.write_bytes((films / "in" / "a.mp4").read_bytes())
    settings = settings_of_batch(films, tmp_path / "out", inputs=(str(source),))
    assert states(run_batch(settings)) == {source.name: "done"}
    assert b"caf\xe9.mp4" in os.listdir(os.fsencode(tmp_path / "out"))
    assert states(run_batch(settings)) == {source.name: "skipped"}


# Fake workers: order, failures, several GPUs


class Surveyor(FakeWorker):
    """Answers about files as their names say: ``w8`` is 8 pixels wide, ``odd`` cannot be."""

    def survey(self, message: dict[str, Any]):
        name = Path(message["entry"]["name"]).stem
        number = message["number"]
        if name == "odd":
            yield {"event": "failed", "do": "survey", "number": number, "error": "it is odd"}
        else:
            width = int(name.removeprefix("w"))
            value = {"task": "upscale", "kind": "video", "frames": 10, "size_in": [width, 8],
                     "size_out": [4 * width, 32], "state": "new"}  # fmt: skip
            yield {"event": "answer", "number": number, "value": value}

    def estimate(self, message: dict[str, Any]):
        yield {"event": "answer", "number": message["number"], "value": PLANNED}

    def choice(self, message: dict[str, Any]):
        yield {"event": "answer", "number": message["number"], "value": PLANNED | UNMEASURED}

    def fingerprint(self, message: dict[str, Any]):
        yield {"event": "answer", "number": message["number"], "value": "torch 2"}


PLANNED = {"network": "sr-real", "why": "it is so", "seconds": 11.0, "frames_per_second": 1.0,
           "disk": 2000, "device": "cpu"}  # fmt: skip
UNMEASURED = {"seconds": None, "disk": None}


class FakeEngine:
    def __init__(self, jobs: int) -> None:
        self.seats = tuple(f"worker-{number}" for number in range(jobs))
        self.workers: list[FakeWorker] = []

    def launch(self, name: str, receive: Any) -> FakeWorker:
        self.workers.append(Surveyor(name, receive))
        return self.workers[-1]

    def at(self, seat: str) -> FakeWorker:
        return [worker for worker in self.workers if worker.kind == seat][-1]

    def close(self) -> None:
        pass


def fake_batch(tmp_path: Path, engine: FakeEngine, *names: str, **changes: Any) -> Batch:
    touched(tmp_path / "in", *names)
    settings = BatchSettings((str(tmp_path / "in"),), tmp_path / "out", **changes)
    return Batch(settings, engine, print, lambda item: None)


def running(batch: Batch) -> list[str]:
    return [entry.name for entry in batch.queue.all() if entry.state == "running"]


def test_the_largest_go_first_and_each_worker_has_one(tmp_path: Path):
    engine = FakeEngine(2)
    with fake_batch(tmp_path, engine, "w8.mp4", "w64.mp4", "w16.mp4", "odd.mp4") as batch:
        totals = batch.prepare()
        assert (totals.files, totals.frames, totals.networks) == (
            3, 30, {"upscale": ("sr-real", "it is so")},
        )  # fmt: skip
        batch.submit(batch.items, totals)
        assert sorted(running(batch)) == ["w16.mp4", "w64.mp4"]
        engine.at("worker-0").steps.put("done")
        until(lambda: sorted(running(batch)) == ["w16.mp4", "w8.mp4"])
        engine.at("worker-0").steps.put("done")
        engine.at("worker-1").steps.put("done")
        until(lambda: [item.state for item in batch.items].count("done") == 3)
        assert [item.why for item in batch.items if item.state == "failed"] == ["it is odd"]


def test_a_worker_that_dies_is_followed_by_another_and_a_poisonous_file_fails(tmp_path: Path):
    engine = FakeEngine(1)
    with fake_batch(tmp_path, engine, "w8.mp4", "w9.mp4") as batch:
        totals = batch.prepare()
        batch.submit(batch.items, totals)
        for tries in range(1, 4):
            until(lambda: engine.at("worker-0").sent)
            assert running(batch) == ["w8.mp4"]
            engine.at("worker-0").steps.put("end")
            until(lambda t=tries: sum(w.kind == "worker-0" for w in engine.workers) == t + 1)
        until(lambda: running(batch) == ["w9.mp4"])
        engine.at("worker-0").steps.put("end")  # once is nothing
        until(lambda: sum(w.kind == "worker-0" for w in engine.workers) == 5)
        engine.at("worker-0").steps.put("done")
        until(lambda: [item.state for item in batch.items] == ["failed", "done"])
        assert "ended without a word (code -9)" in batch.items[0].why


@pytest.mark.parametrize(
    "said",
    [
        {"event": "end", "code": "x", "error": "Slurm did not take the job: down"},
        {"event": "failed", "error": "n1 could not read it", "again": True},
    ],
)
def test_what_may_pass_is_tried_three_times_and_told_of_the_file(
    tmp_path: Path, said: dict[str, Any]
):
    engine = FakeEngine(1)
    with fake_batch(tmp_path, engine, "w8.mp4") as batch:
        totals = batch.prepare()
        batch.submit(batch.items, totals)
        for _ in range(3):
            assert batch.items[0].state == "new"
            engine.at("worker-0").receive(dict(said))
        assert (batch.items[0].state, batch.items[0].why) == ("failed", said["error"])


def test_an_output_that_nobody_reads_ends_the_batch(tmp_path: Path):
    engine, rounds = FakeEngine(1), 0

    def tell(item: Item) -> None:
        raise BrokenPipeError

    def move() -> None:
        nonlocal rounds
        rounds += 1
        assert rounds < 20, "the batch goes on"
        if rounds == 1:
            engine.at("worker-0").steps.put("done")

    with fake_batch(tmp_path, engine, "w8.mp4", "w9.mp4") as batch:
        batch.prepare()
        batch.tell = tell
        with pytest.raises(BrokenPipeError):
            batch.run(move)


class Losing(FakeEngine):
    """An engine whose first ``losses`` estimates end their worker."""

    def __init__(self, losses: int, **said: Any) -> None:
        super().__init__(1)
        self.losses, self.said, self.asked = losses, said, list[str]()

    def launch(self, name: str, receive: Any) -> FakeWorker:
        worker = super().launch(name, receive)
        answered = worker.estimate

        def estimate(message: dict[str, Any]) -> Any:
            self.asked.append(message["entry"]["name"])
            if len(self.asked) <= self.losses:
                return [{"event": "end", "code": "x", "error": "the cluster: down"} | self.said]
            return answered(message)

        worker.estimate = estimate
        return worker


@pytest.mark.parametrize(
    ("engine", "asked", "states"),
    [
        (Losing(2), ["w9.mp4"] * 3, ["new", "new"]),
        (Losing(3), ["w9.mp4"] * 3 + ["w8.mp4"], ["new", "failed"]),
        (Losing(9, refused=True), ["w9.mp4"] * 3, ["failed", "failed"]),
    ],
)
def test_a_plan_whose_worker_is_lost_is_asked_for_again(
    tmp_path: Path, engine: Losing, asked: list[str], states: list[str]
):
    with fake_batch(tmp_path, engine, "w8.mp4", "w9.mp4") as batch:
        totals = batch.prepare()
    assert (engine.asked, [item.state for item in batch.items]) == (asked, states)
    assert totals.files == states.count("new")
    assert {item.why for item in batch.items if item.state == "failed"} <= {"the cluster: down"}


def test_stretches_of_an_earlier_run_are_not_found_again(tmp_path: Path):
    with fake_batch(tmp_path, FakeEngine(1), "w8.mp4") as batch:
        totals, (item,) = batch.prepare(), batch.items
        item.facts["seconds"] = 40.0
        touched(stretches_folder(item), PLAN)
        item.state = "unfinished"
        assert is_long(item, 10)  # it was being joined
        item.state = "new"
        batch.submit([item], totals)  # --split is not given
        item.state = "unfinished"
        assert not is_long(item, 10)  # it was begun as a whole


def test_work_of_an_unfit_worker_is_done_by_another(tmp_path: Path):
    engine = FakeEngine(2)
    with fake_batch(tmp_path, engine, "w8.mp4") as batch:
        totals = batch.prepare()
        batch.submit(batch.items, totals)
        wrong = {"event": "unfit", "error": "node b has torch 1, node a has torch 2"}
        engine.at("worker-0").receive(dict(wrong))
        until(lambda: any(worker.kind == "worker-1" for worker in engine.workers))
        assert running(batch) == ["w8.mp4"]
        engine.at("worker-1").receive(dict(wrong))
        until(lambda: batch.items[0].state == "failed")
        assert batch.items[0].why == wrong["error"]


def test_every_gpu_has_a_worker_that_sees_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str, str | None]] = []

    class Launched:
        def __init__(self, receive: Any, log: Path, lock: Path, gpu: int | None) -> None:
            seen.append((lock.stem, None if gpu is None else visible_gpu(gpu)))

    monkeypatch.setattr("s2svr.batch.engine.WorkerProcess", Launched)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    engine = LocalEngine(tmp_path, 3, (0, 1))
    for name in (*engine.seats, "scout"):
        engine.launch(name, print)
    assert seen == [("worker-0", "0"), ("worker-1", "1"), ("worker-2", "0"), ("scout", "0")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
    assert visible_gpu(1) == "GPU-7"
    seen.clear()
    LocalEngine(tmp_path, 1).launch("worker-0", print)
    assert seen == [("worker-0", None)]


def test_the_command_divides_threads_and_gives_each_gpu_a_worker(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from s2svr.batch.chosen import local_engine

    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    settings = BatchSettings((str(films),), tmp_path)
    engine, changed = local_engine(settings, "cpu", 3)
    assert (len(engine.seats), changed.order.threads, changed.order.device) == (3, 2, "cpu")
    engine, changed = local_engine(settings, "cpu", None)
    assert (len(engine.seats), changed.order.threads) == (1, None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    engine, changed = local_engine(settings, "auto", None)
    assert (len(engine.seats), changed.order.device) == (4, "cuda")
    engine, _ = local_engine(settings, "cuda:2", None)
    assert set(engine.gpus.values()) == {2}
    with pytest.raises(ValueError, match="expected the engine local, ray or slurm, got 'moon'"):
        engine_for(settings, "moon", "cpu", None)
    with pytest.raises(ValueError, match="--send is not for --engine local"):
        engine_for(settings, "local", "cpu", None, send=True)
    with pytest.raises(ValueError, match="expected NAME=VALUE, got 'x'"):
        engine_for(settings, "slurm", "cpu", None, options=["x"])


def test_a_watched_folder_gives_what_has_stopped_growing(tmp_path: Path):
    engine = FakeEngine(1)
    with fake_batch(tmp_path, engine, "odd.mp4", watch=True, settle=0.2) as batch:
        batch.prepare()
        (tmp_path / "in" / "w8.mp4").write_bytes(b"1")
        batch.look_again()
        (tmp_path / "in" / "w8.mp4").write_bytes(b"12")  # still growing
        threading.Event().wait(0.25)
        batch.look_again()
        assert [str(item.passage.name) for item in batch.items] == ["odd.mp4"]
        threading.Event().wait(0.25)
        batch.look_again()
        batch.look_again()
        assert [(str(i.passage.name), i.state) for i in batch.items] == [
            ("odd.mp4", "failed"), ("w8.mp4", "new"),
        ]  # fmt: skip
        assert running(batch) == ["w8.mp4"]


def test_a_watched_batch_refuses_a_pattern_of_names_at_once(tmp_path: Path):
    with pytest.raises(ValueError, match="expected a pattern of names with {stem}"):
        fake_batch(tmp_path, FakeEngine(1), "w8.mp4", watch=True, name="{steam}.mp4")
    assert not (tmp_path / "out").exists()


def item_of(width: int, frames: int | None, state: str = "new", quality: str = "auto") -> Item:
    passage = Passage(Path(f"{width}.mp4"), Path(f"out/{width}.mp4"), Path(f"{width}.mp4"))
    item = new_item(passage, BatchSettings((), Path("out"), order=Order(quality=quality)))
    item.state = state
    item.facts = {"task": "sr", "kind": "video", "frames": frames, "size_in": (width, 10)}
    return item


def test_the_forecast_sums_up_by_pixels(tmp_path: Path):
    items = [item_of(20, 11), item_of(10, 11), item_of(10, None), item_of(10, 11, "skipped")]
    plan = {"network": "n", "why": "w", "seconds": 21.0, "frames_per_second": 0.5, "disk": 800,
            "device": "cpu"}  # fmt: skip
    totals = forecast(items, tmp_path, 1, lambda item, quality: plan)
    # The first: one second once, and ten frames of two seconds. The second: of one second.
    assert (totals.files, totals.frames, totals.unknown, totals.seconds) == (3, 22, 1, 21 + 11)
    assert totals.disk == 400 + 200 + 400  # two outputs, and one being joined
    assert forecast(items, tmp_path, 2, lambda item, quality: plan).seconds == 21
    films = [item_of(20, 11), item_of(10, 11)]
    for item in films:
        item.facts["seconds"] = 40.0
    stretches = forecast(films, tmp_path, 2, lambda item, quality: plan, split=10)
    assert stretches.seconds == (21 + 11) / 2  # four of each
    totals.disk_free = 10
    with pytest.raises(ValueError, match="needs about 1.0 KiB|needs about 1000 bytes"):
        totals.check(tmp_path)


def test_what_is_of_unknown_length_is_counted_and_not_measured(tmp_path: Path):
    plan = {"network": "n", "why": "w", "seconds": None, "frames_per_second": 2.0, "disk": None,
            "device": "cpu"}  # fmt: skip
    totals = forecast([item_of(10, None), item_of(20, None)], tmp_path, 1, lambda *_: dict(plan))
    assert (totals.files, totals.frames, totals.unknown) == (2, 0, 2)
    assert (totals.seconds, totals.disk, totals.networks) == (None, None, {"sr": ("n", "w")})


def test_a_file_that_cannot_be_planned_is_not_counted_and_another_is_measured(tmp_path: Path):
    def estimate(item: Item, quality: str) -> dict[str, Any] | None:
        if (item.passage.name, quality) in ((Path("30.mp4"), "auto"), (Path("20.mp4"), "fast")):
            item.state = "failed"
            return None
        best = quality != "fast"
        seconds = LONGEST_BEST * (2.0 if best else 0.1)
        return {"network": "sr-base" if best else "sr-light", "why": quality, "seconds": seconds,
                "frames_per_second": 10 / seconds, "disk": 1, "device": "cpu"}  # fmt: skip

    items = [item_of(width, 10) for width in (10, 20, 30)]
    totals = forecast(items, tmp_path, 1, estimate)
    assert [item.state for item in items] == ["new", "failed", "failed"]
    assert (totals.files, totals.frames, totals.seconds) == (1, 10, LONGEST_BEST * 0.1)
    # By the best: ten frames of 3:00 of the one that was measured, and of half its size one of
    # 3:00, as the first takes as long, and nine of 1:30.
    assert totals.networks["sr"] == ("sr-light", "the batch would take about 46:30 by sr-base")


def test_the_best_network_is_for_batches_that_it_ends_soon(tmp_path: Path):
    def estimate(item: Item, quality: str) -> dict[str, Any]:
        best = quality != "fast"
        seconds = LONGEST_BEST * (0.6 if best else 0.1)
        return {"network": "sr-base" if best else "sr-light", "why": quality, "seconds": seconds,
                "frames_per_second": 10 / seconds, "disk": 1, "device": "cpu"}  # fmt: skip

    one = forecast([item_of(10, 10)], tmp_path, 1, estimate)
    assert one.networks["sr"] == ("sr-base", "the batch takes about 9:00")
    pair = [item_of(10, 10), item_of(10, 10)]
    two = forecast(pair, tmp_path, 1, estimate)
    why = "the batch would take about 18:00 by sr-base"
    assert two.networks["sr"] == ("sr-light", why)
    shared = forecast(pair, tmp_path, 2, estimate)  # by two workers, nine minutes each
    assert shared.networks["sr"] == ("sr-base", "the batch takes about 9:00")
    asked = forecast([item_of(10, 10, quality="best")] * 2, tmp_path, 1, estimate)
    assert asked.networks["sr"] == ("sr-base", "best")
    again = forecast([item_of(10, 10)], tmp_path, 1, estimate, made={"sr": "sr-light"})
    assert again.networks["sr"] == ("sr-light", "it made other files there")
    again = forecast(pair, tmp_path, 1, estimate, made={"sr": "sr-base"})
    assert again.networks["sr"] == ("sr-base", "it made other files there")


def test_the_time_of_all_tasks_together_decides(tmp_path: Path):
    def estimate(item: Item, quality: str) -> dict[str, Any]:
        task = TASKS[item.facts["task"]]
        seconds = LONGEST_BEST * (0.1 if quality == "fast" else 0.6)
        return {"network": task.weights if quality == "fast" else task.best, "why": quality,
                "seconds": seconds, "frames_per_second": 10 / seconds, "disk": 1,
                "device": "cpu"}  # fmt: skip

    items = [item_of(10, 10), item_of(10, 10)]
    items[1].facts["task"] = "upscale"
    both = forecast(items, tmp_path, 1, estimate)
    assert {task: network for task, (network, _) in both.networks.items()} == {
        "sr": "sr-light", "upscale": TASKS["upscale"].weights,
    }  # fmt: skip


# The command


def test_the_command_takes_sets_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As restore does: what is typed wins over a file, and that over a profile."""
    touched(tmp_path, "in/a.mp4")
    (tmp_path / "c.toml").write_text('crf = 20\nname = "{stem}_n{suffix}"\nsplit = 90')
    asked: list[BatchSettings] = []

    def note(settings: BatchSettings, *_: object, **__: object) -> None:
        asked.append(settings)
        raise ValueError("enough")

    monkeypatch.setattr("s2svr.batch.engine_for", note)
    words = ["batch", str(tmp_path / "in"), str(tmp_path / "out"),
             "--config", str(tmp_path / "c.toml"), "--profile", "dvd"]  # fmt: skip
    assert CliRunner().invoke(app, [*words, "--height", "720"]).stderr.endswith("error: enough\n")
    (settings,) = asked
    assert (settings.name, settings.split) == ("{stem}_n{suffix}", 90)
    order = settings.order
    assert (order.task, order.crf, order.height, order.fit) == ("upscale", 20, 720, None)
    for more, expected in [
        (["--watch", "--plan"], "expected --watch or --plan, which tells of what is there"),
        (["--weights", "sr-light", "--quality", "fast"], "expected --weights or --quality"),
    ]:
        result = CliRunner().invoke(app, [*words[:3], *more])
        assert (result.exit_code, expected in result.stderr) == (2, True)


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "s2svr.batch.chosen.LocalEngine", lambda folder, jobs, gpus: ThreadEngine(jobs)
    )


def test_the_command_says_what_it_takes_and_ends_with_a_code(
    films: Path, tmp_path: Path, in_threads: None
):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    weights, name = str(films / "net.safetensors"), "{stem}_x2{suffix}"
    asked = ["batch", str(films / "in" / "a.mp4"), str(bad), str(tmp_path / "out"),
             "--weights", weights, "--threads", "1", "--name", name]  # fmt: skip
    run = CliRunner().invoke(app, [*asked, "--json"])
    assert run.exit_code == 1
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["plan", "file", "file", "end"]
    assert lines[0]["frames"] == 5
    assert lines[0]["seconds"] > 0
    assert lines[0]["disk"] > 0
    assert (lines[1]["state"], lines[2]["state"], lines[2]["frames"]) == ("failed", "done", 5)
    assert (tmp_path / "out" / "a_x2.mp4").is_file()
    run = CliRunner().invoke(app, asked)
    assert run.exit_code == 1
    assert "2 files: 1 skipped, 1 failed" in run.stdout
    assert "bad.mp4 is not a video that can be read" in run.stdout
    run = CliRunner().invoke(app, [word for word in asked if word != str(bad)])
    assert run.exit_code == 0
    run = CliRunner().invoke(app, ["batch", str(tmp_path / "none"), str(tmp_path / "out")])
    assert (run.exit_code, run.stdout) == (2, "")
    assert f"there is no file or folder {tmp_path / 'none'}" in run.stderr


def test_a_plan_names_what_would_not_be_done(films: Path, tmp_path: Path, in_threads: None):
    good, old, bad = films / "in" / "a.mp4", tmp_path / "old.avi", tmp_path / "bad.mp4"
    for path in (old, bad):
        path.write_bytes(b"no video")
    asked = ["batch", str(good), str(old), str(bad), str(tmp_path / "out"), "--plan",
             "--weights", str(films / "net.safetensors"), "--threads", "1"]  # fmt: skip
    run = CliRunner().invoke(app, asked)
    assert run.exit_code == 1
    assert "bad.mp4: failed: bad.mp4 is not a video that can be read" in run.stderr
    assert "old.avi: failed: expected an output that is a video" in run.stderr
    assert ".avi is read, not written; give other names, as by --name '{stem}.mkv'" in run.stderr
    run = CliRunner().invoke(app, [*asked, "--json"])
    assert run.exit_code == 1
    plan, *files = [json.loads(line) for line in run.stdout.splitlines()]
    assert plan["states"] == {"new": 1, "failed": 2}
    assert [Path(line["source"]).name for line in files] == ["old.avi", "bad.mp4"]
    assert not (tmp_path / "out" / "a.mp4").exists()
