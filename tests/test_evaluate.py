import csv
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from media_clips import make_video
from s2svr.color import ColorInfo, rgb_to_y
from s2svr.damage.reduce import bicubic_down
from s2svr.data.clip import Clip
from s2svr.evaluation import methods, resume
from s2svr.evaluation import run as ev
from s2svr.evaluation.protocols import BT601, PROTOCOLS, read_views, view
from s2svr.evaluation.settings import Scoring, Storage
from s2svr.evaluation.tables import means, side_by_side, write_table
from s2svr.metrics import psnr_rgb, psnr_y, ssim_rgb, ssim_y
from s2svr.models.config import S2SVRConfig
from s2svr.ops import resize_bicubic
from s2svr.writing.images import write_png


class Base(nn.Module):
    """A model that returns its base, plus a little light that grows with time."""

    lookahead = 0

    def __init__(self, light: float = 0.0, scale: int = 4) -> None:
        super().__init__()
        self.light, self.scale = nn.Parameter(torch.tensor(light)), scale

    def forward(self, x, state=None, lookahead=0):
        since = 0 if state is None else state
        steps = torch.arange(since + 1, since + 1 + x.shape[1]).view(-1, 1, 1, 1)
        base = resize_bicubic(x, 4) if self.scale == 4 else x
        return base + self.light * steps, since + x.shape[1]


