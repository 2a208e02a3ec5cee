import base64
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import pytest
import torch

from media_clips import VARIABLE, cut_off, make_video
from s2svr.damage.video import degrade_video
from s2svr.evaluation.compare import Span, TimedFrame, compare_videos, pair_by_time
from s2svr.evaluation.fidelity import measure_fidelity
from s2svr.evaluation.page import choose_frames, comparison_text, curve, write_page
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb, ssim_rgb
from s2svr.writing.images import write_png


def folder(path: Path, clip: torch.Tensor) -> Path:
    path.mkdir()
    for t, frame in enumerate(clip):
        write_png(path / f"{t:02}.png", frame)
    return path


def still(count: int, seed: int = 0) -> torch.Tensor:
    """One picture, standing still."""
    small = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, scale_factor=8, mode="bilinear")
    return ((large * 255).round() / 255).expand(count, -1, -1, -1)


def no_motion(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, 2, *a.shape[-2:])


def test_scores_are_those_of_the_frames(tmp_path: Path):
    truth, other = still(3), still(3).clone()
    other[1] = (other[1] + 0.1).clamp(0, 1)
    other[2, 0, 0, 0] = 1 - other[2, 0, 0, 0]
    a, b = folder(tmp_path / "a", truth), folder(tmp_path / "b", other)
    found = compare_videos(a, b, flow=no_motion)
    assert (found.frames, found.missing, found.extra, found.equal) == (3, [], [], 1)
    frames = read_clip(b).float() / 255
    want = [psnr_rgb(frames[t], truth[t]) for t in (1, 2)]
    assert [score.psnr for score in found.scores] == [None, *want]
    assert found.psnr == pytest.approx(sum(want) / 2)
    assert found.scores[1].ssim == ssim_rgb(frames[1], truth[1])
    assert [score.time for score in found.scores] == [0, 1, 2]
    assert found.flicker_reference == pytest.approx(0, abs=1e-6)
    steps = (frames[1:] - frames[:-1]).abs().mean((1, 2, 3))
    assert [score.flicker for score in found.scores[1:]] == pytest.approx(steps.tolist(), abs=1e-6)
    assert compare_videos(a, b).flicker is None
    away = compare_videos(a, b, flow=lambda a, b: torch.full((1, 2, *a.shape[-2:]), 999.0))
    assert away.flicker is away.flicker_reference is None  # nothing is seen in two frames


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_videos_are_compared_upright(tmp_path: Path, quarters: int):
    """As images are written of them."""
    a, b, c, d = {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}[quarters]
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    plain = make_video(tmp_path / "a.mkv", codec="ffv1", form="yuv444p", pts=[0, 3000])
    turned = make_video(
        tmp_path / "b.mkv", codec="ffv1", form="yuv444p", pts=[0, 3000], matrix=matrix
    )
    darker = (read_clip(plain).float() / 255 - 0.1).clamp(0, 1)
    flat = folder(tmp_path / "flat", darker)
    upright = folder(tmp_path / "upright", darker.rot90(quarters, (2, 3)))
    want = compare_videos(plain, flat).psnr
    assert want == pytest.approx(20, abs=2)
    assert compare_videos(turned, upright).psnr == pytest.approx(want)
    assert compare_videos(upright, turned).psnr == pytest.approx(want)
    assert compare_videos(turned, turned).equal == 2
    near = measure_fidelity(turned, upright)
    assert near.psnr == pytest.approx(measure_fidelity(plain, flat).psnr)
    assert near.base is None  # equal, as it has the size of the source
    if quarters != 2:
        with pytest.raises(ValueError, match="of one size, .*b.mkv has 48x64 and .*flat 64x48"):
            compare_videos(turned, flat)


