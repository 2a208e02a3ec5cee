"""Write the parts of the pages that the program itself knows.

    python docs/generate_reference.py

Between a line ``<!-- generated: NAME -->`` and the next ``<!-- end -->`` of a page, everything is
replaced: commands and options from the command line, signatures and docstrings from the package,
entries from the recipes' types, tasks and damages from their tables, and what becomes of sound and
other tracks from the encoders and the writer. The manual page ``s2svr.1`` is written as a whole.
Run it after a change of one of these; tests/test_docs.py checks that it was run.
"""

import ast
import inspect
import re
import tempfile
import textwrap
import tomllib
import typing
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import NoneType
from typing import Any

import av
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import s2svr
from s2svr.cli.app import app
from s2svr.color import ColorInfo
from s2svr.damage.table import DAMAGES, Strength
from s2svr.media import (
    Display,
    MediaInfo,
    PhotoTags,
    Spherical,
    Stereo,
    held_photo_tags,
    open_reader,
)
from s2svr.tasks import TASKS
from s2svr.train.recipes import KINDS
from s2svr.writing import OutputFormat
from s2svr.writing.audio import SOUND_CODECS, Shape, choose_shape
from s2svr.writing.codecs import choose_coding
from s2svr.writing.images import IMAGES
from s2svr.writing.packets import holds_messages
from s2svr.writing.sphere import held_sphere, held_views
from s2svr.writing.tracks import Companions

