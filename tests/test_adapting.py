"""s2svr adapt: what is learned from, what is told of a film, and what is kept and said."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from time import monotonic

import av
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from s2svr.adapting import Adaptation, Adapted, adapt_film, run, stages
from s2svr.adapting.budget import Budget
from s2svr.adapting.film import FilmShot, Portion, portions_of, read_portions, set_apart, shots_of
from s2svr.adapting.judge import Score, Verdict, judged_by, shares_of
from s2svr.adapting.pairs import made_pairs
from s2svr.adapting.state import NAME, Known, resumed
from s2svr.adapting.traces import Traces, known_quality, tell_traces
from s2svr.adapting.workshop import Workshop
from s2svr.checkpoint import Card, load, read_card, save
from s2svr.cli.app import app
from s2svr.data import Stored, as_float, kept_clip
from s2svr.files import content_fingerprint, network_fingerprint
from s2svr.media import MediaError
from s2svr.models import PRESETS, S2SVR, S2SVRConfig
from s2svr.restoration import Excerpt
from s2svr.train.further import held_near
from s2svr.train.launch import devices_of

SHOTS, LONG = 6, 5  # of the film, and frames of each
FEW = 20  # frames that are enough here


def textured(rng: np.random.Generator) -> np.ndarray:
    """A large picture of smooth colours and sharp edges, (h, w, 3) uint8."""
    return np.kron(rng.integers(20, 235, (24, 30, 3)), np.ones((5, 5, 1))).astype(np.uint8)


def write_film(
    path: Path,
    shots: int,
    long: int,
    options: dict[str, str] | None = None,
    form: str = "yuv420p",
) -> Path:
    """A film of 64x48 whose shots are pans over pictures."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        stream.options = options or {"crf": "25"}
        for _ in range(shots):
            picture = textured(rng)
            for t in range(long):
                view = np.ascontiguousarray(picture[t : t + 48, 2 * t : 2 * t + 64])
                output.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "secret name.mp4", SHOTS, LONG)


