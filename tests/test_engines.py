"""Engines of clusters without a cluster: nodes that do not fit, jobs refused, files that travel."""

import errno
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_workers import SUMMARY, until
from s2svr.batch import Batch, BatchSettings, LocalEngine, RayEngine, SlurmEngine, engine_for
from s2svr.batch.engine import ScoutOfTwo
from s2svr.checkpoint import Card, save
from s2svr.files import is_full
from s2svr.jobs import Entry, Order, many, pack, perform, perform_apart, unfit, unpack_product
from s2svr.jobs import remote as at_remote
from s2svr.jobs.working import Bench
from test_journal import network
from thread_workers import ThreadEngine, ThreadWorker


def message_for(folder: Path, name: str) -> dict[str, Any]:
    entry = Entry(name=name, source=folder / name, target=folder / "out" / name)
    return {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(folder)}


# Ray


class FakeRay(ModuleType):
    """As much of Ray as the engine uses; tasks are done here, as if on the first node that may."""

    ObjectRef = ObjectRefGenerator = type("Reference", (), {})

    def __init__(self, **nodes: dict[str, float]) -> None:
        super().__init__("ray")
        self.there, self.here = nodes, threading.local()

    def init(self, **_: object) -> None: ...

    def shutdown(self) -> None: ...

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": n, "Resources": r, "Alive": True} for n, r in self.there.items()]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: self.here.node)

    def remote(self, function: Callable[..., Iterator[dict[str, Any]]]) -> Any:
        def options(**share: Any) -> Any:
            def begin(*given: Any) -> Iterator[dict[str, Any]]:
                left_out = share.get("label_selector", {}).get("ray.io/node-id", "!in()")
                names = left_out.removeprefix("!in(").removesuffix(")").split(",")
                self.here.node = next(name for name in self.there if name not in names)
                yield from function(*given)

            return SimpleNamespace(remote=begin)

        return SimpleNamespace(options=options)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Two nodes, of which the first lacks something: ``perform`` says so."""
    made = FakeRay(bad={"CPU": 2}, good={"CPU": 2})

    def performed(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if made.here.node.startswith("bad"):
            yield unfit(message, "has torch 1")
        else:
            yield {"event": "restored", "id": message["entry"]["id"], "summary": SUMMARY}

    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setattr("s2svr.jobs.perform", performed)
    return made


def test_one_node_that_does_not_fit_is_left_out_and_the_rest_goes_on(ray: FakeRay, tmp_path: Path):
    said, told = list[str](), list[dict[str, Any]]()
    engine = RayEngine(LocalEngine(tmp_path, 1), None, None, None, say=said.append)
    assert (len(engine.seats), engine.cpus, engine.gpus) == (2, 2, 0)
    for number in range(3):
        engine.launch("worker-0", told.append).send(message_for(tmp_path, f"{number}.mkv"))
        until(lambda n=number: len(told) == n + 1)
    assert [event["event"] for event in told] == ["restored"] * 3
    assert [line.endswith(" has torch 1") for line in said] == [True]
    ray.there["bad too"] = ray.there.pop("good")  # now there is no other one
    engine.launch("worker-1", told.append).send(message_for(tmp_path, "3.mkv"))
    until(lambda: len(told) == 4)
    assert told[-1]["event"] == "unfit"
    assert told[-1]["error"].endswith(" has torch 1")
    assert set(engine.left_out.nodes) == {"bad", "bad too"}


def test_a_node_without_the_package_is_one_that_does_not_fit(
    ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told, said = list[dict[str, Any]](), list[str]()
    engine = RayEngine(LocalEngine(tmp_path, 1), None, None, None, say=said.append)
    del ray.there["good"]
    monkeypatch.delattr("s2svr.jobs.perform_apart")
    engine.launch("worker-0", told.append).send(message_for(tmp_path, "a.mkv"))
    until(lambda: told)
    assert told[0]["event"] == "unfit"
    assert "has no s2svr that fits: cannot import name 'perform_apart'" in said[0]


def test_gpus_are_those_of_the_cluster(ray: FakeRay, tmp_path: Path):
    local = LocalEngine(tmp_path, 1)
    with pytest.raises(ValueError, match="expected a GPU in the Ray cluster for --device cuda"):
        RayEngine(local, None, None, None, device="cuda")
    assert RayEngine(local, None, 3, None, device="cuda").gpus == 1  # they come when asked for
    ray.there["good"]["GPU"] = 4
    assert len(RayEngine(local, None, None, None).seats) == 4
    assert RayEngine(local, None, None, None, device="cpu").gpus == 0
    settings = BatchSettings((), tmp_path)
    assert engine_for(settings, "ray", "auto", None)[1].order.device == "cuda"
    with pytest.raises(ValueError, match="expected the device auto, cpu or cuda of a cluster"):
        engine_for(settings, "ray", "cuda:1", None)


def test_a_task_that_no_node_has_room_for_is_refused_or_said(ray: FakeRay, tmp_path: Path):
    local, said = LocalEngine(tmp_path, 1), list[str]()
    lacking = "expected a node of the Ray cluster with 64 processors, the largest has 2"
    with pytest.raises(ValueError, match=f"{lacking}: give --threads"):
        RayEngine(local, None, None, 64)
    engine = RayEngine(local, None, 3, 64, say=said.append)  # they come when asked for
    assert (len(engine.seats), said) == (3, [f"{lacking}: waiting for one"])
    ray.there["head"] = {"memory": 1.0}  # does no work
    assert RayEngine(local, None, None, None).cpus == 2
    ray.there["head"] = {"CPU": 1, "GPU": 1}
    with pytest.raises(ValueError, match="with 2 processors and a GPU, the largest with a GPU has"):
        RayEngine(local, None, None, 2)


# Slurm


class FakeSubmitit(ModuleType):
    """As much of submitit as the engine uses; jobs are done at once, on the first node that may."""

    def __init__(self) -> None:
        super().__init__("submitit")
        self.parameters: dict[str, Any] = {}
        self.refusals = 0
        self.jobs = 0

    def AutoExecutor(self, **_: object) -> "FakeSubmitit":  # noqa: N802
        return self

    def update_parameters(self, **parameters: Any) -> None:
        self.parameters |= parameters

    def submit(self, perform_to: object, message: dict[str, Any], place: str) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("sbatch: error: Socket timed out\nand more")
        self.jobs += 1
        excluded = self.parameters.get("slurm_exclude", "").split(",")
        event = {"event": "restored", "id": message["entry"]["id"], "summary": SUMMARY}
        if "n1" not in excluded:
            event = unfit(message, "has torch 1") | {"node": "n1"}
        Path(place).write_text(json.dumps(event) + "\n", encoding="utf-8")
        return SimpleNamespace(done=lambda: True, state="COMPLETED", cancel=lambda: None)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> FakeSubmitit:
    made = FakeSubmitit()
    monkeypatch.setitem(sys.modules, "submitit", made)
    monkeypatch.setattr("s2svr.batch.on_slurm.REFUSED", 0.0)
    monkeypatch.setattr("s2svr.batch.on_slurm.shutil.which", lambda name: name)
    return made


def test_slurm_is_not_asked_for_a_node_that_does_not_fit(slurm: FakeSubmitit, tmp_path: Path):
    said, told = list[str](), list[dict[str, Any]]()
    engine = SlurmEngine(LocalEngine(tmp_path, 1), 1, 1, say=said.append,
                         options={"slurm_exclude": "n9"})  # fmt: skip
    worker = engine.launch("worker-0", told.append)
    for number in range(2):
        worker.send(message_for(tmp_path, f"{number}.mkv"))
        until(lambda n=number: len(told) == n + 1)
    assert [event["event"] for event in told] == ["restored"] * 2
    assert (slurm.parameters["slurm_exclude"], slurm.jobs) == ("n9,n1", 3)
    assert len(said) == 1
    engine.close()


def test_a_job_that_slurm_does_not_take_is_told_of_its_file(slurm: FakeSubmitit, tmp_path: Path):
    told = list[dict[str, Any]]()
    engine = SlurmEngine(LocalEngine(tmp_path, 1), 1, 1)
    slurm.refusals = 1
    engine.launch("worker-0", told.append).send(message_for(tmp_path, "a.mkv"))
    until(lambda: told)
    assert told == [{
        "event": "end", "code": "RuntimeError",
        "error": "Slurm did not take the job: sbatch: error: Socket timed out", "refused": True,
    }]  # fmt: skip


def test_a_job_of_slurm_that_cannot_be_followed_is_told_of_its_file(
    slurm: FakeSubmitit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def gone() -> bool:
        raise OSError(116, "Stale file handle")

    told, job = list[dict[str, Any]](), SimpleNamespace(done=gone)
    monkeypatch.setattr(slurm, "submit", lambda *given: job)
    engine = SlurmEngine(LocalEngine(tmp_path, 1), 1, 1)
    engine.launch("worker-0", told.append).send(message_for(tmp_path, "a.mkv"))
    until(lambda: told)
    assert told[0]["event"] == "end"
    assert told[0]["error"] == "the cluster did not do it: OSError: [Errno 116] Stale file handle"


def test_slurm_is_not_replaced_by_this_machine(
    slurm: FakeSubmitit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("s2svr.batch.on_slurm.shutil.which", lambda name: None)
    with pytest.raises(ValueError, match="expected the commands of Slurm for --engine slurm"):
        SlurmEngine(LocalEngine(tmp_path, 1), 1, 1)


# Both


def test_the_scout_of_a_cluster_has_estimates_made_there(tmp_path: Path):
    class Noting:
        def __init__(self, receive: Callable[[dict[str, Any]], None]) -> None:
            self.sent, self.receive, self.killed = list[str](), receive, False

        def launch(self, name: str, receive: Callable[[dict[str, Any]], None]) -> "Noting":
            self.receive = receive
            return self

        def send(self, message: dict[str, Any]) -> None:
            self.sent.append(message["do"])

        def kill(self) -> None:
            self.killed = True

        close = kill

    heard = list[str]()

    def hear(message: dict[str, Any]) -> None:
        heard.append(message.pop("event"))  # as the queue's scout does

    here, away = Noting(hear), list[Noting]()

    def launch(receive: Callable[[dict[str, Any]], None]) -> Noting:
        away.append(Noting(receive))
        return away[0]

    scout = ScoutOfTwo(hear, here, launch)  # type: ignore[arg-type]
    for what in ("survey", "estimate", "divide", "fingerprint", "choice"):
        scout.send({"do": what})
    assert (here.sent, away[0].sent) == (
        ["survey", "divide", "fingerprint", "choice"], ["estimate"],
    )  # fmt: skip
    here.receive({"event": "answer", "value": 1})
    assert (heard, here.killed) == (["answer"], False)
    away[0].receive({"event": "end", "code": "gone"})
    assert (heard, here.killed) == (["answer", "end"], True)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of three images, with a folder and another file in it."""
    folder = tmp_path / "in" / "clip"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes.txt").write_text("three", encoding="utf-8")
    draw = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(draw.integers(0, 256, (16, 24, 3), np.uint8)).save(folder / f"{number}.png")
    save(tmp_path / "net.safetensors", network(), Card(task="sr"))
    return folder