def timed(times: list[float]) -> list[TimedFrame]:
    return [TimedFrame(Fraction(str(time)), torch.empty(0)) for time in times]


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        ([0, 1, 2], [0, 1, 2], [(0, 0), (1, 1), (2, 2)]),
        ([0, 1, 2], [0.3, 1.3, 2.3], [(0, 0.3), (1, 1.3), (2, 2.3)]),
        ([0, 1, 2], [1, 2], [(0, None), (1, 1), (2, 2)]),
        ([1, 2], [0, 1, 2, 3], [(None, 0), (1, 1), (2, 2), (None, 3)]),
        ([0, 1], [0.6, 1.6], [(0, None), (1, 0.6), (None, 1.6)]),
        # The nearer one, though another is near enough.
        ([0, 0.3, 1], [0.3, 1], [(0, None), (0.3, 0.3), (1, 1)]),
        ([0.3, 1], [0, 0.3, 1], [(None, 0), (0.3, 0.3), (1, 1)]),
        ([], [0], [(None, 0)]),
    ],
)
def test_frames_meet_by_their_times(first: list, second: list, want: list):
    found = pair_by_time(timed(first), timed(second), Fraction(1, 2))
    as_floats = [tuple(None if m is None else float(m.time) for m in pair) for pair in found]
    assert as_floats == want


def test_videos_meet_by_their_time_stamps(tmp_path: Path):
    whole = make_video(tmp_path / "a.mp4", pts=VARIABLE)
    # The same pictures without the third; make_video paints by number, so copy packets instead.
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for index, frame in enumerate(source.decode(video=0)):
            if index != 2:
                kept = av.VideoFrame.from_ndarray(frame.to_ndarray(), "yuv420p")
                kept.pts, kept.time_base = frame.pts, frame.time_base
                target.mux(stream.encode(kept))
        target.mux(stream.encode(None))
    found = compare_videos(whole, tmp_path / "b.mkv")
    lost = float(Fraction(VARIABLE[2], 90000))
    assert (found.frames, found.missing, found.extra) == (len(VARIABLE) - 1, [lost], [])
    assert f"1 missing at {lost:.3f}" in comparison_text(found)
    assert found.equal == found.frames
    assert found.psnr is None
    assert float(Fraction(VARIABLE[3], 90000)) == pytest.approx(found.scores[2].time, abs=1e-3)


def test_a_part_is_compared_also_with_what_was_cut_from_it(tmp_path: Path):
    whole = make_video(tmp_path / "a.mkv", codec="ffv1", pts=[3000 * n for n in range(12)])
    start, end = Fraction("0.1"), Fraction("0.3")
    part = compare_videos(whole, whole, part=Span(start, end))
    times = [score.time for score in part.scores]
    assert times == [pytest.approx(n / 30, abs=1e-3) for n in range(3, 9)]
    assert part.equal == 6
    cut = tmp_path / "cut.mkv"
    degrade_video(whole, cut, "blur-1", start=start, end=end)  # begins at zero, as restored ones
    found = compare_videos(whole, cut, part=Span(start, end, cut=True))
    assert (found.frames, found.missing, found.extra) == (6, [], [])
    assert [score.time for score in found.scores] == pytest.approx(times, abs=1e-3)
    assert min(score.psnr or 99 for score in found.scores) > 40  # each meets its own
    assert compare_videos(whole, cut).missing == pytest.approx(
        [n / 30 for n in range(6, 12)], abs=1e-3
    )
    write_page(tmp_path / "page.html", found)  # opens the same part
    assert f"{times[0]:.2f}: " in (tmp_path / "page.html").read_text()


def test_damage_is_told(tmp_path: Path):
    whole = make_video(tmp_path / "a.mkv", pts=[3003 * n for n in range(30)])
    (tmp_path / "b.mkv").write_bytes(whole.read_bytes())
    cut_off(tmp_path / "b.mkv")
    found = compare_videos(whole, tmp_path / "b.mkv")
    assert found.frames + len(found.missing) == 30
    assert f"{tmp_path / 'b.mkv'}: the file is cut off" in found.damage
    assert all(line.startswith(str(tmp_path / "b.mkv")) for line in found.damage)
    assert "the file is cut off" in comparison_text(found)
    assert compare_videos(whole, whole).damage == []


def test_what_cannot_be_compared_is_said(tmp_path: Path):
    a = folder(tmp_path / "a", still(1))
    b = folder(tmp_path / "b", still(1)[..., :-8])
    with pytest.raises(ValueError, match="of one size, .*a has 40x32 and .*b 32x32 pixels"):
        compare_videos(a, b)
    early = make_video(tmp_path / "early.mkv", pts=[0, 3003])
    late = make_video(tmp_path / "late.mkv", pts=[900000, 903003])
    with pytest.raises(ValueError, match="expected frames at common times"):
        compare_videos(early, late)


