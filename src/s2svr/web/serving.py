"""Serving: the socket, the token, the address, and the end."""

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvicorn

from ..files import whole, write_whole
from ..jobs import JobQueue
from .app import create_app
from .settings import ServeSettings

PORT = "port"  # names of files in the folder
TOKEN = "token"
GRACE = 2  # seconds that open answers get at the end


def serve(settings: ServeSettings, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; ``ready`` is told of the address when the server answers.

    OSError where the address cannot be had, ValueError where another process has the folder.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    queue = JobQueue(settings.folder, keep=settings.keep)
    listening = bound(settings)
    port = listening.getsockname()[1]
    write_whole(settings.folder / PORT, str(port).encode())
    if settings.public:
        settings = replace(settings, token=kept_token(settings.folder))
    app, place = create_app(queue, settings), address(settings, port)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=GRACE, proxy_headers=False,
    )  # fmt: skip

    def end() -> None:
        app.state.calls.ended = True

    asyncio.run(run_announced(uvicorn.Server(config), listening, lambda: ready(place), end))


async def run_announced(
    server: uvicorn.Server,
    listening: socket.socket,
    ready: Callable[[], None],
    end: Callable[[], None],
) -> None:
    """Run a server; say so when it answers, and when it is about to end."""
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        ready()
    while not server.should_exit and not running.done():
        await asyncio.sleep(0.1)
    end()
    await running


def bound(settings: ServeSettings) -> socket.socket:
    """A socket at the address that is asked for; at the last port again, if none is."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    ports = [settings.port] if settings.port else [last_port(settings.folder), 0]
    for port in ports:
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, port))
        except OSError as error:
            listening.close()
            if port == ports[-1]:
                raise OSError(
                    f"expected an address of this machine that is free, got {settings.host} port "
                    f"{port or 'any'}: {error.strerror}"
                ) from error
        else:
            break
    listening.set_inheritable(False)
    return listening


def last_port(folder: Path) -> int:
    """The port that pages still know from the last time; 0 for any."""
    place = folder / PORT
    text = place.read_text(encoding="ascii").strip() if place.is_file() else ""
    return int(text) if text.isdecimal() and int(text) < 65536 else 0


def kept_token(folder: Path) -> str:
    """The folder's token, made where there is none; the file is its owner's alone."""
    place = folder / TOKEN
    token = place.read_text(encoding="ascii").strip() if place.is_file() else ""
    if not token:
        token = secrets.token_urlsafe(24)
        with whole(place) as beside:
            beside.touch(mode=0o600)
            beside.write_text(token, encoding="ascii")
    return token


def address(settings: ServeSettings, port: int) -> str:
    """The address of the page, as a browser takes it."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    elif is_v6(host):
        host = f"[{host}]"
    return f"http://{host}:{port}/" + (f"?token={settings.token}" if settings.token else "")


def is_v6(host: str) -> bool:
    """True for an address with colons."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
