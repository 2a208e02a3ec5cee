"""Films in stretches: borders, the work of one, the join, and how near it is to unbroken."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from s2svr.batch import Batch, BatchSettings, Engine, Item, LocalEngine
from s2svr.checkpoint import Card, save
from s2svr.files import lasting_folder
from s2svr.jobs import Order
from s2svr.media import MediaError, read_clip
from s2svr.models.s2svr import S2SVR
from s2svr.restoration import Compute, Encoding, Job, Stretch, restore_job
from s2svr.restoration.pipeline import Stopped
from s2svr.stretches import divide, seams_of
from s2svr.stretches.borders import WARM, Place, stretches_of
from s2svr.writing.workfolder import WorkFolder
from test_journal import network
from thread_workers import ThreadEngine

SHOTS = 14, 16  # frames


def places(total: int, *cuts: int) -> list[Place]:
    return [Place(n, n in (0, *cuts), None if n == 0 else n - 1, 0) for n in range(total)]


def borders(found: list[Stretch]) -> list[tuple[int, int, int]]:
    return [(part.first, part.end, part.warm) for part in found]


def test_borders_lie_at_cuts_where_one_is_near():
    found = stretches_of(places(300, 60, 130, 290), 300, 100)
    assert borders(found) == [(0, 130, 0), (130, 230, 0), (230, 300, WARM)]
    assert [part.exact for part in found] == [True, True, False]
    assert found[1] == Stretch(130, 230, 0, 129, 0, True)


def test_borders_without_cuts_are_where_they_are_wanted_and_not_in_a_repeat():
    alike = [place for place in places(300) if place.number not in range(100, 103)]
    assert borders(stretches_of(alike, 300, 100)) == [
        (0, 103, 0), (103, 203, WARM), (203, 300, WARM),
    ]  # fmt: skip
    assert borders(stretches_of(places(140), 140, 100)) == [(0, 140, 0)]


def test_no_more_is_warmed_up_than_the_shot_has():
    found = stretches_of(places(200, 93, 153), 200, 160)
    assert borders(found) == [(0, 200, 0)]
    found = stretches_of(places(300, 90), 300, 100)
    assert borders(found) == [(0, 90, 0), (90, 190, 0), (190, 300, WARM)]
    late = [place for place in places(130, 45) if place.number < 45 or place.number >= 45]
    found = stretches_of(late, 130, 20)
    warm = {part.first: (part.warm, part.exact) for part in found}
    assert warm[45] == (0, True)
    assert warm[65] == (20, True)  # the shot begins within the warm frames
    assert warm[85] == (WARM, False)


def make_film(path: Path) -> Path:
    """A film of two shots of moving noise; one frame of each is shown twice."""
    draw = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        count = 0
        for length in SHOTS:
            scene = draw.integers(0, 256, (5, 8, 3), dtype=np.uint8)
            scene = scene.repeat(10, 0).repeat(10, 1)
            for number in range(length):
                shift = min(number, 7) if number < 9 else number - 1
                picture = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(scene[shift % 16 : shift % 16 + 32, shift : shift + 48]),
                    format="rgb24",
                )
                picture.pts = count
                count += 1
                output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mkv")


def job_of_film(film: Path, target: Path) -> Job:
    return Job(film, target, encoding=Encoding(codec="ffv1"), compute=Compute("cpu", window=3))


def in_stretches(net: S2SVR, job: Job, plan: list[Stretch], folder: Path) -> list[Path]:
    """Restore all stretches of a film, the last one first, and return their targets."""
    targets = [folder / f"{number}.mkv" for number in range(len(plan))]
    for part, target in reversed(list(zip(plan, targets, strict=True))):
        restore_job(net, replace(job, target=target, stretch=part), segment=4)
        assert not target.exists()
    return targets


def test_a_film_in_stretches_is_the_film(film: Path, tmp_path: Path):
    """Every stretch warms up from the begin of its shot here, so nothing differs."""
    net, job = network(), job_of_film(film, tmp_path / "whole.mkv")
    plan = divide(net, job, 0.4)
    assert [part.first for part in plan] == [0, 14, 24]
    assert all(part.exact for part in plan)
    whole = restore_job(net, job)
    targets = in_stretches(net, job, plan, tmp_path)
    joined = replace(job, target=tmp_path / "joined.mkv", parts=tuple(targets))
    summary = restore_job(net, joined, segment=4)
    assert (summary.frames, summary.resumed, summary.shots) == (sum(SHOTS), sum(SHOTS), 2)
    assert torch.equal(read_clip(joined.target), read_clip(job.target))
    assert times_of(joined.target) == times_of(job.target)
    assert whole.frames == summary.frames
    (seam,) = seams_of(plan, targets)
    assert (seam.frame, seam.psnr) == (24, float("inf"))
    cold = replace(plan[2], warm=1, exact=False)  # and now it knows one frame alone
    (tmp_path / "cold").mkdir()
    (other,) = in_stretches(net, job, [cold], tmp_path / "cold")
    (seam,) = seams_of([*plan[:2], cold], [*targets[:2], other])
    assert 10 < seam.psnr < 80


def times_of(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [frame.pts for frame in file.decode(video=0)]


def test_a_stretch_that_was_cut_off_goes_on_and_is_the_same(film: Path, tmp_path: Path):
    net, job = network(), job_of_film(film, tmp_path / "out.mkv")
    part = divide(net, job, 0.4)[2]
    made = []
    for name, stop in (("a", lambda: False), ("b", lambda: True)):
        one = replace(job, target=tmp_path / f"{name}.mkv", stretch=part)
        for _ in range(9):
            try:
                summary = restore_job(net, one, segment=2, stop=stop)
                break
            except Stopped:
                continue
        folder = lasting_folder(one.target)
        assert (summary.frames, (summary.resumed > 0)) == (6, name == "b")
        assert (folder / "seam").exists()
        made.append([p.read_bytes() for p in sorted(folder.glob("*.packets"))])
    assert made[0] == made[1]
    again = restore_job(net, one, segment=2)  # it is done
    assert again.resumed == again.frames == 6
    assert sum(again.shares.values()) == 0


def test_parts_of_other_weights_or_versions_are_not_joined(film: Path, tmp_path: Path):
    net, job = network(), job_of_film(film, tmp_path / "out.mkv")
    plan = divide(net, job, 0.4)
    targets = in_stretches(net, job, plan, tmp_path)
    place = lasting_folder(targets[1]) / "journal.json"
    text = place.read_text(encoding="utf-8")
    joined = replace(job, parts=tuple(targets))
    place.write_text(text.replace(f'"version of torch": "{torch.__version__}"',
                                  '"version of torch": "1.0"'), encoding="utf-8")  # fmt: skip
    with pytest.raises(MediaError, match="begun with version of torch 1.0, and now it is"):
        restore_job(net, joined, segment=4)
    place.write_text(text, encoding="utf-8")
    with pytest.raises(MediaError, match="begun with network"):
        restore_job(network(1), joined, segment=4)
    assert not job.target.exists()


@pytest.mark.parametrize("target", ["out.png", "images"])
def test_only_videos_are_restored_in_stretches(film: Path, tmp_path: Path, target: str):
    with pytest.raises(MediaError, match="expected a video to restore in stretches|one picture"):
        divide(network(), replace(job_of_film(film, tmp_path / target), encoding=Encoding()), 0.4)


@pytest.fixture
def asked(film: Path, tmp_path: Path) -> BatchSettings:
    """A batch of the film in stretches."""
    save(tmp_path / "net.safetensors", network(), Card(task="sr"))
    return BatchSettings((str(film),), tmp_path / "out", weights=str(tmp_path / "net.safetensors"),
                         order=Order(window=3, threads=1), planned=False, split=0.4)  # fmt: skip


def only_item(settings: BatchSettings, engine: Engine) -> Item:
    """What becomes of a batch of one file."""
    with Batch(settings, engine, print, lambda item: None) as batch:
        batch.prepare()
        (item,) = batch.run()
        return item


def test_any_number_of_workers_make_the_same_bytes_by_one_plan(
    asked: BatchSettings, tmp_path: Path
):
    """One worker in a thread, and two that are real processes."""
    made = []
    for name, jobs in (("one", 0), ("two", 2)):
        settings = replace(asked, out=tmp_path / name)
        engine = LocalEngine(settings.hidden, jobs) if jobs else ThreadEngine()
        item = only_item(settings, engine)
        assert (item.state, item.why) == ("done", "")
        assert item.summary["seams"][0]["frame"] == 24
        assert not (settings.hidden / "stretches" / item.entry.record.stem).exists()
        made.append((settings.out / "film.mkv").read_bytes())
        assert only_item(settings, ThreadEngine()).state == "skipped"
    assert made[0] == made[1]


def test_a_join_that_was_cut_off_is_gone_on_with(
    asked: BatchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = only_item(replace(asked, out=tmp_path / "whole"), ThreadEngine())

    def killed(self: WorkFolder) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "publish", killed)
        item = only_item(asked, ThreadEngine())
    stretches = asked.hidden / "stretches" / item.entry.record.stem
    assert item.why.startswith("killed. 30 frames are kept")
    assert len(list(stretches.glob(".*-s2svr"))) == 3
    item = only_item(asked, ThreadEngine())
    assert (item.state, item.why) == ("done", "")
    assert item.summary["resumed"] == item.summary["frames"] == sum(SHOTS)
    assert item.summary["seams"] == whole.summary["seams"]
    assert not stretches.exists()
    made = [tmp_path / name / "film.mkv" for name in ("whole", "out")]
    assert made[0].read_bytes() == made[1].read_bytes()
