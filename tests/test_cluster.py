"""Batches on clusters: Ray with two nodes on this machine, and submitit's jobs, run here."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s2svr
from fake_workers import until
from s2svr.batch import Batch, BatchSettings, Item, LocalEngine, RayEngine, SlurmEngine
from s2svr.checkpoint import Card, save
from s2svr.jobs import Entry, Order
from s2svr.jobs.remote import perform
from test_journal import network
from test_stretches import make_film
from thread_workers import ThreadEngine

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]
OTHER_VERSIONS = """
import importlib.metadata as metadata
real = metadata.version
metadata.version = lambda name: "0.0" if name == "av" else real(name)
"""
SRC = [Path(s2svr.__file__).parents[1]]
STEPS = {"window": 3, "threads": 1}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mkv")


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save(tmp_path / "net.safetensors", network(), Card(task="sr"))
    return str(tmp_path / "net.safetensors")


def settings_for(film: Path, out: Path, weights: str, **changes: Any) -> BatchSettings:
    return BatchSettings((str(film),), out, weights=weights, order=Order(**STEPS), planned=False,
                         **changes)  # fmt: skip


def run_all(settings: BatchSettings, engine: Any) -> list[Item]:
    with Batch(settings, engine, print, lambda item: None) as batch:
        batch.prepare()
        return batch.run()


def copies(film: Path, folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.mkv").write_bytes(film.read_bytes())
    return folder


def test_a_command_is_done_in_any_process(film: Path, tmp_path: Path, weights: str):
    """What a cluster's task does, here."""
    settings = settings_for(film, tmp_path / "out", weights)
    with Batch(settings, ThreadEngine(), print, print) as batch:
        batch.prepare()
        entry = batch.items[0].entry.but({"network": weights})
    message = {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(tmp_path)}
    events = list(perform(message))
    assert events[-1]["event"] == "restored"
    assert entry.target.exists()
    other = entry.but({"fingerprint": "torch 1.0, another network"})
    events = list(perform(message | {"entry": other.model_dump(mode="json")}))
    assert [event["event"] for event in events] == ["unfit"]
    assert "and the batch was begun with torch 1.0, another network" in events[0]["error"]


def test_commands_of_one_process_are_done_in_turn(film: Path, tmp_path: Path, weights: str):
    """Two films are joined at once in the process that commands, where no folder is shared."""
    source = copies(film, tmp_path / "in", 2)
    with Batch(settings_for(source, tmp_path / "out", weights), ThreadEngine(), print, print) as b:
        b.prepare()
        entries = [item.entry.but({"network": weights}) for item in b.items]
    told: dict[str, tuple[set[str], str]] = {}

    def have_done(entry: Entry) -> None:
        message = {"do": "restore", "entry": entry.model_dump(mode="json"), "folder": str(tmp_path)}
        events = list(perform(message))
        told[entry.id] = {event["id"] for event in events}, events[-1]["event"]

    threads = [threading.Thread(target=have_done, args=(e,), daemon=True) for e in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == {entry.id: ({entry.id}, "restored") for entry in entries}


@pytest.fixture
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def ray_engine(cluster: Any, out: Path, seats: int = 2, **changes: Any) -> RayEngine:
    engine = RayEngine(LocalEngine(out / ".s2svr-batch", 1), cluster.address, None, None, **changes)
    assert len(engine.seats) == seats
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("send", [False, True])
def test_ray_restores_a_batch_and_a_film_as_one_process_does(
    film: Path,
    tmp_path: Path,
    weights: str,
    cluster: Any,
    send: bool,
):
    source = copies(film, tmp_path / "in", 3)
    made = []
    for name, engine in [
        ("ray", ray_engine(cluster, tmp_path / "ray", send=send)), ("here", ThreadEngine()),
    ]:  # fmt: skip
        settings = settings_for(source, tmp_path / name, weights, split=0.4)
        (tmp_path / name / ".s2svr-batch").mkdir(parents=True, exist_ok=True)
        items = run_all(settings, engine)
        assert [(item.state, item.why) for item in items] == [("done", "")] * 3
        made.append([p.read_bytes() for p in sorted((tmp_path / name).glob("*.mkv"))])
        skipped = run_all(settings, ThreadEngine())
        assert [item.state for item in skipped] == ["skipped"] * 3
    assert made[0] == made[1]


@pytest.mark.slow
def test_a_node_that_goes_in_the_middle_loses_nothing(
    film: Path,
    tmp_path: Path,
    weights: str,
    cluster: Any,
):
    source, gone = copies(film, tmp_path / "in", 6), threading.Event()
    settings = settings_for(source, tmp_path / "out", weights)
    (tmp_path / "out" / ".s2svr-batch").mkdir(parents=True)
    with Batch(settings, ray_engine(cluster, tmp_path / "out"), print, lambda i: None) as batch:
        batch.prepare()

        def look() -> None:
            running = [e for e in batch.queue.all() if e.state == "running" and e.done]
            if len(running) == 2 and not gone.is_set():
                gone.set()
                cluster.remove_node(cluster.second, allow_graceful=False)

        items = batch.run(look)
        assert gone.is_set()
        assert [(item.state, item.why) for item in items] == [("done", "")] * 6
        assert max(entry.tries for entry in batch.queue.all()) >= 1
    run_all(settings_for(source, tmp_path / "here", weights), ThreadEngine())
    for path in sorted((tmp_path / "here").glob("*.mkv")):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.slow
def test_nodes_that_do_not_fit_are_left_out_and_the_rest_goes_on(
    film: Path,
    tmp_path: Path,
    weights: str,
):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    from ray.cluster_utils import Cluster

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(OTHER_VERSIONS, encoding="utf-8")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for places in ([tmp_path / "other"], [tmp_path / "other", *SRC]):  # without s2svr, and with it
        cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": os.pathsep.join(map(str, places))})
    cluster.wait_for_nodes()
    said: list[str] = []
    try:
        (tmp_path / "out" / ".s2svr-batch").mkdir(parents=True)
        engine = ray_engine(cluster, tmp_path / "out", 3, say=said.append)
        source = copies(film, tmp_path / "in", 4)
        items = run_all(settings_for(source, tmp_path / "out", weights), engine)
    finally:
        cluster.shutdown()
    assert [(item.state, item.why) for item in items] == [("done", "")] * 4
    assert len(engine.left_out.nodes) == len(said) == 2
    without, other = sorted(said, key=lambda line: "av 0.0" in line)
    assert "has no s2svr that fits: No module named" in without
    assert ", av 0.0, net " in other


@pytest.mark.slow
def test_jobs_of_submitit_restore_a_batch(film: Path, tmp_path: Path, weights: str):
    pytest.importorskip("submitit", reason="the extra cluster is not installed")
    hidden = tmp_path / "out" / ".s2svr-batch"
    hidden.mkdir(parents=True)
    engine = SlurmEngine(LocalEngine(hidden, 1), 2, 1, cluster="local")
    settings = settings_for(copies(film, tmp_path / "in", 2), tmp_path / "out", weights)
    items = run_all(settings, engine)
    assert [(item.state, item.why) for item in items] == [("done", "")] * 2
    until(lambda: all(job.done() for job in engine.jobs), 120)  # no process is left
