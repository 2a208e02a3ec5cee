"""The application: pages, calls, and what becomes of errors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse

from ..jobs import JobQueue, NoRoomError, QueueError
from .calls import Calls, routes
from .guard import Guard
from .intake import first_problem
from .places import OutsideError
from .settings import ServeSettings

HERE = Path(__file__).parent
ASSETS = {path.name: path for path in HERE.iterdir() if path.suffix in (".js", ".css", ".svg")}
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
SWEEP_EVERY = 600.0  # seconds


def create_app(queue: JobQueue, settings: ServeSettings) -> FastAPI:
    """The pages and calls for a queue, which is opened when the application starts.

    ValueError for settings that let others in without a token.
    """
    if settings.public and not settings.token:
        raise ValueError("expected a token for a server that others can call, got none")
    calls = Calls(queue, settings)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(queue.open)
        sweeping = asyncio.create_task(sweep(calls))
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await asyncio.to_thread(queue.close)

    app = FastAPI(
        title="s2svr", version=version("s2svr"), docs_url=None, redoc_url=None, lifespan=life,
        summary="Restoration of videos: upload, plan, preview, restore, take home.",
    )  # fmt: skip
    app.include_router(routes(calls))
    app.state.calls = calls
    app.add_api_route("/", page("page.html"), include_in_schema=False)
    app.add_api_route("/docs", page("docs.html"), include_in_schema=False)
    app.add_api_route("/assets/{name}", asset, include_in_schema=False)
    add_errors(app)
    app.add_middleware(Guard, settings=settings)
    return app


async def sweep(calls: Calls) -> None:
    """Remove what is too old, now and then; an error is logged and tried again later."""
    while True:
        try:
            await asyncio.to_thread(calls.queue.sweep)
            await asyncio.to_thread(calls.intake.uploads.sweep)
        except Exception as error:
            logging.getLogger(__name__).warning("what is old could not be removed: %r", error)
        await asyncio.sleep(SWEEP_EVERY)


def page(name: str) -> Any:
    """A call that answers with one of our pages."""

    async def show() -> FileResponse:
        return FileResponse(HERE / name, media_type="text/html; charset=utf-8")

    return show


async def asset(name: str) -> FileResponse:
    """A script or style of our pages."""
    if name not in ASSETS:
        raise HTTPException(404, f"there is no {name!r}")
    kind = KINDS[ASSETS[name].suffix]
    return FileResponse(ASSETS[name], media_type=f"{kind}; charset=utf-8")


def add_errors(app: FastAPI) -> None:
    """Every error becomes a status and one sentence, as the command line says it."""
    statuses: dict[type[Exception], int] = {NoRoomError: 507, QueueError: 409, OutsideError: 403}

    async def sentence_of(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, statuses[type(error)])

    for kind in statuses:
        app.add_exception_handler(kind, sentence_of)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": first_problem(error.errors())}, 422)
