"""A comparison as one HTML page: a slider between frames, and the curve of PSNR over time."""

import base64
import json
import re
import tempfile
from html import escape
from pathlib import Path

from torch import Tensor

from ..writing import write_png
from .compare import Comparison, FrameScore, opened_videos
from .tables import check_place

WIDTH, HEIGHT = 900, 220  # of the curve, pixels
LEFT, RIGHT, BOTTOM = 48, 24, 28  # room for its labels


def write_page(path: Path, comparison: Comparison, *, shown: int = 5) -> None:
    """Write the page, with ``shown`` frames from begin to end, the worst and the best among them.

    The page holds its pictures, without loss, and opens without a server.
    """
    check_place(path, ".html")
    numbers = choose_frames(comparison.scores, shown)
    frames, count = [], -1
    with opened_videos(comparison.reference, comparison.output, comparison.part) as (_, pairs):
        for a, b in pairs:
            if a is None or b is None:
                continue
            count += 1
            if count in numbers:
                score = comparison.scores[count]
                pictures = {"a": picture_address(a.rgb), "b": picture_address(b.rgb)}
                frames.append({"time": score.time, "label": button_text(score), **pictures})
    names = [escape(video.name) for video in (comparison.reference, comparison.output)]
    marked = [comparison.scores[index] for index in sorted(numbers)]
    values = {
        "TITLE": f"{names[1]} beside {names[0]}",
        "FIRST": names[0],
        "SECOND": names[1],
        "MEANS": escape(comparison_text(comparison)),
        "CURVE": curve(comparison.scores, marked),
        # A browser ends the script at "</", also inside a string.
        "FRAMES": json.dumps(frames).replace("</", "<\\/"),
    }
    text = re.sub(r"\[\[(\w+)\]\]", lambda found: values[found[1]], PAGE)
    path.write_text(text, encoding="utf-8")


def write_curve(path: Path, comparison: Comparison) -> None:
    """Write the curve alone as a picture, .svg."""
    check_place(path, ".svg")
    path.write_text(curve(comparison.scores), encoding="utf-8")


def choose_frames(scores: list[FrameScore], shown: int) -> set[int]:
    """Choose the numbers of the frames to show: the worst, the best, others spread evenly."""
    values = [(score.psnr, index) for index, score in enumerate(scores) if score.psnr is not None]
    extremes = {min(values)[1], max(values)[1]} if values else set()
    last, found = len(scores) - 1, extremes or {0}
    for steps in range(1, last + 1):
        more = extremes | {last * i // steps for i in range(steps + 1)}
        if len(more) > shown:
            break
        found = more
    return found


def comparison_text(c: Comparison) -> str:
    """Means, missing frames and damage of a comparison in one line."""
    parts = [f"{c.frames} frames"]
    if c.psnr is not None and c.psnr_y is not None:
        parts.append(f"PSNR {c.psnr:.2f} dB (RGB), {c.psnr_y:.2f} dB (Y)")
    parts.append(f"SSIM {c.ssim:.4f} (RGB)")
    if c.flicker is not None:
        parts.append(f"flicker {c.flicker:.4f}, the reference's {c.flicker_reference:.4f}")
    if c.equal:
        parts.append(f"{c.equal} equal")
    for times, what in ((c.missing, "missing"), (c.extra, "added")):
        if times:
            parts.append(f"{len(times)} {what} at {times_text(times)}")
    return "; ".join([*parts, *c.damage])


def times_text(times: list[float], most: int = 5) -> str:
    """The first ``most`` times in seconds, and the number of the others."""
    more = f" and {len(times) - most} more" if len(times) > most else ""
    return ", ".join(f"{time:.3f}" for time in times[:most]) + more


def button_text(score: FrameScore) -> str:
    """Text of a frame's button: its time and PSNR."""
    quality = "equal" if score.psnr is None else f"{score.psnr:.2f} dB"
    return f"{score.time:.2f}: {quality}"


def picture_address(rgb: Tensor) -> str:
    """A picture (3, H, W) as a PNG in a ``data:`` address."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        write_png(path, rgb)
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def curve(scores: list[FrameScore], marked: list[FrameScore] | None = None) -> str:
    """PSNR over time as SVG; it has a gap where frames are equal. ``marked`` frames get a dot."""
    values = [score.psnr for score in scores if score.psnr is not None] or [0.0]
    low, high = min(values) - 0.5, max(values) + 0.5
    begin, end = scores[0].time, max(scores[-1].time, scores[0].time + 1e-9)

    def place(time: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (time - begin) / (end - begin)
        return round(x, 1), round((HEIGHT - BOTTOM) * (high - value) / (high - low) + 5, 1)

    lines: list[list[str]] = [[]]
    for score in scores:
        if score.psnr is None:
            lines.append([])
        else:
            lines[-1].append("{},{}".format(*place(score.time, score.psnr)))
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT + 10}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">'
    ]
    for step in range(5):
        value = low + (high - low) * step / 4
        y = place(begin, value)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.1f}</text>')
        time = begin + (end - begin) * step / 4
        x = place(time, low)[0]
        parts.append(f'<text x="{x}" y="{HEIGHT + 2}" text-anchor="middle">{time:.2f}</text>')
    for line in lines:
        parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="#06c"/>')
    for number, score in enumerate(marked or []):
        x, y = place(score.time, high if score.psnr is None else score.psnr)
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="#c30" data-frame="{number}"/>')
    return "".join([*parts, "</svg>"])


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>[[TITLE]]</title>
<style>
body { font: 15px sans-serif; margin: 1.5em auto; max-width: 1280px; padding: 0 1em }
.stage { position: relative; line-height: 0; user-select: none }
.stage img { width: 100%; image-rendering: pixelated }
.stage img + img { position: absolute; inset: 0; clip-path: inset(0 0 0 50%) }
.stage b { position: absolute; top: .6em; line-height: 1.4; background: #000a; color: #fff;
  padding: 0 .4em; max-width: 45% }
input { width: 100% } button { margin: .2em; padding: .3em .6em }
button[aria-pressed=true] { background: #06c; color: #fff }
.curve { width: 100% } .curve circle { cursor: pointer }
</style></head><body>
<h1>[[TITLE]]</h1><p>[[MEANS]]</p>
<div class="stage"><img id="a" alt="[[FIRST]]"><img id="b" alt="[[SECOND]]">
<b style="left:.6em">[[FIRST]]</b><b style="right:.6em">[[SECOND]]</b></div>
<input id="cut" type="range" min="0" max="100" step="0.1" value="50" aria-label="where they meet">
<div id="frames"></div>
<p>PSNR (dB, rounded 8-bit RGB) over time (s, or frames)</p>[[CURVE]]
<script>
const frames = [[FRAMES]], at = id => document.getElementById(id)
const buttons = frames.map((frame, i) => {
  const button = document.createElement("button")
  button.textContent = frame.label
  button.onclick = () => show(i)
  return at("frames").appendChild(button)
})
function show(i) {
  at("a").src = frames[i].a
  at("b").src = frames[i].b
  buttons.forEach((button, k) => button.setAttribute("aria-pressed", k == i))
}
at("cut").oninput = event => at("b").style.clipPath = `inset(0 0 0 ${event.target.value}%)`
document.querySelectorAll("circle").forEach(dot => dot.onclick = () => show(dot.dataset.frame))
show(0)
</script></body></html>
"""
