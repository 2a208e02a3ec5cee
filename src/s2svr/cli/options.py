"""Options that several commands share, and what is typed as a value."""

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from ..tasks import LOSSY_TASK, TASKS, USUAL_TASK


def either(words: Iterable[str]) -> str:
    """``a, b or c``, each word once."""
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} or {last}" if first else last


def task_help() -> str:
    """The help of ``--task``: all tasks, and which is taken without it."""
    known = either(f"{name} ({task.help})" for name, task in TASKS.items())
    return (
        f"{known}. If not given, restore picks {USUAL_TASK} or {LOSSY_TASK} by how the input is "
        f"coded; other commands take {USUAL_TASK}."
    )


def parse_seconds(text: str) -> Fraction:
    """``90.5``, ``1:30.5`` or ``0:01:30.5``."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise typer.BadParameter(f"expected seconds or [hours:]minutes:seconds, got {text!r}")
    hours, minutes, rest = (Fraction(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def parse_length(text: str) -> Fraction:
    """As ``parse_seconds``, but more than none."""
    if not (seconds := parse_seconds(text)):
        raise typer.BadParameter(f"expected more than 0 seconds, got {text!r}")
    return seconds


def parse_rate(text: str) -> Fraction:
    """``25``, ``23.976`` or ``24000/1001``."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"expected a number or a fraction, got {text!r}") from None


def parse_bitrate(text: str) -> int:
    """``8M``, ``2.5M``, ``2500k`` or ``8000000`` bits a second."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text)
    if match is None:
        raise typer.BadParameter(f"expected bits a second such as 8M or 2500k, got {text!r}")
    return round(Fraction(match[1]) * {"": 1, "k": 1000, "m": 1000_000}[match[2].lower()])


def parse_dimensions(text: str) -> tuple[int, int]:
    """``1920x1080``: width and height."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT in pixels, got {text!r}")
    return int(match[1]), int(match[2])


def parse_target(text: str) -> Path:
    """A path; with a slash at its end that of a folder, whatever its name."""
    return Path(text, "*") if text.endswith("/") and Path(text).suffix else Path(text)


