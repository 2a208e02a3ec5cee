import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from typer.testing import CliRunner

from media_clips import cut_off, make_video
from s2svr.cli.app import app
from s2svr.cli.output import print_json
from s2svr.writing.images import write_png


def run(*words: object):
    """The command line without a process; errors that it does not handle come through."""
    return CliRunner().invoke(app, ["compare", *map(str, words)], catch_exceptions=False)


def folder(path: Path, codes: list[int]) -> Path:
    """Flat frames of one grey each."""
    path.mkdir()
    for t, code in enumerate(codes):
        write_png(path / f"{t}.png", torch.full((3, 16, 24), code / 255))
    return path


def test_two_folders_are_compared_and_shown_on_a_page(tmp_path: Path):
    a, b = folder(tmp_path / "a", [100, 110, 120]), folder(tmp_path / "b", [102, 110])
    result = run(a, b, "--html", tmp_path / "page.html", "--plot", tmp_path / "plot.svg")
    assert result.exit_code == 0, result.output
    # Two codes of 255 are 42.11 dB; of BT.601's 219 codes of luma, 43.43 dB.
    assert "2 frames; PSNR 42.11 dB (RGB), 43.43 dB (Y)" in result.stdout
    assert f"1 frames of {a} have no partner in {b}, 0 of {b} none in {a}" in result.stderr
    assert "1 missing at 2.000" in result.stdout
    assert "flicker 0.0" in result.stdout  # which is measured unless it is not wanted
    assert "flicker" not in run(a, b, "--flow", "none").stdout
    assert "PSNR 42.11 dB" in (tmp_path / "page.html").read_text()
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    wrong = run(a, b, "--flow", "none", "--plot", tmp_path / "plot.png")
    assert "expected a name with .svg, got plot.png" in wrong.stderr
    nowhere = run(a, b, "--flow", "none", "--html", tmp_path / "none/page.html")
    assert f"expected a folder for page.html, {tmp_path / 'none'} is none" in nowhere.stderr
    early = run(a, b, "--flow", "none", "--end", "0.04")
    assert early.stdout.startswith("1 frames; ")


def test_json_holds_every_frame(tmp_path: Path):
    a, b = folder(tmp_path / "a", [100, 110]), folder(tmp_path / "b", [102, 110])
    found = json.loads(run(a, b, "--json").stdout)
    assert [score["psnr"] is None for score in found["scores"]] == [False, True]
    assert (found["frames"], found["equal"], found["reference"]) == (2, 1, str(a))


def test_damage_is_warned_of_by_the_exit_code(tmp_path: Path):
    whole = make_video(tmp_path / "a.mkv", pts=[3003 * n for n in range(30)])
    (tmp_path / "b.mkv").write_bytes(whole.read_bytes())
    cut_off(tmp_path / "b.mkv")
    result = run(whole, tmp_path / "b.mkv", "--flow", "none")
    assert result.exit_code == 1
    assert "the file is cut off" in result.stdout


def test_json_knows_no_infinity(capsys: pytest.CaptureFixture[str]):
    print_json({"psnr": math.inf, "bins": [math.nan, 1.5], "part": (0, 3)})
    assert json.loads(capsys.readouterr().out) == {
        "psnr": None,
        "bins": [None, 1.5],
        "part": [0, 3],
    }


def test_what_cannot_be_compared_is_one_sentence(tmp_path: Path):
    result = run(folder(tmp_path / "a", [100]), tmp_path / "b")
    assert result.exit_code == 2
    assert result.stderr == f"error: there is no file or folder {tmp_path / 'b'}\n"