@pytest.fixture
def tiny() -> S2SVR:
    torch.manual_seed(0)
    config = PRESETS["sr-real"]
    assert isinstance(config, S2SVRConfig)
    return S2SVR(replace(config, channels=8, encoder_blocks=1, decoder_blocks=1))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that take no longer than they have to."""
    monkeypatch.setattr(stages, "CHECKED", 2)
    monkeypatch.setattr(stages, "FEWEST_CHECKED", 2)
    monkeypatch.setattr("s2svr.adapting.schedule.FLOW_STEPS", 2)
    monkeypatch.setattr("s2svr.adapting.traces.QUALITIES", (None, 25))
    for name in ("FINE", "NOISES", "BLURS"):
        monkeypatch.setattr(f"s2svr.adapting.traces.{name}", ())


def test_one_shot_in_five_is_held_out():
    shots = [FilmShot(None, 20 * i, 20 * i + 20) for i in range(10)]
    assert [i for i, (_, held) in enumerate(set_apart(shots)) if held] == [2, 7]


def test_of_few_shots_the_last_fifth_of_the_time_is_held_out():
    shots = [FilmShot(None, 0, 70), FilmShot(None, 70, 100)]
    assert set_apart(shots) == [
        (FilmShot(None, 0, 70), False),
        (FilmShot(None, 70, 80), False),
        (FilmShot(None, 80, 100), True),
    ]


def test_portions_of_both_kinds_take_turns_and_share_no_frame():
    order = portions_of([FilmShot(None, 0, 400)])
    assert [p.held for p in order[:3]] == [True, False, False]
    assert {p.first + i for p in order if p.held for i in range(p.count)} == set(range(320, 400))
    learned = [set(range(p.first, p.first + p.count)) for p in order if not p.held]
    assert len(learned) == 16
    assert len(set().union(*learned)) == sum(map(len, learned))  # none is there twice
    assert max(set().union(*learned)) < 320


def test_shots_and_frames_of_a_film_are_found(film: Path):
    shots = shots_of(film, Excerpt(), FEW)
    assert [(s.first, s.end) for s in shots] == [(LONG * i, LONG * i + LONG) for i in range(SHOTS)]
    order = portions_of(shots)
    found = dict(read_portions(film, Excerpt(), order, (32, 32)))
    assert set(found) == set(order)
    assert {frames.shape for frames in found.values()} == {(LONG, 3, 32, 32)}


def test_the_quality_of_h264_is_read_from_the_file(tmp_path: Path):
    for crf in (20, 30):
        path = write_film(tmp_path / f"{crf}.mp4", 1, 12, {"crf": str(crf), "preset": "medium"})
        assert known_quality(path, "h264") == crf
    assert known_quality(path, "hevc") is None
    rated = write_film(tmp_path / "rated.mp4", 1, 12, {"b": "200k"})
    assert known_quality(rated, "h264") is None
    deep = write_film(tmp_path / "deep.mp4", 1, 12, {"crf": "23"}, "yuv420p10le")
    assert known_quality(deep, "h264") == 23
    rated = write_film(tmp_path / "rated10.mp4", 1, 12, {"b": "200k"}, "yuv420p10le")
    assert known_quality(rated, "h264") is None


def test_broken_packets_do_not_end_it(tmp_path: Path):
    path = write_film(tmp_path / "film.h264", 1, 40, {"crf": "30", "g": "5"})
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) - 40, 40):
        data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    assert known_quality(path, "h264") in (30, None)


@pytest.mark.parametrize("made", [Traces(4, "h264"), Traces(4, "h264", 33, 0.0, 2.0)])
def test_damage_is_told_by_what_it_leaves(made: Traces):
    rng = np.random.default_rng(1)
    clip = torch.stack([torch.from_numpy(textured(rng)) for _ in range(3)])
    clip = clip.permute(0, 3, 1, 2).float()[..., :120, :144] / 255
    seen = made.leave(clip, torch.Generator().manual_seed(5))
    quality = load("compression").mixer.quality  # type: ignore[union-attr]
    told = tell_traces([(seen, clip)], 4, "h264", None, quality)
    assert told == made


def test_pairs_are_smaller_and_damaged_as_the_film_was(tmp_path: Path):
    rng = np.random.default_rng(0)
    lq, hq = (rng.integers(0, 255, (4, 3, h, 2 * h), dtype=np.uint8) for h in (24, 96))
    pairs = list(made_pairs([Stored("film", lq, hq, "0123456789abcdef")], Traces(4, "h264"),
                            "mixed", tmp_path, better=False))  # fmt: skip
    assert [pair.source for pair in pairs] == ["again"]  # too small for more
    for pair in pairs:
        high, wide = pair.hq.shape[-2:]
        assert 0.8 * 96 - 4 < high <= 0.95 * 96
        assert high % 4 == wide % 4 == 0
        assert pair.lq.shape[-2:] == (high // 4, wide // 4)
        reduced = torch.nn.functional.avg_pool2d(as_float(pair.hq), 4)
        assert (as_float(pair.lq) - reduced).abs().mean() < 0.1


def clips_of(count: int, folder: Path) -> list[Stored]:
    """Clips of 24x48 and of 4 times that, kept in a folder."""
    rng = np.random.default_rng(0)
    return [
        kept_clip(folder, f"{i:016}", "film", lambda: [
            rng.integers(0, 255, (4, 3, h, 2 * h), dtype=np.uint8) for h in (24, 96)])
        for i in range(count)
    ]  # fmt: skip


def shop_of(tiny: S2SVR, folder: Path, budget: Budget, *, better: bool) -> Workshop:
    """An adaptation whose damage is told, with three portions to learn from."""
    clips = clips_of(3, folder / "clips")
    state = Known({}, better=better, portions={clip.key: False for clip in clips},
                  traces={"scale": 4, "codec": "h264"})  # fmt: skip
    job = Adaptation(Path("film.mp4"), folder / "film.safetensors")
    return Workshop(job, tiny, None, Card("upscale"), folder, state, budget, lambda: False)


def test_a_later_try_learns_from_the_same_pairs(tiny: S2SVR, tmp_path: Path):
    late = Budget(100, 60, clock=clock_of(50))  # after the time in which pairs are made
    first = shop_of(tiny, tmp_path, Budget(100, 0, clock=lambda: 0.0), better=False)
    keys = [pair.key for pair in stages.pairs_to_learn(first)]
    assert len(set(keys)) == 3
    again = resumed(tmp_path, {})
    assert again.pairs == keys
    for pairs in (keys, None):  # all were made, or it was interrupted before that was noted
        again = replace(again, pairs=pairs)
        shop = replace(first, state=again, budget=late)
        assert [pair.key for pair in stages.pairs_to_learn(shop)] == keys
    shorter = replace(again, pairs=keys[:2])
    shop = replace(first, state=shorter)
    assert [pair.key for pair in stages.pairs_to_learn(shop)] == keys[:2]


def test_a_training_that_fails_keeps_nothing(
    tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*given: object, **named: object) -> None:
        raise FloatingPointError

    monkeypatch.setattr(stages, "learn_further", fails)
    shop = shop_of(tiny, tmp_path, Budget(100, 0, clock=lambda: 0.0), better=False)
    assert stages.learn(shop, tiny) is None
    assert "not finite" in shop.failed


def test_a_gpu_that_is_named_is_the_one():
    assert devices_of("cuda:1", 1) == [1]
    assert devices_of("cuda", 2) == 2
    with pytest.raises(ValueError, match="one process on cuda:1"):
        devices_of("cuda:1", 2)


def test_what_a_better_network_restored_is_learned_from_whatever_the_time(
    tiny: S2SVR, tmp_path: Path
):
    budget = Budget(100, 60, clock=clock_of(50))  # no time for others
    pairs = stages.pairs_to_learn(shop_of(tiny, tmp_path, budget, better=True))
    assert [pair.source for pair in pairs] == ["film", "film too"] * 3


def test_portions_that_an_earlier_try_restored_are_taken(
    tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    film = dict.fromkeys(
        (Portion(None, 4 * i, 4, i == 0) for i in range(4)), np.zeros((4, 3, 24, 24), np.uint8)
    )
    shop = shop_of(tiny, tmp_path, Budget(100, 0, clock=lambda: 0.0), better=False)
    shop.state.portions = None
    stages.restore_some(shop, film)
    first = shop.state.portions
    assert first is not None
    assert len(first) == 4
    late = replace(shop, budget=Budget(100, 60, clock=lambda: 0.0))
    late.state.portions = None
    stages.restore_some(late, film)
    assert late.state.portions == first
    late.state.portions, late.state.better = None, True  # noted, and asked no more
    late = replace(late, better=tiny)
    monkeypatch.setattr(stages, "has_time", lambda shop, frames: pytest.fail("asked again"))
    stages.restore_some(late, film)
    assert len(late.state.portions) == 2  # of others, one of each kind


@pytest.mark.parametrize(
    ("near", "fidelity", "kept"),
    [
        ([0.3, 0.2, 0.25], [0.1, 0.0, 0.1], True),
        ([0.9, 0.0, -0.1], [0.1, 0.1, 0.1], False),  # less than its spread
        ([0.3, 0.2, 0.25], [-0.1, -0.1, 0.1], False),  # farther from the film
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], False),
    ],
)
def test_only_what_gains_more_than_its_spread_is_kept(
    near: list[float], fidelity: list[float], kept: bool
):
    before = [Score(30.0, 40.0, 40.0)] * 3
    after = [Score(30 + a, 40 + f, 40.0) for a, f in zip(near, fidelity, strict=True)]
    assert judged_by(before, after, better=False).kept == kept


@pytest.mark.parametrize(("fidelity", "kept"), [(36.6, True), (36.4, False)])
def test_a_better_network_says_how_far_from_the_film_is_right(fidelity: float, kept: bool):
    before = [Score(30.0, 40.0, 37.0)] * 2
    after = [Score(31.0, fidelity, 37.0)] * 2
    assert judged_by(before, after, better=True).kept == kept


def test_quarters_cover_a_frame():
    assert shares_of((48, 64), False) == [(slice(0, 48), slice(0, 64))]
    area = sum((r.stop - r.start) * (c.stop - c.start) for r, c in shares_of((48, 64), True))
    assert area == 48 * 64


def test_weights_are_held_by_their_relative_distance():
    net = nn.Linear(2, 1)
    nn.init.constant_(net.weight, 2.0)
    net.bias.requires_grad_(False).fill_(100.0)  # is not trained, and does not count
    loss = held_near(net, lambda model, batch, step: {"loss": torch.tensor(1.0)}, 10.0)
    assert loss(net, {}, 0)["loss"] == 1
    nn.init.constant_(net.weight, 3.0)  # each by half of what it was: a quarter of the square
    assert loss(net, {}, 0)["loss"].item() == pytest.approx(1 + 10 / 4)


def test_time_of_earlier_tries_counts():
    ticks = count()
    budget = Budget(10.0, 4.0, clock=lambda: next(ticks))
    assert budget.spent() == 5
    assert budget.left(0.8) == 2


def clock_of(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much whenever it is looked at."""
    ticks = count()
    return lambda: seconds * next(ticks)