def parse_share(text: str) -> tuple[int, int]:
    """``0/3``: the first of three shares."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise typer.BadParameter(f"expected a share like 0/3, 1/3 or 2/3, got {text!r}")
    return int(match[1]), int(match[2])


PIPE = Path("-")  # as IN the standard input, as OUT the standard output

Source = Annotated[
    Path, typer.Argument(metavar="IN", help="Video file, image, or folder of images.")
]
SourceOrPipe = Annotated[
    Path,
    typer.Argument(
        metavar="IN",
        help="Video file, image, or folder of images; - for y4m or NUT on the standard input.",
    ),
]
Target = Annotated[
    Path,
    typer.Argument(
        parser=parse_target,
        metavar="OUT",
        help="Video file, image, or folder of images: out/, or out/%06d.jpg.",
    ),
]
TargetOrPipe = Annotated[
    Path,
    typer.Argument(
        parser=parse_target,
        metavar="OUT",
        help="Video file, image, or folder of images: out/, or out/%06d.jpg; - for y4m or NUT on "
        "the standard output.",
    ),
]
Task = Annotated[str | None, typer.Option(help=task_help(), autocompletion=lambda: list(TASKS))]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Bundled weights by name, or a weights file, in place of the task's own. A + behind "
        "it: frames are restored mirrored too."
    ),
]
NetworkQuality = Annotated[
    str | None,
    typer.Option(
        "--quality",
        autocompletion=lambda: ["auto", "fast", "best"],
        help="Network of the task: fast, best, or auto, which takes the best one on a GPU or where "
        "it ends within 15 minutes; auto if not given.",
    ),
]
Device = Annotated[
    str, typer.Option(help="Where to compute: auto (a GPU if there is one), cpu, cuda or cuda:N.")
]
Precision = Annotated[
    str,
    typer.Option(
        help="Number format: fp32, fp16 (GPUs), bf16 (GPUs, and CPUs made for it) or auto: fp32, "
        "or bf16 where such a CPU is faster with it."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads that the network uses.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Codec = Annotated[
    str | None,
    typer.Option(
        help="Codec of the output, such as h264, hevc, av1, vp9, prores or ffv1, or png, jpeg, "
        "webp, tiff of a folder of images; chosen by the output's name and bit depth if not given."
    ),
]
Crf = Annotated[
    int | None,
    typer.Option("--crf", help="Quality of the codec: lower is better and makes a larger file."),
]
Bitrate = Annotated[
    int | None,
    typer.Option(
        parser=parse_bitrate,
        metavar="RATE",
        help="Bits per second of the video, such as 8M or 2500k, in place of --crf.",
    ),
]
EncoderPreset = Annotated[
    str | None,
    typer.Option(
        "--encoder-preset",
        help="Speed of the encoder: ultrafast to placebo for h264 and hevc, 0 (slow) to 13 for "
        "av1, 0 to 5 for vp9, p1 to p7 (slow) for nvenc.",
    ),
]
Audio = Annotated[
    str | None,
    typer.Option(
        help="Sound of the output: copy, aac, flac or none. If not given, it is copied where the "
        "container and its players take it, and else converted.",
    ),
]
AudioTrack = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N|LANGUAGE",
        help="Keep only this sound, by its number in the file or its language; may be given more "
        "than once; all of it if not given.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        help="Bits per sample of the output: 8, 10 or 12, and 16 in images and FFV1; refused where "
        "the codec has none such; as the input if not given."
    ),
]
Scale = Annotated[
    Fraction | None,
    typer.Option(
        parser=parse_rate,
        metavar="N",
        help="Enlarge only so many times, such as 1.5 or 2: restored at 4, then reduced.",
    ),
]
Size = Annotated[
    tuple | None,
    typer.Option(
        parser=parse_dimensions,
        metavar="WxH",
        help="Output size in pixels, in place of --scale; pixels take the shape that the picture "
        "needs.",
    ),
]
Height = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Height of the output in pixels, in place of --scale; the width follows, and pixels "
        "become square.",
    ),
]
Width = Annotated[
    int | None,
    typer.Option(metavar="N", help="Width of the output in pixels, as --height."),
]
Fit = Annotated[
    tuple | None,
    typer.Option(
        parser=parse_dimensions,
        metavar="WxH",
        help="Make the output as large as fits in these pixels, and no larger than the network "
        "makes it.",
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="Share of the restored picture, 0 to 1; the rest is the input, enlarged.",
    ),
]
Grain = Annotated[
    bool, typer.Option("--grain/--no-grain", help="Give the output as much noise as the input has.")
]
Rate = Annotated[
    Fraction | None,
    typer.Option(
        "--fps", parser=parse_rate, metavar="N", help="Frames per second of an image folder."
    ),
]
Start = Annotated[
    Fraction | None,
    typer.Option(
        parser=parse_seconds,
        metavar="TIME",
        help="Begin here: seconds, or [hours:]minutes:seconds.",
    ),
]
End = Annotated[
    Fraction | None,
    typer.Option(
        parser=parse_seconds, metavar="TIME", help="End here: seconds, or [hours:]minutes:seconds."
    ),
]
Window = Annotated[
    int, typer.Option(min=1, help="Most frames held at once; fewer need less memory.")
]
Tile = Annotated[
    int | None,
    typer.Option(help="Restore large frames in parts with no side longer than this, in pixels."),
]
SceneCuts = Annotated[
    bool, typer.Option(help="Forget earlier frames at scene cuts, or treat the video as one shot.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Discard an unfinished restoration and begin anew.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
PlanOnly = Annotated[
    bool | None,
    typer.Option(
        "--plan/--no-plan", help="Only print what the restoration will take; or skip planning."
    ),
]
PreviewSeconds = Annotated[
    Fraction | None,
    typer.Option(
        "--preview",
        parser=parse_length,
        metavar="SECONDS",
        help="Restore only this many seconds, written beside the input's picture.",
    ),
]
CheckOnly = Annotated[
    bool,
    typer.Option(
        "--check", help="Prove what is kept of the file, with a network that changes nothing."
    ),
]
SoFarPath = Annotated[
    Path | None,
    typer.Option(
        "--so-far",
        metavar="PART",
        help="Write what an unfinished restoration into OUT has so far to this file, and leave the "
        "restoration as it is, running or stopped.",
    ),
]
Deinterlace = Annotated[
    str,
    typer.Option(
        "--deinterlace",
        help="Interlaced video: auto (deinterlace what is marked), off (leave it), refuse (end in "
        "an error), bob (a frame of each field, double rate) or ivtc (film out of 29.97 frames a "
        "second, by inverse telecine).",
    ),
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        metavar="y4m|nut", help="What comes through the standard input; seen if not given."
    ),
]
DecodedFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The file whose video comes through the standard input, which tells its coding.",
    ),
]
OutputFormatName = Annotated[
    str | None,
    typer.Option(
        "--output-format",
        metavar="y4m|nut",
        help="What is written to the standard output: y4m, or NUT, which keeps the times of "
        "frames; y4m if not given.",
    ),
]
Matrix = Annotated[
    str | None,
    typer.Option(
        metavar="bt601|bt709|bt2020|smpte240m",
        help="Colour matrix of what comes through the standard input, since y4m does not say it; "
        "if not given, bt709 from 1280 pixels of width or 720 of height on, and else bt601.",
    ),
]
ColorRange = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="limited|full",
        help="Range of the codes that come through the standard input; if not given, what the "
        "stream says, and else limited.",
    ),
]
