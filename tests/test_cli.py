"""The command line: what it makes, what it says, and how it ends."""

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
import typer
from safetensors.torch import save_file
from typer.testing import CliRunner

from media_clips import make_video, video_times
from networks import TINY
from s2svr.checkpoint import Card, save
from s2svr.cli.app import app, main
from s2svr.cli.options import parse_dimensions, parse_rate, parse_seconds
from s2svr.media import open_reader
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.restoration import usual_task
from s2svr.restoration.runner import Runner
from s2svr.text import duration_text, sentence
from s2svr.writing.encoder import VideoEncoder
from s2svr.writing.images import write_png

Run = Callable[..., object]
RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny super-resolution network, tagged as such."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    save(path, S2SVR(TINY), Card("sr", gain_db=0.25, clips="two clips"))
    return path


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 64x48 with sound."""
    return make_video(tmp_path_factory.mktemp("movie") / "in.mp4", sound=["aac"])


def run(*words: object) -> object:
    """The command line without a process; errors that it does not handle come through."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def restore(weights: Path) -> Run:
    return lambda *words: run("restore", *words, "--weights", weights)


def one_sentence(result: object, code: int = 2) -> str:
    """What an error says: nothing but its sentence."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_video_is_restored_and_summed_up(restore: Run, movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    result = restore(movie, target)
    assert result.exit_code == 0, result.output
    assert f"{target}: 12 frames, 64x48 -> 256x192, " in result.stdout
    assert "frames/s, peak memory" in result.stdout
    assert "decoding" in result.stdout
    assert video_times(target) == video_times(movie)
    assert list(tmp_path.iterdir()) == [target]


def test_json_is_all_of_the_standard_output(restore: Run, movie: Path, tmp_path: Path) -> None:
    result = restore(movie, tmp_path / "out.mkv", "--json", "--scale", 2, "--codec", "ffv1")
    summary = json.loads(result.stdout)
    assert summary["frames"] == 12
    assert summary["size_out"] == [128, 96]
    assert summary["damage"] == []
    assert summary["frames_per_second"] == pytest.approx(12 / summary["seconds"])
    assert set(summary["shares"]) == {"decode", "restore", "encode"}


def test_spans_sizes_and_bits(restore: Run, movie: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    times = video_times(movie)
    result = restore(
        movie, target, "--start", "0:00.05", "--end", "0.4", "--size", "120x80",
        "--bits", 10, "--codec", "hevc", "--crf", 10, "--threads", 1, "--no-scene-cuts",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with open_reader(target) as reader:
        assert (reader.info.width, reader.info.height) == (120, 80)
        assert reader.info.color.bits == 10
        count = sum(1 for _ in reader)
    assert count == sum(Fraction(1, 20) <= t < Fraction(2, 5) for t in times)


def test_images_in_and_out(restore: Run, movie: Path, tmp_path: Path) -> None:
    assert restore(movie, tmp_path / "frames", "--scale", 1).exit_code == 0
    assert restore(tmp_path / "frames", tmp_path / "larger", "--fps", 10).exit_code == 0
    assert len(list((tmp_path / "larger").glob("*.png"))) == 12
    assert restore(tmp_path / "frames", tmp_path / "out.mp4", "--fps", "30000/1001").exit_code == 0
    assert video_times(tmp_path / "out.mp4")[3] == Fraction(3003, 30000)


def test_no_such_file(restore: Run, tmp_path: Path) -> None:
    result = restore(tmp_path / "none.mp4", tmp_path / "out.mp4")
    assert f"no file or folder {tmp_path}/none.mp4" in one_sentence(result)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n" * 50, bytes(5000)])
def test_not_a_video(restore: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.mp4").write_bytes(content)
    assert "in.mp4" in one_sentence(restore(tmp_path / "in.mp4", tmp_path / "out.mp4"))
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_audio_only(restore: Run, movie: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    with av.open(str(movie)) as source, av.open(str(sound), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert "no video" in one_sentence(restore(sound, tmp_path / "out.mp4"))
    assert [p.name for p in tmp_path.iterdir()] == ["sound.mp4"]


def test_zero_frames(restore: Run, movie: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no images" in one_sentence(restore(tmp_path / "empty", tmp_path / "out"))
    result = restore(movie, tmp_path / "out.mp4", "--start", 100)
    assert "in.mp4" in one_sentence(result)
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_an_existing_output_is_kept_unless_told_otherwise(
    restore: Run, movie: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    assert "exists already" in one_sentence(restore(movie, target))
    assert target.read_bytes() == b"precious"
    assert restore(movie, target, "--overwrite").exit_code == 0
    assert len(video_times(target)) == 12


def test_an_unwritable_output(restore: Run, movie: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = restore(movie, tmp_path / "file" / "out.mp4")
    assert "file/out.mp4 cannot be written" in one_sentence(result)


def test_a_full_disk(
    restore: Run, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: VideoEncoder, frame: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(VideoEncoder, "write", full)
    result = restore(movie, tmp_path / "out.mp4")
    assert "out.mp4 cannot be written: the disk is full" in one_sentence(result)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_video_is_restored_as_far_as_it_goes(restore: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    whole = make_video(
        source, pts=[3003 * i for i in range(60)], container={"movflags": "faststart"}
    ).read_bytes()
    source.write_bytes(whole[: int(len(whole) * 0.7)])
    result = restore(source, target, "--json")
    assert result.exit_code == 1, result.output
    summary = json.loads(result.stdout)
    assert 10 < summary["frames"] == len(video_times(target)) < 60
    assert any("missing from" in line for line in summary["damage"])
    with av.open(str(target)) as output:
        assert "missing from" in output.metadata["comment"]
    lines = restore(source, target, "--overwrite").stdout.splitlines()
    assert any(line.startswith("damage: ") and "missing from" in line for line in lines)


def test_corrupt_frames_are_restored_and_counted(restore: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_video(source, pts=[3003 * i for i in range(30)], options={"crf": "1"})
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as video:
        hit = list(video.demux(video=0))[12]
    start = data.index(bytes(hit)[5:]) + 10
    data[start : start + hit.size - 15] = bytes(hit.size - 15)
    source.write_bytes(data)
    result = restore(source, target, "--json")
    summary = json.loads(result.stdout)
    assert result.exit_code == 1, summary
    assert summary["corrupt"] + len(summary["damage"]) > 0
    assert summary["frames"] == len(video_times(target)) >= 28
    assert "damage: " in restore(source, target, "--overwrite").stdout


def test_unknown_weights(movie: Path, tmp_path: Path) -> None:
    result = run("restore", movie, tmp_path / "out.mp4", "--weights", "sr-huge")
    assert "expected weights by name" in one_sentence(result)
    assert list(tmp_path.iterdir()) == []


def test_broken_and_foreign_weights(movie: Path, tmp_path: Path, weights: Path) -> None:
    (tmp_path / "broken").write_bytes(weights.read_bytes()[:-10])
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "foreign")
    save(tmp_path / "flow", PWCLite(PRESETS["flow-light"]), Card("flow"))
    for name, message in (
        ("broken", "is none or is damaged"),
        ("foreign", "names no model of it"),
        ("flow", "expected a restoration model, got a PWCLite"),
    ):
        result = run("restore", movie, tmp_path / "out.mp4", "--weights", tmp_path / name)
        assert message in one_sentence(result)
    assert not (tmp_path / "out.mp4").exists()


def test_results_that_are_no_pictures_leave_nothing(movie: Path, tmp_path: Path) -> None:
    net = S2SVR(TINY)
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    save(tmp_path / "net", net, Card("sr"))
    result = run("restore", movie, tmp_path / "out.mp4", "--weights", tmp_path / "net", "--no-plan")
    assert result.exit_code == 2
    assert "error: what the network made is not finite" in result.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_weights_of_another_task(restore: Run, movie: Path, tmp_path: Path) -> None:
    result = restore(movie, tmp_path / "out.mp4", "--task", "deblur")
    assert "expected weights for deblur, " in one_sentence(result)
    assert restore(movie, tmp_path / "out.mp4", "--task", "sr").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "cuda:99"], "device cuda:99 is not there"),
        (["--device", "gpu"], "expected the device auto, cpu, cuda or cuda:N, got 'gpu'"),
        (["--device", "cpu", "--precision", "fp16"], "slower than fp32 on this CPU"),
        (["--precision", "int8"], "expected the precision auto, fp32"),
        (["--scale", "8"], "expected a scale from 1 to 4"),
        (["--size", "4000x10"], "expected a size from 1x1 to 256x192"),
        (["--tile", "5"], "expected tiles of at least 192 pixels"),
        (["--fps", "25"], "has its own times"),
        (["--codec", "divx"], "no codec divx"),
        (
            ["--task", "sharpen"],
            "expected the task sr, upscale, deblur, compression, got",
        ),
    ],
)
def test_impossible_settings(
    restore: Run, movie: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    assert message in one_sentence(restore(movie, tmp_path / "out.mp4", *words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "10"], "WIDTHxHEIGHT"),
        (["--start", "soon"], "minutes:seconds"),
        (["--fps", "1/0"], "a number or a fraction"),
        (["--threads", "0"], "--threads"),
        (["--preview", "0"], "expected more than 0 seconds"),
        (["--quick"], "--quick"),
    ],
)
def test_what_cannot_be_parsed(
    restore: Run, movie: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    result = restore(movie, tmp_path / "out.mp4", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_full_gpu_beside_the_model_is_one_sentence(
    restore: Run, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nProcess ...")

    monkeypatch.setattr("s2svr.restoration.pipeline.to_open_rgb", full)
    result = restore(movie, tmp_path / "out.mp4", "--no-plan")
    assert "out of memory on the GPU: use a smaller --window" in one_sentence(result)
    assert list(tmp_path.iterdir()) == []


def test_a_preview_and_its_damage(restore: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    whole = make_video(
        source, pts=[3003 * i for i in range(60)], container={"movflags": "faststart"}
    ).read_bytes()
    words = ["--start", "0.1", "--end", "0.2", "--preview", "1", "--overwrite"]
    result = restore(source, target, *words)
    assert result.stdout == (
        f"{target}: 3 frames, the input on the left, the result on the right\n"
    )
    with av.open(str(target)) as video:
        picture = next(video.decode(video=0))
        assert (picture.width, picture.height) == (512, 192)
        assert video.streams.video[0].sample_aspect_ratio in (None, 1)
    assert json.loads(restore(source, target, *words, "--json").stdout) == {
        "target": str(target), "frames": 3, "damage": [],
    }  # fmt: skip
    source.write_bytes(whole[: int(len(whole) * 0.7)])
    result = restore(source, target, "--start", "0.5", "--preview", "2", "--overwrite")
    assert result.exit_code == 1, result.output
    assert "damage: " in result.stdout


def test_ctrl_c(restore: Run, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Runner, frames: object, count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "attempt", stop)
    result = restore(movie, tmp_path / "out.mp4")
    assert result.exit_code == 130
    assert result.stderr == "stopped\n"
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_utf_8_are_printed(
    monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "utf-8", "strict"))
    monkeypatch.setattr("s2svr.cli.app.app", lambda **_: typer.echo(os.fsdecode(b"caf\xe9")))
    main()
    assert written.getvalue() == b"caf\xe9\n"


def test_ctrl_c_before_a_command_begins(monkeypatch: pytest.MonkeyPatch, signals: None) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s2svr.cli.app.app", stopped)
    with pytest.raises(SystemExit, match="130"):
        main()


@pytest.fixture
def signals() -> Iterator[None]:
    """A terminal that is closed ends the process, also under nohup; afterwards as it was."""
    both = signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in both]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in zip(both, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_ends_a_command_as_sigterm_does(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    cleaned, ignored = [], []

    def command(**_: object) -> None:
        try:
            signal.raise_signal(number)
            ignored.append(number)
        finally:
            signal.raise_signal(signal.SIGHUP)  # the shell's, or the system's
            cleaned.append(number)

    monkeypatch.setattr("s2svr.cli.app.app", command)
    with pytest.raises(SystemExit, match="130"):
        main()
    assert (cleaned, ignored) == ([number], [])
    if number == signal.SIGHUP:  # nohup's choice stays
        signal.signal(number, signal.SIG_IGN)
        main()
        assert ignored == [number]


def test_debug_shows_the_trace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected weights"):
        run("--debug", "restore", tmp_path / "in", tmp_path / "out", "--weights", "none")


def test_warnings_and_progress_are_told_as_they_come(
    restore: Run, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, failed = Runner.attempt, []

    def small(self: Runner, frames: list[torch.Tensor], count: int) -> torch.Tensor | None:
        if count > 4:
            failed.append(count)
            return None
        return attempt(self, frames, count)

    monkeypatch.setattr(Runner, "attempt", small)
    monkeypatch.setattr("s2svr.cli.progress.LINE_EVERY", 0.0)
    result = restore(movie, tmp_path / "out.mp4")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert "warning: out of memory, going on with windows of 8 frames" in lines
    assert "0/12 frames, starting" in lines
    assert lines[-1].startswith("12/12 frames, ")
    assert lines[-1].endswith(" frames/s, 0:00 left")
    assert failed == [12, 8]


def test_help_names_the_commands_and_the_version_is_told() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in ("restore", "models", "info", "benchmark", "train", "evaluate"):
        assert name in result.stdout
    assert run("--version").stdout.startswith("0.")


def test_evaluate_flow_is_a_command_beside_evaluate(tmp_path: Path) -> None:
    assert "evaluate flow " in run("--help").stdout
    assert "evaluate flow [OPTIONS] [DATA]" in run("evaluate", "flow", "--help").stdout
    assert "evaluate [OPTIONS] [DATA]" in run("evaluate", "--help").stdout
    text = one_sentence(run("evaluate", "flow", tmp_path))
    assert text.startswith("error: expected .flo files with their frames")
    for words in ([tmp_path], ["--root", tmp_path], ["./flow"], ["--root", "flow"]):
        text = one_sentence(run("evaluate", *words))
        assert text.startswith("error: expected ")
        assert "videos" in text


def test_models_lists_given_weights(weights: Path) -> None:
    row = json.loads(run("models", weights, "--json").stdout)[-1]
    assert row["name"] == "tiny"
    assert row["task"] == "sr"
    assert row["gain_db"] == 0.25
    head, *lines = run("models", weights).stdout.splitlines()
    assert "gain_db" in head
    assert lines[-1].startswith("tiny ")


@pytest.mark.parametrize("fast", [False, True])
def test_info_says_where_it_would_run(monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    monkeypatch.setattr("s2svr.devices.cpu_has_bf16", lambda: fast)
    facts = json.loads(run("info", "--device", "cpu", "--json").stdout)
    assert facts["device"] == "cpu"
    assert facts["precision"] == ("float32 or bfloat16, the faster one" if fast else "float32")
    assert facts["backend"] == f"PyTorch {torch.__version__}"
    assert facts["threads"] == str(torch.get_num_threads())
    assert "float32" in run("info", "--device", "cpu").stdout


def test_benchmark_measures_sizes_and_clips(weights: Path, movie: Path) -> None:
    words = ("--weights", weights, "--size", "16x8", "--size", "24x16", "--clip", movie)
    result = run("benchmark", *words, "--frames", 3, "--json", "--device", "cpu")
    rows = json.loads(result.stdout)
    assert [row["size_in"] for row in rows] == [[16, 8], [24, 16], [64, 48]]
    assert [row["frames"] for row in rows] == [3, 3, 12]
    assert all(row["machine"] for row in rows)
    both = run("benchmark", *words[:4], "--frames", 1, "--precision", "fp32", "--precision", "auto")
    assert "ratio" in both.stdout
    assert len(both.stdout.splitlines()) == 3
    assert "measured on: " in both.stderr


def test_evaluate_and_its_table(weights: Path, movie: Path, tmp_path: Path) -> None:
    words = (movie.parent, "--weights", weights, "--frames", 2)
    rows = json.loads(run("evaluate", *words, "--table", tmp_path / "t.csv", "--json").stdout)
    assert list(dict.fromkeys(row["clip"] for row in rows)) == ["in.mp4", "mean"]
    # An untrained network adds nothing to the bicubic base.
    gains = [row["gain"] for row in rows if row["method"] == "ours"]
    assert gains == pytest.approx([0, 0, 0, 0], abs=1e-6)
    assert (tmp_path / "t.csv").read_text().count("\n") == 1 + len(rows)
    shown = run("evaluate", *words, "--protocol", "y", "--part", "0/2", "--out", tmp_path / "kept")
    assert "y: BT.601 Y of rounded 8-bit RGB" in shown.stdout
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["00000-in.mp4.json"]
    result = run("evaluate", *words, "--degradation", "rain")
    assert "expected a degradation (bicubic" in one_sentence(result)
    result = run("evaluate", *words, "--part", "2/2")
    assert "expected a share like 0/3" in result.output


def test_trainings_begin_and_their_weights_restore(movie: Path, tmp_path: Path) -> None:
    small = [
        "data.crop=16", "data.batch=1", "data.frames=2", "data.rendered=0", "optim.steps=1",
        "optim.decay=0", "optim.warmup=0",
    ]  # fmt: skip
    clips = tmp_path / "clips"
    clips.mkdir()
    make_video(clips / "a.mp4", size=(128, 128), pts=[0, 3003, 6006])
    common = ["--data", clips, "--device", "cpu"]
    for entry in small:
        common += ["--set", entry]
    teacher = run(
        "train", "flow", RECIPES / "flow-light-teacher.toml", "--stage", "teacher",
        "--out", tmp_path / "teacher", *common, "--set", "data.crop=32",
        "--set", "data.context=[32, 32]",
    )  # fmt: skip
    assert teacher.exit_code == 0, teacher.output
    path = Path(teacher.stdout.strip())
    assert path == tmp_path / "teacher" / "model.safetensors"
    whole = run(
        "train", "restoration", RECIPES / "sr-light.toml", "--flow", path,
        "--out", tmp_path / "sr", *common, "--set", "data.context=[32, 32]",
        "--set", "model.channels=4",
    )  # fmt: skip
    assert whole.exit_code == 0, whole.output
    result = run("restore", movie, tmp_path / "out.mp4", "--weights", whole.stdout.strip())
    assert result.exit_code == 0, result.output


def test_a_student_needs_a_teacher_and_a_recipe_its_training(tmp_path: Path) -> None:
    words = ("--data", tmp_path, "--out", tmp_path / "out")
    recipe = RECIPES / "flow-light-student-sr.toml"
    result = run("train", "flow", recipe, "--stage", "student", *words)
    assert "expected --teacher with --stage student" in one_sentence(result)
    result = run("train", "restoration", recipe, *words)
    assert "is of kind flow" in one_sentence(result)
    result = run("train", "restoration", recipe, *words, "--set", "optim.stps=3")
    assert "optim.stps is not an entry" in one_sentence(result)


def test_data_sets_are_checked(tmp_path: Path) -> None:
    result = run("data", "check", "folder", tmp_path)
    assert result.exit_code == 1
    assert "expected videos" in result.stdout


def test_clips_are_rendered(movie: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip"
    words = ("--photos", movie.parent, "--size", "48x32", "--frames", 2)
    result = run("render", out, *words)
    assert result.exit_code == 0, result.output
    assert (out / "flow" / "frame_0001.flo").exists()
    assert video_times(out / "clip.mp4") == [0, Fraction(1, 25)]
    again = run("render", out, "--photos", movie.parent)
    assert "exists" in one_sentence(again)
    free = tmp_path / "free"
    assert run("render", free, "--seed", 1, "--size", "48x32", "--frames", 2).exit_code == 0
    assert (free / "occlusions" / "frame_0001.png").exists()


def test_values() -> None:
    assert parse_seconds("1:02:03.5") == Fraction(7447, 2)
    assert parse_seconds("2:03") == 123
    assert parse_seconds("0.1") == Fraction(1, 10)
    assert parse_rate("23.976") == Fraction(2997, 125)
    assert parse_dimensions("1920x1080") == (1920, 1080)
    for parse, text in (
        (parse_seconds, "1:2:3:4"),
        (parse_rate, "x"),
        (parse_dimensions, "5x"),
        (parse_seconds, "-1"),
    ):
        with pytest.raises(typer.BadParameter, match="expected"):
            parse(text)


def test_words() -> None:
    assert duration_text(3725.4) == "1:02:05"
    assert sentence(OSError(28, "No space left on device", "/x")) == "No space left on device: /x"
    assert sentence(ValueError("two\n  lines")) == "two lines"
    assert sentence(MemoryError()) == "MemoryError"


def test_lossy_sources_are_upscaled_as_footage_and_others_as_clean(tmp_path: Path):
    for suffix in ("png", "jpg"):
        (tmp_path / suffix).mkdir()
    write_png(tmp_path / "png" / "0.png", torch.rand(3, 16, 16))
    with av.open(str(tmp_path / "jpg" / "0.jpg"), "w", format="image2") as output:
        stream = output.add_stream("mjpeg")
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuvj420p")))
        output.mux(stream.encode(None))
    lossless = make_video(tmp_path / "a.mkv", codec="ffv1")
    lossy = make_video(tmp_path / "b.mp4")
    found = [usual_task(path) for path in (tmp_path / "png", tmp_path / "jpg", lossless, lossy)]
    assert found == ["sr", "upscale", "sr", "upscale"]
