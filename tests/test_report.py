import json
from dataclasses import asdict
from pathlib import Path

import pytest

from s2svr.data.mfqev2 import TEST
from s2svr.evaluation.paper import CLIPS, RESULTS, TABLE_1, TABLE_3, TABLE_3_MEAN, paper_tables
from s2svr.evaluation.scores import ScoreRow
from s2svr.evaluation.tables import Origin


def result(
    path: Path,
    protocol: str,
    rows: dict[tuple[str, str], tuple[float, float]],
    **origin: object,
) -> Path:
    """A table of an evaluation: clip and method -> PSNR and SSIM."""
    dataset = RESULTS.get(path.name, ("reds",))[0]
    of = asdict(Origin(dataset, "test", "bicubic")) | origin
    found = [
        ScoreRow(clip, protocol, method, 4, 0, psnr, ssim, psnr - 30, ssim - 0.9, 0.1)
        for (clip, method), (psnr, ssim) in rows.items()
    ]
    path.write_text(json.dumps({"origin": of, "rows": [asdict(row) for row in found]}))
    return path


def cells(text: str, begin: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {begin} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_papers_table_3_averages_as_printed():
    values = [
        [cell.split("/") for cell in line.split()[1:]] for line in TABLE_3.split("\n") if line
    ]
    printed = [cell.split("/") for cell in TABLE_3_MEAN.split()[1:]]
    assert len(values) == 18
    for method, (psnr, ssim) in enumerate(printed):
        mean = sum(float(row[method][0]) for row in values) / 18
        # STDF-R3L is the one that the paper got wrong.
        assert mean == pytest.approx(0.811 if method == 5 else float(psnr), abs=2e-3)
        mean = sum(float(row[method][1]) for row in values) / 18
        assert mean == pytest.approx(float(ssim), abs=0.6)


def test_sequences_are_those_of_the_data_set():
    names = [line.split()[0] for line in TABLE_3.strip().splitlines()]
    assert [name.rsplit("_", 1)[0] for name in TEST] == names


def test_without_results_nothing_is_claimed():
    text = paper_tables({})
    assert [f"## Table {n}" in text for n in range(1, 6)] == [True] * 5
    assert cells(text.split("## Table 2")[0], "S2SVR")[2:] == ["31.96 / 0.8988", "37.63 / 0.9490"]
    assert cells(text, "Bicubic")[2:] == TABLE_1.strip().splitlines()[0].split(" | ")[2:]
    for name in ("ours, measured here", "bicubic, measured here", "lanczos, measured here"):
        lines = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert lines
        assert all(set(line.removeprefix(f"| {name} |")) <= set(" |") for line in lines)
    assert "- mfqev2: coded Y as float, neither clamped nor rounded" in text
    assert cells(text, "50")[-1] == ""
    assert cells(text, "mean")[-1] == ""
    assert cells(text, "bicubic on Vimeo-90K-T (vimeo90k)")[1:] == ["31.32 / 0.8684", "", ""]


def test_results_stand_in_their_place(tmp_path: Path):
    ours, base = ("mean", "ours"), ("mean", "input")
    vimeo = {ours: (36.0, 0.94), ("mean", "ours, mirrored"): (36.5, 0.95)}
    sequences = {("RaceHorses_416x240_300", "ours"): (30.25, 0.9123), base: (31.5, 0.9)}
    given = {
        "reds": (
            "rgb",
            {
                ("000", "ours"): (1.0, 0.0),
                ours: (30.5, 0.91),
                ("mean", "ours, T=30"): (28.0, 0.8),
                ("mean", "bicubic"): (26.139, 0.7291),
            },
        ),
        "vimeo90k": ("vimeo90k", vimeo),
        "gopro": ("rgb", {base: (25.6, 0.8)}),
        "mfqev2": ("mfqev2", sequences),
        "flow-supervised": ("rgb", {ours: (31.0, 0.9)}),
        "clips-compression": ("y", {("dog", "input"): (28.0, 0.7), ("dog", "ours"): (29.0, 0.8)}),
    }
    text = paper_tables({name: result(tmp_path / name, *what) for name, what in given.items()})
    assert cells(text.split("## Table 2")[0], "ours, measured here")[2:] == [
        "30.50 / 0.9100",
        "36.00 / 0.9400",
    ]
    assert cells(text, "ours on mirrored clips, measured here")[3] == "36.50 / 0.9500"
    assert cells(text, "input, measured here")[2] == "25.60 / 0.8000"
    assert cells(text, "RaceHorses_416x240")[-1] == "0.250 / 123"
    assert cells(text, "RaceHorses_832x480")[-1] == ""
    assert cells(text, "HM 16.5 at QP 37, the 18 sequences (mfqev2)")[1:] == [
        "31.708",
        "31.500 / 0.9000",
        "-0.208 dB",
    ]
    assert cells(text, "bicubic on REDS4 (rgb)")[1:] == [
        "26.14 / 0.7292",
        "26.139 / 0.7291",
        "-0.001 dB",
    ]
    assert cells(text, "pwclite, supervised")[-1] == "31.00 / 0.9000"
    assert cells(text, "30")[-1] == "28.00 / 0.8000"
    assert "PSNR (dB) and SSIM, y: BT.601" in text
    assert "| dog | 4 | 28.000 | 29.000 | -1.000 |" in text


def test_wrong_results_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=f"named {', '.join((*RESULTS, *CLIPS))}, got 'imagenet'"):
        paper_tables({"imagenet": tmp_path})
    y = result(tmp_path / "y.json", "y", {("mean", "ours"): (30, 0.9)})
    with pytest.raises(ValueError, match=r"rows of the protocol rgb in .*y.json, there are none"):
        paper_tables({"reds": y})
    ours = {("mean", "ours"): (30.0, 0.9)}
    other = result(tmp_path / "vimeo90k", "vimeo90k", ours, degradation="gaussian")
    with pytest.raises(ValueError, match="all of vimeo90k test, bicubic in .*, it is of nothing"):
        paper_tables({"vimeo90k": other})
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match=r"expected a JSON table of s2svr evaluate, .*x.json"):
        paper_tables({"reds": tmp_path / "x.json"})
