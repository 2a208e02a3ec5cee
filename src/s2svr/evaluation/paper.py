"""The paper's tables, with numbers measured here next to the published ones."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data import LOW_QUALITY
from ..tasks import TASKS
from .protocols import PROTOCOLS
from .run import in_segments
from .scores import OURS, ScoreRow
from .tables import MEAN, markdown, markdown_table

# Evaluations that belong into the tables (JSON of ``s2svr evaluate``), by name: the data set whose
# whole test split it has to cover, and the protocol whose rows are taken.
RESULTS = {
    "reds": ("reds", "rgb"),
    "vimeo90k": ("vimeo90k", "vimeo90k"),
    "gopro": ("gopro", "rgb"),
    "mfqev2": ("mfqev2", "mfqev2"),
    "flow-raft": ("reds", "rgb"),
    "flow-supervised": ("reds", "rgb"),
    "flow-unsupervised": ("reds", "rgb"),
}
# Evaluations of any other clips, by task; they become tables of their own, by all protocols.
CLIPS = tuple(f"clips-{task}" for task in TASKS)
HERE = "measured here"
Results = Mapping[str, list[ScoreRow]]  # by names of RESULTS
# Published scores of reference methods: what, result, method, PSNR, SSIM. They are met if our data
# and protocols are as published.
ANCHORS = (
    ("bicubic on REDS4 (rgb)", "reds", "bicubic", 26.14, 0.7292),
    ("bicubic on Vimeo-90K-T (vimeo90k)", "vimeo90k", "bicubic", 31.32, 0.8684),
    ("HM 16.5 at QP 37, the 18 sequences (mfqev2)", "mfqev2", "input", 31.708, None),
)

# PSNR / SSIM on REDS4 (RGB) and on Vimeo-90K-T (Y).
TABLE_1 = """
Bicubic | - | 26.14 / 0.7292 | 31.32 / 0.8684
TOFlow | - | 27.98 / 0.7990 | 33.08 / 0.9054
DUF | 5.8 M | 28.63 / 0.8251 | -
RBPN | 12.2 M | 30.09 / 0.8590 | 37.07 / 0.9435
EDVR-M | 3.3 M | 30.53 / 0.8699 | 37.09 / 0.9446
EDVR | 20.6 M | 31.09 / 0.8800 | 37.61 / 0.9489
PFNL | 3.0 M | 29.63 / 0.8502 | 36.14 / 0.9363
MuCAN | - | 30.88 / 0.8750 | 37.32 / 0.9465
BasicVSR | 6.3 M | 31.42 / 0.8909 | 37.18 / 0.9450
IconVSR | 8.7 M | 31.67 / 0.8948 | 37.47 / 0.9476
VSR-Transformer | 32.6 M | 31.19 / 0.8815 | 37.71 / 0.9494
S2SVR | 13.4 M | 31.96 / 0.8988 | 37.63 / 0.9490
"""
TABLE_2 = """
Tao et al. | - | 30.29 / 0.9014
Su et al. | 15.30 M | 27.31 / 0.8255
Kim et al. | - | 26.82 / 0.8245
Nah et al. | - | 29.97 / 0.8947
EDVR | 23.6 M | 26.83 / 0.8426
STFAN | 5.37 M | 28.59 / 0.8608
TSP | 16.19 M | 31.67 / 0.9279
UHDVD | - | 31.33 / 0.9210
S2SVR | 8.44 M | 31.81 / 0.9231
"""
# Gain in dB / SSIM gain in 1e-4.
TABLE_3_METHODS = ("AR-CNN", "DnCNN", "DS-CNN", "MFQE 1.0", "MFQE 2.0", "STDF-R3L", "S2SVR")
TABLE_3 = """
Traffic_2560x1600 .239/47 .238/57 .286/60 .497/90 .585/102 .730/115 .851/138
PeopleOnStreet_2560x1600 .346/75 .414/82 .416/85 .802/137 .920/157 1.250/196 1.385/216
Kimono_1920x1080 .219/65 .244/75 .249/75 .495/113 .550/118 .850/161 1.055/195
ParkScene_1920x1080 .136/38 .141/50 .153/50 .391/103 .457/123 .590/147 .649/165
Cactus_1920x1080 .190/38 .195/48 .239/58 .439/88 .501/100 .770/138 .828/152
BQTerrace_1920x1080 .195/28 .201/38 .257/48 .270/48 .403/67 .630/106 .654/115
BasketballDrive_1920x1080 .229/55 .251/58 .282/65 .406/80 .465/83 .750/123 .972/157
RaceHorses_832x480 .219/43 .253/65 .267/63 .340/55 .394/80 .550/135 .854/203
BQMall_832x480 .275/68 .281/68 .330/80 .507/103 .618/120 .990/180 1.080/205
PartyScene_832x480 .107/38 .131/48 .174/58 .217/73 .363/118 .680/194 .628/236
BasketballDrill_832x480 .247/58 .331/68 .352/68 .477/90 .579/120 .790/149 .949/179
RaceHorses_416x240 .268/55 .311/73 .318/75 .507/113 .594/143 .830/208 1.010/237
BQSquare_416x240 .080/8 .129/18 .201/38 -.010/15 .337/65 .640/125 .886/141
BlowingBubbles_416x240 .164/35 .184/58 .228/68 .386/120 .533/170 .740/226 .710/230
BasketballPass_416x240 .259/58 .307/75 .335/78 .628/138 .728/155 1.080/212 1.110/222
FourPeople_1280x720 .373/50 .388/60 .459/70 .664/85 .734/95 .940/117 1.021/136
Johnny_1280x720 .247/10 .315/40 .378/40 .548/55 .604/68 .810/88 .976/120
KristenAndSara_1280x720 .409/50 .421/60 .481/60 .655/75 .754/85 .970/96 1.035/113
"""
TABLE_3_MEAN = "mean .233/45 .263/58 .300/63 .455/88 .562/109 .830/151 .925/176"
TABLE_5 = """
5 | 27.78 | 28.05 | 28.10 (+0.05)
15 | 28.47 | 28.80 | 29.25 (+0.45)
30 | 27.76 | 28.01 | 28.53 (+0.52)
50 | 27.52 | 27.77 | 28.34 (+0.57)
"""


def paper_tables(results: Mapping[str, Path]) -> str:
    """Tables 1 to 5 as Markdown; ``results`` are JSON tables of evaluations by names of RESULTS.

    Cells without a measurement stay empty. Results named as in CLIPS follow in tables of their own.
    Raises ValueError for results of another name or content.
    """
    for name in results:
        if name not in (*RESULTS, *CLIPS):
            known = ", ".join((*RESULTS, *CLIPS))
            raise ValueError(f"expected a result named {known}, got {name!r}")
    rows = {
        name: read_rows(path, *RESULTS[name]) for name, path in results.items() if name in RESULTS
    }
    parts = [
        ("Anchors: is everything measured as published?", anchor_table(rows), ""),
        ("Table 1: super-resolution x4, PSNR (dB) / SSIM", table_1(rows), ""),
        ("Table 2: deblurring, GoPro, PSNR (dB) / SSIM", table_2(rows), ""),
        (
            "Table 3: compressed video, QP 37, gain in PSNR (dB) / SSIM (1e-4), mfqev2",
            table_3(rows),
            "The paper's values average to 0.811 for STDF-R3L, not to the printed 0.830.",
        ),
        ("Table 4: flow networks, REDS4, PSNR (dB) / SSIM, rgb", table_4(rows), ""),
        (
            "Table 5: length of the sequence in frames, PSNR (dB) / SSIM, rgb",
            table_5(rows),
            "The paper cut one video into pieces of different content; ours are all of REDS4, "
            "restored afresh after so many frames.",
        ),
    ]
    named = dict.fromkeys(protocol for _, protocol in RESULTS.values())
    texts = "\n".join(f"- {name}: {PROTOCOLS[name].text}" for name in named)
    parts.append(("Protocols", texts, ""))
    for name in CLIPS:
        if name in results:
            table, found = read_table(results[name])
            about = table.get("about") or name
            parts.append((f"Other clips, {HERE}: {about}", markdown(found), ""))
    return "\n\n".join("\n\n".join(filter(None, (f"## {a}", b, c))) for a, b, c in parts) + "\n"


def read_table(path: Path) -> tuple[dict[str, Any], list[ScoreRow]]:
    """Read a table of ``s2svr evaluate``: all of its content, and its rows."""
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [
            {name: restored_number(name, value) for name, value in row.items()}
            for row in table["rows"]
        ]
        return table, [ScoreRow(**row) for row in rows]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a JSON table of s2svr evaluate, {path} is none") from error


def restored_number(name: str, value: Any) -> Any:
    """The value before ``finite_or_none``: a PSNR of None was infinite, others were NaN."""
    if value is not None or name.startswith("flicker"):
        return value
    return math.inf if name == "psnr" else math.nan


def read_rows(path: Path, dataset: str, protocol: str) -> list[ScoreRow]:
    """Read an evaluation's rows by one protocol; ValueError if it is not of a whole test split."""
    table, rows = read_table(path)
    origin = table.get("origin") or {}
    expected = {"dataset": dataset, "split": "test", "frames": None, "part": [0, 1]}
    if LOW_QUALITY.get(dataset) is None:
        expected["degradation"] = "bicubic"
    if any(origin.get(name, "") != value for name, value in expected.items()):
        made = f", {expected['degradation']}" if "degradation" in expected else ""
        raise ValueError(
            f"expected an evaluation of all of {dataset} test{made} in {path}, it is of "
            f"{table.get('about') or 'nothing that it names'}"
        )
    found = [row for row in rows if row.protocol == protocol]
    if not found:
        raise ValueError(f"expected rows of the protocol {protocol} in {path}, there are none")
    return found