def settings_of_clip(clip: Path, **order: Any) -> BatchSettings:
    folder = clip.parents[1]
    return BatchSettings((str(clip.parent),), folder / "out", order=Order(threads=1, **order),
                         weights=str(folder / "net.safetensors"), planned=False)  # fmt: skip


def states(settings: BatchSettings) -> list[str]:
    with Batch(settings, ThreadEngine(), print, print) as batch:
        batch.prepare()
        return [item.state for item in batch.items]


def test_folders_of_images_travel_and_what_comes_is_whole(clip: Path):
    settings = settings_of_clip(clip)
    with Batch(settings, ThreadEngine(), print, print) as batch:
        batch.prepare()
        entry = batch.items[0].entry.but({"network": batch.items[0].entry.weights})
    message = {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(clip)}
    *_, product, last = perform_apart(message, pack(clip))
    assert (product["event"], last["event"]) == ("product", "restored")
    out, coming = settings.out / "clip", settings.hidden / "coming"
    out.mkdir(parents=True)
    (out / "old.png").touch()  # is replaced
    (coming / entry.id / "clip").mkdir(parents=True)  # of a try that was killed
    (coming / entry.id / "clip" / "half.png").touch()
    unpack_product(product, entry, coming)
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "2.png"]
    assert sorted(path.name for path in settings.out.iterdir()) == [".s2svr-batch", "clip"]
    (coming / "other").mkdir()
    assert states(settings) == ["skipped"]
    assert not coming.exists()


