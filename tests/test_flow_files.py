"""Flow of .flo files in the place of a flow network: in evaluations and in trainings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from s2svr.checkpoint import Card, load, save
from s2svr.cli.app import app
from s2svr.damage.reduce import bicubic_down
from s2svr.damage.table import degradation
from s2svr.data.clip import Clip
from s2svr.data.clips import Data
from s2svr.evaluation.run import evaluate
from s2svr.evaluation.settings import Scoring, Storage
from s2svr.flow.files import FilesFlow, with_files
from s2svr.media import flow_folder, read_clip, read_known_flow, write_flo
from s2svr.models import PRESETS, S2SVR, PWCLite, PWCLiteConfig, S2SVRConfig
from s2svr.ops import resize_bicubic
from s2svr.train.clip_flow import clip_flows, file_flows
from s2svr.train.launch import Run
from s2svr.train.recipes import RestorationRecipe, load_recipe
from s2svr.train.restoration import train_restoration
from s2svr.train.store import store_damaged
from s2svr.writing.images import write_png

RECIPES = Path(__file__).parent.parent / "recipes"
FRAMES, HEIGHT, WIDTH = 4, 32, 40
COUNTED = "expected .flo files in .*one less than the clip has frames, got"


def write_flows(place: Path, flow, lq: torch.Tensor) -> None:
    """The .flo files of a clip (T, 3, H, W) by an estimator."""
    for way in ("flow", "backward"):
        (place / way).mkdir(parents=True)
    with torch.inference_mode():
        for t in range(len(lq) - 1):
            a, b = lq[t : t + 1], lq[t + 1 : t + 2]
            write_flo(place / "flow" / f"{t:04}.flo", flow(a, b)[0])
            write_flo(place / "backward" / f"{t + 1:04}.flo", flow(b, a)[0])


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Frames that move by 4 pixels down and 8 to the right, and their reductions by 4."""
    small = torch.rand(3, HEIGHT // 2, WIDTH // 2, generator=torch.Generator().manual_seed(0))
    wide = resize_bicubic(small, 8).clamp(0, 1)
    hq = torch.stack([torch.roll(wide, (4 * t, 8 * t), (-2, -1)) for t in range(FRAMES)])
    for name, frames in (("hq", hq), ("lq", bicubic_down(hq).lq)):
        (tmp_path / name / "one").mkdir(parents=True)
        for t, frame in enumerate(frames):
            write_png(tmp_path / name / "one" / f"{t}.png", frame)
    return Clip("one", tmp_path / "hq/one", tmp_path / "lq/one", "one")


@pytest.fixture
def lq(clip: Clip) -> torch.Tensor:
    return read_clip(clip.lq).float() / 255


def scores(model: S2SVR, clip: Clip, motion: Path | None, **more) -> dict[str, float]:
    rows = evaluate(model, [clip], degradation("bicubic"), Scoring(["rgb"], motion=motion, **more))
    return {row.method: row.psnr for row in rows}


def test_a_networks_own_flow_by_files_gives_its_own_scores(clip: Clip, lq, tmp_path: Path):
    model = load("sr-light")
    for name, flow in (("own", model.flow), ("still", lambda a, b: torch.zeros_like(a[:, :2]))):
        write_flows(tmp_path / name / "one", flow, lq)
    own = scores(model, clip, None, segments=[2])
    assert scores(model, clip, tmp_path / "own", segments=[2]) == pytest.approx(own, abs=1e-4)
    still = scores(model, clip, tmp_path / "still", segments=[2])
    assert abs(still["ours"] - own["ours"]) > 0.01
    assert still["bicubic"] == own["bicubic"]
    flow, other = (tmp_path / "own/one" / way for way in ("flow", "backward"))
    for a, b in ((flow, tmp_path / "x"), (other, flow), (tmp_path / "x", other)):
        a.rename(b)
    turned = scores(model, clip, tmp_path / "own")
    assert abs(turned["ours"] - own["ours"]) > 0.01  # both directions are used


def test_windows_and_a_clip_played_backward_find_their_flow(clip: Clip, lq, tmp_path: Path):
    model = load("sr-light")
    write_flows(tmp_path / "one", model.flow, lq)
    flow = FilesFlow(tmp_path / "one")
    for frame in [*lq, *lq.flip(0)]:  # those of a mirrored clip
        flow.tell(frame)
    found = []
    with torch.inference_mode():
        for net in (model, with_files(model, flow)):
            first, memory = net(lq[None, :3], None, 1)
            found.append([first, net(lq[None, 2:], memory)[0], net(lq.flip(0)[None])[0]])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)
        last = flow.features(lq[-1:])
        assert not flow.between(last, last, (HEIGHT, WIDTH)).any()  # where it turns


