"""The calls for jobs: ask, look, change, start, hold, take home."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError

from ..jobs import Entry, JobQueue, Order, QueueError, free_bytes
from ..tasks import TASKS
from .events import changes
from .places import inside, listing, output_name, shown_name, stored_name
from .settings import LOCAL, ServeSettings
from .uploads import Form, UploadRequest, Uploads, UploadState, check_disk, too_large
from .views import (
    About,
    JobView,
    PickRequest,
    PreviewRequest,
    Problem,
    ReorderRequest,
    job_view,
)

LOOK = 120.0  # seconds that a look may take on a busy machine
FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "the video"},
        "run": {"type": "boolean", "description": "start at once"},
        "task": {"type": "string", "description": "and every other setting, by its name"},
    },
}}}}}  # fmt: skip
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "there is no such job"},
    409: {"model": Problem, "description": "the job cannot do that now"},
    422: {"model": Problem, "description": "impossible, such as a file that is no video"},
}
FULL: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "larger than --max-upload"},
    507: {"model": Problem, "description": "the disk has no room"},
}


class Calls:
    """The calls on one queue."""

    def __init__(self, queue: JobQueue, settings: ServeSettings) -> None:
        self.queue, self.settings = queue, settings
        self.uploads = Uploads(settings.folder / "uploads", settings.max_upload)
        self.local = settings.host == LOCAL
        self.ended = False  # nobody is told of changes any more

    # Jobs come

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
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def accept(self, entry: Entry) -> Entry:
        """Look at a job, and take it into the queue."""
        facts = await self.look(entry)
        return await asyncio.to_thread(self.queue.add, entry.but({"facts": facts}))

    async def look(self, entry: Entry) -> dict[str, Any]:
        """Facts about a job. HTTPException with a sentence if it is impossible."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.queue.look(entry)), LOOK)
        except QueueError as error:
            raise HTTPException(422, str(error)) from error
        except TimeoutError as error:
            raise HTTPException(503, "the machine is too busy to look at it; try again") from error

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

    def about(self) -> About:
        """The server: tasks, limits, and what it is."""
        return About(
            version=version("s2svr"),
            tasks={name: {"help": task.help, "fast": task.weights, "best": task.best or None}
                   for name, task in TASKS.items()},
            qualities=["auto", "fast", "best"],
            max_upload=self.settings.max_upload, free=free_bytes(self.settings.folder / "jobs"),
            keep=self.settings.keep, root=self.settings.root is not None, local=self.local,
        )  # fmt: skip

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
            try:
                entry = await self.take(place, asked, self.usual(Order()))
            finally:
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
        if not inside(root, path).is_dir():
            raise HTTPException(404, f"there is no folder {path!r}")
        return listing(root, path)

    async def pick(self, asked: PickRequest) -> JobView:
        """Make a job of a video, or a folder of images, in the server's own folder.

        The output appears beside it.
        """
        source = inside(self.rooted(), asked.path)
        if not source.exists():
            raise HTTPException(404, f"there is no file {asked.path!r}")
        name = source.name if source.is_file() else f"{source.name}.images"
        entry = Entry(
            name=source.name, source=source, target=source.with_name(output_name(name)),
            order=self.usual(asked.order),
        )  # fmt: skip
        return self.view(await self.accept(entry))

    def rooted(self) -> Path:
        """The server's own folder."""
        if self.settings.root is None:
            raise HTTPException(404, "the server has no folder to pick from: start it with --root")
        return self.settings.root

    # What becomes of jobs

    def jobs(self) -> list[JobView]:
        """All jobs, in the queue's order."""
        return [self.view(entry) for entry in self.queue.all()]

    def job(self, job: str) -> JobView:
        """One job."""
        return self.view(self.find(job))

    async def change(self, job: str, order: Order) -> JobView:
        """Change the settings that are given, of a job that has not begun; it is planned again."""
        entry = self.find(job)
        given = {name: getattr(order, name) for name in order.model_fields_set}
        order = self.usual(entry.order.model_copy(update=given))
        facts = await self.look(entry.but({"order": order, "plan": None}))
        return self.view(await asyncio.to_thread(self.queue.change, job, order, facts))

    def start(self, job: str) -> JobView:
        """Put a job into the queue, or try one again that failed."""
        return self.view(self.queue.start(self.find(job).id))

    def pause(self, job: str) -> JobView:
        """Hold a job; the next one takes its place."""
        return self.view(self.queue.pause(self.find(job).id))

    def resume(self, job: str) -> JobView:
        """Let a paused job go on."""
        return self.view(self.queue.go_on(self.find(job).id))

    def cancel(self, job: str) -> JobView:
        """End a job, and remove what it has done."""
        return self.view(self.queue.cancel(self.find(job).id))

    def remove(self, job: str) -> None:
        """Remove a job with its upload and its result; a result in the server's folder stays."""
        self.queue.remove(self.find(job).id)

    def reorder(self, asked: ReorderRequest) -> list[JobView]:
        """Put these jobs at the front of the queue, in this order."""
        for job in asked.jobs:
            self.find(job)
        self.queue.reorder(asked.jobs)
        return self.jobs()

    def preview(self, job: str, asked: PreviewRequest) -> JobView:
        """Show three seconds of a job, from ``start`` (seconds) or its middle."""
        return self.view(self.queue.preview(self.find(job).id, asked.start))

    def preview_file(self, job: str, key: str) -> FileResponse:
        """A preview: H.264, the input in the upper half, the result in the lower."""
        return self.shown_file(job, "previews", f"{key}.mp4", "video/mp4")

    def preview_picture(self, job: str, key: str, number: int) -> FileResponse:
        """A picture of a preview that is being made: the input above the result."""
        return self.shown_file(job, "previews", f"{key}-{number}.jpg", "image/jpeg")

    def picture(self, job: str, number: int) -> FileResponse:
        """A picture of a restoration as it comes: the input above the result."""
        return self.shown_file(job, "pictures", f"{number}.jpg", "image/jpeg")

    def result(self, job: str) -> FileResponse:
        """The finished file."""
        entry = self.find(job)
        if entry.state != "done":
            raise HTTPException(409, f"{entry.name} is {entry.state}: there is no result yet")
        if not entry.target.is_file():
            raise HTTPException(404, f"the result {entry.target.name} was moved or removed")
        return FileResponse(entry.target, filename=download_name(entry))

    def report(self, job: str) -> dict[str, Any]:
        """What was kept, and how far the result is from its source."""
        entry = self.find(job)
        if entry.state != "done":
            raise HTTPException(409, f"{entry.name} is {entry.state}: there is no report yet")
        view = self.view(entry)
        return {"summary": view.summary, "kept": view.report, "fidelity": view.fidelity,
                "warnings": view.said}  # fmt: skip

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """Every change: ``jobs`` with all of them at first, then ``job``, and ``gone`` with ids."""
        async for event, data in changes(self.queue, self.view, lambda: self.ended):
            yield ServerSentEvent(event=event, data=data)

    def find(self, job: str) -> Entry:
        """The job of an id."""
        try:
            return self.queue.get(job)
        except KeyError:
            raise HTTPException(
                404, f"there is no job {job!r}: it is removed, or too old"
            ) from None

    def view(self, entry: Entry) -> JobView:
        return job_view(self.queue, entry, local=self.local)

    def shown_file(self, job: str, folder: str, name: str, kind: str) -> FileResponse:
        """A file that is shown of a job."""
        path = self.queue.folder(self.find(job)) / folder / name
        if not path.is_file():
            raise HTTPException(404, "there is no such picture: a newer one is there")
        return FileResponse(path, media_type=kind)