class Killed(BaseException):
    """A process is killed."""


def test_what_comes_survives_a_sudden_end(clip: Path, monkeypatch: pytest.MonkeyPatch):
    """It is then the new output, with its record, or the old one: never none, and no stranger."""
    settings = settings_of_clip(clip, overwrite=True)
    with Batch(settings, ThreadEngine(), print, print) as batch:
        batch.prepare()
        entry = batch.items[0].entry.but({"network": batch.items[0].entry.weights})
    message = {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(clip)}
    *_, product, _ = perform_apart(message, pack(clip))
    out, coming = settings.out / "clip", settings.hidden / "coming"
    out.mkdir(parents=True)
    (out / "old.png").touch()
    replace, made = Path.replace, ["0.png", "1.png", "2.png"]

    def killed_after(moves: int) -> None:
        """Write what came, by a process that ends after it has moved so many folders."""
        left = [None] * moves

        def move(path: Path, target: Path) -> Path:
            if path.is_dir() and not left:
                raise Killed
            if path.is_dir():
                left.pop()
            return replace(path, target)

        def end(folder: Path) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", move)
            patch.setattr(at_remote, "sync_folder", end)
            with pytest.raises(Killed):
                unpack_product(product, entry, coming)

    for moves, there, state, names in (
        (0, True, "new", ["old.png"]), (1, False, "new", ["old.png"]), (2, True, "skipped", made),
    ):  # fmt: skip
        killed_after(moves)
        assert out.is_dir() == there
        assert states(settings) == [state]
        assert sorted(path.name for path in out.iterdir()) == names


