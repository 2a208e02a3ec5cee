"""Sets of options: of a file by ``--config``, and by name by ``--profile``.

They become the defaults of the command: what is typed wins over a file, and that over a profile.
"""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from ..profiles import PROFILES, as_words, profile_named
from .output import say

KEPT = "s2svr: sets of options"  # where a context keeps what was given, the strongest last
UNSET = {"config", "help"}  # options that no file sets
# A command whose files may be another's: it hands them on, and its own part is what it knows.
HANDED_ON = {"tune": "restore"}
# One of each is taken: a stronger one puts the others of a weaker set aside.
ALTERNATIVES = [
    {"scale", "size", "height", "width", "fit"},
    {"crf", "bitrate"},
    {"weights", "task"},
    {"weights", "quality"},
]


def take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the entries of a file defaults. Raises ValueError for unknown ones."""
    if path is not None and not context.resilient_parsing:
        settle_defaults(context, "config", read_config(context, path))
    return path


def take_profile(context: typer.Context, name: str | None) -> str | None:
    """Make the options of a profile defaults, and say them. Raises ValueError for unknown ones."""
    if name is not None and not context.resilient_parsing:
        profile = profile_named(name)
        settle_defaults(context, "profile", {**profile.options})
        say(f"profile {name}: {as_words(profile.options)} ({profile.why})")
    return name


def settle_defaults(context: typer.Context, kind: str, values: dict[str, Any]) -> None:
    """Note one set, and make defaults of all that there are."""
    kept = context.meta.setdefault(KEPT, {})
    kept[kind] = values
    by_option = options_of(context.command)
    strong = kept.get("config", {})
    weak = {name: v for name, v in kept.get("profile", {}).items() if not displaced(name, strong)}
    together = {**weak, **strong}
    context.default_map = {
        by_option[name].name: value for name, value in together.items() if name in by_option
    }


def displaced(name: str, stronger: Collection[str]) -> bool:
    """True for an option whose place another one of a stronger set has taken."""
    return any(name in group and group & (set(stronger) - {name}) for group in ALTERNATIVES)


def settled(context: typer.Context) -> dict[str, Any]:
    """All values of a command by name, without those of sets whose place typed ones have taken."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    typed = [name for name, at in sources.items() if at is not None and at.name == "COMMANDLINE"]
    return {
        name: None if name not in typed and displaced(name, typed) else value
        for name, value in context.params.items()
    }


def options_of(command: Any) -> dict[str, Any]:
    """The options of a command that a file may set, by their names without dashes."""
    return {
        word.removeprefix("--"): parameter
        for parameter in command.params
        for word in parameter.opts
        if word.startswith("--") and word.removeprefix("--") not in UNSET
    }


def read_config(context: typer.Context, path: Path) -> dict[str, Any]:
    """The entries of a file, as they would be typed. Raises ValueError for what is no option."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"expected lines such as scale = 2 in {path}: {error}") from error
    known, read = options_of(context.command), {}
    if other := HANDED_ON.get(context.command.name or ""):
        group: Any = context.find_root().command
        known = options_of(group.commands[other]) | known
    for name, value in table.items():
        key = name.replace("_", "-")
        if key not in known:
            raise ValueError(f"expected in {path} one of {', '.join(sorted(known))}; got {name!r}")
        values = value if isinstance(value, list) and known[key].multiple else [value]
        if not all(isinstance(part, str | int | float) for part in values):
            raise ValueError(f"expected a number, true, false or a text for {name}, got {value!r}")
        typed = [part if isinstance(part, bool) else str(part) for part in values]
        read[key] = typed if known[key].multiple else typed[0]
    return read


Config = Annotated[
    Path | None,
    typer.Option(
        is_eager=True,
        callback=take_config,
        metavar="FILE",
        help="TOML file of options by their names, such as scale = 2; what is typed wins over it.",
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        is_eager=True,
        callback=take_profile,
        autocompletion=lambda: list(PROFILES),
        metavar="NAME",
        help=f"A set of options for videos of a kind: {', '.join(PROFILES)}; what is typed, and "
        "what a --config says, wins over it.",
    ),
]