def picture(seed: int, height: int = 32, width: int = 48) -> torch.Tensor:
    small = torch.rand(3, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return ((0.2 + 0.6 * resize_bicubic(small, 4)).clamp(0, 1) * 255).round() / 255


def clip(count: int) -> torch.Tensor:
    """One shot, moving by a pixel a frame."""
    return torch.stack([torch.roll(picture(count), t, -1) for t in range(count)])


@pytest.fixture
def sequences(tmp_path: Path) -> list[Clip]:
    """Two folders of two and three frames."""
    for name, count in (("a", 2), ("b", 3)):
        (tmp_path / name).mkdir()
        for t, frame in enumerate(clip(count)):
            write_png(tmp_path / name / f"{t}.png", frame)
    return [Clip(name, tmp_path / name) for name in ("a", "b")]


def of(rows: list[ev.ScoreRow], clip: str, protocol: str, method: str) -> ev.ScoreRow:
    (row,) = [r for r in rows if (r.clip, r.protocol, r.method) == (clip, protocol, method)]
    return row


def test_rows_are_means_over_frames_and_their_mean_is_of_clips(sequences):
    rows = ev.evaluate(Base(0.02), sequences, bicubic_down)
    for name, count in (("a", 2), ("b", 3)):
        truth = clip(count)
        base = resize_bicubic(bicubic_down(truth).lq, 4).clamp(0, 1)
        light = 0.02 * torch.arange(1, count + 1).view(-1, 1, 1, 1)
        restored = (resize_bicubic(bicubic_down(truth).lq, 4) + light).clamp(0, 1)
        for protocol, psnr, ssim in (("rgb", psnr_rgb, ssim_rgb), ("y", psnr_y, ssim_y)):
            row, bicubic = of(rows, name, protocol, "ours"), of(rows, name, protocol, "bicubic")
            values = [psnr(x, y) for x, y in zip(restored, truth, strict=True)]
            assert row.psnr == pytest.approx(np.mean(values), abs=1e-9)
            assert row.spread == pytest.approx(np.std(values), abs=1e-9)
            values = [ssim(x, y) for x, y in zip(base, truth, strict=True)]
            assert bicubic.ssim == pytest.approx(np.mean(values), abs=1e-9)
            assert (row.gain, bicubic.gain) == (pytest.approx(row.psnr - bicubic.psnr), 0)
    mean = of(means(rows), "mean", "rgb", "ours")
    assert mean.frames == 5
    want = (of(rows, "a", "rgb", "ours").psnr + of(rows, "b", "rgb", "ours").psnr) / 2
    assert mean.psnr == pytest.approx(want)


def test_a_model_that_adds_nothing_gains_nothing(sequences):
    rows = ev.evaluate(Base(), sequences, bicubic_down, Scoring(frames=1))
    assert all(row.gain == 0 for row in rows if row.method == "ours")
    assert any(row.gain != 0 for row in rows if row.method == "lanczos")


def test_lanczos_equals_pillow_inside():
    x = picture(3, 20, 28)
    have = methods.enlarge_lanczos(x, 4)
    for plane, mine in zip(x.numpy(), have.numpy(), strict=True):
        want = Image.fromarray(plane).resize((112, 80), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(want)[12:-12, 12:-12] - mine[12:-12, 12:-12]).max() < 1e-5
    turned = methods.enlarge_lanczos(x.flip(-1, -2), 4).flip(-1, -2)
    assert torch.allclose(turned, have, atol=1e-6)
    assert torch.allclose(methods.enlarge_lanczos(torch.full((3, 2, 1), 0.3), 3), torch.tensor(0.3))


def test_lanczos_equals_a_loop_with_mirrored_edges():
    x = picture(4, 8, 12)[:, :5, :7]
    want = np.zeros((3, 20, 28))
    for i, j in np.ndindex(20, 28):
        total = 0.0
        for row in range(-9, 16):
            for column in range(-9, 18):
                weight = lanczos((i + 0.5) / 4 - 0.5 - row) * lanczos((j + 0.5) / 4 - 0.5 - column)
                if weight:
                    # ... 1 0 | 0 1 2 ... 6 | 6 5 ...
                    row_, column_ = (
                        min(n % (2 * side), 2 * side - 1 - n % (2 * side))
                        for n, side in ((row, 5), (column, 7))
                    )
                    want[:, i, j] += weight * x[:, row_, column_].numpy()
                    total += weight
        want[:, i, j] /= total
    assert np.abs(methods.enlarge_lanczos(x, 4).numpy() - want).max() < 1e-5


def lanczos(distance: float) -> float:
    """The kernel with three lobes."""
    if abs(distance) >= 3:
        return 0.0
    angle = math.pi * distance
    return 1.0 if not angle else 3 * math.sin(angle) * math.sin(angle / 3) / angle**2


def test_sequences_with_both_qualities_are_read_not_damaged(sequences, tmp_path: Path):
    (tmp_path / "lq").mkdir()
    write_png(tmp_path / "lq" / "0.png", torch.full((3, 8, 12), 0.5))
    given = [Clip("a", tmp_path / "a", tmp_path / "lq")]
    rows = ev.evaluate(Base(), given, bicubic_down, Scoring(frames=1))
    grey = torch.full((3, 32, 48), 128 / 255)
    assert of(rows, "a", "rgb", "ours").psnr == pytest.approx(psnr_rgb(grey, clip(2)[0]))
    with pytest.raises(ValueError, match="as many frames of both qualities in a, low has fewer"):
        ev.evaluate(Base(), given, bicubic_down)
    with pytest.raises(ValueError, match=r"the truth's size in a, got \(3, 8, 12\) and \(3, 32"):
        ev.evaluate(Base(scale=1), given, bicubic_down, Scoring(frames=1))
    with pytest.raises(ValueError, match="expected a protocol .rgb, y, vimeo90k.*got 'x'"):
        ev.evaluate(Base(), given, bicubic_down, Scoring(["x"]))


def test_septuplets_are_scored_at_their_middle_also_mirrored(tmp_path: Path):
    (tmp_path / "s").mkdir()
    truth = clip(7)
    for t, frame in enumerate(truth):
        write_png(tmp_path / "s" / f"im{t + 1}.png", frame)
    model = Base(0.01)
    rows = ev.evaluate(model, [Clip("s", tmp_path / "s")], bicubic_down, Scoring(["vimeo90k"]))
    base = resize_bicubic(bicubic_down(truth).lq, 4)[3]
    plain, both = of(rows, "s", "vimeo90k", "ours"), of(rows, "s", "vimeo90k", "ours, mirrored")
    assert plain.frames == both.frames == 1
    assert plain.psnr == pytest.approx(psnr_y(base + 4 * 0.01, truth[3]), abs=1e-6)
    # Of the 14 mirrored frames, the fourth and the eleventh show it.
    lights = ((base + 4 * 0.01).clamp(0, 1) + (base + 11 * 0.01).clamp(0, 1)) / 2
    assert both.psnr == pytest.approx(psnr_y(lights, truth[3]), abs=1e-3)
    assert both.ssim == pytest.approx(ssim_y(lights, truth[3]), abs=1e-4)


def test_raw_video_is_scored_on_its_coded_luma(tmp_path: Path):
    """MFQEv2: float Y of the planes; colours out of gamut must not change it."""
    rng = np.random.default_rng(0)
    size = 24 * 16 * 3 // 2
    raw, coded = (rng.integers(16, 236, (2, size)).astype(np.uint8) for _ in range(2))
    (tmp_path / "raw_24x16_2.yuv").write_bytes(raw.tobytes())
    (tmp_path / "coded_24x16_2.yuv").write_bytes(coded.tobytes())
    pair = Clip("v", tmp_path / "raw_24x16_2.yuv", tmp_path / "coded_24x16_2.yuv")
    rows = ev.evaluate(Base(scale=1), [pair], bicubic_down, Scoring(["mfqev2"]))
    y = [x[:, : 24 * 16] / 255.0 for x in (raw, coded)]
    want = [-10 * math.log10(np.mean((a - b) ** 2)) for a, b in zip(*y, strict=True)]
    assert of(rows, "v", "mfqev2", "input").psnr == pytest.approx(np.mean(want), abs=1e-5)
    # Most of these colours are ones that no display shows; there and back is nothing all the same.
    assert (next(read_views(tmp_path / "coded_24x16_2.yuv")).rgb < 0).any()
    assert of(rows, "v", "mfqev2", "ours").psnr == pytest.approx(np.mean(want), abs=1e-4)
    assert of(rows, "v", "mfqev2", "ours").gain == pytest.approx(0, abs=1e-4)


def test_luma_of_a_restored_frame_is_coded_as_the_input(tmp_path: Path):
    codes = np.arange(24 * 16 * 3 // 2) % 40 + 100
    (tmp_path / "x_24x16.yuv").write_bytes(codes.astype(np.uint8).tobytes())
    (seen,) = read_views(tmp_path / "x_24x16.yuv")
    assert torch.allclose(view(seen.rgb, seen.color).y, seen.y, atol=1e-6)
    rgb = picture(1)
    assert torch.allclose(view(rgb).y, rgb_to_y(rgb), atol=1e-6)
    assert torch.equal(view(rgb, ColorInfo("rgb")).y, view(rgb, BT601).y)


def test_other_methods_and_the_input_stand_beside_ours(sequences):
    grey = {"grey": lambda views: (view(torch.full((3, 32, 48), 0.5)) for _ in views)}
    rows = ev.evaluate(Base(), sequences[:1], bicubic_down, Scoring(["rgb"]), others=grey)
    assert [row.method for row in rows] == ["bicubic", "lanczos", "grey", "ours"]
    (line,) = side_by_side(rows, "rgb")
    assert line["grey"] == of(rows, "a", "rgb", "grey").psnr
    assert line["gain"] == of(rows, "a", "rgb", "ours").gain
    for name in ("bicubic", "ours"):
        with pytest.raises(ValueError, match=f"expected another name than '{name}'"):
            ev.evaluate(Base(), sequences[:1], bicubic_down, others={name: Base()})


def test_flicker_is_measured_along_the_truth(tmp_path: Path):
    (tmp_path / "s").mkdir()
    for t in range(3):  # a still picture
        write_png(tmp_path / "s" / f"{t}.png", picture(5))
    still = lambda a, b: torch.zeros(1, 2, *a.shape[-2:])  # noqa: E731
    rows = ev.evaluate(
        Base(0.01), [Clip("s", tmp_path / "s")], bicubic_down, Scoring(["rgb"], flow=still)
    )
    assert of(rows, "s", "rgb", "bicubic").flicker == pytest.approx(0, abs=1e-6)
    assert of(rows, "s", "rgb", "ours").flicker == pytest.approx(0.01, abs=1e-4)
    assert [row.flicker_truth for row in rows] == pytest.approx([0, 0, 0], abs=1e-6)
    (line,) = side_by_side(rows, "rgb")
    shown = (line["flicker ours"], line["flicker truth"])
    assert shown == (rows[-1].flicker, rows[0].flicker_truth)


def test_flicker_is_of_what_is_seen_in_both_frames(sequences):
    away = lambda a, b: torch.full((1, 2, *a.shape[-2:]), 999.0)  # noqa: E731
    rows = ev.evaluate(Base(), sequences[:1], bicubic_down, Scoring(["rgb"], flow=away))
    assert {row.flicker for row in rows} == {None}


def test_an_evaluation_goes_on_where_it_stopped(sequences, tmp_path: Path):
    whole = ev.evaluate(Base(0.02), sequences, bicubic_down)
    out, said = tmp_path / "out", []
    storage = Storage(scores=out, label="bicubic")
    ev.evaluate(Base(0.02), sequences, bicubic_down, part=(1, 2), storage=storage)
    assert [path.name for path in out.iterdir()] == ["00001-b.json"]
    changed = out / "00001-b.json"
    changed.write_text(changed.read_text().replace('"frames": 3', '"frames": 30'))
    rows = ev.evaluate(Base(0.02), sequences, bicubic_down, done=said.append, storage=storage)
    assert [row.frames for row in rows if row.clip == "b"] == [30] * 6  # kept, not made again
    assert [row.psnr for row in rows] == [row.psnr for row in whole]
    assert said == [rows[:6], rows[6:]]
    frames = json.loads((out / "00000-a.json").read_text())["frames"]["ours"]["psnr"]["rgb"]
    assert np.mean(frames) == pytest.approx(of(whole, "a", "rgb", "ours").psnr)
    with pytest.raises(ValueError, match="label = 'hevc-37', .*00000-a.json was made with 'bicub"):
        ev.evaluate(Base(0.02), sequences, bicubic_down, storage=replace(storage, label="hevc-37"))
    moved = [Clip("a", sequences[1].hq)]  # another clip of that name
    with pytest.raises(ValueError, match="expected scores made with source = .*b', ''], .*a.json"):
        ev.evaluate(Base(0.02), moved, bicubic_down, storage=storage)
    with pytest.raises(ValueError, match="expected scores made with model"):
        ev.evaluate(Base(0.03), sequences, bicubic_down, storage=storage)
    os.utime(sequences[0].hq / "0.png", (1, 1))  # as by a change of what it shows
    with pytest.raises(ValueError, match="expected scores made with files = .*00000-a.json was ma"):
        ev.evaluate(Base(0.02), sequences, bicubic_down, storage=storage)


def test_scores_are_of_the_low_quality_that_they_were_made_of(sequences, tmp_path: Path):
    low = tmp_path / "low"
    low.mkdir()
    for t, frame in enumerate(bicubic_down(clip(2)).lq):
        write_png(low / f"{t}.png", frame)
    pair, storage = [Clip("a", sequences[0].hq, low)], Storage(scores=tmp_path / "out")
    first = ev.evaluate(Base(), pair, bicubic_down, storage=storage)
    assert ev.evaluate(Base(), pair, bicubic_down, storage=storage) == first
    write_png(low / "1.png", torch.zeros(3, 8, 12))
    with pytest.raises(ValueError, match="expected scores made with files = .*00000-a.json was ma"):
        ev.evaluate(Base(), pair, bicubic_down, storage=storage)


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_turned_videos_are_scored_upright(tmp_path: Path, form: str):
    """As images are that were written of them."""
    matrix = (0, -1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)  # a quarter, anticlockwise
    plain = make_video(tmp_path / "a.mkv", codec="ffv1", form=form, pts=[0, 3000])
    turned = make_video(tmp_path / "b.mkv", codec="ffv1", form=form, pts=[0, 3000], matrix=matrix)
    for a, b in zip(read_views(plain), read_views(turned), strict=True):
        assert torch.equal(b.rgb, a.rgb.rot90(1, (1, 2)))
        assert torch.equal(b.y, a.y.rot90(1, (1, 2)))


def test_pictures_of_the_worst_and_the_best_frame(sequences, tmp_path: Path):
    ev.evaluate(Base(0.05), sequences, bicubic_down, storage=Storage(pictures=tmp_path / "shown"))
    names = sorted(path.name for path in (tmp_path / "shown").iterdir())
    assert names == ["a-best.png", "a-worst.png", "b-best.png", "b-worst.png"]
    (best,) = read_views(tmp_path / "shown" / "b-best.png")
    (worst,) = read_views(tmp_path / "shown" / "b-worst.png")
    # The light grows with time: the first frame is best, the last worst.
    assert torch.equal(best.rgb[..., 96:], clip(3)[0])
    assert torch.equal(worst.rgb[..., 96:], clip(3)[2])


def test_of_a_centre_protocol_the_middle_frame_is_drawn(sequences, tmp_path: Path):
    shown = tmp_path / "shown"
    storage = Storage(pictures=shown)
    ev.evaluate(Base(0.05), sequences, bicubic_down, Scoring(["vimeo90k"]), storage=storage)
    assert sorted(path.name for path in shown.iterdir()) == ["a-middle.png", "b-middle.png"]
    (middle,) = read_views(shown / "b-middle.png")
    assert torch.equal(middle.rgb[..., 96:], clip(3)[1])


def test_pictures_wanted_later_are_drawn_though_scores_are_kept(sequences, tmp_path: Path):
    scores, shown = Storage(scores=tmp_path / "out"), tmp_path / "shown"
    both = replace(scores, pictures=shown)
    first = ev.evaluate(Base(0.05), sequences, bicubic_down, storage=scores)
    assert ev.evaluate(Base(0.05), sequences, bicubic_down, storage=both) == first
    assert len(list(shown.iterdir())) == 4
    (shown / "b-best.png").unlink()
    (shown / "a-best.png").write_text("as it was")
    ev.evaluate(Base(0.05), sequences, bicubic_down, storage=both)
    assert (shown / "b-best.png").exists()
    assert (shown / "a-best.png").read_text() == "as it was"  # nothing is made twice
    other = replace(scores, pictures=tmp_path / "other")
    with pytest.raises(ValueError, match="expected scores made with model"):
        ev.evaluate(Base(0.01), sequences, bicubic_down, storage=other)


def test_what_is_no_score_is_named(sequences, tmp_path: Path):
    (tmp_path / "00000-a.json").write_text("{")
    with pytest.raises(ValueError, match=r"the scores of a clip in .*00000-a.json.*remove it"):
        ev.evaluate(Base(), sequences, bicubic_down, storage=Storage(scores=tmp_path))


def test_scores_of_another_configuration_are_told_apart():
    """Weights alone do not say all that a network does."""
    a, b = Base(), Base()
    assert resume.method_fingerprint(a) == resume.method_fingerprint(b)
    a.config, b.config = S2SVRConfig(), S2SVRConfig(bidirectional=True)
    assert resume.method_fingerprint(a) != resume.method_fingerprint(b)


def test_equal_frames_are_counted(tmp_path: Path):
    (tmp_path / "flat").mkdir()
    write_png(tmp_path / "flat" / "0.png", torch.full((3, 32, 48), 0.2))
    write_png(tmp_path / "flat" / "1.png", picture(1))
    rows = ev.evaluate(Base(), [Clip("flat", tmp_path / "flat")], bicubic_down)
    row = of(rows, "flat", "rgb", "ours")
    assert (row.equal, row.frames) == (1, 2)
    assert math.isfinite(row.psnr)
    assert side_by_side(rows, "rgb")[0]["equal frames"] == 1


def test_tables_hold_the_rows(sequences, tmp_path: Path):
    rows = ev.evaluate(Base(), sequences, bicubic_down)
    write_table(tmp_path / "t.json", rows)
    table = json.loads((tmp_path / "t.json").read_text())
    assert table["protocols"]["y"] == PROTOCOLS["y"].text
    assert [row["psnr"] for row in table["rows"]] == [row.psnr for row in rows]
    write_table(tmp_path / "t.csv", rows)
    lines = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [float(line["psnr"]) for line in lines] == [row.psnr for row in rows]
    write_table(tmp_path / "t.md", [*rows, *means(rows)])
    shown = (tmp_path / "t.md").read_text()
    assert f"| b | 3 | {of(rows, 'b', 'y', 'bicubic').psnr:.3f} |" in shown
    assert "| clip | frames | bicubic | lanczos | ours | gain |" in shown
    assert shown.count("| mean | 5 |") == 2
    with pytest.raises(ValueError, match=r"a name with .json or .csv or .md, got t.txt"):
        write_table(tmp_path / "t.txt", rows)
    with pytest.raises(ValueError, match=r"a folder for t.md, .*nowhere is none"):
        write_table(tmp_path / "nowhere/t.md", rows)