def test_a_disk_that_fails_once_leaves_no_node_out(clip: Path, monkeypatch: pytest.MonkeyPatch):
    entry = Entry(name="a", source=clip, target=clip, fingerprint="torch 2")
    for error, kind in ((OSError(errno.EIO, "stale"), many.UnreadError),
                        (FileNotFoundError("no weights"), many.UnfitError)):  # fmt: skip

        def fails(*_: object, error: OSError = error) -> str:
            raise error

        monkeypatch.setattr(many, "fingerprint_of", fails)
        with pytest.raises(kind, match="the machine .*(stale|no weights)"):
            many.check_fit(Bench(print), entry)


def test_a_full_disk_of_one_node_is_not_the_fault_of_a_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    message = message_for(tmp_path, "a.mkv")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fails(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"event": "failed", "error": "the disk is full", "full": True}

    with monkeypatch.context() as patch:
        patch.setattr(at_remote, "unpack", full)
        (event,) = perform_apart(message, {})
    assert event["event"] == "unfit"
    assert "has no room" in event["error"]
    with monkeypatch.context() as patch:
        patch.setattr(at_remote, "perform", fails)
        (event,) = perform_apart(message, {})
    assert event["event"] == "unfit"
    assert event["error"].endswith("has no room: the disk is full")
    with pytest.raises(OSError) as caught:  # noqa: PT011
        full()
    cause = ValueError("another")
    cause.__cause__ = caught.value
    assert is_full(cause)
    assert not is_full(OSError(errno.EACCES, "no"))


def test_a_machine_that_does_not_see_the_folder_does_not_fit(tmp_path: Path):
    entry = Entry(name="a", source=tmp_path / "a", target=tmp_path / "b",
                  record=tmp_path / "none" / "made" / "r.json")  # fmt: skip
    (event,) = perform({"do": "restore", "entry": entry.model_dump(mode="json")})
    assert event["event"] == "unfit"
    assert f"does not see the folder {tmp_path / 'none'}: share it" in event["error"]


def test_a_device_is_looked_for_where_the_work_is_done(clip: Path):
    """A login node without a GPU looks at files, chooses and plans; a worker says what it lacks."""
    settings = settings_of_clip(clip, device="cuda", precision="fp16")
    with Batch(settings, ThreadEngine(), print, lambda item: None) as batch:
        totals = batch.prepare()
        assert [item.state for item in batch.items] == ["new"]
        assert totals.networks == {"sr": (settings.weights, "--weights")}
        (item,) = batch.run()
        assert item.state == "failed"
        assert "cannot do it: the device cuda is not there: 0 GPUs found" in item.why


def test_a_job_that_is_given_out_twice_is_done_once(clip: Path, monkeypatch: pytest.MonkeyPatch):
    settings, done = settings_of_clip(clip), list[str]()
    with Batch(settings, ThreadEngine(), print, print) as batch:
        batch.prepare()
        entry = batch.items[0].entry.but({"network": batch.items[0].entry.weights})
    restored = many.restored

    def counted(bench: Bench, entry: Entry, *rest: Any) -> dict[str, Any]:
        done.append(entry.id)
        return restored(bench, entry, *rest)

    monkeypatch.setattr(many, "restored", counted)
    told = list[dict[str, Any]]()
    message = {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(clip)}
    for _ in range(2):
        ThreadWorker(told.append).send(message)
    until(lambda: [event["event"] for event in told].count("restored") == 2, 60)
    assert done == [entry.id]
