"""The calls by which jobs come: uploads, and what is picked from the server's own folder."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from pydantic import ValidationError

from ..jobs import Entry, JobQueue, Order, QueueError
from .places import (
    LONGEST,
    OutsideError,
    free_place,
    inside,
    listing,
    output_name,
    shown_name,
    stored_name,
)
from .settings import ServeSettings
from .uploads import Form, UploadRequest, Uploads, UploadState, check_disk, too_large
from .views import JobView, PickRequest, job_view

T = TypeVar("T")
LOOK = 120.0  # seconds that a look may take on a busy machine
LATER = (503, 507)  # statuses of what may be possible later: the upload is kept


class Intake:
    """Takes jobs into a queue."""

    def __init__(self, queue: JobQueue, settings: ServeSettings) -> None:
        self.queue, self.settings = queue, settings
        self.uploads = Uploads(settings.folder / "uploads", settings.max_upload)

    def view(self, entry: Entry) -> JobView:
        """What callers see of a job."""
        return job_view(self.queue, entry, local=not self.settings.public)

    async def upload(self, request: Request) -> JobView:
        """Upload a video as a form; its fields are the job's settings.

        The file is looked at, and refused if it is no video. With ``run=true`` it starts at once;
        else it is planned, and a preview is made, until it is started.
        """
        length = int(request.headers.get("content-length") or 0)
        if length > self.settings.max_upload + (1 << 20):
            raise too_large(self.settings.max_upload)
        check_disk(self.uploads.folder, length)
        place = self.uploads.fresh()
        try:
            kind = request.headers.get("content-type", "")
            form = Form(kind, place, self.settings.max_upload)
            await form.read(request.stream())
            run = form.fields.pop("run", "").lower() in ("true", "1", "yes", "on")
            order = self.order(form.fields)
            asked = UploadRequest(name=form.name or "video", bytes=1)
            entry = await self.take(place, asked, order)
            if run:
                entry = await asyncio.to_thread(self.queue.start, entry.id)
        finally:
            self.uploads.discard(place)
        return self.view(entry)

    async def take(self, place: Path, asked: UploadRequest, order: Order) -> Entry:
        """Make a job of what was uploaded. HTTPException if it is impossible."""
        entry = Entry(name=shown_name(asked.name), source=place, target=place, order=order)
        folder = self.queue.folder(entry)
        stored = stored_name(asked.name)
        entry = entry.but({
            "owned": True, "source": folder / "source" / stored,
            "target": folder / "result" / output_name(stored),
        })  # fmt: skip
        try:
            await asyncio.to_thread(self.uploads.hand_over, place, asked, entry.source)
            entry.target.parent.mkdir()
            return await self.accept(entry)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise HTTPException(
                    507, f"the upload cannot be written: {error.strerror}"
                ) from error
            raise

    async def accept(self, entry: Entry) -> Entry:
        """Look at a job, and take it into the queue."""
        facts = await self.look(entry)
        return await asyncio.to_thread(self.queue.add, entry.but({"facts": facts}))

    async def look(self, entry: Entry) -> dict[str, Any]:
        """Facts about a job. HTTPException with a sentence if it is impossible."""
        try:
            return await answer_of(self.queue.look(entry), LOOK)
        except QueueError as error:
            raise HTTPException(422, str(error)) from error

    def order(self, fields: dict[str, Any]) -> Order:
        """Settings from a form. HTTPException for unknown and impossible ones."""
        given = {key: value for key, value in fields.items() if value != ""}
        try:
            return self.usual(Order.model_validate_strings(given))
        except ValidationError as error:
            raise HTTPException(422, first_problem(error.errors())) from error

    def usual(self, order: Order) -> Order:
        """The settings, on the server's device where they name none."""
        if order.device != "auto":
            return order
        return order.model_copy(update={"device": self.settings.device})

    # Uploads that may break off

    def begin_upload(self, asked: UploadRequest) -> UploadState:
        """Announce an upload that may be gone on with; its bytes follow by PUT."""
        return self.uploads.begin(asked)

    def upload_state(self, upload: str) -> UploadState:
        """How much of an upload is there."""
        return self.uploads.state(upload)

    async def append_upload(self, upload: str, offset: int, request: Request) -> UploadState:
        """Send bytes of an upload from ``offset`` on, in any number; the last make the job."""
        state = await self.uploads.append(upload, offset, request.stream())
        if state.received == state.bytes:
            place, asked = self.uploads.find(upload), self.uploads.request(upload)
            self.uploads.busy.add(upload)
            try:
                entry = await self.take(place, asked, self.usual(Order()))
            except HTTPException as error:
                if error.status_code not in LATER:
                    self.uploads.discard(place)
                raise
            finally:
                self.uploads.busy.discard(upload)
            self.uploads.discard(place)
            state.job = self.view(entry).model_dump(mode="json")
        return state

    def drop_upload(self, upload: str) -> None:
        """Give an upload up."""
        self.uploads.discard(self.uploads.find(upload))

    # The server's own folder

    def files(self, path: str = "") -> list[dict[str, Any]]:
        """Videos and folders of the server's own folder, where it has one."""
        root = self.rooted()
        with found_or_404(path):
            if inside(root, path).is_dir():
                return listing(root, path)
        raise HTTPException(404, f"there is no folder {path!r}")

    async def pick(self, asked: PickRequest) -> JobView:
        """Make a job of a video, or a folder of images, in the server's own folder.

        The output appears beside it, with a number in its name if another job makes one of that.
        """
        root = self.rooted()
        with found_or_404(asked.path):
            source = inside(root, asked.path)
            if source == root.resolve():
                raise OutsideError("expected a path inside the server's folder, got the folder")
            if not source.exists():
                raise HTTPException(404, f"there is no file {asked.path!r}")
            name = source.name if source.is_file() else f"{source.name}.images"
        making = {entry.target for entry in self.queue.all() if entry.state != "done"}
        entry = Entry(
            name=source.name, source=source,
            target=free_place(source.with_name(output_name(name)), making),
            order=self.usual(asked.order),
        )  # fmt: skip
        return self.view(await self.accept(entry))

    def rooted(self) -> Path:
        """The server's own folder."""
        if self.settings.root is None:
            raise HTTPException(404, "the server has no folder to pick from: start it with --root")
        return self.settings.root


@contextmanager
def found_or_404(path: str) -> Iterator[None]:
    """Turn an error of the system in the block, such as of a path that is too long, into 404."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise HTTPException(404, f"there is no {path[:LONGEST]!r}, or it cannot be read") from error


async def answer_of(answer: "Future[T]", limit: float) -> T:
    """A worker's answer. HTTPException where the machine is too busy to give it in ``limit`` s."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(answer), limit)
    except TimeoutError as error:
        raise HTTPException(503, "the machine is too busy to look at it; try again") from error


def first_problem(errors: Any) -> str:
    """A sentence about the first of pydantic's problems."""
    problem = errors[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = ", ".join(Order.model_fields)
        return f"expected settings named {known}, got {place!r}"
    return f"{place}: {text[:1].lower()}{text[1:]}, got {problem.get('input')!r}" if place else text