def download_name(entry: Entry) -> str:
    """The result's name: the source's own, which a browser can be told."""
    return output_name(entry.name) if entry.owned else entry.target.name


def first_problem(errors: Any) -> str:
    """A sentence about the first of pydantic's problems."""
    problem = errors[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = ", ".join(Order.model_fields)
        return f"expected settings named {known}, got {place!r}"
    return f"{place}: {text[:1].lower()}{text[1:]}, got {problem.get('input')!r}" if place else text


def routes(calls: Calls) -> APIRouter:
    """All calls at their addresses."""
    api = APIRouter(prefix="/api", responses=ERRORS)
    get, post = partial(api.get), partial(api.post)
    get("/about")(calls.about)
    get("/events", response_class=EventSourceResponse)(calls.events)
    get("/jobs")(calls.jobs)
    post("/jobs", status_code=201, openapi_extra=FORM, responses=FULL)(calls.upload)
    get("/jobs/{job}")(calls.job)
    api.patch("/jobs/{job}")(calls.change)
    api.delete("/jobs/{job}", status_code=204)(calls.remove)
    post("/jobs/{job}/start", responses=FULL)(calls.start)
    post("/jobs/{job}/pause")(calls.pause)
    post("/jobs/{job}/resume")(calls.resume)
    post("/jobs/{job}/cancel")(calls.cancel)
    post("/jobs/{job}/preview")(calls.preview)
    get("/jobs/{job}/previews/{key}.mp4", response_class=FileResponse)(calls.preview_file)
    get("/jobs/{job}/previews/{key}-{number}.jpg", response_class=FileResponse)(
        calls.preview_picture
    )
    get("/jobs/{job}/pictures/{number}.jpg", response_class=FileResponse)(calls.picture)
    get("/jobs/{job}/result", response_class=FileResponse)(calls.result)
    get("/jobs/{job}/report")(calls.report)
    api.put("/queue")(calls.reorder)
    post("/uploads", status_code=201, responses=FULL)(calls.begin_upload)
    get("/uploads/{upload}")(calls.upload_state)
    api.put("/uploads/{upload}", responses=FULL)(calls.append_upload)
    api.delete("/uploads/{upload}", status_code=204)(calls.drop_upload)
    get("/files")(calls.files)
    post("/files", status_code=201)(calls.pick)
    return api