DOCS = Path(__file__).parent
RECIPES = DOCS.parent / "recipes"
PROGRAM = "s2svr"
SOUND = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "ts": "mpegts"}
LAYOUTS = [
    *(
        "mono",
        "stereo",
        "2.1",
        "3.0",
        "quad",
        "quad(side)",
        "4.0",
        "3.1",
        "5.0",
        "5.0(side)",
        "4.1",
    ),
    *("5.1", "5.1(side)", "6.0", "6.1", "6.1(back)", "7.0", "7.1", "7.1(wide)", "hexadecagonal"),
    *("2 channels", "3 channels", "4 channels", "6 channels", "8 channels"),
]
# Kinds of tracks beside sound: how people call them, FFmpeg's codec, and a container of the source.
TRACKS = {
    "subtitles as text: SubRip": ("subrip", "matroska"),
    "with styles: ASS": ("ass", "matroska"),
    "WebVTT": ("webvtt", "matroska"),
    "of mp4: mov_text": ("mov_text", "mp4"),
    "of DVDs": ("dvd_subtitle", "matroska"),
    "of Blu-rays: PGS": ("hdmv_pgs_subtitle", "matroska"),
    "of broadcasts: DVB": ("dvb_subtitle", "matroska"),
    "GoPro's gpmd": ("bin_data", "mp4"),
    "KLV": ("klv", "mpegts"),
    "ID3 with times": ("timed_id3", "mpegts"),
    "ancillary data: SMPTE 2038": ("smpte_2038", "mpegts"),
}
OF_TYPER = {"--help", "--install-completion", "--show-completion"}  # in words of its own
RATES = [8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000]
METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH", Fraction: "N", tuple: "TEXT"}


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Every page that has generated parts, with these as they have to be."""
    parts = {
        "commands": commands(),
        "python": python(),
        "entries": entries(),
        "recipes": recipes(),
        "damage at one strength": one_strength(),
        "damage at random": at_random(),
        "damage by task": by_task(),
        "layouts of sound": layouts_of_sound(),
        "rates of sound": rates_of_sound(),
        "kinds of tracks": kinds_of_tracks(),
        "kinds in pictures": kinds_in_pictures(),
        "tags of images": tags_of_images(),
    }
    found: dict[Path, str] = {}
    for path in sorted(DOCS.glob("*/*.md")):
        text = path.read_text(encoding="utf-8")
        for name, part in parts.items():
            start, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
            before, mark, rest = text.partition(start)
            if mark:
                _, _, after = rest.partition(end)
                text = f"{before}{start}\n{part.strip()}\n\n{end}{after}"
                found[path] = text
    found[DOCS / f"{PROGRAM}.1"] = manual()
    return found


# Commands


def commands() -> str:
    """A section for each command: what it does, how it is called, its arguments and options."""
    root = typer.main.get_command(app)
    own = [option for option in root.params if option.opts[0] not in OF_TYPER]
    lines = [*option_table(root, own)]
    for words, command in leaves(root, []):
        name = " ".join([PROGRAM, *words])
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(usage_of, arguments)])
        lines += ["", f"## {name}", "", plain(command.help), "", "```", usage, "```"]
        if arguments:
            rows = [(code(p.metavar or p.name.upper()), p.help or "") for p in arguments]
            lines += ["", *table(("argument", "what it is"), rows)]
        if options:
            lines += ["", *option_table(command, options)]
    return "\n".join(lines)


def manual() -> str:
    """The manual page, in the language of man(7)."""
    root = typer.main.get_command(app)
    about = plain(root.help)
    lines = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM}"', ".SH NAME",
        roff(f"{PROGRAM} - {about[:1].lower()}{about[1:].rstrip('.')}"), ".SH SYNOPSIS",
        f".B {PROGRAM}", "COMMAND [OPTIONS] [ARGUMENTS]", ".SH OPTIONS", *manual_options(root),
    ]  # fmt: skip
    for words, command in leaves(root, []):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join([*map(usage_of, arguments)])
        lines += [f'.SH "{roff(" ".join([PROGRAM, *words]).upper())}"']
        lines += [f".B {roff(' '.join([PROGRAM, *words]))}", roff(f"[OPTIONS] {usage}".strip())]
        for paragraph in plain(command.help).split("\n\n"):
            lines += [".PP", roff(" ".join(paragraph.split()))]
        for argument in arguments:
            name = argument.metavar or argument.name.upper()
            lines += [".TP", f".I {roff(name)}", roff(argument.help or "")]
        lines += manual_options(command)
    lines += [
        ".SH EXIT STATUS", "0 well; 1 done, but something was damaged or missing; 2 refused;",
        "130 stopped.",
        ".SH SEE ALSO", roff("The guide in docs/, and s2svr COMMAND --help."),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def manual_options(command: Any) -> list[str]:
    """The options of a command, each as a tagged paragraph."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback), include_extras=False)
    lines = []
    for option in command.params:
        if option.param_type_name != "option" or option.opts[0] in OF_TYPER:
            continue
        names = ", ".join([*option.opts, *option.secondary_opts])
        value = "" if option.is_flag else f" {option.metavar or metavar(hints[option.name])}"
        usual = default_of(option).replace("`", "")
        text = (option.help or "") + (f" Usual: {usual}." if usual not in ("", "required") else "")
        lines += [".TP", f".B {roff(names + value)}", roff(" ".join(text.split()))]
    return lines


def roff(text: str) -> str:
    """A text without what would be a command of man(7)."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def leaves(group: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """The commands below a group, in the order in which help lists them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, [*words, name])
        else:
            yield [*words, name], command


def usage_of(argument: Any) -> str:
    """An argument as a usage line has it."""
    name = argument.metavar or argument.name.upper()
    several = "..." if argument.nargs == -1 else ""
    return f"{name}{several}" if argument.required else f"[{name}{several}]"