def test_evaluations_refuse_files_that_do_not_fit(clip: Clip, lq, tmp_path: Path):
    model, place = load("sr-light"), tmp_path / "flows/one"
    with pytest.raises(ValueError, match=f"{COUNTED} 0 and 0"):
        scores(model, clip, tmp_path / "flows")
    write_flows(place, lambda a, b: torch.zeros_like(a[:, :2]), lq)
    assert scores(model, clip, tmp_path / "flows", frames=2)  # the beginning alone
    last = place / "flow/0002.flo"
    for wrong, said in (
        (torch.zeros(2, HEIGHT, WIDTH + 1), f"flow of {WIDTH}x{HEIGHT} pixels.*has 41x32"),
        (torch.full((2, HEIGHT, WIDTH), float("nan")), "known everywhere.*has pixels without"),
    ):
        write_flo(last, wrong)
        with pytest.raises(ValueError, match=said):
            scores(model, clip, tmp_path / "flows")
    last.unlink()
    with pytest.raises(ValueError, match=f"{COUNTED} 2 and 3"):
        scores(model, clip, tmp_path / "flows")
    (place / "backward/0003.flo").unlink()
    with pytest.raises(ValueError, match=r"expected 2 .flo files.*of 3 frames, it has more"):
        scores(model, clip, tmp_path / "flows")
    for t in range(2, 4):
        for way in ("flow", "backward"):
            write_flo(place / way / f"1{t}.flo", torch.zeros(2, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match=r"expected 4 .flo files.*of 5 frames, it has 4"):
        scores(model, clip, tmp_path / "flows")


def test_other_files_are_not_mistaken_for_those_of_stored_scores(clip: Clip, lq, tmp_path: Path):
    model, storage = load("sr-light"), Storage(scores=tmp_path / "scores")
    write_flows(tmp_path / "flows/one", lambda a, b: torch.zeros_like(a[:, :2]), lq)
    given = (model, [clip], degradation("bicubic"))
    by_files = Scoring(["rgb"], motion=tmp_path / "flows")
    kept = evaluate(*given, by_files, storage=storage)
    assert evaluate(*given, by_files, storage=storage) == kept
    with pytest.raises(ValueError, match="made with motion = None"):
        evaluate(*given, Scoring(["rgb"]), storage=storage)
    write_flo(tmp_path / "flows/one/flow/0000.flo", torch.ones(2, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match="scores made with motion"):
        evaluate(*given, by_files, storage=storage)


def test_the_command_takes_flows_and_says_what_flow_is_for(clip: Clip, lq, tmp_path: Path):
    write_flows(tmp_path / "flows/one", lambda a, b: torch.zeros_like(a[:, :2]), lq)
    words = ["evaluate", tmp_path / "hq", "--lq", tmp_path / "lq", "--task", "sr"]
    words += ["--weights", "sr-light"]

    def run(*more: object):
        return CliRunner().invoke(app, [str(word) for word in [*words, *more]])

    found = run("--motion", tmp_path / "flows", "--protocol", "rgb")
    assert found.exit_code == 0, found.output
    wrong = run("--flow", tmp_path / "flows")
    assert wrong.exit_code == 2
    assert "aligns by is given by --motion" in " ".join(wrong.stderr.split())


def test_two_directions_of_each_frame_are_read_in_order(lq, tmp_path: Path):
    seen: list[float] = []

    def numbered(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(float(len(seen)))
        return torch.full((1, 2, *a.shape[-2:]), seen[-1])

    write_flows(tmp_path / "one", numbered, lq)
    forward, backward = flow_folder(tmp_path / "one")
    read = [[float(read_known_flow(p, (HEIGHT, WIDTH))[0, 0, 0]) for p in line] for line in
            (forward, backward)]  # fmt: skip
    assert read == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize("down", [1, 2])
def test_training_reads_files_as_it_estimates_flow(clip: Clip, lq, tmp_path: Path, down: int):
    torch.manual_seed(0)
    small = PWCLiteConfig(channels=(4, 6), features=4, estimator=(6, 4), context=(4,))
    config = S2SVRConfig(
        scale=1, down=down, flow_down=down, channels=4, encoder_layers=1, encoder_blocks=1,
        decoder_layers=1, decoder_blocks=1, tail=0, flow=small,
    )  # fmt: skip
    model = S2SVR(config)
    stored = store_damaged([clip], Data(degradation="bicubic"), tmp_path / "cache")
    flow = model.flow
    assert isinstance(flow, PWCLite)

    def wide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Flow whose reduction is the estimate on reduced frames."""
        found = down * flow(model.reduce(a), model.reduce(b))
        return found.repeat_interleave(down, -1).repeat_interleave(down, -2)

    write_flows(tmp_path / "flows/one", wide, lq)
    found = file_flows([clip], stored, down, tmp_path / "flows", tmp_path / "cache")
    (own,) = clip_flows(stored, model, 1, tmp_path / "cache").values()
    assert np.abs(own).max() > 0.01
    np.testing.assert_allclose(next(iter(found.values())), own, atol=2e-3)
    (tmp_path / "flows/one/flow/0000.flo").unlink()
    (tmp_path / "flows/one/backward/0001.flo").unlink()
    with pytest.raises(ValueError, match=r"expected 3 .flo files.*has 4 frames, got 2"):
        file_flows([clip], stored, down, tmp_path / "flows", tmp_path / "cache")


def test_a_network_learns_by_files_and_has_no_flow_of_its_own(clip: Clip, lq, tmp_path: Path):
    fixed = ["data.skip=1", "data.rendered=0"]
    few = ["optim.steps=2", "optim.decay=1", "optim.warmup=1", "optim.precision=32-true"]
    few += ["data.batch=1", "data.crop=16", "data.context=[32,40]", "data.frames=3"]

    def train(name: str, flow: Path, entries: list[str], val: Path | None = None) -> Path:
        recipe = load_recipe(RECIPES / "sr-light.toml", [*few, *entries])
        assert isinstance(recipe, RestorationRecipe)
        run = Run(tmp_path / name, "cpu", cache=tmp_path / "cache")
        return train_restoration(recipe, run, data=tmp_path / "hq", val=val, flow=flow)

    write_flows(tmp_path / "flows/one", lambda a, b: torch.ones_like(a[:, :2]), lq)
    write_flows(tmp_path / "still/one", lambda a, b: torch.zeros_like(a[:, :2]), lq)
    trained = [load(train(name, tmp_path / name, fixed)) for name in ("flows", "still")]
    assert all(model.flow is None for model in trained)
    assert len({model.encoder.first.weight.sum().item() for model in trained}) == 2
    for wrong in (["data.skip=2", "data.rendered=0"], [*fixed, "optim.flow_rate=1e-5"], fixed[:1]):
        with pytest.raises(ValueError, match=r"expected data.skip=1.*for flow of files"):
            train("wrong", tmp_path / "flows", wrong)
    with pytest.raises(ValueError, match="no data.part for flow of files"):
        train("wrong", tmp_path / "flows", [*fixed, "data.copies=2"])
    with pytest.raises(ValueError, match="evaluate --motion"):
        train("wrong", tmp_path / "flows", fixed, tmp_path / "hq")


def test_networks_of_another_kind_or_radius_are_refused(clip: Clip, lq, tmp_path: Path):
    write_flows(tmp_path / "one", lambda a, b: torch.zeros_like(a[:, :2]), lq)
    base = PRESETS["sr-light"]
    wide = S2SVR(S2SVRConfig(**{**base.__dict__, "radius": 2}))
    save(tmp_path / "wide.safetensors", wide, Card(task="sr"))
    with pytest.raises(ValueError, match="got one of radius 2"):
        with_files(wide, FilesFlow(tmp_path / "one"))
    flow = FilesFlow(tmp_path / "one")
    for frame in lq:
        flow.tell(frame)
    with pytest.raises(ValueError, match="frames that follow each other"):
        flow.between(flow.features(lq[:1]), flow.features(lq[2:3]), (HEIGHT, WIDTH))
