"""Sets of options: a file and a profile set what is not typed; what is unknown is refused."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from s2svr.cli import restore as command
from s2svr.cli.app import app
from s2svr.profiles import PROFILES, as_words
from s2svr.restoration import Job

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs restore with words and the text of a file as --config; job, task, weights, quality."""
    (tmp_path / "a.mp4").touch()
    asked: list[Any] = []

    def choose(job: Job, task: str, weights: str, quality: str, plan: bool) -> None:
        asked.append((job, task, weights, quality))
        raise typer.Exit

    monkeypatch.setattr(command, "chosen_network", choose)

    def run(*words: str, config: str = "") -> Any:
        given = ["restore", str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "--device", "cpu"]
        if config:
            (tmp_path / "c.toml").write_text(config)
            given += ["--config", str(tmp_path / "c.toml")]
        result = CliRunner().invoke(app, [*given, *words])
        return (result, *(asked.pop() if asked else ()))

    return run


def test_a_file_sets_what_is_not_typed(ask: Any) -> None:
    text = """
        task = "deblur"
        scale = 1.5
        start = 2.5
        scene-cuts = false
        audio_track = [1, "eng"]
        crf = 20
    """
    _, job, task, *_ = ask(config=text)
    assert (task, job.encoding.scale, job.excerpt.start) == (
        "deblur",
        Fraction(3, 2),
        Fraction(5, 2),
    )
    assert (job.encoding.crf, job.scene_cuts) == (20, False)
    assert job.encoding.sound.tracks == ("1", "eng")
    _, job, task, *_ = ask("--task", "sr", "--crf", "7", "--scene-cuts", config=text)
    assert (task, job.encoding.crf, job.scene_cuts) == ("sr", 7, True)


def test_a_profile_is_said_and_is_the_weakest(ask: Any) -> None:
    result, job, task, *_ = ask("--profile", "vhs")
    assert (task, job.encoding.fit, job.finish.strength) == ("upscale", (1920, 1080), 0.8)
    words = "profile vhs: --task upscale --fit 1920x1080 --strength 0.8 ("
    assert result.stderr.startswith(words)
    _, job, *_ = ask("--profile", "vhs", config="strength = 0.5")
    assert job.finish.strength == 0.5
    _, job, task, *_ = ask("--strength", "0.4", config='profile = "vhs"\nstrength = 0.5\ntask="sr"')
    assert (job.finish.strength, task, job.encoding.fit) == (0.4, "sr", (1920, 1080))
    _, job, *_ = ask("--profile", "phone", "--no-grain")
    assert not job.finish.grain


def test_a_stronger_size_takes_the_place_of_a_weaker_one(ask: Any) -> None:
    _, job, *_ = ask("--profile", "dvd", "--height", "720")
    assert (job.encoding.height, job.encoding.fit) == (720, None)
    _, job, *_ = ask("--profile", "dvd", config="scale = 2")
    assert (job.encoding.scale, job.encoding.fit) == (2, None)
    _, job, *_ = ask("--task", "sr", "--bitrate", "2M", config="crf = 20")
    assert (job.encoding.bitrate, job.encoding.crf) == (2_000_000, None)
    _, _, task, weights, quality = ask("--profile", "cartoon", "--weights", "deblur-light")
    assert (task, weights, quality) == (None, "deblur-light", None)


@pytest.mark.parametrize(
    ("config", "words", "message"),
    [
        ("heigth = 3", [], "one of audio, audio-track, bitrate, "),
        ("heigth = 3", [], "window; got 'heigth'"),
        ("config = 'x'", [], "got 'config'"),
        ("in = 'x'", [], "got 'in'"),
        ("crf = [1, 2]", [], "expected a number, true, false or a text for crf, got [1, 2]"),
        ("crf =", [], "expected lines such as scale = 2 in "),
        ("profile = 'film'", [], "expected the profile vhs, dvd, phone, web, cartoon, got 'film'"),
        (
            "",
            ["--profile", "film"],
            "expected the profile vhs, dvd, phone, web, cartoon, got 'film'",
        ),
        ("", ["--config", "no.toml"], "No such file or directory: no.toml"),
    ],
)
def test_what_is_unknown_is_refused(ask: Any, config: str, words: list[str], message: str) -> None:
    result, *asked = ask(*words, config=config)
    assert result.exit_code == 2
    assert not asked
    assert message in result.stderr


def test_every_profile_is_valid_and_in_the_guide(ask: Any) -> None:
    guide = (DOCS / "guide" / "sets-of-options.md").read_text(encoding="utf-8")
    for name, profile in PROFILES.items():
        result, *asked = ask("--profile", name)
        assert asked, result.output
        assert f"| `{name}` | {profile.help} | `{as_words(profile.options)}` |" in guide


def test_completion_knows_profiles_and_tasks() -> None:
    words = {"COMP_WORDS": "s2svr restore a b --profile ", "COMP_CWORD": "5"}
    runner = CliRunner()
    result = runner.invoke(
        app, [], env={**words, "_S2SVR_COMPLETE": "complete_bash"}, prog_name="s2svr"
    )
    assert result.stdout.split() == list(PROFILES)
