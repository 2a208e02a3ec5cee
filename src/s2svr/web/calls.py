"""The calls for jobs that are there: look, change, start, hold, take home; and all addresses."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, BackgroundTasks, HTTPException
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ..files import free_bytes
from ..jobs import Entry, JobQueue, Order
from ..tasks import TASKS
from .events import changes
from .intake import Intake, answer_of
from .places import output_name
from .settings import ServeSettings
from .views import (
    About,
    JobView,
    PreviewRequest,
    Problem,
    ReorderRequest,
)

SO_FAR = 3600.0  # seconds that what is done of a long film may take to be joined

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
        self.intake = Intake(queue, settings)
        self.local = not settings.public
        self.ended = False  # nobody is told of changes any more

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
        order = self.intake.usual(entry.order.model_copy(update=given))
        facts = await self.intake.look(entry.but({"order": order, "plan": None}))
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

    async def so_far(self, job: str) -> FileResponse:
        """What is done of a job that is not finished, as a video that can be played."""
        entry = self.find(job)
        folder = self.queue.folder(entry) / "so-far"
        folder.mkdir(exist_ok=True)
        path = folder / f"{secrets.token_hex(8)}{entry.target.suffix}"
        made = self.queue.so_far(entry, path)
        try:
            await answer_of(made, SO_FAR)
        except BaseException:  # nobody waits for the file any more
            made.add_done_callback(lambda _: path.unlink(missing_ok=True))
            raise
        name, after = Path(download_name(entry)), BackgroundTasks()
        after.add_task(path.unlink)
        return FileResponse(path, filename=f"{name.stem}-so-far{name.suffix}", background=after)

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
        return self.intake.view(entry)

    def shown_file(self, job: str, folder: str, name: str, kind: str) -> FileResponse:
        """A file that is shown of a job."""
        path = self.queue.folder(self.find(job)) / folder / name
        if not path.is_file():
            raise HTTPException(404, "there is no such picture: a newer one is there")
        return FileResponse(path, media_type=kind)


def download_name(entry: Entry) -> str:
    """The result's name: the source's own, which a browser can be told."""
    if not entry.owned:
        return entry.target.name
    return Path(output_name(entry.name)).with_suffix(entry.target.suffix).name


def routes(calls: Calls) -> APIRouter:
    """All calls at their addresses."""
    api = APIRouter(prefix="/api", responses=ERRORS)
    get, post = partial(api.get), partial(api.post)
    get("/about")(calls.about)
    get("/events", response_class=EventSourceResponse)(calls.events)
    get("/jobs")(calls.jobs)
    post("/jobs", status_code=201, openapi_extra=FORM, responses=FULL)(calls.intake.upload)
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
    get("/jobs/{job}/so-far", response_class=FileResponse)(calls.so_far)
    get("/jobs/{job}/report")(calls.report)
    api.put("/queue")(calls.reorder)
    post("/uploads", status_code=201, responses=FULL)(calls.intake.begin_upload)
    get("/uploads/{upload}")(calls.intake.upload_state)
    api.put("/uploads/{upload}", responses=FULL)(calls.intake.append_upload)
    api.delete("/uploads/{upload}", status_code=204)(calls.intake.drop_upload)
    get("/files")(calls.intake.files)
    post("/files", status_code=201)(calls.intake.pick)
    return api
