"""The door: who may call, and what a browser may do with what it gets."""

import hmac
import json
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from fastapi import HTTPException

from .settings import LOCAL, ServeSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
LOOPBACK = ("localhost", LOCAL, "[::1]")
OPEN = ("/assets/",)  # of no secret
MONTH = 30 * 86400  # seconds that a browser keeps the token
UPLOADS = re.compile(r"POST /api/jobs|PUT /api/uploads/[^/]+")  # their bodies go to the disk
BODY = 1 << 20  # bytes of all others, which are held in memory


class Guard:
    """Lets through calls of our own page and of scripts, by the right name and with the token."""

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self.app, self.settings = app, settings
        self.names = own_names() if settings.host != LOCAL else set[str]()  # once: this may wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        refusal = self.refusal(scope, headers)
        if refusal is not None:
            await refuse(send, *refusal)
            return
        if not UPLOADS.fullmatch(f"{scope['method']} {scope['path']}"):
            receive = limited(receive, BODY)
        fresh = self.settings.token and self.asked_token(scope) == self.settings.token

        async def add(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                known = {key.lower() for key, _ in message["headers"]}
                more = HEADERS | ({"cache-control": "no-cache"} if scope["path"] != "/" else
                                  {"cache-control": "no-store"})  # fmt: skip
                if fresh:
                    more = more | {"set-cookie": (
                        f"{self.cookie(scope)}={self.settings.token}; Path=/; HttpOnly; "
                        f"SameSite=Strict; Max-Age={MONTH}"
                    )}  # fmt: skip
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in more.items() if k.encode() not in known),
                ]
            await send(message)

        await self.app(scope, receive, add)

    def refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """A status and a sentence for who may not come in."""
        host = headers.get("host", "")
        if not self.known_host(host, scope):
            return 421, (f"expected the address that the server printed, got the host {host!r}; "
                         "other names are allowed with --allow-host")  # fmt: skip
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, f"calls from pages of other origins are refused, such as {origin!r}"
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return 403, "calls from pages of other sites are refused"
        if self.settings.token and not scope["path"].startswith(OPEN):
            found = self.asked_token(scope) or brought_token(headers, self.cookie(scope))
            if not hmac.compare_digest(found.encode(), self.settings.token.encode()):
                return 401, ("expected the token that the server printed: open the whole address, "
                             "or send it as 'Authorization: Bearer TOKEN'")  # fmt: skip
        return None

    def known_host(self, host: str, scope: Scope) -> bool:
        """True for names and addresses that are this server's."""
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@]+)(?::\d{1,5})?", host)
        if found is None:
            return False
        name, settings = found[1].lower(), self.settings
        known = {*LOOPBACK, *(other.lower() for other in settings.names)}
        if settings.host != LOCAL:
            known |= {settings.host.lower(), f"[{settings.host.lower()}]", *self.names}
            if scope.get("server"):  # where the call arrived
                known |= {scope["server"][0].lower(), f"[{scope['server'][0].lower()}]"}
        return name in known

    def cookie(self, scope: Scope) -> str:
        """The cookie's name: browsers keep those of all ports together."""
        server = scope.get("server") or ("", 0)
        return f"s2svr-{server[1]}"

    def asked_token(self, scope: Scope) -> str:
        """The token in the address, or nothing."""
        return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def limited(receive: Receive, most: int) -> Receive:
    """A call's body; HTTPException where more than ``most`` bytes of it come."""
    left = most

    async def some() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"expected a body of at most {most} bytes, got more")
        return message

    return some


def own_names() -> set[str]:
    """This machine's names."""
    return {socket.gethostname().lower(), socket.getfqdn().lower()} - {""}


def brought_token(headers: dict[str, str], cookie: str) -> str:
    """The token of a header or a cookie, or nothing."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        return ""
    return found.value if found else ""


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer with a status and a sentence."""
    body = json.dumps({"detail": sentence}).encode()
    await send({"type": "http.response.start", "status": status, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})