def mean_of(rows: list[ScoreRow] | None, method: str) -> ScoreRow | None:
    """Mean row of a method; None where it was not measured."""
    found = [row for row in rows or [] if (row.clip, row.method) == (MEAN, method)]
    return found[0] if found else None


def score_text(rows: list[ScoreRow] | None, method: str) -> str:
    """PSNR / SSIM of a method's mean; empty where it was not measured."""
    row = mean_of(rows, method)
    return "" if row is None else f"{row.psnr:.2f} / {row.ssim:.4f}"


def anchor_table(rows: Results) -> str:
    """Published scores of reference methods and those measured here, as Markdown."""
    found = []
    for what, result, method, psnr, ssim in ANCHORS:
        row = mean_of(rows.get(result), method)
        line = {"reference": what, "published": f"{psnr}" + (f" / {ssim}" if ssim else "")}
        line[HERE] = "" if row is None else f"{row.psnr:.3f} / {row.ssim:.4f}"
        line["difference"] = "" if row is None else f"{row.psnr - psnr:+.3f} dB"
        found.append(line)
    return markdown_table(found)


def parse_table(text: str, names: tuple[str, ...]) -> list[dict[str, str]]:
    """Parse a table's text into dicts with the keys ``names``."""
    cells = ([cell.strip() for cell in line.split("|")] for line in text.strip().splitlines())
    return [dict(zip(names, row, strict=True)) for row in cells]