def option_table(command: Any, options: list[Any]) -> list[str]:
    """Options with their defaults and meanings."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback), include_extras=False)
    rows = []
    for option in options:
        names = " / ".join([*option.opts, *option.secondary_opts])
        value = "" if option.is_flag else f" {option.metavar or metavar(hints[option.name])}"
        text = option.help or ""
        if choices := members(hints[option.name]):
            text += f" One of {', '.join(map(code, choices))}."
        rows.append((code(names + value), default_of(option), text))
    return table(("option", "default", "what it does"), rows)


def default_of(option: Any) -> str:
    """The value of an option that is not given, where it has one."""
    if option.required:
        return "required"
    value = option.default
    if option.is_flag:
        return code(option.opts[0]) if value and option.secondary_opts else ""
    return "" if value is None or value == "" else code(str(value))


def members(hint: Any) -> list[str]:
    """The values of an enumeration."""
    kind = bare(hint)
    return [member.value for member in kind] if issubclass(kind, Enum) else []


def metavar(hint: Any) -> str:
    """What stands for a value of this type."""
    kind = bare(hint)
    return "NAME" if issubclass(kind, Enum) else METAVARS[kind]


def bare(hint: Any) -> type:
    """``list[int] | None`` -> int."""
    while not isinstance(hint, type) or typing.get_origin(hint):
        found = [part for part in typing.get_args(hint) if part not in (NoneType, Ellipsis)]
        if not found:
            return tuple
        hint = found[0]
    return hint


# Python


def python() -> str:
    """A section for each public name: its signature and its docstring."""
    lines = []
    for name in sorted(s2svr.__all__, key=lambda name: (not name[0].islower(), name.lower())):
        thing = getattr(s2svr, name)
        node = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
        lines += ["", f"## {name}", ""]
        text = docstring(thing)
        if isinstance(node, ast.ClassDef):
            lines += [*class_code(thing, node), "", text]
            if forward := vars(thing).get("forward"):
                tree = ast.parse(textwrap.dedent(inspect.getsource(forward))).body[0]
                lines += ["", "```python", *signature(tree, "model", drop=1), "```", ""]
                lines += [docstring(forward)]
        else:
            lines += ["```python", *signature(node, name), "```", "", text]
    return "\n".join(lines)


def class_code(thing: type, node: ast.ClassDef) -> list[str]:
    """How a class is called, or what a value of it holds."""
    source = textwrap.dedent(inspect.getsource(thing)).splitlines()
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    if fields:
        rows = source[fields[0].lineno - 1 : fields[-1].end_lineno]
        return ["```python", f"class {thing.__name__}:", *rows, "```"]
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return ["```python", *signature(item, thing.__name__, drop=1, returns=False), "```"]
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    return ["```python", f"class {thing.__name__}({bases})", "```"]


def signature(node: Any, name: str, *, drop: int = 0, returns: bool = True) -> list[str]:
    """A function's head, an argument a line where it is long; without its first ``drop``."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    none = [None] * (len(positional) - len(given.defaults))
    pairs = list(zip(positional, [*none, *given.defaults], strict=True))[drop:]
    parts = [argument(*pair) for pair in pairs]
    if given.kwonlyargs:
        named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
        parts += ["*", *(argument(*pair) for pair in named)]
    result = f" -> {ast.unparse(node.returns)}" if returns and node.returns else ""
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= 88:
        return [line]
    return [f"{name}(", *(f"    {part}," for part in parts), f"){result}"]


def argument(node: ast.arg, default: ast.expr | None) -> str:
    """``window: int = 16``."""
    text = node.arg + (f": {ast.unparse(node.annotation)}" if node.annotation else "")
    return text if default is None else f"{text} = {ast.unparse(default)}"


def docstring(thing: Any) -> str:
    """The docstring as Markdown."""
    return plain(inspect.getdoc(thing) or "")


# Recipes