@pytest.mark.usefixtures("brief")
def test_what_does_not_pay_is_not_written(
    film: Path, tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    judged = []

    def pays_not(before: list[Score], after: list[Score], *, better: bool) -> Verdict:
        judged.append(judged_by(before, after, better=better))
        return replace(judged[-1], kept=False)  # two steps gain or lose by chance

    monkeypatch.setattr(run, "judged_by", pays_not)
    target = tmp_path / "film.safetensors"
    job = Adaptation(film, target, steps=2, network="tiny", fewest=FEW)
    found = adapt_film(tiny, Card("upscale"), job)
    assert (found.kept, found.steps) == (False, 2)
    assert found.why == judged[-1].why
    assert "nearer to themselves" in found.why
    assert (found.learned, found.held) == (LONG * (SHOTS - 1), LONG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("brief")
def test_what_pays_is_written_after_an_interruption_and_restores(
    film: Path, tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pays = Verdict([0.2], [0.1], True, "it gains")
    monkeypatch.setattr(run, "judged_by", lambda before, after, better: pays)
    target, first = tmp_path / "film.safetensors", [p.clone() for p in tiny.parameters()]
    secret = str(tmp_path / "secret weights.safetensors")
    job, steps, ends = (
        Adaptation(film, target, steps=3, network=secret, fewest=FEW),
        [],
        "restoring",
    )

    best = S2SVR(tiny.config)

    def stop() -> bool:
        return sum(ends in doing for doing in steps) > (ends == "restoring")

    def report(doing: str, gone: float, seconds: float) -> None:
        steps.append(doing)

    for words in ("restoring", "learning, step 1"):
        ends = words
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            adapt_film(tiny, Card("upscale"), job, better=best, stop=stop, report=report)
        assert list(tmp_path.glob(f".*/{NAME}"))  # even in the first stage
        assert len(list(tmp_path.glob(".*/clips/*-hq.npy"))) >= 1
    assert not target.exists()
    with pytest.raises(MediaError, match="another number of steps: give the same"):
        adapt_film(tiny, Card("upscale"), replace(job, steps=4), better=best)
    steps.clear()
    found = adapt_film(tiny, Card("upscale"), job, better=best, report=report)
    assert found.learned_from == "the best network"
    assert "looking at the film" not in steps
    assert not any(doing.endswith("step 1") for doing in steps)  # it was done before
    assert (found.kept, found.steps) == (True, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["film.safetensors"]
    card = read_card(target)
    assert (card.task, card.step) == ("upscale", 3)
    assert content_fingerprint(film) in card.data
    assert "secret" not in json.dumps(card.__dict__)
    learned = load(target)
    assert any(not a.equal(b) for a, b in zip(learned.parameters(), first, strict=True))
    assert all(a.equal(b) for a, b in zip(tiny.parameters(), first, strict=True))

    unbroken = replace(job, target=tmp_path / "unbroken.safetensors")
    adapt_film(tiny, Card("upscale"), unbroken, better=best)
    for name, found_in_one in load(unbroken.target).state_dict().items():
        assert found_in_one.equal(learned.state_dict()[name]), name


@pytest.mark.usefixtures("brief")
def test_the_budget_ends_the_training(film: Path, tiny: S2SVR, tmp_path: Path):
    job = Adaptation(film, tmp_path / "film.safetensors", minutes=2, steps=10**6, fewest=FEW)
    found = adapt_film(tiny, Card("upscale"), job, clock=clock_of(1.5))
    assert 108 <= found.seconds <= 132
    assert found.steps > 2
    late = adapt_film(tiny, Card("upscale"), job, clock=clock_of(1.5), began=-12)
    assert 108 <= late.seconds <= 132
    assert late.steps < found.steps


def test_what_cannot_be_is_refused_at_once(
    film: Path, tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "film.safetensors"
    job = Adaptation(film, target)
    short = write_film(tmp_path / "short.mp4", 1, 20)
    with pytest.raises(MediaError, match=r"at least 50 frames .*short.mp4 has 20"):
        adapt_film(tiny, Card("upscale"), replace(job, source=short))
    with pytest.raises(ValueError, match="got one for deblur"):
        adapt_film(tiny, Card("deblur"), job)
    with monkeypatch.context() as patch:
        patch.setattr(run, "free_bytes", lambda path: 1000)
        with pytest.raises(MediaError, match="1000 bytes are|KiB are"):
            adapt_film(tiny, Card("upscale"), job)
    for wrong, words in (
        (replace(job, target=tmp_path / "film.mp4"), "ends in .safetensors"),
        (replace(job, source=target), "is the film"),
        (replace(job, network=str(target)), "is the network that learns"),
    ):
        target.write_bytes(b"mine")
        with pytest.raises(MediaError, match=words):
            adapt_film(tiny, Card("upscale"), replace(wrong, overwrite=True))
    with pytest.raises(MediaError, match="exists already"):
        adapt_film(tiny, Card("upscale"), job)
    assert target.read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"film.safetensors", "short.mp4"}


def test_a_film_is_known_by_its_content(film: Path, tmp_path: Path):
    copy = tmp_path / "other.mp4"
    copy.write_bytes(film.read_bytes())
    assert content_fingerprint(copy) == content_fingerprint(film)
    copy.write_bytes(film.read_bytes()[:-1] + b"?")
    assert content_fingerprint(copy) != content_fingerprint(film)
    alone = content_fingerprint(tmp_path)
    (tmp_path / "folder").mkdir()
    assert content_fingerprint(tmp_path) == alone


def test_a_state_of_another_version_is_refused(tmp_path: Path):
    (tmp_path / NAME).write_text('{"conditions": {}, "gone": 1}')
    with pytest.raises(MediaError, match="another version of s2svr: begin anew with --restart"):
        resumed(tmp_path, {})


def test_the_command_says_what_came_of_it(
    film: Path, tiny: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights, target = tmp_path / "tiny.safetensors", tmp_path / "film.safetensors"
    save(weights, tiny, Card("upscale"))
    line = ["adapt", str(film), "--out", str(target), "--weights", str(weights), "--minutes", "2"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2
    assert f"expected a film of at least 50 frames to learn from, {film} has 30" in result.stderr
    asked: list[tuple[Adaptation, S2SVR | None]] = []

    def adapted(
        model: S2SVR, card: Card, job: Adaptation, *, better: S2SVR | None, stop: object,
        report: Callable[[str, float, float], None], began: float,
    ) -> Adapted:  # fmt: skip
        asked.append((job, better))
        assert begun <= began <= monotonic() - 0.01  # networks have been loaded since
        report("learning, step 1", 30.0, 120.0)
        return Adapted(
            str(target), "tiny", "the best network", "0123456789ab", len(asked) > 1, "it is nearer",
            [0.1], [0.1], "reduced by 4", "as it was", 24, 6, 9, 61.0,
        )  # fmt: skip

    monkeypatch.setattr("s2svr.adapting.adapt_film", adapted)
    begun = monotonic()
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    assert "network: " in result.stderr
    assert "learning, step 1, at most 1:30 left" in result.stderr
    assert "nothing was written" in result.stdout
    result = CliRunner().invoke(app, line)
    assert f"--weights {target}" in result.stdout
    job, better = asked[0]
    assert (job.source, job.target, job.minutes) == (film, target, 2)
    assert better is not None
    assert network_fingerprint(better) == network_fingerprint(load("sr-real-base"))
    result = CliRunner().invoke(app, [*line, "--json"])
    assert json.loads(result.stdout)["kept"] is True


def test_a_part_of_the_film_can_be_learned(film: Path):
    shots = shots_of(film, Excerpt(start=Fraction(LONG, 25)), FEW)
    assert len(shots) == SHOTS - 1