def test_the_page_holds_everything(tmp_path: Path):
    noisy = still(6).clone()
    for t in range(1, 6):
        noisy[t] = (noisy[t] + 0.02 * t).clamp(0, 1)
    a, b = folder(tmp_path / "a", still(6)), folder(tmp_path / "<b>[[CURVE]]", noisy)
    found = compare_videos(a, b)
    write_page(tmp_path / "page.html", found, shown=4)
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere
    assert text.count("</script>") == 1
    assert text.count("<svg") == 1
    assert "&lt;b&gt;[[CURVE]] beside a" in text
    assert set(re.findall(r"\[\[(\w+)", text)) == {"CURVE"}  # as the folder is called
    pictures = [base64.b64decode(code) for code in re.findall(r'base64,([^"]+)"', text)]
    assert len(pictures) == 2 * len(choose_frames(found.scores, 4)) == 8
    (tmp_path / "last.png").write_bytes(pictures[-1])
    assert torch.equal(read_clip(tmp_path / "last.png"), read_clip(b)[5:])
    assert f"{found.psnr:.2f} dB (RGB)" in text


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="there is no browser")
def test_the_page_works_in_a_browser(tmp_path: Path):
    truth = still(6)
    other = (truth + torch.tensor([0.1, 0.05, 0.2, 0.02, 0.01, 0.1]).view(-1, 1, 1, 1)).clamp(0, 1)
    found = compare_videos(folder(tmp_path / "a", truth), folder(tmp_path / "b", other))
    page = tmp_path / "page.html"
    write_page(page, found)
    used = """<script>
    at("cut").value = 25
    at("cut").dispatchEvent(new Event("input"))
    document.querySelectorAll("circle")[1].dispatchEvent(new Event("click"))
    const both = [at("a"), at("b")]
    const loaded = image => image.complete || new Promise(done => image.onload = done)
    Promise.all(both.map(loaded)).then(
      () => document.title = both.map(image => image.naturalWidth).join(" "))
    </script>"""
    page.write_text(page.read_text().replace("</body>", f"{used}</body>"))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    run = subprocess.run([str(BROWSER), *options], capture_output=True, text=True, timeout=180)
    assert "<title>40 40</title>" in run.stdout  # both pictures are there
    assert "inset(0px 0px 0px 25%)" in run.stdout
    pressed = re.findall(r'aria-pressed="(\w+)"', run.stdout)
    assert pressed == ["false", "true", *["false"] * (len(pressed) - 2)]
    assert len(pressed) == len(choose_frames(found.scores, 5))


def test_the_curve_shows_every_frame(tmp_path: Path):
    truth = still(5)
    other = (truth + torch.tensor([0.1, 0.05, 0, 0.02, 0.01]).view(-1, 1, 1, 1)).clamp(0, 1)
    found = compare_videos(folder(tmp_path / "a", truth), folder(tmp_path / "b", other))
    tree = ElementTree.fromstring(curve(found.scores, found.scores[:1]))
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.get("points").split() for line in tree.iter(f"{space}polyline")]
    assert [len(line) for line in lines] == [2, 2]  # the equal frame parts it
    points = [tuple(map(float, p.split(","))) for line in lines for p in line]
    assert points == sorted(points)  # time goes right
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # better is up
    assert len(list(tree.iter(f"{space}circle"))) == 1


def test_worst_and_best_are_among_the_frames_shown(tmp_path: Path):
    light = torch.tensor([0.03, 0.03, 0.2, 0.03, 0.01, 0.03, 0.03, 0.03, 0.03])
    other = (still(9) + light.view(-1, 1, 1, 1)).clamp(0, 1)
    found = compare_videos(folder(tmp_path / "a", still(9)), folder(tmp_path / "b", other))
    assert {2, 4, 0, 8} <= choose_frames(found.scores, 5)
    assert len(choose_frames(found.scores, 5)) == 5
    assert choose_frames(found.scores, 2) == {2, 4}
    assert choose_frames(found.scores[:1], 5) == {0}