def entries() -> str:
    """A table for each section of each kind of recipe."""
    meanings = tomllib.loads((DOCS / "recipe_entries.toml").read_text(encoding="utf-8"))
    used: dict[str, set[str]] = {}
    sections: dict[type[BaseModel], list[str]] = {}
    names: dict[type[BaseModel], str] = {}
    for kind, recipe in KINDS.items():
        for name, field in recipe.model_fields.items():
            if (part := bare(field.annotation)) and issubclass(part, BaseModel):
                sections.setdefault(part, []).append(kind)
                names[part] = name
    top = {
        name: field
        for recipe in reversed(KINDS.values())
        for name, field in recipe.model_fields.items()
        if not issubclass(bare(field.annotation), BaseModel)
    }
    lines = ["### Top level", "", *entry_table("Recipe", top, meanings, used)]
    for part, kinds in sections.items():
        where = "" if len(kinds) == len(KINDS) else f" ({', '.join(kinds)})"
        lines += ["", f"### [{names[part]}]{where}", ""]
        lines += entry_table(part.__name__, part.model_fields, meanings, used)
    for section, texts in meanings.items():
        if extra := texts.keys() - used.get(section, set()):
            raise ValueError(f"recipe_entries.toml: {section} has no entry {', '.join(extra)}")
    return "\n".join(lines)


def entry_table(
    section: str,
    fields: dict[str, FieldInfo],
    meanings: dict[str, dict[str, str]],
    used: dict[str, set[str]],
) -> list[str]:
    """Entries with their defaults and meanings; ValueError where one has no meaning."""
    rows = []
    for name, field in fields.items():
        text = meanings.get(section, {}).get(name)
        if text is None:
            raise ValueError(f"expected the meaning of {section}.{name} in recipe_entries.toml")
        used.setdefault(section, set()).add(name)
        default = "required" if field.is_required() else code(toml(field.default))
        rows.append((code(name), default, text))
    return table(("entry", "default", "what it does"), rows)


def toml(value: Any) -> str:
    """A value as a recipe has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def recipes() -> str:
    """The recipes that are there."""
    rows = []
    for path in sorted(RECIPES.glob("*.toml")):
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
        data, optim = recipe["data"], recipe["optim"]
        damage = data.get("degradation", "bicubic")
        clips = data.get("dataset", "folder")
        rows.append(
            (
                code(path.stem),
                recipe["kind"],
                code(recipe["model"]["preset"]),
                "any clips" if clips == "folder" else code(clips),
                code(damage) if clips in ("folder", "vimeo90k") else "as published",
                str(data["frames"]),
                f"{optim['steps']:,}",
            )
        )
    head = ("recipe", "kind", "network", "clips", "low quality", "frames a clip", "steps")
    return "\n".join(table(head, rows))


# Damage


def one_strength() -> str:
    """The damages that leave nothing to chance."""
    rows = [(code(name), "", damage.text) for name, damage in DAMAGES.items() if damage.stream]
    for name, damage in DAMAGES.items():
        if damage.strength:
            rows.append((code(f"{name}-N"), number(damage.strength), damage.strength.text))
    return "\n".join(table(("name", "N", "what it does"), rows))


def number(strength: Strength) -> str:
    """The meaning and the limits of a strength's number."""
    most = "" if strength.most is None else f", at most {strength.most}"
    return strength.unit + (", an odd number" if strength.odd else "") + most


def at_random() -> str:
    """The damages whose strength is drawn for each clip."""
    rows = [
        (code(name), damage.text)
        for name, damage in DAMAGES.items()
        if damage.clip and not damage.stream
    ]
    return "\n".join(table(("name", "what it does"), rows))


def by_task() -> str:
    """The weights that each task takes, and the damage that evaluate makes for it."""
    rows = [(code(name), code(task.weights), code(task.damage)) for name, task in TASKS.items()]
    return "\n".join(table(("task", "weights", "damage"), rows))


