import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from media_clips import cut_off, make_video
from s2svr.cli.app import app
from s2svr.damage.reduce import bicubic_down
from s2svr.evaluation.scores import ScoreRow
from s2svr.evaluation.tables import Origin
from s2svr.media import open_reader, read_clip
from s2svr.ops import resize_bicubic
from s2svr.writing.images import write_png


def run(*words: object):
    """The command line without a process; errors that it does not handle come through."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_damaged_video_is_made(tmp_path: Path):
    source = make_video(tmp_path / "in.mp4", pts=[0, 3003, 6006], sound=["aac"])
    target = tmp_path / "out.mkv"
    words = ("degrade", source, target, "--bicubic", "--end", "0.05")
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{target}: 2 frames, bicubic\n"
    with open_reader(target) as reader:
        assert (reader.info.width, reader.info.height, reader.info.codec) == (16, 12, "ffv1")
        assert [track.kind for track in reader.info.tracks] == ["audio"]
    again = run(*words)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert run(*words, "--overwrite").exit_code == 0
    for wrong, came in (((), "none"), (("--blur", 3, "--x264-crf", 0), "blur-3 and h264-0")):
        result = run("degrade", source, tmp_path / "x.mkv", *wrong)
        assert result.exit_code == 2
        assert f"--blur, --hevc-qp and --x264-crf, got {came}" in (" ".join(result.stderr.split()))
    even = run("degrade", source, tmp_path / "x.mkv", "--blur", 4)
    assert even.exit_code == 2
    assert "an odd count of frames" in even.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Folders of one frame: what was reduced, and what it came from."""
    noise = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    large = (resize_bicubic(noise, 4).clamp(0, 1) * 255).round() / 255
    for name, frame in (("large", large[0]), ("small", bicubic_down(large).lq[0])):
        (tmp_path / name).mkdir()
        write_png(tmp_path / name / "0.png", frame)
    return tmp_path


def test_fidelity_of_the_original_is_perfect(source: Path):
    result = run("fidelity", source / "small", source / "large")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].split()[:3] == ["1", "1", "equal"]
    found = json.loads(run("fidelity", source / "small", source / "large", "--json").stdout)
    assert (found["frames"], found["equal"], found["psnr"]) == (1, 1, None)
    assert read_clip(source / "small").shape[-2:] == (32, 48)


def test_fidelity_of_a_part_is_not_that_of_the_whole(source: Path):
    for t in (1, 2):
        shutil.copy(source / "small" / "0.png", source / "small" / f"{t}.png")
    result = run("fidelity", source / "small", source / "large")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:2] == ["1", "1"]
    small, large = source / "small", source / "large"
    assert f"2 frames of {small} have no partner in {large}, 0 of" in result.stderr
    found = json.loads(run("fidelity", large, small, "--json").stdout)
    assert (found["frames"], found["lost"], found["added"]) == (1, 0, 2)


def test_fidelity_of_a_broken_file_ends_with_1(tmp_path: Path):
    whole = make_video(tmp_path / "a.mkv", pts=[3003 * n for n in range(30)])
    (tmp_path / "b.mkv").write_bytes(whole.read_bytes())
    cut_off(tmp_path / "b.mkv")
    result = run("fidelity", whole, tmp_path / "b.mkv")
    assert result.exit_code == 1
    assert "b.mkv: the file is cut off" in result.stderr
    assert "have no partner in" in result.stderr
    again = run("fidelity", whole, tmp_path / "b.mkv", "--json")
    assert again.exit_code == 1
    assert "cut off" in " ".join(json.loads(again.stdout)["damage"])


def test_the_report_is_printed(tmp_path: Path):
    text = run("report").stdout
    assert "## Table 1" in text
    row = ScoreRow("mean", "rgb", "ours", 4, 0, 31.5, 0.9, 1.5, 0.1, 0.2)
    origin = asdict(Origin("gopro", "test", "blur-7"))
    (tmp_path / "a.json").write_text(json.dumps({"origin": origin, "rows": [asdict(row)]}))
    shown = run("report", f"gopro={tmp_path / 'a.json'}").stdout
    assert "| ours, measured here |  | 31.50 / 0.9000 |" in shown
    wrong = run("report", "a.json")
    assert wrong.exit_code == 2
    assert "expected NAME=FILE with a name of reds" in wrong.stderr