def table_1(rows: Results) -> str:
    names = ("method", "parameters", "REDS4 (rgb)", "Vimeo-90K-T (vimeo90k)")
    reds, vimeo = rows.get("reds"), rows.get("vimeo90k")
    found = parse_table(TABLE_1, names)
    for method in ("bicubic", "lanczos", "ours"):
        cells = (f"{method}, {HERE}", "", score_text(reds, method), score_text(vimeo, method))
        found.append(dict(zip(names, cells, strict=True)))
    cells = (f"ours on mirrored clips, {HERE}", "", "", score_text(vimeo, "ours, mirrored"))
    return markdown_table([*found, dict(zip(names, cells, strict=True))])


def table_2(rows: Results) -> str:
    names = ("method", "parameters", "GoPro (rgb)")
    found = parse_table(TABLE_2, names)
    for method in ("input", "ours"):
        cells = (f"{method}, {HERE}", "", score_text(rows.get("gopro"), method))
        found.append(dict(zip(names, cells, strict=True)))
    return markdown_table(found)


def table_3(rows: Results) -> str:
    ours = [row for row in rows.get("mfqev2", []) if row.method == OURS]
    found = []
    for line in [*TABLE_3.strip().splitlines(), TABLE_3_MEAN]:
        clip, *cells = line.split()
        row = next((r for r in ours if r.clip.startswith(clip)), None)
        gain = "" if row is None else f"{row.gain:.3f} / {1e4 * row.ssim_gain:.0f}"
        pairs = (cell.split("/") for cell in cells)
        known = [f"{float(psnr):.3f} / {ssim}" for psnr, ssim in pairs]
        found.append({"sequence": clip} | dict(zip(TABLE_3_METHODS, known, strict=True)))
        found[-1][f"ours, {HERE}"] = gain
    return markdown_table(found)


def table_4(rows: Results) -> str:
    paper = (
        ("RAFT, supervised", "4.81 M", "31.88", "flow-raft"),
        ("pwclite, supervised", "2.24 M", "31.79", "flow-supervised"),
        ("pwclite, unsupervised", "2.24 M", "31.96", "flow-unsupervised"),
    )
    found = []
    for name, size, psnr, result in paper:
        here = score_text(rows.get(result), "ours")
        found.append({"flow": name, "parameters": size, "paper": psnr, HERE: here})
    return markdown_table(found)


def table_5(rows: Results) -> str:
    found = parse_table(TABLE_5, ("frames", "EDVR-M", "EDVR", "S2SVR (over EDVR)"))
    for line in found:
        method = in_segments(int(line["frames"]))
        line[f"ours, {HERE}"] = score_text(rows.get("reds"), method)
    return markdown_table(found)