# Markdown


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table, a line a row."""
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines]


def code(text: str) -> str:
    return f"`{text}`"


def plain(text: str) -> str:
    """A docstring's text: ``name`` in Markdown's code font."""
    return re.sub(r"``([^`]+)``", r"`\1`", inspect.cleandoc(text))


# Sound


def layouts_of_sound() -> str:
    """The layout that sound of each layout is converted to, by container."""
    rows = [(code(name), *converted(Shape(name, 48000, "s16"), "layout")) for name in LAYOUTS]
    return "\n".join(table(("layout", *sound_columns()), rows))


def rates_of_sound() -> str:
    """The samples per second that sound of each rate is converted to, by container."""
    rows = [(f"{rate} Hz", *converted(Shape("stereo", rate, "s16"), "rate")) for rate in RATES]
    return "\n".join(table(("rate", *sound_columns()), rows))


def sound_columns() -> list[str]:
    """The containers, each with the encoder for sound that it cannot hold."""
    return [f"{suffix} ({SOUND_CODECS[container]})" for suffix, container in SOUND.items()]


def converted(source: Shape, what: str) -> list[str]:
    """One property of the shape that sound is converted to in each container."""
    shapes = [choose_shape(SOUND_CODECS[container], source) for container in SOUND.values()]
    return [str(getattr(shape, what)) for shape in shapes]


# What is kept


def kinds_of_tracks() -> str:
    """What becomes of each kind of track but sound, by container."""
    rows = [(kind, *fates_of_track(*where)) for kind, where in TRACKS.items()]
    return "\n".join(table(("track", *SOUND), rows))


def fates_of_track(codec: str, container: str) -> list[str]:
    """What becomes of a track in each container, as the writer chooses for a small file with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        make_track(path, codec, container)
        fates = []
        for target in SOUND.values():
            with open_reader(path) as reader:
                companions = Companions(reader, target)
            companions.close()
            routes = companions.routes
            fates.append((routes[0].codec or "copied") if routes else "dropped")
    return fates


def make_track(path: Path, codec: str, container: str) -> None:
    """Write a file of one picture and a track with two packets."""
    with av.open(str(path), "w", format=container) as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        subtitle = codec not in [name for name, where in TRACKS.values() if where == "mpegts"]
        subtitle = subtitle and codec != "bin_data"
        track = output.add_mux_stream(codec) if subtitle else output.add_data_stream(codec)
        track.time_base = Fraction(1, 1000)
        output.start_encoding()
        output.mux([*video.encode(av.VideoFrame(64, 48, "yuv420p")), *video.encode(None)])
        for index in range(2):
            packet = av.Packet(b"\0\4text")
            packet.pts = packet.dts = 10 * index
            packet.duration, packet.time_base, packet.stream = 10, Fraction(1, 1000), track
            output.mux(packet)


def kinds_in_pictures() -> str:
    """What becomes of what the pictures of a video carry, by container and its usual codec."""
    display = Display(spherical=Spherical(0), stereo=Stereo(1))
    color = ColorInfo("bt709", full_range=False, bits=8)
    info = MediaInfo(640, 480, Fraction(25), Fraction(1, 1000), color, (2, 2))
    codings = [
        choose_coding(info, display, f".{suffix}", OutputFormat(640, 480)) for suffix in SOUND
    ]
    messages = ["kept" if holds_messages(coding.codec) else "dropped" for coding in codings]
    rows = [
        ("closed captions (A53)", *messages),
        ("active format description", *messages),
        ("user data (SEI)", *messages),
        ("spherical projection", *("kept" if held_sphere(c) else "dropped" for c in codings)),
        ("stereo 3D", *("kept" if held_views(c) else "dropped" for c in codings)),
    ]
    heads = [f"{suffix} ({c.codec})" for suffix, c in zip(SOUND, codings, strict=True)]
    return "\n".join(table(("in pictures", *heads), rows))


def tags_of_images() -> str:
    """The tags of photographs that images of each kind keep."""
    profile = bytes(16) + b"RGB "
    tags = {
        "ICC profile": PhotoTags(icc=profile),
        "EXIF: time, place, camera": PhotoTags(exif=b"MM\0*" + bytes(10)),
        "XMP": PhotoTags(xmp=b"x"),
    }
    rows = [
        (
            name,
            *(
                "kept" if held_photo_tags(tag, kind, gray=False, size=(1, 1)).names else "dropped"
                for kind in IMAGES
            ),
            "dropped",
        )
        for name, tag in tags.items()
    ]
    return "\n".join(table(("tag", *IMAGES, "video"), rows))


if __name__ == "__main__":
    main()
