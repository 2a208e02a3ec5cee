"""The command that serves the page in the browser."""

import os
import re
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from .output import say

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_bytes(text: str) -> int:
    """``500M``, ``20G`` or bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise typer.BadParameter(f"expected bytes such as 500M or 20G, got {text!r}")
    return int(float(match[1]) * UNITS[match[2].upper()])


def usual_folder() -> Path:
    """The place of this user's data."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "s2svr"


def serve_command(
    host: Annotated[
        str, typer.Option(help="Address to answer at; any but this one needs the printed token.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port; if not given, the last one, or one that is free."
        ),
    ] = None,
    opens: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose videos may be picked on the page; results appear beside them.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of uploads, jobs and results; among your data if not given."),
    ] = None,
    max_upload: Annotated[
        int, typer.Option(parser=parse_bytes, metavar="BYTES", help="Largest upload, such as 20G.")
    ] = "64G",  # type: ignore[assignment]
    keep: Annotated[
        float,
        typer.Option(min=0, metavar="DAYS", help="Remove jobs so long after they ended."),
    ] = 7.0,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Other name of the server, such as a proxy's: the printed token is needed then; "
            "may be given more than once.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:N.")
    ] = "auto",
) -> None:
    """Open a page in the browser: drop a video, watch it, compare, take it home."""
    if root is not None and not root.is_dir():
        raise ValueError(f"expected a folder as --root, {root} is none")
    from ..web import ServeSettings, serve

    settings = ServeSettings(
        folder=(folder or usual_folder()).absolute(), root=root and root.resolve(), host=host,
        port=port or 0, names=tuple(allow_host or ()), max_upload=max_upload, keep=keep * 86400,
        device=device,
    )  # fmt: skip

    try:
        serve(settings, lambda address: announce(address, opens))
    except KeyboardInterrupt:
        return  # as asked for


def announce(address: str, opens: bool) -> None:
    """Print the address of the page, and open it where that is wanted."""
    print(address, flush=True)  # noqa: T201
    say("Ctrl-C ends it; what is unfinished goes on when it is started again")
    if opens:  # browsers of a terminal wait for the page, which is served meanwhile
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
