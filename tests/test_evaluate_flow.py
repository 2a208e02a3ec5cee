import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from s2svr.cli.app import app
from s2svr.damage.table import degradation
from s2svr.evaluation.tables import markdown, write_table
from s2svr.flow.cases import Case, cases_of, frame_pairs, rendered_cases
from s2svr.flow.dis import dis_flow
from s2svr.flow.score import FlowRow, evaluate_flow, rows_to_print
from s2svr.media.flo import write_flo
from s2svr.ops import resize_bicubic
from s2svr.writing.images import write_png


def picture(seed: int) -> torch.Tensor:
    small = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(seed))
    return (resize_bicubic(small, 4).clamp(0, 1) * 255).round() / 255


def moving(pixels: float, reduced: int = 1):
    """A flow of that many full-size pixels to the right, or to the left backward in time."""

    def flow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        assert a.shape[-1] == 48 // reduced
        backward = torch.equal(torch.roll(a, -4 // reduced, -1), b) and reduced == 1
        found = torch.zeros(1, 2, *a.shape[-2:])
        found[:, 0] = (-pixels if backward else pixels) / reduced
        return found

    return flow


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A picture that moves right by 4 pixels, as Sintel's files beside each other."""
    write_png(tmp_path / "frame_0009.png", picture(1))
    write_png(tmp_path / "frame_0010.png", torch.roll(picture(1), 4, -1))
    write_flo(tmp_path / "frame_0009.flo", shift(4.0))
    return tmp_path


def shift(pixels: float) -> torch.Tensor:
    flow = torch.zeros(2, 32, 48)
    flow[0] = pixels
    return flow


def judged(flow, root: Path, reduced: int = 1) -> list[FlowRow]:
    """The rows of one method, without the means."""
    rows = evaluate_flow({"it": flow}, cases_of(root), reduced=reduced)
    return [row for row in rows if row.method == "it" and row.pair != "mean"]


@pytest.mark.parametrize("reduced", [1, 4])
def test_flow_errors_are_in_full_size_pixels(pair: Path, reduced: int):
    zero, row, *means = evaluate_flow({"it": moving(4.0, reduced)}, cases_of(pair), reduced=reduced)
    assert (row.pair, row.input, row.method) == ("frame_0009.png", "clean", "it")
    assert row.error == pytest.approx(0, abs=1e-5)
    assert zero.error == row.medium + 4 == pytest.approx(4)
    assert (row.slow, row.fast, row.hidden, row.recall) == (None, None, None, None)
    assert row.photometric < 0.5 * zero.photometric
    assert [(mean.method, mean.error) for mean in means] == [
        ("no motion", zero.error), ("it", row.error)
    ]  # fmt: skip
    (row,) = judged(moving(8.0, reduced), pair, reduced)
    assert row.error == pytest.approx(4)
    assert row.outliers == 1


def test_forward_and_backward_flow_are_held_together(pair: Path):
    (row,) = judged(moving(4.0), pair)
    assert row.consistency == pytest.approx(0, abs=1e-5)
    (row,) = judged(lambda a, b: shift(3.0)[None], pair)
    assert row.consistency == pytest.approx(6)
    (row,) = judged(lambda a, b: shift(100.0)[None], pair)
    assert row.consistency is None  # it leaves the frame everywhere


def test_hidden_pixels_unknown_truth_and_every_rendering(tmp_path: Path):
    for name in ("flow", "backward", "clean", "final", "occlusions"):
        (tmp_path / name / "alley").mkdir(parents=True)
    for name in ("clean", "final"):
        write_png(tmp_path / name / "alley" / "frame_0001.png", picture(1))
        write_png(tmp_path / name / "alley" / "frame_0002.png", torch.roll(picture(1), 4, -1))
    truth = shift(4.0)
    truth[0, :, :24] = 12.0
    truth[:, 0] = 2e9  # Middlebury's unknown
    write_flo(tmp_path / "flow" / "alley" / "frame_0001.flo", truth)
    write_flo(tmp_path / "backward" / "alley" / "frame_0002.flo", truth)
    mask = torch.zeros(3, 32, 48)
    mask[..., :24] = 1
    write_png(tmp_path / "occlusions" / "alley" / "frame_0001.png", mask)
    rows = judged(moving(4.0), tmp_path)
    assert [r.pair for r in rows] == [f"{n}/alley/frame_0001.png" for n in ("clean", "final")]
    assert [r.input for r in rows] == ["clean", "final"]
    alone = cases_of(tmp_path, ["clean", "bicubic"])
    assert [case.input for case in alone] == ["clean", "bicubic", "final", "final, bicubic"]
    assert len(rows_to_print(evaluate_flow({}, cases_of(tmp_path)))) == 2
    assert (rows[0].hidden, rows[0].visible) == (pytest.approx(8), 0)
    assert (rows[0].fast, rows[0].medium, rows[0].slow) == (pytest.approx(8), 0, None)
    assert rows[0].error == pytest.approx(4)
    assert rows[0].outliers == pytest.approx(0.5)
    assert rows[0].photometric == rows[1].photometric
    # The check finds what leaves the frame, the last four columns, of which none is hidden.
    assert (rows[0].precision, rows[0].recall) == (0, 0)
    zero = evaluate_flow({}, cases_of(tmp_path))[0]
    assert (zero.method, zero.error, zero.precision) == ("no motion", pytest.approx(8), None)


def test_middlebury_names_its_flow_otherwise(tmp_path: Path):
    for name in ("other-data", "other-gt-flow"):
        (tmp_path / name / "Venus").mkdir(parents=True)
    frames = tmp_path / "other-data" / "Venus"
    write_png(frames / "frame10.png", picture(1))
    write_png(frames / "frame11.png", torch.roll(picture(1), 4, -1))
    path = tmp_path / "other-gt-flow" / "Venus" / "flow10.flo"
    write_flo(path, shift(4.0))
    assert frame_pairs(path) == [(frames / "frame10.png", frames / "frame11.png")]
    (row,) = judged(moving(4.0), tmp_path)
    assert row.error == pytest.approx(0, abs=1e-5)


def test_the_occlusion_check_is_scored_against_the_hidden_pixels():
    frames = torch.zeros(2, 3, 4, 10)
    hidden = torch.zeros(1, 1, 4, 10, dtype=torch.bool)
    hidden[..., 7:] = True
    truth = torch.zeros(1, 2, 4, 10)

    def flow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(1, 2, 4, 10)
        found[:, 0, :, 8:] = 5.0  # outside the frame
        found[:, 0, :, 0] = -5.0
        return found

    case = Case("a", "clean", frames, frames, truth, hidden, truth)
    zero, row, exact = evaluate_flow({"it": flow}, [case])[:3]
    assert row.precision == pytest.approx(2 / 3)  # of three columns found, two are hidden
    assert row.recall == pytest.approx(2 / 3)
    assert (zero.recall, exact.method, exact.recall) == (0, "true flow", 0)


def test_means_count_every_pixel_once():
    frames = torch.zeros(2, 3, 4, 8)
    slow, fast = torch.zeros(1, 2, 4, 8), torch.zeros(1, 2, 4, 8)
    fast[:, 0, :, :2] = 20.0  # a quarter of the pixels
    cases = [Case("a", "clean", frames, frames, truth) for truth in (slow, fast)]
    rows = evaluate_flow({}, cases)
    assert [row.pair for row in rows_to_print(rows)] == ["mean"]
    assert (rows[-1].error, rows[-1].fast, rows[-1].slow) == (2.5, 20, 0)
    fast[:, 0, :, 2:] = 3.0
    mixed = evaluate_flow({}, cases)[-1]
    assert (mixed.medium, mixed.up_to_10) == (3, pytest.approx(3 * 24 / 56))
    assert [row.pair for row in rows_to_print(evaluate_flow({}, cases[:1]))] == ["a"]


PHOTOS = [resize_bicubic(picture(seed), 4).clamp(0, 1) for seed in range(3)]


def test_rendered_clips_are_the_same_for_every_damage():
    inputs = ["clean", "bicubic", "blur", "hevc-37"]
    cases = list(rendered_cases(PHOTOS, inputs, seed=5, clips=1, frames=3, size=(80, 96)))
    assert [case.input for case in cases] == [name for name in inputs for _ in range(2)]
    for case in cases:
        clean = cases[int(case.name[-1])]
        assert torch.equal(case.truth, clean.truth)
        assert torch.equal(case.hidden, clean.hidden)
    clip = torch.cat((cases[0].seen, cases[1].seen[1:]))
    for index, name in ((2, "bicubic"), (6, "hevc-37")):
        wanted = degradation(name)(clip, torch.Generator()).lq
        assert torch.equal(cases[index].seen, wanted[:2])
        assert torch.equal(cases[index + 1].seen, wanted[1:])
    blurred = (cases[4].seen - cases[0].seen).abs().mean()
    assert 0.002 < blurred < 0.2
    rows = evaluate_flow({}, cases)
    exact = next(row for row in rows if row.method == "true flow" and row.pair == "mean")
    assert exact.error == 0
    assert min(exact.precision, exact.recall) > 0.6
    zero = next(row for row in rows if row.method == "no motion" and row.pair == "mean")
    assert exact.photometric < 0.5 * zero.photometric
    with pytest.raises(ValueError, match="sides that divide by 4, got 3 frames of 90x64"):
        next(rendered_cases(PHOTOS, seed=0, clips=1, frames=3, size=(64, 90)))


def test_dis_is_opencvs():
    a = PHOTOS[0][None]
    b = torch.roll(a, 3, -1)
    found = dis_flow()(torch.cat((a, b)), torch.cat((b, a)))
    assert found[0, 0, 20:-20, 20:-20].median() == pytest.approx(3, abs=0.1)
    assert found[1, 0, 20:-20, 20:-20].median() == pytest.approx(-3, abs=0.1)
    grey = [
        cv2.cvtColor((x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8), 7)  # RGB
        for x in (a, b)
    ]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    assert np.abs(found[0].permute(1, 2, 0).numpy() - flow).mean() < 0.05


def test_several_weights_on_rendered_clips_from_the_command_line(tmp_path: Path):
    for index, photo in enumerate(PHOTOS):
        write_png(tmp_path / f"{index}.png", photo)
    table = tmp_path / "t.json"
    command = ["evaluate", "flow", "--photos", str(tmp_path), "--clips", "1", "--frames", "2"]
    command += ["--size", "128x96", "--weights", "flow-light-teacher", "--dis"]
    command += ["--weights", "student=flow-light-student-sr", "--degradation", "bicubic"]
    run = CliRunner().invoke(app, [*command, "--table", str(table)], catch_exceptions=False)
    assert run.exit_code == 0
    methods = [row["method"] for row in json.loads(table.read_text())["rows"]]
    assert methods[:5] == ["no motion", "flow-light-teacher", "student", "DIS", "true flow"]
    with pytest.raises(ValueError, match=r"expected either a folder of .flo files or --photos"):
        CliRunner().invoke(app, ["--debug", "evaluate", "flow"], catch_exceptions=False)


def test_missing_files_are_named(pair: Path):
    with pytest.raises(ValueError, match="two frames can take, got blur"):
        list(cases_of(pair, ["blur"]))
    for kind in ("blur-7", "shutter", "exposure"):
        with pytest.raises(ValueError, match=f"two frames can take, got {kind}: give --photos"):
            list(cases_of(pair, ["clean", kind]))
        with pytest.raises(
            ValueError, match=f"blur as the only blur of rendered clips, got {kind}"
        ):
            list(rendered_cases([torch.zeros(3, 64, 64)], [kind], seed=0, clips=1))
    write_png(pair / "frame_0010.png", torch.zeros(3, 32, 40))
    with pytest.raises(ValueError, match="frames of 48x32 pixels .* got 48x32 and 40x32"):
        judged(moving(4.0), pair)
    (pair / "frame_0010.png").unlink()
    with pytest.raises(ValueError, match=r"frame_0009.png and the frame after it"):
        judged(moving(4.0), pair)
    (pair / "frame_0009.flo").unlink()
    with pytest.raises(ValueError, match=r"expected .flo files with their frames"):
        judged(moving(4.0), pair)


def test_tables_hold_the_pairs(pair: Path):
    rows = evaluate_flow({"it": moving(5.0)}, cases_of(pair))
    write_table(pair / "t.json", rows)
    kept = json.loads((pair / "t.json").read_text())["rows"][1]
    assert kept["error"] == pytest.approx(1)
    assert kept["slow"] is None
    assert "| frame_0009.png | clean | it | 1.0000 |" in markdown(rows)
